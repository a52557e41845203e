//! WorkflowTemplates and ClusterWorkflowTemplates over REST.

use super::answer::{Answer, Fault, ok, shown};
use super::{Call, State, bindings};
use crate::kube_api::path;
use crate::workflow;
use serde_json::{Value, json};
use std::sync::Arc;

fn kind(plural: &str) -> &'static str {
    if plural == "workflowtemplates" { "WorkflowTemplate" } else { "ClusterWorkflowTemplate" }
}

pub async fn list(state: &Arc<State>, call: &Call, plural: &str, namespace: &str) -> Result<Answer, Fault> {
    bindings::check(call)?;
    let api = state.as_caller(call)?;
    let found = api.get(&format!("{}?{}", path(plural, namespace, ""), bindings::options(call))).await?;
    let pattern = call.query.get("namePattern");
    let items = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = |o: &Value| o.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|n| n.contains(pattern));
    let mut items: Vec<Value> = items.into_iter().filter(|o| named(o) && state.is_ours(o)).map(shown).collect();
    items.sort_by_key(|o| o.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("").to_owned());
    let mut meta = found.get("metadata").cloned().unwrap_or(json!({}));
    if meta.get("continue") == Some(&json!("")) {
        meta.as_object_mut().map(|m| m.remove("continue"));
    }
    meta.as_object_mut().map(|m| m.remove("remainingItemCount"));
    Ok(ok(&json!({"metadata": meta, "items": items})))
}

/// The template in a request body, complete enough to be stored.
fn template(call: &Call, plural: &str, namespace: &str) -> Result<Value, Fault> {
    let mut o = call
        .json()?
        .get("template")
        .cloned()
        .filter(|t| !t.is_null())
        .ok_or_else(|| Fault::invalid("workflow template was not found in the request body"))?;
    super::embedded("template", &mut o)?;
    o["apiVersion"] = json!(crate::kind::API_VERSION);
    o["kind"] = json!(kind(plural));
    if !namespace.is_empty() {
        o["metadata"]["namespace"] = json!(namespace);
    }
    workflow::validate_template(&o).map_err(Fault::invalid)?;
    Ok(o)
}

/// Says what is wrong with a template; nothing is stored.
pub fn lint(state: &Arc<State>, call: &Call, plural: &str, namespace: &str) -> Result<Answer, Fault> {
    let caller = state.caller(call)?;
    let mut o = template(call, plural, namespace)?;
    super::workflows::sign(&mut o, &caller);
    Ok(ok(&shown(o)))
}

pub async fn create(state: &Arc<State>, call: &Call, plural: &str, namespace: &str) -> Result<Answer, Fault> {
    let caller = state.caller(call)?;
    let mut o = template(call, plural, namespace)?;
    super::workflows::sign(&mut o, &caller);
    state.claim(&mut o);
    let made = state.clients.as_caller(&caller).create(&path(plural, namespace, ""), &o).await?;
    Ok(ok(&shown(made)))
}

pub async fn get(state: &Arc<State>, call: &Call, plural: &str, namespace: &str, name: &str) -> Result<Answer, Fault> {
    let found = state.as_caller(call)?.get(&path(plural, namespace, name)).await;
    let found = found.map_err(|e| if e.code == 403 { Fault::new(403, 7, "permission denied") } else { e.into() })?;
    Ok(ok(&shown(found)))
}

pub async fn update(
    state: &Arc<State>,
    call: &Call,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Answer, Fault> {
    let api = state.as_caller(call)?;
    let mut o = template(call, plural, namespace)?;
    if o.pointer("/metadata/name").is_none() {
        o["metadata"]["name"] = json!(name);
    }
    let place = o.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(name).to_owned();
    Ok(ok(&shown(api.update(&path(plural, namespace, &place), &o).await?)))
}

pub async fn delete(
    state: &Arc<State>,
    call: &Call,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Answer, Fault> {
    state.as_caller(call)?.delete(&path(plural, namespace, name), &json!({})).await?;
    Ok(ok(&json!({})))
}
