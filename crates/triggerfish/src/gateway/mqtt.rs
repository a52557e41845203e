//! MQTT 3.1.1: messages of a topic, acknowledged when they are on disk. The session outlives the connection.

use super::outlet::{Emission, Outlet, pump};
use super::secret::{Basic, Tls};
use super::{Failure, Kind, Source, cloudevents, settings};
use futures_util::future::BoxFuture;
use futures_util::{TryStreamExt, stream};
use ring::digest;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeReasonCode, Transport};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "mqtt", read, example: "url: tcp://127.0.0.1:1883\ntopic: foo\n" };

const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The largest packet, in bytes; a larger one ends the connection.
const PACKET: usize = 8 * 1024 * 1024;
/// Messages that the broker may send before their acknowledgements.
const IN_FLIGHT: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    url: String,
    topic: String,
    /// One that belongs to this configuration when there is none.
    #[serde(alias = "clientID")]
    client_id: Option<String>,
    /// 0, 1 or 2.
    #[serde(default = "at_least_once", alias = "qoS")]
    qos: u8,
    auth: Option<Basic>,
    tls: Option<Tls>,
    #[serde(default, rename = "jsonBody")]
    _json_body: bool,
    /// Pauses between tries are the same for all sources here.
    #[serde(default, alias = "connectionBackoff", rename = "backoff")]
    _backoff: Value,
}

fn at_least_once() -> u8 {
    1
}

struct Mqtt {
    settings: Settings,
    host: String,
    port: u16,
    encrypted: bool,
    qos: QoS,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    let wrong =
        || format!("url: {:?} is no address of a broker, such as tcp://127.0.0.1:1883 or ssl://broker:8883", s.url);
    let (scheme, rest) = s.url.split_once("://").unwrap_or(("tcp", &s.url));
    let encrypted = match scheme {
        "tcp" | "mqtt" => s.tls.is_some(),
        "ssl" | "tls" | "mqtts" => true,
        _ => return Err(wrong()),
    };
    let uri: http::Uri = format!("http://{}", rest.trim_end_matches('/')).parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(wrong)?.to_owned();
    let port = uri.port_u16().unwrap_or(if encrypted { 8883 } else { 1883 });
    if !rumqttc::valid_filter(&s.topic) {
        return Err(format!("topic: {:?} is no topic, such as sensors/+/temperature", s.topic));
    }
    let qos = rumqttc::qos(s.qos).map_err(|_| format!("qos: {} is none of 0, 1, 2", s.qos))?;
    if s.client_id.as_ref().is_some_and(|id| id.is_empty() || id.starts_with(' ')) {
        return Err("clientId: leave it out, and one is generated".into());
    }
    Ok(Arc::new(Mqtt { settings: s, host, port, encrypted, qos }))
}

impl Source for Mqtt {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let s = &self.settings;
            // The same after every restart: the broker keeps messages for it.
            let own = s.client_id.clone().filter(|_| !out.is_trial());
            let generated = || format!("triggerfish-{}", super::configuration::node_id(&out.key(), ""));
            let mut options = MqttOptions::new(own.unwrap_or_else(generated), &self.host, self.port);
            options
                .set_keep_alive(KEEP_ALIVE)
                .set_clean_session(out.is_trial())
                .set_manual_acks(true)
                .set_max_packet_size(PACKET, PACKET);
            if let Some(a) = &s.auth {
                options.set_credentials(a.username.value(out).await?, a.password.value(out).await?);
            }
            if self.encrypted {
                let client = s.tls.clone().unwrap_or_default().client(out).await?;
                options.set_transport(Transport::tls_with_config(client.into()));
            }
            let (client, events) = AsyncClient::new(options, IN_FLIGHT * 2);
            client.subscribe(&s.topic, self.qos).await.map_err(|e| Failure::lost("cannot subscribe", e))?;
            let place = format!("{}:{}", self.host, self.port);
            let filter = self.filter();
            let acker = client.clone();
            let messages = messages(events, place, out).try_filter_map(move |m| {
                // A session may still hold what an earlier topic of this configuration brought: nobody wants that now.
                let wanted = rumqttc::matches(&m.topic, filter);
                if !wanted {
                    // A full queue is sent again by the broker.
                    let _ = acker.try_ack(&m);
                }
                std::future::ready(Ok(wanted.then_some(m)))
            });
            let messages = Box::pin(messages);
            pump(out, messages, emission, |m: Publish| {
                let client = client.clone();
                async move { client.ack(&m).await.map_err(|e| Failure::lost("cannot acknowledge", e)) }
            })
            .await
        })
    }
}

impl Mqtt {
    /// The topic without the group that shares it.
    fn filter(&self) -> &str {
        let topic = self.settings.topic.as_str();
        topic.strip_prefix("$share/").and_then(|t| t.split_once('/')).map_or(topic, |(_, filter)| filter)
    }
}

/// What the broker publishes, until the connection is lost.
fn messages(
    events: EventLoop,
    place: String,
    out: &Outlet,
) -> impl futures_util::Stream<Item = Result<Publish, Failure>> {
    stream::unfold((events, place), move |(mut events, place)| async move {
        loop {
            let item = match events.poll().await {
                Err(e) => Err(Failure::lost(&place, e)),
                Ok(Event::Incoming(Packet::Publish(p))) => Ok(p),
                Ok(Event::Incoming(Packet::SubAck(a))) => {
                    if a.return_codes.contains(&SubscribeReasonCode::Failure) {
                        Err(Failure::Lost("the broker refuses the subscription".into()))
                    } else {
                        out.running();
                        continue;
                    }
                }
                Ok(_) => continue,
            };
            return Some((item, (events, place)));
        }
    })
}

fn emission(m: &Publish) -> Emission {
    let metadata = BTreeMap::from([
        ("topic".to_owned(), vec![m.topic.clone()]),
        ("retain".to_owned(), vec![m.retain.to_string()]),
        ("message-id".to_owned(), vec![m.pkid.to_string()]),
    ]);
    // MQTT has no identity of a message. A session numbers those that are on their way, and says when it sends one again:
    // the same number then means the same message, unless its content is another one.
    let numbered = m.qos != QoS::AtMostOnce && m.pkid != 0;
    let mut content = digest::Context::new(&digest::SHA256);
    content.update(m.topic.as_bytes());
    content.update(&m.payload);
    let content = content.finish();
    let short = u64::from_be_bytes(content.as_ref()[..8].try_into().unwrap_or_default());
    let mut e = Emission {
        data: m.payload.to_vec(),
        identity: numbered.then(|| format!("{}\0{short:x}", m.pkid)),
        renewed: !m.dup,
        metadata,
        ..Emission::default()
    };
    cloudevents::of_message(&mut e);
    e
}
