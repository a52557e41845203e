//! Objects of a bucket: MinIO's bucket notifications, listened to over one long request.

use super::outlet::{Emission, Outlet, pump};
use super::secret::Reference;
use super::{Failure, Kind, Source, settings};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use ring::{digest, hmac};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "s3",
    read,
    example: "bucket: {name: input}\nendpoint: 127.0.0.1:9000\nevent: s3:ObjectCreated:Put\nfilter: {prefix: in/, suffix: .csv}\ninsecure: true\naccessKey: {name: minio, key: accesskey}\nsecretKey: {name: minio, key: secretkey}\n",
};

/// The longest line of notifications, in bytes.
const LINE: usize = 1024 * 1024;
/// The store says something this often, in seconds, also when nothing happens: one that does not is gone.
const PING: &str = "2";
const SILENCE: std::time::Duration = std::time::Duration::from_secs(35);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
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
    let scheme = if s.insecure { "http" } else { "https" };
    let base: Uri = format!("{scheme}://{}/", s.endpoint.trim_end_matches('/'))
        .parse()
        .map_err(|_| format!("endpoint: {:?} is no host and port, such as 127.0.0.1:9000", s.endpoint))?;
    let mut events = s.events.clone();
    events.extend(s.event.clone());
    if events.is_empty() {
        return Err("event: name what is meant, such as s3:ObjectCreated:Put or s3:ObjectRemoved:*".into());
    }
    if let Some(wrong) = events.iter().find(|e| !e.starts_with("s3:")) {
        return Err(format!("event: {wrong:?} is no event, such as s3:ObjectCreated:Put"));
    }
    Ok(Arc::new(S3 { settings: s, bucket, events, base }))
}

impl Source for S3 {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let body = self.listen(out).await?;
            out.running();
            let records = lines(body).map_ok(records).map_ok(|r| stream::iter(r.into_iter().map(Ok))).try_flatten();
            pump(out, Box::pin(records), emission, |_| async { Ok(()) }).await?;
            Err(Failure::Lost("the store ended the connection".into()))
        })
    }
}

impl S3 {
    /// The store's answer goes on for as long as it is listened to.
    async fn listen(&self, out: &Outlet) -> Result<Incoming, Failure> {
        let s = &self.settings;
        let prefix = match &s.bucket {
            Bucket::Whole { key, .. } if !key.is_empty() => key,
            _ => &s.filter.prefix,
        };
        let mut query: Vec<(&str, &str)> = self.events.iter().map(|e| ("events", e.as_str())).collect();
        query.extend([("ping", PING), ("prefix", prefix.as_str()), ("suffix", &s.filter.suffix)]);
        let keys = Keys { access: s.access_key.value(out).await?, secret: s.secret_key.value(out).await? };
        let request = sign("GET", &self.base, &format!("/{}", self.bucket), query, &s.region, &keys, Timestamp::now())
            .map_err(Failure::Lost)?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(super::secret::Tls::default().client(out).await?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let response = client.request(request).await.map_err(|e| {
            let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
            Failure::Lost(format!("{}: {cause}", self.base))
        })?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let status = response.status();
        let said = Limited::new(response.into_body(), LINE).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let part = |tag: &str| said.split_once(&format!("<{tag}>"))?.1.split_once('<').map(|(text, _)| text.to_owned());
        let why = part("Message").or_else(|| part("Code")).unwrap_or_default();
        Err(Failure::Lost(format!("{} answers {status}: {why}", self.base)))
    }
}

/// What authenticates a request.
pub struct Keys {
    pub access: String,
    pub secret: String,
}

/// A request without a body, signed as AWS Signature Version 4 has it.
pub fn sign(
    method: &str,
    base: &Uri,
    path: &str,
    mut query: Vec<(&str, &str)>,
    region: &str,
    keys: &Keys,
    now: Timestamp,
) -> Result<Request<Empty<Bytes>>, String> {
    let region = if region.is_empty() { "us-east-1" } else { region };
    let (time, day) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
    let encode = crate::kube_api::encode;
    query.sort_unstable();
    let query: Vec<String> = query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    let query = query.join("&");
    let path: Vec<String> = path.split('/').map(encode).collect();
    let path = path.join("/");
    let host = base.authority().map_or("", |a| a.as_str());
    let empty = hex(digest::digest(&digest::SHA256, b"").as_ref());
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{time}\n\n{signed}\n{empty}"
    );
    let scope = format!("{day}/{region}/s3/aws4_request");
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day.as_str(), region, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}")));
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}", keys.access);
    let scheme = base.scheme_str().unwrap_or("https");
    Request::builder()
        .method(method)
        .uri(format!("{scheme}://{host}{path}?{query}"))
        .header("x-amz-content-sha256", empty)
        .header("x-amz-date", time)
        .header("authorization", authorization)
        .body(Empty::new())
        // What is in the keys is not for the message.
        .map_err(|_| "the access key holds characters that no header may".to_owned())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The lines of a body; a store that says nothing for too long is gone.
fn lines(body: Incoming) -> impl futures_util::Stream<Item = Result<Vec<u8>, Failure>> {
    stream::try_unfold((body, Vec::new()), |(mut body, mut held): (Incoming, Vec<u8>)| async move {
        loop {
            if let Some(end) = held.iter().position(|b| *b == b'\n') {
                let rest = held.split_off(end + 1);
                return Ok(Some((held, (body, rest))));
            }
            if held.len() > LINE {
                return Err(Failure::Lost(format!("the store sent a line of more than {LINE} bytes")));
            }
            let frame = tokio::time::timeout(SILENCE, body.frame())
                .await
                .map_err(|_| Failure::Lost("the store has said nothing for too long".into()))?;
            match frame {
                None => return Ok(None),
                Some(f) => {
                    let f = f.map_err(|e| Failure::lost("the connection", e))?;
                    let data = f.into_data().unwrap_or_default();
                    held.extend_from_slice(if held.is_empty() { data.trim_ascii_start() } else { &data });
                }
            }
        }
    })
    .boxed()
}

/// The records of a line; none in a sign of life.
fn records(line: Vec<u8>) -> Vec<Value> {
    let v: Value = serde_json::from_slice(&line).unwrap_or_default();
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
