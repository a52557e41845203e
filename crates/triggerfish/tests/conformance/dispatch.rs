//! Events to workflows: what bindings decide.

use crate::Suite;
use crate::suite::{lines, vectors};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use triggerfish::event::{Caller, Event};
use triggerfish::route::{self, Binding, Creator, Decision, Facts};
#[test]
fn dispatch() {
    let Some(dir) = vectors("dispatch") else { return };
    let mut suite = Suite::new("dispatch");
    for v in lines(&dir.join("vectors.jsonl")) {
        let id = v["id"].as_str().unwrap();
        suite.case(id, "all", dispatch_case(&v));
    }
    suite.finish(0.98);
}

fn dispatch_case(v: &Value) -> Result<(), String> {
    let (input, output) = (&v["input"], &v["output"]);
    let text = |k: &str| input[k].as_str().unwrap_or("").to_owned();
    let data = match (input.get("payloadText"), input.get("noPayload")) {
        (_, Some(Value::Bool(true))) => None,
        (Some(Value::String(t)), _) => Some(t.clone()),
        _ => input.get("payload").map(Value::to_string),
    };
    let metadata = input["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .filter(|(k, _)| k.to_lowercase().starts_with("x-"));
    let event = Event {
        id: v["id"].as_str().unwrap().into(),
        source: "test".into(),
        kind: "test".into(),
        subject: String::new(),
        time: String::new(),
        datacontenttype: "application/json".into(),
        data: data.map(|d| serde_json::value::RawValue::from_string(d).unwrap()),
        namespace: text("namespace"),
        discriminator: text("discriminator"),
        metadata: metadata.map(|(k, v)| (k, serde_json::from_value(v).unwrap())).collect(),
        origin: None,
        base64: false,
        caller: Caller::default(),
    };
    let (mut failures, mut made) = (0, Vec::<Value>::new());
    let instance = text("instanceID");
    match Facts::of(&event) {
        Err(_) => return if output["ok"] == false { Ok(()) } else { Err("the payload was refused".into()) },
        Ok(facts) => {
            for b in input["bindings"].as_array().unwrap() {
                let binding = Binding::read(b).map_err(|e| format!("binding: {e}"))?;
                let start = match route::decide(&binding, &facts) {
                    Decision::Fail { .. } => {
                        failures += 1;
                        continue;
                    }
                    Decision::Start(s) => s,
                    _ => continue,
                };
                let kind = if start.cluster_scope { "clusterTemplates" } else { "templates" };
                let found = input[kind].as_array().into_iter().flatten().find(|t| {
                    t.pointer("/metadata/name").and_then(Value::as_str) == Some(&start.template)
                        && (start.cluster_scope
                            || t.pointer("/metadata/namespace").and_then(Value::as_str) == Some(&binding.namespace))
                });
                let managed = found.is_some_and(|t| {
                    t.pointer("/metadata/labels/workflows.argoproj.io~1controller-instanceid")
                        .and_then(Value::as_str)
                        .unwrap_or("")
                        == instance
                });
                let (Some(template), true, None) = (found, managed, &start.failure) else {
                    failures += 1;
                    continue;
                };
                let claims = &input["claims"];
                let claim = |k: &str| claims[k].as_str().unwrap_or("").to_owned();
                let creator = Creator {
                    subject: claim("Subject"),
                    email: claim("Email"),
                    preferred_username: claim("PreferredUsername"),
                };
                let mut w = route::workflow(&start, &binding, template, &creator, &instance);
                let (name, prefix) = route::workflow_name(
                    start.name.as_deref(),
                    start.generate_name.as_deref(),
                    &start.template,
                    "<random5>",
                );
                w["metadata"]["name"] = json!(name);
                if !prefix.is_empty() {
                    w["metadata"]["generateName"] = json!(prefix);
                }
                let taken = |o: &Value| {
                    o.pointer("/metadata/name") == w.pointer("/metadata/name")
                        && o.pointer("/metadata/namespace") == w.pointer("/metadata/namespace")
                };
                if !name.contains("<random5>")
                    && (input["existingWorkflows"].as_array().into_iter().flatten().any(taken)
                        || made.iter().any(taken))
                {
                    failures += 1;
                    continue;
                }
                made.push(w);
            }
        }
    }
    let ok = failures == 0;
    if ok != output["ok"].as_bool().unwrap() {
        return Err(format!("ok is {ok}, the original says {}", output["error"]));
    }
    let expected_events = output["events"].as_array().map_or(0, Vec::len);
    if failures != expected_events {
        return Err(format!("{failures} bindings failed, {expected_events} in the original"));
    }
    let clean = |w: &Value| {
        let mut o = Map::new();
        o.insert("metadata".into(), w["metadata"].clone());
        o.insert("spec".into(), w["spec"].clone());
        Value::Object(o).to_string()
    };
    let ours: BTreeSet<String> = made.iter().map(clean).collect();
    let theirs: BTreeSet<String> = output["workflows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|w| {
            !input["existingWorkflows"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|e| e["metadata"]["name"] == w["metadata"]["name"])
        })
        .map(clean)
        .collect();
    if ours != theirs {
        return Err(format!("workflows differ: ours {ours:?}, theirs {theirs:?}"));
    }
    Ok(())
}
