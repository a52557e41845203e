//! What is wrong or doubtful about a gateway, told when it is applied.

use apiserver::{Admitted, FieldError};
use serde_json::Value;

/// Fields that are read and have no effect yet, and why.
const LATER: [(&str, &str); 3] = [
    ("/spec/rpcPort", "spec.rpcPort: custom gateways over gRPC do not run yet"),
    ("/spec/processorPort", "spec.processorPort: custom gateways over gRPC do not run yet"),
    ("/spec/httpServerPort", "spec.httpServerPort: custom gateways over HTTP do not run yet"),
];

pub fn admit(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    let text = |p: &str| new.pointer(p).and_then(Value::as_str).unwrap_or("");
    if text("/spec/type").is_empty() {
        let why = "say what the gateway's events are called, such as webhook or calendar";
        out.errors.push(FieldError::required("spec.type", why));
    }
    if text("/spec/configMap").is_empty() && text("/spec/eventSource").is_empty() {
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
    let given = |p: &str| new.pointer(p).is_some_and(|v| !v.is_null() && *v != Value::Array(Vec::new()));
    out.warnings.extend(LATER.iter().filter(|(p, _)| given(p)).map(|(_, why)| (*why).to_owned()));
    out
}
