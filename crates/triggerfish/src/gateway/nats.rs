//! NATS: messages of a subject, or of a JetStream stream from where this configuration stopped.

use super::outlet::{Emission, Outlet, pump};
use super::secret::{Basic, Reference, Tls};
use super::{Failure, Kind, Source, cloudevents, settings};
use crate::kube_api::Api;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::{Client, ConnectOptions, HeaderMap};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "nats", read, example: "url: nats://127.0.0.1:4222\nsubject: foo\n" };

/// How long a message of a stream may wait for its acknowledgement before it is delivered again: as long does one wait that was
/// on its way to a server that died. What comes again because the disk took longer is recognised by its place in the stream.
const ACK_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    url: String,
    subject: String,
    /// Subscribers of one queue group share the messages.
    queue: Option<String>,
    jetstream: Option<JetStream>,
    auth: Option<Auth>,
    tls: Option<Tls>,
    /// The data is JSON, whatever it looks like; kept from the original, and of no effect.
    #[serde(default, rename = "jsonBody")]
    _json_body: bool,
    /// Pauses between tries are the same for all sources here.
    #[serde(default, alias = "connectionBackoff", rename = "backoff")]
    _backoff: Value,
}

/// A durable consumer: what comes while nothing runs here is delivered afterwards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JetStream {
    stream: String,
    /// The consumer's name; one that belongs to this configuration when there is none.
    durable: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    basic: Option<Basic>,
    token: Option<Reference>,
    nkey: Option<Reference>,
    /// The text of a credentials file.
    credential: Option<Reference>,
}

struct Nats(Settings);

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    if s.url.parse::<async_nats::ServerAddr>().is_err() {
        return Err(format!("url: {:?} is no address of a NATS server, such as nats://127.0.0.1:4222", s.url));
    }
    if s.subject.is_empty() || s.subject.contains(char::is_whitespace) {
        return Err(format!("subject: {:?} is no subject, such as orders.*", s.subject));
    }
    Ok(Arc::new(Nats(s)))
}

/// Connects, with what Secrets of a namespace hold.
pub async fn connect(
    url: &str,
    name: &str,
    auth: Option<&Auth>,
    tls: Option<&Tls>,
    api: &Api,
    namespace: &str,
) -> Result<Client, Failure> {
    // A lost connection ends the source; it is started again with pauses like any other.
    let mut options = ConnectOptions::new().name(name).max_reconnects(1);
    if let Some(a) = auth {
        if let Some(b) = &a.basic {
            let (user, password) =
                (b.username.value_in(api, namespace).await?, b.password.value_in(api, namespace).await?);
            options = options.user_and_password(user, password);
        }
        if let Some(t) = &a.token {
            options = options.token(t.value_in(api, namespace).await?);
        }
        if let Some(k) = &a.nkey {
            options = options.nkey(k.value_in(api, namespace).await?);
        }
        if let Some(c) = &a.credential {
            options = options
                .credentials(&c.value_in(api, namespace).await?)
                .map_err(|_| Failure::Lost("auth.credential: it is no credentials file".into()))?;
        }
    }
    if let Some(t) = tls {
        options = options.tls_client_config(t.client_in(api, namespace).await?).require_tls(true);
    }
    options.connect(url).await.map_err(|e| Failure::lost("cannot connect", e))
}

impl Source for Nats {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let client = self.connect(out).await?;
            match &self.0.jetstream {
                None => self.subscribe(&client, out).await,
                Some(j) => self.consume(&client, j, out).await,
            }
        })
    }
}

impl Nats {
    async fn connect(&self, out: &Outlet) -> Result<Client, Failure> {
        let s = &self.0;
        let name = format!("triggerfish {}", out.gateway.name);
        connect(&s.url, &name, s.auth.as_ref(), s.tls.as_ref(), &out.api, &out.gateway.namespace).await
    }

    /// Core NATS: what is published while nobody listens is gone, by its nature.
    async fn subscribe(&self, client: &Client, out: &Outlet) -> Result<(), Failure> {
        let s = &self.0;
        let subscribed = match s.queue.as_ref().filter(|_| !out.is_trial()) {
            Some(q) => client.queue_subscribe(s.subject.clone(), q.clone()).await,
            None => client.subscribe(s.subject.clone()).await,
        };
        let subscriber = subscribed.map_err(|e| Failure::lost("cannot subscribe", e))?;
        // The server has the subscription when it has answered what came after it.
        client.flush().await.map_err(|e| Failure::lost("cannot subscribe", e))?;
        out.running();
        let read = |m: &async_nats::Message| emission(&m.subject, m.headers.as_ref(), &m.payload);
        pump(out, subscriber.map(Ok), read, |_| async { Ok(()) }).await?;
        Err(Failure::Lost("the connection ended".into()))
    }

    async fn consume(&self, client: &Client, j: &JetStream, out: &Outlet) -> Result<(), Failure> {
        let context = async_nats::jetstream::new(client.clone());
        let stream =
            context.get_stream(&j.stream).await.map_err(|e| Failure::lost(&format!("stream {:?}", j.stream), e))?;
        let name = j
            .durable
            .clone()
            .unwrap_or_else(|| format!("triggerfish-{}", super::configuration::node_id(&out.key(), &self.0.subject)));
        let config = pull::Config {
            durable_name: (!out.is_trial()).then(|| name.clone()),
            deliver_policy: if out.is_trial() { DeliverPolicy::New } else { DeliverPolicy::All },
            filter_subject: self.0.subject.clone(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..pull::Config::default()
        };
        let consumer: Result<PullConsumer, String> = if out.is_trial() {
            stream.create_consumer(config).await.map_err(|e| e.to_string())
        } else {
            stream.get_or_create_consumer(&name, config).await.map_err(|e| e.to_string())
        };
        let consumer = consumer.map_err(|e| Failure::lost(&format!("consumer {name:?}"), e))?;
        let messages = consumer.messages().await.map_err(|e| Failure::lost("cannot read the stream", e))?;
        out.running();
        let read = |m: &async_nats::jetstream::Message| {
            let mut e = emission(&m.subject, m.headers.as_ref(), &m.payload);
            // A place in a stream is taken once: a message that is delivered again has the same.
            // What its sender calls it goes before its place.
            if e.attributes.id.is_none() {
                e.identity = m.info().ok().map(|i| format!("{}/{}", i.stream, i.stream_sequence));
            }
            e
        };
        let messages = messages.map(|m| m.map_err(|e| Failure::lost("the stream", e)));
        pump(out, messages, read, |m| async move { m.ack().await.map_err(|e| Failure::lost("cannot acknowledge", e)) })
            .await?;
        Err(Failure::Lost("the connection ended".into()))
    }
}

fn emission(subject: &str, headers: Option<&HeaderMap>, payload: &[u8]) -> Emission {
    let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        metadata.insert(name.to_string().to_lowercase(), values.iter().map(ToString::to_string).collect());
    }
    let first = |name: &str| metadata.get(name).and_then(|l| l.first()).cloned();
    let identity = first("nats-msg-id");
    let content_type = first("content-type").unwrap_or_default();
    metadata.insert("subject".into(), vec![subject.to_owned()]);
    let mut e = Emission { data: payload.to_vec(), content_type, identity, metadata, ..Emission::default() };
    cloudevents::of_message(&mut e);
    e
}
