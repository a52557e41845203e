//! CloudEvents 1.0: those that come in over HTTP keep their attributes, in either mode of the HTTP binding; those that go
//! out are structured JSON.

use super::outlet::{Attributes, Emission};
use crate::event::{Event, Origin};
use base64::Engine;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// Looks at a request's headers and body; true when it is a CloudEvent and the emission has been filled from it.
pub fn read<'h>(header: impl Fn(&str) -> Option<&'h str>, e: &mut Emission) -> Result<bool, String> {
    fill(|attribute| header(&format!("ce-{attribute}")).map(decoded), e)
}

/// An attribute as a header of HTTP and of NATS has it: percent-encoded.
fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}

fn fill(attribute: impl Fn(&str) -> Option<String>, e: &mut Emission) -> Result<bool, String> {
    let structured = e.content_type.trim_start().to_ascii_lowercase().starts_with("application/cloudevents+json");
    if structured {
        let v: Value = serde_json::from_slice(&e.data).map_err(|why| format!("the CloudEvent is no JSON: {why}"))?;
        let text = |k: &str| v.get(k).and_then(Value::as_str).map(str::to_owned);
        let (Some(id), Some(source), Some(kind)) = (text("id"), text("source"), text("type")) else {
            return Err("a CloudEvent needs id, source and type".into());
        };
        if text("specversion").is_none_or(|version| !version.starts_with("1.")) {
            return Err("specversion: only CloudEvents 1.0 are taken".into());
        }
        e.time = text("time").and_then(|t| t.parse().ok());
        e.content_type = text("datacontenttype").unwrap_or_default();
        e.data = match (v.get("data"), text("data_base64")) {
            (_, Some(encoded)) => base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map_err(|why| format!("data_base64: {why}"))?,
            // A text that is not JSON is itself.
            (Some(Value::String(s)), _) if !e.content_type.is_empty() && !e.content_type.contains("json") => {
                s.clone().into_bytes()
            }
            (Some(data), _) => data.to_string().into_bytes(),
            (None, None) => Vec::new(),
        };
        e.attributes = Attributes { id: Some(id), source: Some(source), kind: Some(kind), subject: text("subject") };
    } else {
        let id = attribute("id");
        if id.is_none() || attribute("specversion").is_none() {
            return Ok(false);
        }
        e.time = attribute("time").and_then(|t| t.parse().ok());
        e.attributes =
            Attributes { id, source: attribute("source"), kind: attribute("type"), subject: attribute("subject") };
    }
    // The pair is unique by the specification.
    e.identity =
        e.attributes.id.as_ref().map(|id| format!("ce\0{}\0{id}", e.attributes.source.as_deref().unwrap_or("")));
    Ok(true)
}

/// What the names of attributes begin with in the headers of a message: of NATS, Kafka and AMQP.
const PREFIXES: [&str; 4] = ["ce-", "ce_", "cloudevents:", "cloudevents_"];

/// The same for a message of a broker, whose headers are the emission's metadata. One that is no CloudEvent, or not quite, stays
/// what it is: its broker would bring it again and again.
pub fn of_message(e: &mut Emission) {
    let structured = e.content_type.is_empty() && e.data.starts_with(b"{") && looks_structured(&e.data);
    if structured {
        e.content_type = STRUCTURED.into();
    }
    let metadata = std::mem::take(&mut e.metadata);
    let attribute = |name: &str| {
        PREFIXES.iter().find_map(|p| {
            let value = metadata.get(&format!("{p}{name}"))?.first()?;
            Some(if *p == "ce-" { decoded(value) } else { value.clone() })
        })
    };
    let mut as_event = Emission { data: e.data.clone(), content_type: e.content_type.clone(), ..Emission::default() };
    let of_broker = (e.identity.take(), e.time);
    if let Ok(true) = fill(attribute, &mut as_event) {
        as_event.time = as_event.time.or(of_broker.1);
        *e = Emission { position: e.position.take(), ..as_event };
    } else {
        e.identity = of_broker.0;
        if structured {
            e.content_type.clear();
        }
    }
    e.metadata = metadata;
}

