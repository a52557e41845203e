//! The Pod that carries out a node, and what it reports back.

use crate::kind::template::Template;
use crate::kind::workflow::WorkflowSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The host that our own runtime calls itself.
pub const NODE_NAME: &str = "triggerfish";
/// Pods of a workflow carry its name under this label.
pub const POD_LABEL: &str = "workflows.argoproj.io/workflow";
/// Where the runtime writes a Pod's outputs.
pub const OUTPUTS: &str = "workflows.argoproj.io/outputs";

/// What a Pod gives back, in the annotation [`OUTPUTS`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

pub fn build(workflow: &Value, spec: &WorkflowSpec, template: &Template) -> Result<Value, String> {
    let text = |p: &str| workflow.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    let name = text("/metadata/name");
    let (mut container, source) = match (&template.container, &template.script) {
        (Some(c), _) => (serde_json::to_value(c).map_err(|e| e.to_string())?, None),
        (None, Some(s)) => (serde_json::to_value(s).map_err(|e| e.to_string())?, s.source.clone()),
        _ => return Err("only container and script templates become Pods".into()),
    };
    let c = container.as_object_mut().ok_or("the container cannot be read")?;
    c.remove("source");
    c.insert("name".into(), json!("main"));
    if source.is_some() {
        let args = c.entry("args").or_insert_with(|| json!([]));
        if let Some(list) = args.as_array_mut() {
            list.insert(0, json!(SCRIPT));
        }
    }
    let mut env = c.remove("env").and_then(|e| e.as_array().cloned()).unwrap_or_default();
    env.extend([
        json!({"name": "ARGO_CONTAINER_NAME", "value": "main"}),
        json!({"name": "ARGO_NODE_ID", "value": name}),
        json!({"name": "ARGO_TEMPLATE", "value": described(template, source.as_deref()).to_string()}),
        json!({"name": "ARGO_INCLUDE_SCRIPT_OUTPUT", "value": "true"}),
    ]);
    c.insert("env".into(), json!(env));
    let mut labels: Map<String, Value> = Map::new();
    let mut annotations: Map<String, Value> = Map::new();
    for meta in [&spec.pod_metadata, &template.metadata].into_iter().flatten() {
        labels.extend(meta.labels.clone().unwrap_or_default().into_iter().map(|(k, v)| (k, json!(v))));
        annotations.extend(meta.annotations.clone().unwrap_or_default().into_iter().map(|(k, v)| (k, json!(v))));
    }
    labels.insert(POD_LABEL.into(), json!(name));
    labels.insert("workflows.argoproj.io/completed".into(), json!("false"));
    annotations.insert("workflows.argoproj.io/node-id".into(), json!(name));
    annotations.insert("workflows.argoproj.io/node-name".into(), json!(name));
    annotations.insert("kubectl.kubernetes.io/default-container".into(), json!("main"));
    let account =
        template.service_account_name.clone().or(spec.service_account_name.clone()).unwrap_or_else(|| "default".into());
    let mut pod_spec = json!({"restartPolicy": "Never", "nodeName": NODE_NAME, "serviceAccountName": account, "containers": [container]});
    if let Some(seconds) = deadline(template)? {
        pod_spec["activeDeadlineSeconds"] = json!(seconds);
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": text("/metadata/namespace"), "labels": labels, "annotations": annotations,
            "ownerReferences": [{"apiVersion": crate::kind::API_VERSION, "kind": "Workflow", "name": name, "uid": text("/metadata/uid"), "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": pod_spec,
    }))
}

/// Where a script's text is found in its Pod.
pub const SCRIPT: &str = "/argo/staging/script";

/// The part of the template that the runtime needs.
fn described(template: &Template, source: Option<&str>) -> Value {
    let mut out = json!({"name": template.name});
    if let Some(o) = &template.outputs {
        out["outputs"] = serde_json::to_value(o).unwrap_or_default();
    }
    if let Some(s) = source {
        out["script"] = json!({"source": s});
    }
    out
}

/// Seconds that the Pod may take: `activeDeadlineSeconds`, or `timeout`.
fn deadline(t: &Template) -> Result<Option<i64>, String> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let own = match &t.active_deadline_seconds {
        None => None,
        Some(IntOrString::Int(n)) => Some(i64::from(*n)),
        Some(IntOrString::String(s)) => {
            Some(s.trim().parse().map_err(|_| format!("activeDeadlineSeconds: {s:?} is no whole number"))?)
        }
    };
    let timeout = t.timeout.as_deref().filter(|s| !s.is_empty()).map(seconds).transpose()?;
    Ok(match (own, timeout) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}

/// `10s`, `2m`, or a bare number of seconds.
fn seconds(text: &str) -> Result<i64, String> {
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|e| format!("timeout: {text:?} is no duration: {e}"))?;
    Ok(span.as_secs().max(1))
}
