//! Simple tags: `{{inputs.parameters.message}}` and the like, replaced in the JSON text of a template.

use crate::kind::template::Template;
use crate::kind::workflow::WorkflowSpec;
use serde_json::Value;
use std::collections::BTreeMap;

pub type Values = BTreeMap<String, String>;

/// Prefixes of names that must be known; other tags stay as they are.
const STRICT: [&str; 6] = ["inputs.", "outputs.", "steps.", "tasks.", "workflow.parameters", "workflow.outputs"];

/// What every template may read.
pub fn globals(workflow: &Value, spec: &WorkflowSpec) -> Values {
    let text = |p: &str| workflow.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    let mut out = Values::new();
    out.insert("workflow.name".into(), text("/metadata/name"));
    out.insert("workflow.namespace".into(), text("/metadata/namespace"));
    out.insert("workflow.uid".into(), text("/metadata/uid"));
    out.insert("workflow.mainEntrypoint".into(), spec.entrypoint.clone().unwrap_or_default());
    out.insert(
        "workflow.serviceAccountName".into(),
        spec.service_account_name.clone().unwrap_or_else(|| "default".into()),
    );
    out.insert("workflow.priority".into(), spec.priority.unwrap_or(0).to_string());
    out.insert("workflow.creationTimestamp".into(), text("/metadata/creationTimestamp"));
    out.insert("workflow.creationTimestamp.RFC3339".into(), text("/metadata/creationTimestamp"));
    for kind in ["labels", "annotations"] {
        let members = workflow.pointer(&format!("/metadata/{kind}")).and_then(Value::as_object);
        for (k, v) in members.into_iter().flatten() {
            out.insert(format!("workflow.{kind}.{k}"), v.as_str().unwrap_or("").to_owned());
        }
        out.insert(
            format!("workflow.{kind}.json"),
            members.map_or_else(|| "{}".into(), |m| Value::Object(m.clone()).to_string()),
        );
    }
    let arguments: Vec<(String, String)> =
        super::specification::arguments(spec).into_iter().filter_map(|(k, v)| v.map(|v| (k, v))).collect();
    let list: Vec<Value> = arguments.iter().map(|(k, v)| serde_json::json!({"name": k, "value": v})).collect();
    out.insert("workflow.parameters".into(), Value::Array(list.clone()).to_string());
    out.insert("workflow.parameters.json".into(), Value::Array(list).to_string());
    for (k, v) in arguments {
        out.insert(format!("workflow.parameters.{k}"), v);
    }
    out
}

/// A template with its tags replaced.
pub fn substitute(
    template: &Template,
    inputs: &[(String, String)],
    workflow: &Value,
    spec: &WorkflowSpec,
) -> Result<Template, String> {
    let mut values = globals(workflow, spec);
    let name = workflow.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("");
    values.insert("pod.name".into(), name.into());
    values.insert("node.name".into(), name.into());
    for (k, v) in inputs {
        values.insert(format!("inputs.parameters.{k}"), v.clone());
    }
    let list: Vec<Value> = inputs.iter().map(|(k, v)| serde_json::json!({"name": k, "value": v})).collect();
    values.insert("inputs.parameters".into(), Value::Array(list).to_string());
    for p in template.outputs.iter().flat_map(|o| o.parameters.iter().flatten()) {
        if let (Some(n), Some(path)) = (&p.name, p.value_from.as_ref().and_then(|v| v.path.clone())) {
            values.insert(format!("outputs.parameters.{n}.path"), path);
        }
    }
    let mut whole = serde_json::to_value(template).map_err(|e| e.to_string())?;
    let mut missing = None;
    walk(&mut whole, &values, &mut missing);
    if let Some(tag) = missing {
        return Err(format!("failed to resolve {{{{{tag}}}}}"));
    }
    serde_json::from_value(whole).map_err(|e| format!("the template cannot be read after its tags were replaced: {e}"))
}

fn walk(v: &mut Value, values: &Values, missing: &mut Option<String>) {
    match v {
        Value::String(s) if s.contains("{{") => {
            let (text, unknown) = replace_all(s, values);
            *s = text;
            if missing.is_none() {
                *missing = unknown;
            }
        }
        Value::Array(l) => l.iter_mut().for_each(|x| walk(x, values, missing)),
        Value::Object(m) => m.values_mut().for_each(|x| walk(x, values, missing)),
        _ => {}
    }
}

/// A text with its known tags replaced.
pub fn replace(text: &str, values: &Values) -> String {
    replace_all(text, values).0
}

/// The text, and the first tag that should have been known.
fn replace_all(text: &str, values: &Values) -> (String, Option<String>) {
    let (mut out, mut unknown) = (String::with_capacity(text.len()), None);
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let tag = rest[start + 2..start + length].trim();
        out.push_str(&rest[..start]);
        match values.get(tag) {
            Some(v) => out.push_str(v),
            None => {
                out.push_str(&rest[start..start + length + 2]);
                if unknown.is_none() && STRICT.iter().any(|p| tag.starts_with(p)) {
                    unknown = Some(tag.to_owned());
                }
            }
        }
        rest = &rest[start + length + 2..];
    }
    out.push_str(rest);
    (out, unknown)
}