/// Whether JSON says of itself that it is a CloudEvent, where its transport cannot.
fn looks_structured(data: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(default)]
        specversion: String,
    }
    // Most messages are told apart without being read.
    data.windows(13).take(4096).any(|w| w == b"\"specversion\"")
        && serde_json::from_slice::<Head>(data).is_ok_and(|h| h.specversion.starts_with("1."))
}

/// The media type of a structured event.
pub const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// An event in the JSON format. A subject or data that there is none of is left out.
pub fn structured(e: &Event) -> Value {
    let mut out = json!({
        "specversion": "1.0", "id": e.id, "source": e.source, "type": e.kind, "time": e.time,
        "datacontenttype": e.datacontenttype,
    });
    if !e.subject.is_empty() {
        out["subject"] = json!(e.subject);
    }
    if let Some(data) = &e.data {
        out[if e.base64 { "data_base64" } else { "data" }] = json!(data);
    }
    out
}

/// The form in which events are sent on to gateways that watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Envelope {
    /// CloudEvents 1.0, structured JSON.
    #[default]
    Present,
    /// CloudEvents 0.3 in HTTP's binary mode, as gateways since v0.12 sent them.
    V03,
    /// What gateways sent at first, which calls itself CloudEvents 0.1.
    V01,
}

impl Envelope {
    pub fn named(version: &str) -> Option<Self> {
        match version {
            "" | "1.0" => Some(Envelope::Present),
            "0.3" => Some(Envelope::V03),
            "0.1" => Some(Envelope::V01),
            _ => None,
        }
    }

    /// Headers and body of the request that carries an event. `version` is what the gateway calls the version of its events' type.
    pub fn request(self, e: &Event, version: &str) -> (HeaderMap, Vec<u8>) {
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let origin = |f: fn(&Origin) -> &str| e.origin.as_ref().map_or("", f);
        let (gateway, configuration) = (origin(|o| &o.gateway), origin(|o| &o.configuration));
        let mut headers = HeaderMap::new();
        match self {
            Envelope::Present => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(STRUCTURED));
                (headers, structured(e).to_string().into_bytes())
            }
            Envelope::V03 => {
                let attributes = [
                    ("ce-specversion", "0.3"),
                    ("ce-id", &e.id),
                    ("ce-type", &e.kind),
                    ("ce-source", gateway),
                    ("ce-subject", configuration),
                    ("ce-time", &e.time),
                    ("content-type", &e.datacontenttype),
                ];
                for (name, text) in attributes {
                    headers.insert(name, value(text));
                }
                (headers, raw(e))
            }
            Envelope::V01 => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let source = json!({"scheme": "", "user": "", "password": "", "host": format!("{gateway}/{configuration}"),
                    "port": 0, "path": "", "query": "", "fragment": ""});
                let context = json!({"eventType": e.kind, "eventTypeVersion": version, "cloudEventsVersion": "0.1", "source": source,
                    "eventID": e.id, "eventTime": e.time, "schemaURL": null, "contentType": "application/json"});
                let payload = base64::engine::general_purpose::STANDARD.encode(raw(e));
                (headers, json!({"context": context, "payload": payload}).to_string().into_bytes())
            }
        }
    }
}

/// The data as the bytes that came: a text without the quotes that it is kept in.
pub fn raw(e: &Event) -> Vec<u8> {
    let Some(data) = &e.data else { return Vec::new() };
    match serde_json::from_str::<Value>(data.get()) {
        Ok(Value::String(s)) if e.base64 => base64::engine::general_purpose::STANDARD.decode(s).unwrap_or_default(),
        Ok(Value::String(s)) if !e.datacontenttype.contains("json") => s.into_bytes(),
        _ => data.get().as_bytes().to_vec(),
    }
}
