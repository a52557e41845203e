//! Objects of a bucket: a store's notifications, those that it sends to a queue, or its listing read again and again.

mod listen;
mod poll;
mod queue;
mod sign;

pub use sign::{Keys, sign};

use super::outlet::{Emission, Outlet};
use super::secret::{Reference, Tls};
use super::{Failure, Kind, Source, settings};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "s3",
    read,
    example: "bucket: {name: input}\nendpoint: 127.0.0.1:9000\nevent: s3:ObjectCreated:Put\nfilter: {prefix: in/, suffix: .csv}\ninsecure: true\naccessKey: {name: minio, key: accesskey}\nsecretKey: {name: minio, key: secretkey}\n",
};

/// What a store says in one answer, in bytes, at most.
const ANSWER: usize = 16 * 1024 * 1024;
/// The store is asked for its listing this often at most.
const SHORTEST: std::time::Duration = std::time::Duration::from_millis(200);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    #[serde(default)]
    endpoint: String,
    bucket: Bucket,
    #[serde(default)]
    region: String,
    event: Option<String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    filter: Filter,
    /// Plain HTTP.
    #[serde(default)]
    insecure: bool,
    /// The store has no notifications: its listing is read this often, such as `30s`.
    poll: Option<String>,
    /// The store sends its notifications to this queue.
    queue: Option<queue::Queue>,
    access_key: Reference,
    secret_key: Reference,
}

/// Its name, as the first gateways had it, or with the key that the later ones allow.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Bucket {
    Name(String),
    Whole {
        name: String,
        #[serde(default)]
        key: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    prefix: String,
    suffix: String,
}

struct S3 {
    settings: Settings,
    bucket: String,
    events: Vec<String>,
    base: Uri,
    way: Way,
}

/// How it hears of what happens.
enum Way {
    Listen,
    Poll(std::time::Duration),
    Queue,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let mut v = v.clone();
    // The first form had the bucket's part one level deeper.
    if let Some(Value::Object(inner)) = v.as_object_mut().and_then(|o| o.remove("s3EventConfig")) {
        for (k, x) in inner {
            v[k] = x;
        }
    }
    let s: Settings = settings(&v)?;
    let (bucket, key) = match &s.bucket {
        Bucket::Name(name) => (name.clone(), ""),
        Bucket::Whole { name, key } => (name.clone(), key.as_str()),
    };
    if bucket.is_empty() || bucket.contains('/') {
        return Err(format!("bucket: {bucket:?} is no name of a bucket"));
    }
    if !key.is_empty() && !s.filter.prefix.is_empty() {
        return Err("bucket.key and filter.prefix are both given: give one".into());
    }
    let way = way(&s)?;
    let scheme = if s.insecure { "http" } else { "https" };
    let base = match &s.queue {
        Some(q) => q.base()?,
        None => format!("{scheme}://{}/", s.endpoint.trim_end_matches('/'))
            .parse()
            .map_err(|_| format!("endpoint: {:?} is no host and port, such as 127.0.0.1:9000", s.endpoint))?,
    };
    let mut events = s.events.clone();
    events.extend(s.event.clone());
    if events.is_empty() {
        return Err("event: name what is meant, such as s3:ObjectCreated:Put or s3:ObjectRemoved:*".into());
    }
    if let Some(wrong) = events.iter().find(|e| !e.starts_with("s3:")) {
        return Err(format!("event: {wrong:?} is no event, such as s3:ObjectCreated:Put"));
    }
    if let Way::Poll(_) = way
        && let Some(unseen) = events.iter().find(|e| !e.starts_with("s3:ObjectCreated:"))
    {
        return Err(format!(
            "event: {unseen:?} cannot be seen in a listing: only s3:ObjectCreated:* can be polled for"
        ));
    }
    Ok(Arc::new(S3 { settings: s, bucket, events, base, way }))
}

fn way(s: &Settings) -> Result<Way, String> {
    match (&s.poll, &s.queue) {
        (Some(_), Some(_)) => Err("poll and queue are both given: give one".into()),
        (None, None) => Ok(Way::Listen),
        (None, Some(_)) => Ok(Way::Queue),
        (Some(text), None) => {
            let every = crate::clock::duration(text).map_err(|e| format!("poll: {e}"))?;
            let every = std::time::Duration::try_from(every).unwrap_or_default();
            if every < SHORTEST {
                return Err(format!("poll: {text:?} is too short: the shortest is {}ms", SHORTEST.as_millis()));
            }
            Ok(Way::Poll(every))
        }
    }
}

