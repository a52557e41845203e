//! What this program tells of itself: notices about workflows, bindings, gateways and deliveries, like those of any controller.

use jiff::Timestamp;
use notify::{Notice, Object};
use serde_json::Value;
use std::collections::BTreeMap;

/// Failed nodes that are named; more are counted.
const NODES: usize = 5;

fn about(api_version: &str, kind: &str, meta: &Value) -> Object {
    let text = |k: &str| meta[k].as_str().unwrap_or("").to_owned();
    Object {
        kind: kind.into(),
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        api_version: api_version.into(),
        ..Object::default()
    }
}

fn notice(object: Object, failed: bool, reason: &str, message: String) -> Notice {
    Notice {
        object,
        severity: if failed { "error" } else { "info" }.into(),
        timestamp: Some(Timestamp::now()),
        message,
        reason: reason.into(),
        controller: "triggerfish".into(),
        ..Notice::default()
    }
}

/// How a workflow ended; none while it goes on.
pub fn workflow(w: &Value) -> Option<Notice> {
    let phase = w.pointer("/status/phase")?.as_str()?;
    let failed = match phase {
        "Succeeded" => false,
        "Failed" | "Error" => true,
        _ => return None,
    };
    let said = w.pointer("/status/message").and_then(Value::as_str).unwrap_or("");
    let mut message = match (failed, said) {
        (false, _) => "the workflow succeeded".to_owned(),
        (true, "") => format!("the workflow ended as {phase}"),
        (true, said) => format!("the workflow ended as {phase}: {said}"),
    };
    let nodes: Vec<&Value> =
        w.pointer("/status/nodes").and_then(Value::as_object).into_iter().flatten().map(|(_, n)| n).collect();
    let broken: Vec<&&Value> = nodes
        .iter()
        .filter(|n| n["type"] == "Pod" && matches!(n["phase"].as_str(), Some("Failed" | "Error")))
        .collect();
    for n in broken.iter().take(NODES) {
        let text = |k: &str| n[k].as_str().unwrap_or("");
        message.push_str(&format!("\n{}: {} {}", text("displayName"), text("phase"), text("message")));
    }
    if broken.len() > NODES {
        message.push_str(&format!("\nand {} more", broken.len() - NODES));
    }
    let object = about(crate::kind::API_VERSION, "Workflow", &w["metadata"]);
    let mut n = notice(object, failed, &format!("Workflow{phase}"), message);
    let mut metadata = BTreeMap::new();
    let key = |k: &str| format!("{}/{k}", crate::kind::GROUP);
    for (name, pointer) in [
        ("template", "/spec/workflowTemplateRef/name"),
        ("startedAt", "/status/startedAt"),
        ("finishedAt", "/status/finishedAt"),
    ] {
        if let Some(v) = w.pointer(pointer).and_then(Value::as_str) {
            metadata.insert(key(name), v.to_owned());
        }
    }
    // As the controllers of Flux do: annotations of the events' group come along.
    let annotations = w.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    for (k, v) in annotations.filter(|(k, _)| k.starts_with(&format!("{}/", notify::notice::EVENT_GROUP))) {
        metadata.insert(k.clone(), v.as_str().unwrap_or("").to_owned());
    }
    n.metadata = metadata;
    Some(n)
}

/// What a Kubernetes Event of ours complains of.
pub fn complaint(event: &Value) -> Notice {
    let about_what = &event["involvedObject"];
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    let object = about(&text(&about_what["apiVersion"]), &text(&about_what["kind"]), about_what);
    notice(object, true, &text(&event["reason"]), text(&event["message"]))
}

/// The nodes of a workflow that have a Pod and have ended since it was `before`; each with its id.
pub fn nodes(before: Option<&Value>, w: &Value) -> Vec<(String, Notice)> {
    let all = w.pointer("/status/nodes").and_then(Value::as_object).into_iter().flatten();
    let phase = |n: &Value| n["phase"].as_str().unwrap_or("").to_owned();
    let was = |id: &String| before.and_then(|b| b.pointer("/status/nodes")?.get(id)).map(phase).unwrap_or_default();
    let ended = |(id, n): &(&String, &Value)| {
        n["type"] == "Pod" && matches!(phase(n).as_str(), "Succeeded" | "Failed" | "Error") && was(id) != phase(n)
    };
    let told = all.filter(ended).map(|(id, n)| {
        let object = Object {
            kind: "Pod".into(),
            namespace: w["metadata"]["namespace"].as_str().unwrap_or("").into(),
            name: id.clone(),
            api_version: "v1".into(),
            ..Object::default()
        };
        let (phase, said) = (phase(n), n["message"].as_str().unwrap_or(""));
        let what = format!(
            "{} of workflow {}: {phase}",
            n["displayName"].as_str().unwrap_or(id),
            w["metadata"]["name"].as_str().unwrap_or("")
        );
        let message = if said.is_empty() { what } else { format!("{what}: {said}") };
        (id.clone(), notice(object, phase != "Succeeded", &format!("Node{phase}"), message))
    });
    told.collect()
}

/// A delivery that was given up.
pub fn given_up(namespace: &str, provider: &str, uid: &str, alert: &str, about_what: &str, why: &str) -> Notice {
    let object = Object {
        kind: "Provider".into(),
        namespace: namespace.into(),
        name: provider.into(),
        uid: uid.into(),
        api_version: crate::kind::FLUX_API_VERSION.into(),
        ..Object::default()
    };
    notice(
        object,
        true,
        "DeliveryGivenUp",
        format!("what alert {alert} had to tell of {about_what} was given up: {why}"),
    )
}
