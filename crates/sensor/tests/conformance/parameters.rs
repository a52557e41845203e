//! Parameters of triggers.

use crate::suite::{Suite, lines, vectors};
use sensor::parameter::{Events, Parameter, Source, apply, payload, resolve};
use serde_json::{Value, json};

#[test]
fn trigger_params() {
    let Some(dir) = vectors("trigger-params") else { return };
    let mut suite = Suite::new("trigger-params");
    for v in lines(&dir.join("vectors.jsonl")) {
        suite.case(v["id"].as_str().unwrap(), v["op"].as_str().unwrap(), one(&v));
    }
    suite.finish(0.98);
}

fn of<T: serde::de::DeserializeOwned>(v: &Value) -> T {
    serde_json::from_value(v.clone()).unwrap()
}

fn one(v: &Value) -> Result<(), String> {
    let events: Events = of(&v["events"]);
    let parameters = |v: &Value| v.as_array().map_or_else(Vec::new, |a| a.iter().map(of::<Parameter>).collect());
    let theirs = &v["result"];
    let ours = match v["op"].as_str().unwrap() {
        "resolve" => {
            let src: Source = of(&v["src"]);
            resolve(&src, &events).map(|r| match r {
                Some((value, kind)) => json!({"value": value, "type": kind}),
                None => json!({"value": null, "type": "String"}),
            })
        }
        "apply" => {
            apply(v["object"].as_str().unwrap(), &parameters(&v["parameters"]), &events).map(|o| json!({"object": o}))
        }
        "payload" => payload(&parameters(&v["parameters"]), &events).map(|p| json!({"payload": p})),
        "template" => {
            let template = v["trigger"]["template"].to_string();
            apply(&template, &parameters(&v["trigger"]["parameters"]), &events)
                .map(|t| json!({"template": serde_json::from_str::<Value>(&t).unwrap_or_default()}))
        }
        other => panic!("unknown op {other}"),
    };
    let same = match (&ours, theirs["error"].as_str()) {
        // The original crashes: the parameter is skipped.
        (Ok(_), Some(error)) if error.starts_with("panic:") => true,
        // What went in was no JSON: any clean end will do.
        (_, _) if v["op"] == "apply" && !gjson::valid(v["object"].as_str().unwrap()) => true,
        (Ok(ours), None) if v["op"] == "template" => pruned(ours) == pruned(theirs),
        (Ok(ours), None) => ours == theirs,
        (Err(_), Some(_)) => true,
        // Types of fields are checked where a template is used.
        (Ok(_), Some(error)) => error.starts_with("json: cannot unmarshal"),
        (Err(_), None) => false,
    };
    if same { Ok(()) } else { Err(format!("recorded {theirs}, ours {ours:?}")) }
}

/// Without what says nothing: the original writes all fields of its structures, and drops those that it does not know.
fn pruned(v: &Value) -> Value {
    match v {
        Value::Object(o) => Value::Object(
            o.iter()
                .filter(|(k, v)| !matches!(v, Value::Null) && **v != json!("") && **v != json!([]) && *k != "unknown")
                .map(|(k, v)| (k.clone(), pruned(v)))
                .collect(),
        ),
        Value::Array(a) => a.iter().map(pruned).collect(),
        other => other.clone(),
    }
}
