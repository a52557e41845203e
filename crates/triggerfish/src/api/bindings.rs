//! `GET /api/v1/workflow-event-bindings/{namespace}` with every list option; `watch` streams.

use super::answer::{Answer, Fault, ok, shown};
use super::{Call, State, workflows};
use crate::kube_api::path;
use serde_json::{Value, json};
use std::sync::Arc;

/// List options of the façade and their names in the Kubernetes API.
pub const OPTIONS: [&str; 9] = [
    "labelSelector",
    "fieldSelector",
    "resourceVersion",
    "resourceVersionMatch",
    "timeoutSeconds",
    "limit",
    "continue",
    "allowWatchBookmarks",
    "sendInitialEvents",
];

/// The query of the Kubernetes API that the list options of a request mean.
pub fn options(call: &Call) -> String {
    let mut out = Vec::new();
    for name in OPTIONS {
        let value = call.query.get(&format!("listOptions.{name}"));
        // A negative limit means none, as in the original.
        let none = value.is_empty() || (name == "limit" && value.starts_with('-'));
        if !none {
            out.push(format!("{name}={}", crate::kube_api::encode(value)));
        }
    }
    out.join("&")
}

pub async fn list(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    check(call)?;
    if call.query.flag("listOptions.watch") {
        return workflows::stream(state, call, "workfloweventbindings", namespace).await;
    }
    let api = state.as_caller(call)?;
    let found = api.get(&format!("{}?{}", path("workfloweventbindings", namespace, ""), options(call))).await?;
    let items: Vec<Value> =
        found.get("items").and_then(Value::as_array).cloned().unwrap_or_default().into_iter().map(shown).collect();
    let mut meta = found.get("metadata").cloned().unwrap_or(json!({}));
    if meta.get("continue") == Some(&json!("")) {
        meta.as_object_mut().map(|m| m.remove("continue"));
    }
    Ok(ok(&json!({"metadata": meta, "items": items})))
}

/// Options of a wrong type are refused before anything is asked.
pub fn check(call: &Call) -> Result<(), Fault> {
    for name in ["limit", "timeoutSeconds"] {
        let field = format!("listOptions.{name}");
        let value = call.query.get(&field);
        if !value.is_empty() && value.parse::<i64>().is_err() {
            return Err(Fault::invalid(format!(
                "parsing field \"{name}\" failed: strconv.ParseInt: parsing {value:?}: invalid syntax"
            )));
        }
    }
    for name in ["watch", "allowWatchBookmarks", "sendInitialEvents"] {
        let value = call.query.get(&format!("listOptions.{name}"));
        if !value.is_empty()
            && !matches!(
                value,
                "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False"
            )
        {
            return Err(Fault::invalid(format!(
                "parsing field \"{name}\" failed: strconv.ParseBool: parsing {value:?}: invalid syntax"
            )));
        }
    }
    Ok(())
}
