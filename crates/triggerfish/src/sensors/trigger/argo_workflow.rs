//! Submits a workflow, or stops, suspends or resumes one.

use super::k8s::{K8s, Place, create, object, refused};
use super::{Failure, Firing, Kind, Settings};
use crate::kube_api::path;
use crate::sensors::source;
use crate::sensors::specification::Mistake;
use serde_json::{Value, json};

pub const KIND: Kind = Kind { name: "argoWorkflow", check, fire: |f| Box::pin(fire(f)) };

fn check(s: &Settings, mistakes: &mut Vec<Mistake>) {
    let mut value = s.value.clone();
    if value.as_object_mut().and_then(|o| o.remove("args")).is_some_and(|a| a != json!([])) {
        let why = "they are arguments of the argo program, which is not run here: use parameters";
        mistakes.push((format!("{}.args", s.path), why.into()));
    }
    let settings = Settings { value: &value, path: s.path.clone() };
    let Some(k) = settings.read::<K8s>(mistakes) else { return };
    if !matches!(&*k.operation, "" | "submit" | "submit-from" | "suspend" | "resume" | "stop" | "terminate") {
        let why = "expected submit, submit-from, suspend, resume, stop or terminate";
        mistakes.push((format!("{}.operation", s.path), why.into()));
    }
    source::check(&k.source, &format!("{}.source", s.path), mistakes);
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let k: K8s = f.read()?;
    let mut o = object(f, &k).await?;
    let spec = match &*k.operation {
        "" | "submit" => {
            o["metadata"]["labels"]["events.argoproj.io/action-timestamp"] =
                json!(jiff::Timestamp::now().as_millisecond().to_string());
            let place = Place::of(f, &o).await?;
            return create(f, &place, o).await;
        }
        "submit-from" => {
            let o = from(&o)?;
            let place = Place::of(f, &o).await?;
            return create(f, &place, o).await;
        }
        "suspend" => json!({"suspend": true}),
        "resume" => json!({"suspend": null}),
        "stop" => json!({"shutdown": "Stop"}),
        _ => json!({"shutdown": "Terminate"}),
    };
    let name = o["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let namespace = o["metadata"]["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(&f.sensor.namespace);
    f.api.merge_blindly(&path("workflows", namespace, &name), &json!({ "spec": spec })).await.map_err(refused)?;
    Ok(format!("{} workflows/{name}", k.operation))
}

/// A workflow of a template that is there.
fn from(o: &Value) -> Result<Value, Failure> {
    let name = o["metadata"]["name"].as_str().unwrap_or("");
    let cluster = match o["kind"].as_str() {
        Some("WorkflowTemplate") => false,
        Some("ClusterWorkflowTemplate") => true,
        other => {
            return Err(Failure::Never(format!(
                "submit-from takes a WorkflowTemplate or a ClusterWorkflowTemplate, not {other:?}"
            )));
        }
    };
    Ok(json!({
        "apiVersion": crate::kind::API_VERSION, "kind": "Workflow",
        "metadata": {"generateName": format!("{name}-"), "namespace": o["metadata"]["namespace"]},
        "spec": {"workflowTemplateRef": {"name": name, "clusterScope": cluster}, "arguments": o["spec"]["arguments"]},
    }))
}
