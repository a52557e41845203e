//! Reads what a workflow refers to.

use crate::kube_api::{Api, path};
use crate::workflow::{self, Stored};
use serde_json::Value;

/// The stored template that a workflow names; an error when it cannot be told whether it exists.
pub async fn stored_template(api: &Api, w: &Value) -> Result<Stored, String> {
    let Some(r) = workflow::template_reference(w) else { return Ok(Stored::NotNeeded) };
    let name = r.name.unwrap_or_default();
    let namespace = w.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("");
    let place = if r.cluster_scope == Some(true) {
        path("clusterworkflowtemplates", "", &name)
    } else {
        path("workflowtemplates", namespace, &name)
    };
    match api.get(&place).await {
        Ok(t) => Ok(Stored::Found(t)),
        Err(e) if e.is_transient() => Err(e.message),
        Err(e) => Ok(Stored::Missing(e.message)),
    }
}
