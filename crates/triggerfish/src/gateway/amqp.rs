//! AMQP 0-9-1: messages of an exchange, acknowledged when they are on disk.

use super::outlet::{Emission, Outlet, pump};
use super::secret::{Basic, Tls};
use super::{Failure, Kind, Source, cloudevents, settings};
use crate::kube_api::Api;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "amqp",
    read,
    example: "url: amqp://127.0.0.1:5672\nexchangeName: orders\nexchangeType: fanout\nroutingKey: new\n",
};

/// Messages that the broker may deliver before their acknowledgements.
const PREFETCH: u16 = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    url: String,
    exchange_name: String,
    exchange_type: String,
    routing_key: String,
    /// A durable queue of this name keeps what comes while nothing runs here. Without one, the queue is the connection's.
    queue: Option<String>,
    auth: Option<Basic>,
    tls: Option<Tls>,
    #[serde(default, rename = "jsonBody")]
    _json_body: bool,
    /// Pauses between tries are the same for all sources here.
    #[serde(default, alias = "connectionBackoff", rename = "backoff")]
    _backoff: Value,
}

struct Amqp {
    settings: Settings,
    kind: ExchangeKind,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    let _: AMQPUri =
        s.url.parse().map_err(|e| format!("url: it is no address of a broker, such as amqp://127.0.0.1:5672: {e}"))?;
    let kind = match s.exchange_type.as_str() {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "topic" => ExchangeKind::Topic,
        "headers" => ExchangeKind::Headers,
        other => return Err(format!("exchangeType: {other:?} is none of direct, fanout, topic, headers")),
    };
    Ok(Arc::new(Amqp { settings: s, kind }))
}

/// Connects, with what Secrets of a namespace hold.
pub async fn connect(
    url: &str,
    name: &str,
    auth: Option<&Basic>,
    tls: Option<&Tls>,
    api: &Api,
    namespace: &str,
) -> Result<Connection, Failure> {
    // The address may hold a password: what is said of it does not.
    let mut uri: AMQPUri = url.parse().map_err(|_| Failure::Wrong("url: it is no address of a broker".into()))?;
    if let Some(a) = auth {
        uri.authority.userinfo.username = a.username.value_in(api, namespace).await?;
        uri.authority.userinfo.password = a.password.value_in(api, namespace).await?;
    }
    let mut config = lapin::tcp::OwnedTLSConfig::default();
    if let Some(ca) = tls.and_then(|t| t.ca_cert.as_ref()) {
        config.cert_chain = Some(ca.value_in(api, namespace).await?);
    }
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let wrong = |e| Failure::lost("cannot connect", e);
    let runtime = lapin::runtime::default_runtime().map_err(wrong)?;
    Connection::connect_uri_with_config(uri, properties, config, runtime).await.map_err(wrong)
}

impl Source for Amqp {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let s = &self.settings;
            let name = format!("triggerfish {}/{}", out.gateway.name, out.configuration);
            let connection =
                connect(&s.url, &name, s.auth.as_ref(), s.tls.as_ref(), &out.api, &out.gateway.namespace).await?;
            let deliveries = self.deliveries(&connection, out).await.map_err(|e| Failure::lost("the broker", e))?;
            out.running();
            let deliveries = deliveries.map(|d| d.map_err(|e| Failure::lost("the connection", e)));
            pump(out, deliveries, emission, |d: Delivery| async move {
                d.acker
                    .ack(BasicAckOptions::default())
                    .await
                    .map(drop)
                    .map_err(|e| Failure::lost("cannot acknowledge", e))
            })
            .await?;
            Err(Failure::Lost("the connection ended".into()))
        })
    }
}

impl Amqp {
    /// Declares what the document says, binds, and consumes.
    async fn deliveries(&self, connection: &Connection, out: &Outlet) -> lapin::Result<lapin::Consumer> {
        let s = &self.settings;
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(s.exchange_name.as_str().into(), self.kind.clone(), durable, FieldTable::default())
            .await?;
        let name = s.queue.as_deref().filter(|_| !out.is_trial());
        let options = QueueDeclareOptions {
            durable: name.is_some(),
            exclusive: name.is_none(),
            ..QueueDeclareOptions::default()
        };
        let queue = channel.queue_declare(name.unwrap_or("").into(), options, FieldTable::default()).await?;
        channel
            .queue_bind(
                queue.name().clone(),
                s.exchange_name.as_str().into(),
                s.routing_key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        channel
            .basic_consume(queue.name().clone(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
    }
}

fn emission(d: &Delivery) -> Emission {
    let p = &d.properties;
    let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in p.headers().iter().flat_map(|h| h.inner()) {
        if let Some(text) = shown(value) {
            metadata.insert(name.as_str().to_ascii_lowercase(), vec![text]);
        }
    }
    metadata.insert("exchange".to_owned(), vec![d.exchange.to_string()]);
    metadata.insert("routing-key".to_owned(), vec![d.routing_key.to_string()]);
    let id = p.message_id().as_ref().map(ToString::to_string);
    metadata.extend(id.clone().map(|id| ("message-id".to_owned(), vec![id])));
    let mut e = Emission {
        data: d.data.clone(),
        content_type: p.content_type().as_ref().map(ToString::to_string).unwrap_or_default(),
        time: p.timestamp().and_then(|t| jiff::Timestamp::from_second(t as i64).ok()),
        identity: id,
        metadata,
        ..Emission::default()
    };
    cloudevents::of_message(&mut e);
    e
}

/// A header's value, where it is a text, a number or a truth value.
fn shown(v: &AMQPValue) -> Option<String> {
    Some(match v {
        AMQPValue::LongString(s) => String::from_utf8_lossy(s.as_bytes()).into_owned(),
        AMQPValue::ShortString(s) => s.to_string(),
        AMQPValue::Boolean(b) => b.to_string(),
        AMQPValue::ShortInt(n) => n.to_string(),
        AMQPValue::LongInt(n) => n.to_string(),
        AMQPValue::LongLongInt(n) => n.to_string(),
        AMQPValue::Double(n) => n.to_string(),
        AMQPValue::Timestamp(n) => n.to_string(),
        _ => return None,
    })
}
