//! What is wrong or doubtful about a gateway, told when it is applied.

use super::cloudevents::Envelope;
use super::custom::Custom;
use super::subscriber;
use apiserver::{Admitted, FieldError};
use serde_json::Value;

pub fn admit(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    let text = |p: &str| new.pointer(p).and_then(Value::as_str).unwrap_or("");
    if text("/spec/type").is_empty() {
        let why = "say what the gateway's events are called, such as webhook or calendar";
        out.errors.push(FieldError::required("spec.type", why));
    }
    let posts = matches!(Custom::read(new), Ok(Some(Custom::Transformer { .. })));
    if !posts && text("/spec/configMap").is_empty() && text("/spec/eventSource").is_empty() {
        out.warnings.push("spec.configMap: no ConfigMap is named, so the gateway is idle".into());
    }
    let watchers = new.pointer("/spec/watchers/gateways").and_then(Value::as_array);
    for (i, w) in watchers.into_iter().flatten().enumerate() {
        let port = w["port"].as_str().map_or_else(|| w["port"].to_string(), str::to_owned);
        if port.parse::<u16>().is_err() || !w["endpoint"].as_str().is_some_and(|e| e.starts_with('/')) {
            let why = "name the port and the endpoint (which begins with /) of one of the gateway's webhooks";
            out.errors.push(FieldError::required(format!("spec.watchers.gateways[{i}]"), why));
        }
    }
    for (kind, place, settings) in subscriber::named(new) {
        if let Err(why) = (kind.read)(&settings) {
            out.errors.push(FieldError::invalid(place, Value::Null, format!("{why}; such as:\n{}", kind.example)));
        }
    }
    let envelope = text("/spec/cloudEvents");
    if Envelope::named(envelope).is_none() {
        out.errors.push(FieldError::invalid("spec.cloudEvents", envelope, "expected 1.0, 0.3 or 0.1"));
    }
    if let Err((path, why)) = Custom::read(new) {
        out.errors.push(FieldError::invalid(path, Value::Null, why));
    }
    out
}
