//! From a Gateway and its ConfigMap to configurations: which source each one is, and what is wrong with it.

use super::cloudevents::Envelope;
use super::custom::Custom;
use super::subscriber::{self, Subscriber};
use super::{Kind, SOURCES, Source};
use crate::event::Caller;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest configuration that is read, in bytes.
const LARGEST: usize = 64 * 1024;
/// Other words for sources: types, prefixes and images of the original.
const ALIASES: [(&str, &str); 6] = [
    ("artifact", "s3"),
    ("minio", "s3"),
    ("k8s", "resource"),
    ("http", "webhook"),
    ("rabbitmq", "amqp"),
    ("cron", "calendar"),
];

/// What counts of a Gateway object.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub generation: i64,
    /// What its events are called.
    pub event_type: String,
    pub config_map: String,
    /// Discriminators for bindings; an empty one stands for the configuration's name. None: bindings do not watch.
    pub bindings: Option<Vec<String>>,
    /// Gateways that get its events.
    pub gateways: Vec<Watcher>,
    /// Those outside who get its events.
    pub subscribers: Vec<Outside>,
    /// What it calls the version of its events' type.
    pub version: String,
    /// The form in which events are sent on.
    pub envelope: Envelope,
    /// How its processor is spoken to, where it has one of its own.
    pub custom: Option<Custom>,
    /// The container of its processor.
    pub container: Option<Value>,
    /// Names of the images of its Pod.
    images: Vec<String>,
    service_account: String,
}

impl Gateway {
    pub fn read(o: &Value) -> Self {
        let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let first = |places: &[&str]| places.iter().map(|p| text(p)).find(|t| !t.is_empty()).unwrap_or_default();
        let containers =
            ["/spec/deploySpec/containers", "/spec/deploySpec/spec/containers", "/spec/template/spec/containers"];
        let images = containers
            .iter()
            .filter_map(|p| o.pointer(p)?.as_array())
            .flatten()
            .filter_map(|c| Some(c.get("image")?.as_str()?.to_owned()))
            .collect();
        let bindings = o.pointer("/spec/watchers/bindings").and_then(Value::as_array).filter(|l| !l.is_empty());
        Gateway {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            generation: o.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            event_type: text("/spec/type"),
            config_map: first(&["/spec/configMap", "/spec/eventSource"]),
            bindings: bindings.map(|l| {
                l.iter().map(|b| b.get("discriminator").and_then(Value::as_str).unwrap_or("").to_owned()).collect()
            }),
            gateways: Watcher::all(o),
            subscribers: subscriber::named(o)
                .into_iter()
                .map(|(kind, _, settings)| Outside { kind: kind.name, settings })
                .collect(),
            version: first(&["/spec/version", "/spec/eventVersion"]),
            envelope: Envelope::named(&text("/spec/cloudEvents")).unwrap_or_default(),
            custom: Custom::read(o).unwrap_or_default(),
            container: containers.iter().find_map(|p| o.pointer(p)?.get(0)).cloned(),
            images,
            service_account: first(&[
                "/spec/deploySpec/serviceAccountName",
                "/spec/deploySpec/spec/serviceAccountName",
                "/spec/template/serviceAccountName",
                "/spec/template/spec/serviceAccountName",
            ]),
        }
    }

    /// Whether what runs may go on when the object is now the other one.
    pub fn means_the_same(&self, other: &Gateway) -> bool {
        Gateway { generation: other.generation, ..self.clone() } == *other
    }

    /// As whom it reads objects, and as whom its events start workflows.
    pub fn caller(&self) -> Caller {
        Caller::account(&self.namespace, self.account())
    }

    /// The service account that it acts as.
    pub fn account(&self) -> &str {
        if self.service_account.is_empty() { "default" } else { &self.service_account }
    }

    /// The source of its configurations whose names do not say it.
    fn kind(&self) -> Option<&'static Kind> {
        known(&self.event_type).or_else(|| {
            // `argoproj/webhook-gateway:v0.5`
            self.images.iter().find_map(|i| known(i.rsplit('/').next()?.split(':').next()?.strip_suffix("-gateway")?))
        })
    }
}

/// A gateway that gets the events of another: at a webhook of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Watcher {
    pub name: String,
    pub port: u16,
    pub endpoint: String,
}

/// A subscriber as the object names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    kind: &'static str,
    settings: Value,
}

impl Outside {
    pub fn open(&self) -> Option<Arc<dyn Subscriber>> {
        let kind = subscriber::KINDS.iter().find(|k| k.name == self.kind)?;
        (kind.read)(&self.settings).ok()
    }

    /// The name of its place in the log.
    pub fn cursor(&self, gateway: &str) -> String {
        // Keys of a JSON object are sorted: settings that say the same are the same text.
        format!("gateway/{gateway}/{}:{}", self.kind, node_id(self.kind, &self.settings.to_string()))
    }
}

impl Watcher {
    /// The name of its place in the log.
    pub fn cursor(&self, gateway: &str) -> String {
        format!("gateway/{gateway}/{}:{}{}", self.name, self.port, self.endpoint)
    }

