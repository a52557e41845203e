//! CloudEvents 1.0: those that come in over HTTP keep their attributes, in either mode of the HTTP binding; those that go
//! out are structured JSON.

use super::outlet::{Attributes, Emission};
use crate::event::Event;
use base64::Engine;
use serde_json::{Value, json};

/// Looks at a request's headers and body; true when it is a CloudEvent and the emission has been filled from it.
pub fn read<'h>(header: impl Fn(&str) -> Option<&'h str>, e: &mut Emission) -> Result<bool, String> {
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
        let text = |k: &str| header(k).map(str::to_owned);
        if text("ce-id").is_none() || text("ce-specversion").is_none() {
            return Ok(false);
        }
        e.time = text("ce-time").and_then(|t| t.parse().ok());
        e.attributes = Attributes {
            id: text("ce-id"),
            source: text("ce-source"),
            kind: text("ce-type"),
            subject: text("ce-subject"),
        };
    }
    // The pair is unique by the specification.
    e.identity =
        e.attributes.id.as_ref().map(|id| format!("ce\0{}\0{id}", e.attributes.source.as_deref().unwrap_or("")));
    Ok(true)
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