impl Source for S3 {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            match &self.way {
                Way::Listen => listen::run(self, out).await,
                Way::Poll(every) => poll::run(self, *every, out).await,
                Way::Queue => queue::run(self, out).await,
            }
        })
    }
}

impl S3 {
    fn prefix(&self) -> &str {
        match &self.settings.bucket {
            Bucket::Whole { key, .. } if !key.is_empty() => key,
            _ => &self.settings.filter.prefix,
        }
    }

    async fn keys(&self, out: &Outlet) -> Result<Keys, Failure> {
        let s = &self.settings;
        Ok(Keys { access: s.access_key.value(out).await?, secret: s.secret_key.value(out).await? })
    }

    /// Asks the store about the bucket.
    fn request(&self, keys: &Keys, query: Vec<(&str, &str)>) -> Result<Request<Full<Bytes>>, Failure> {
        sign("GET", &self.base, &format!("/{}", self.bucket), query, &self.settings.region, keys, Timestamp::now())
            .map_err(Failure::Lost)
    }

    /// Whether an event of a queue is one that is asked for.
    fn wants(&self, name: &str, bucket: &str, key: &str) -> bool {
        // Stores leave `s3:` out in a notification.
        let name = name.strip_prefix("s3:").unwrap_or(name);
        let asked = |e: &String| {
            let e = e.strip_prefix("s3:").unwrap_or(e);
            e.strip_suffix('*').map_or(e == name, |start| name.starts_with(start))
        };
        bucket == self.bucket
            && self.events.iter().any(asked)
            && key.starts_with(self.prefix())
            && key.ends_with(&self.settings.filter.suffix)
    }
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

async fn client(out: &Outlet) -> Result<Https, Failure> {
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(Tls::default().client(out).await?)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// The body of a successful answer; what else is said, in the store's words.
async fn answered(client: &Https, request: Request<Full<Bytes>>, base: &Uri) -> Result<Incoming, Failure> {
    let response = client.request(request).await.map_err(|e| {
        let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        Failure::Lost(format!("{base}: {cause}"))
    })?;
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let status = response.status();
    let said = Limited::new(response.into_body(), ANSWER).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let part = |tag: &str| said.split_once(&format!("<{tag}>"))?.1.split_once('<').map(|(text, _)| text.to_owned());
    let of_json = || Some(serde_json::from_str::<Value>(&said).ok()?["message"].as_str()?.to_owned());
    let why = part("Message").or_else(|| part("Code")).or_else(of_json).unwrap_or_default();
    Err(Failure::Lost(format!("{base} answers {status}: {why}")))
}

/// The whole of a successful answer.
async fn read_whole(client: &Https, request: Request<Full<Bytes>>, base: &Uri) -> Result<Bytes, Failure> {
    let body = answered(client, request, base).await?;
    let whole = Limited::new(body, ANSWER).collect().await;
    whole.map(|b| b.to_bytes()).map_err(|e| Failure::Lost(format!("{base}: the answer: {e}")))
}

/// The records of a notification.
fn records(v: &Value) -> Vec<Value> {
    v["Records"].as_array().cloned().unwrap_or_default()
}

fn emission(record: &Value) -> Emission {
    let text = |p: &str| record.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    let (bucket, key) = (text("/s3/bucket/name"), text("/s3/object/key"));
    let sequencer = text("/s3/object/sequencer");
    let name = text("/eventName");
    Emission {
        data: record.to_string().into_bytes(),
        content_type: "application/json".into(),
        time: text("/eventTime").parse().ok(),
        identity: (!sequencer.is_empty()).then(|| format!("{bucket}/{key}/{name}/{sequencer}")),
        metadata: BTreeMap::from([
            ("bucket".to_owned(), vec![bucket]),
            ("key".to_owned(), vec![percent_encoding::percent_decode_str(&key).decode_utf8_lossy().into_owned()]),
            ("event".to_owned(), vec![name]),
        ]),
        ..Emission::default()
    }
}