    fn all(o: &Value) -> Vec<Self> {
        let list = o.pointer("/spec/watchers/gateways").and_then(Value::as_array);
        let text = |w: &Value, k: &str| match &w[k] {
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            _ => String::new(),
        };
        let watcher = |w: &Value| {
            let endpoint = text(w, "endpoint");
            Some(Watcher { name: text(w, "name"), port: text(w, "port").parse().ok()?, endpoint })
        };
        list.into_iter().flatten().filter_map(watcher).collect()
    }
}

/// A configuration that can run.
#[derive(Clone)]
pub struct Configuration {
    pub name: String,
    pub kind: &'static Kind,
    pub source: Arc<dyn Source>,
    /// What it says; two that say the same are the same, however they are written.
    pub settings: Value,
}

/// One entry of a ConfigMap.
pub enum Entry {
    Runs(Configuration),
    Broken { name: String, why: String },
}

fn known(word: &str) -> Option<&'static Kind> {
    let word = word.to_ascii_lowercase();
    let name = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word.as_str(), |(_, name)| name);
    SOURCES.iter().find(|k| k.name == name)
}

/// All entries of a gateway's ConfigMap, by name.
pub fn entries(gateway: &Gateway, data: &BTreeMap<String, String>) -> Vec<Entry> {
    if let Some(custom) = &gateway.custom {
        return own(custom, gateway, data);
    }
    let parsed: Vec<(&String, Result<Value, String>)> = data.iter().map(|(n, text)| (n, parse(text))).collect();
    // A port of its own entry is that of all webhooks: `port: "12000"`, or an entry with nothing but a port.
    let port = parsed.iter().find_map(|(name, v)| shared_port(name, v.as_ref().ok()?));
    let mut out = Vec::new();
    for (name, value) in parsed {
        if value.as_ref().is_ok_and(|v| shared_port(name, v).is_some()) {
            continue;
        }
        out.push(match value.and_then(|v| configuration(gateway, name, v, port.as_ref())) {
            Ok(c) => Entry::Runs(c),
            Err(why) => Entry::Broken { name: name.clone(), why },
        });
    }
    out
}

/// Configurations of a processor of its own: what they mean is its business.
fn own(custom: &Custom, gateway: &Gateway, data: &BTreeMap<String, String>) -> Vec<Entry> {
    let runs = |name: &str, text: &str| {
        let source = custom.source(name, &node_id(name, text), text, &gateway.event_type);
        let settings = json!([format!("{custom:?}"), text]);
        Entry::Runs(Configuration { name: name.to_owned(), kind: custom.kind(), source, settings })
    };
    // Who only posts is told nothing: there is one port for all that it names.
    if let Custom::Transformer { .. } = custom {
        return vec![runs(custom.kind().name, "")];
    }
    let large = |name: &str, n: usize| Entry::Broken {
        name: name.to_owned(),
        why: format!("a configuration has at most {LARGEST} bytes, this one {n}"),
    };
    data.iter()
        .map(|(name, text)| if text.len() > LARGEST { large(name, text.len()) } else { runs(name, text) })
        .collect()
}

fn parse(text: &str) -> Result<Value, String> {
    if text.len() > LARGEST {
        return Err(format!("a configuration has at most {LARGEST} bytes, this one {}", text.len()));
    }
    serde_saphyr::from_str::<Value>(text)
        .map_err(|e| format!("no YAML: {}", e.to_string().lines().next().unwrap_or("")))
}

fn shared_port(name: &str, v: &Value) -> Option<Value> {
    match v {
        Value::String(_) | Value::Number(_) if name == "port" => Some(v.clone()),
        Value::Object(o) if o.len() == 1 => o.get("port").cloned(),
        _ => None,
    }
}

fn configuration(gateway: &Gateway, name: &str, mut v: Value, port: Option<&Value>) -> Result<Configuration, String> {
    let prefix = name.split_once('.').and_then(|(p, _)| known(p));
    let Some(kind) = prefix.or_else(|| gateway.kind()) else {
        let names: Vec<&str> = SOURCES.iter().map(|k| k.name).collect();
        return Err(format!(
            "it does not say what its source is: begin the name with one of {} (such as {}.{name}), or make it the gateway's type",
            names.join(", "),
            names[0]
        ));
    };
    let Some(o) = v.as_object_mut() else {
        return Err(format!("expected settings such as:\n{}", kind.example));
    };
    // The first form of streams had them one level deeper.
    if let Some(Value::Object(inner)) = o.remove("attributes") {
        for (k, x) in inner {
            if o.insert(k.clone(), x).is_some() {
                return Err(format!("attributes.{k}: it is also given outside of attributes; give it once"));
            }
        }
    }
    if kind.name == "webhook"
        && let Some(port) = port
    {
        o.entry("port").or_insert(port.clone());
    }
    let source = (kind.read)(&v)?;
    Ok(Configuration { name: name.to_owned(), kind, source, settings: json!([kind.name, v]) })
}

/// The id of a configuration in its gateway's status: FNV-1a of its name and text, 32 bits, in decimal digits.
pub fn node_id(name: &str, text: &str) -> String {
    let hash = |h: u32, b: u8| (h ^ u32::from(b)).wrapping_mul(16_777_619);
    name.bytes().chain(text.bytes()).fold(2_166_136_261, hash).to_string()
}
