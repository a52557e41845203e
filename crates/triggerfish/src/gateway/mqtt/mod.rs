//! MQTT 3.1.1 and 5: messages of a topic, acknowledged when they are on disk. The session outlives the connection.

mod v3;
mod v5;

use super::outlet::{Emission, Outlet};
use super::secret::{Basic, Tls};
use super::{Failure, Kind, Source, cloudevents, settings};
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use ring::digest;
use rumqttc::Transport;
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
    /// The version of the protocol: 3.1.1 or 5.
    #[serde(default)]
    protocol_version: Version,
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Version {
    #[default]
    #[serde(rename = "3.1.1")]
    V3,
    #[serde(rename = "5")]
    V5,
}

struct Mqtt {
    settings: Settings,
    broker: Broker,
}

/// Where a broker is, and how it is spoken to.
pub struct Broker {
    pub host: String,
    pub port: u16,
    /// None: without TLS.
    tls: Option<Tls>,
}

impl Broker {
    pub fn read(url: &str, tls: Option<&Tls>) -> Result<Self, String> {
        let wrong =
            || format!("url: {url:?} is no address of a broker, such as tcp://127.0.0.1:1883 or ssl://broker:8883");
        let (scheme, rest) = url.split_once("://").unwrap_or(("tcp", url));
        let tls = match scheme {
            "tcp" | "mqtt" => tls.cloned(),
            "ssl" | "tls" | "mqtts" => Some(tls.cloned().unwrap_or_default()),
            _ => return Err(wrong()),
        };
        let uri: http::Uri = format!("http://{}", rest.trim_end_matches('/')).parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(wrong)?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 8883 } else { 1883 });
        Ok(Broker { host, port, tls })
    }

    pub async fn transport(&self, api: &Api, namespace: &str) -> Result<Transport, Failure> {
        Ok(match &self.tls {
            None => Transport::Tcp,
            Some(tls) => Transport::tls_with_config(tls.client_in(api, namespace).await?.into()),
        })
    }
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    let broker = Broker::read(&s.url, s.tls.as_ref())?;
    if !rumqttc::valid_filter(&s.topic) {
        return Err(format!("topic: {:?} is no topic, such as sensors/+/temperature", s.topic));
    }
    if s.qos > 2 {
        return Err(format!("qos: {} is none of 0, 1, 2", s.qos));
    }
    if s.client_id.as_ref().is_some_and(|id| id.is_empty() || id.starts_with(' ')) {
        return Err("clientId: leave it out, and one is generated".into());
    }
    Ok(Arc::new(Mqtt { settings: s, broker }))
}

impl Source for Mqtt {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            match self.settings.protocol_version {
                Version::V3 => v3::run(self, out).await,
                Version::V5 => v5::run(self, out).await,
            }
        })
    }
}

impl Mqtt {
    /// The same after every restart: the broker keeps messages for it.
    fn client_id(&self, out: &Outlet) -> String {
        let own = self.settings.client_id.clone().filter(|_| !out.is_trial());
        own.unwrap_or_else(|| format!("triggerfish-{}", super::configuration::node_id(&out.key(), "")))
    }

    async fn credentials(&self, out: &Outlet) -> Result<Option<(String, String)>, Failure> {
        Ok(match &self.settings.auth {
            Some(a) => Some((a.username.value(out).await?, a.password.value(out).await?)),
            None => None,
        })
    }

    async fn transport(&self, out: &Outlet) -> Result<Transport, Failure> {
        self.broker.transport(&out.api, &out.gateway.namespace).await
    }

    fn place(&self) -> String {
        format!("{}:{}", self.broker.host, self.broker.port)
    }

    /// Whether this configuration asks for a topic. A session may still hold what an earlier one of it brought.
    fn wants(&self, topic: &str) -> bool {
        let asked = self.settings.topic.as_str();
        // The topic without the group that shares it.
        let filter = asked.strip_prefix("$share/").and_then(|t| t.split_once('/')).map_or(asked, |(_, filter)| filter);
        matches(topic, filter)
    }
}

/// Whether a filter asks for a topic. The client library's own function panics where a topic begins with a letter of several
/// bytes.
fn matches(topic: &str, filter: &str) -> bool {
    // What servers tell about themselves is not asked for by `#` or `+`.
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, level) if level == Some(part) => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A message of either version of the protocol.
struct Message<'m> {
    topic: &'m str,
    payload: &'m [u8],
    retain: bool,
    /// Its number in the session; 0 where it has none.
    number: u16,
    /// The broker says that it sends it again.
    again: bool,
    /// What version 5 may say of it.
    content_type: &'m str,
    properties: &'m [(String, String)],
}

fn emission(m: &Message) -> Emission {
    let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in m.properties {
        metadata.entry(name.to_lowercase()).or_default().push(value.clone());
    }
    metadata.insert("topic".to_owned(), vec![m.topic.to_owned()]);
    metadata.insert("retain".to_owned(), vec![m.retain.to_string()]);
    metadata.insert("message-id".to_owned(), vec![m.number.to_string()]);
    // MQTT has no identity of a message. A session numbers those that are on their way, and says when it sends one again:
    // the same number then means the same message, unless its content is another one.
    let mut content = digest::Context::new(&digest::SHA256);
    content.update(m.topic.as_bytes());
    content.update(m.payload);
    let content = content.finish();
    let short = u64::from_be_bytes(content.as_ref()[..8].try_into().unwrap_or_default());
    let mut e = Emission {
        data: m.payload.to_vec(),
        content_type: m.content_type.to_owned(),
        identity: (m.number != 0).then(|| format!("{}\0{short:x}", m.number)),
        renewed: !m.again,
        metadata,
        ..Emission::default()
    };
    cloudevents::of_message(&mut e);
    e
}

#[cfg(test)]
mod tests {
    #[test]
    fn filters_ask_for_topics_level_by_level() {
        for (topic, filter, asked) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/b/c", "a/+", false),
            ("a", "a/#", true),
            ("a/b/c", "a/#", true),
            ("é/b", "#", true),
            ("é", "+/b", false),
            ("$SYS/x", "#", false),
            ("$SYS/x", "$SYS/+", true),
            ("a/", "a", false),
            ("a/", "a/+", true),
        ] {
            assert_eq!(super::matches(topic, filter), asked, "{topic} {filter}");
        }
    }
}
