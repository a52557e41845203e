//! What a workflow really is to do: its own specification over the one of the template that it names.

use super::Stored;
use crate::kind::template::{Arguments, Parameter, Template};
use crate::kind::workflow::{WorkflowSpec, WorkflowTemplateRef};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The stored template that a workflow names.
pub fn template_reference(workflow: &Value) -> Option<WorkflowTemplateRef> {
    let r = workflow.pointer("/spec/workflowTemplateRef")?;
    serde_json::from_value(r.clone()).ok()
}

/// The workflow's specification over the stored one.
pub fn effective(workflow: &Value, stored: &Stored) -> Result<WorkflowSpec, String> {
    let own = &workflow["spec"];
    // What a running workflow started with counts, not what the template has become since.
    let kept = workflow.pointer("/status/storedWorkflowTemplateSpec");
    let base = match (kept, stored) {
        (Some(k), _) => k,
        (None, Stored::Found(t)) => &t["spec"],
        _ => return read(own),
    };
    if own.get("templates").is_some() {
        return Err("spec.templates: cannot be set beside spec.workflowTemplateRef".into());
    }
    let mut merged = base.clone();
    if let (Some(target), Value::Object(fields)) = (merged.as_object_mut(), own) {
        target.extend(fields.iter().filter(|(k, _)| *k != "arguments").map(|(k, v)| (k.clone(), v.clone())));
    }
    let mut spec = read(&merged)?;
    spec.arguments = Some(merge(own_arguments(own)?, spec.arguments.unwrap_or_default()));
    Ok(spec)
}

fn read(spec: &Value) -> Result<WorkflowSpec, String> {
    WorkflowSpec::deserialize(spec).map_err(|_| place::<WorkflowSpec>("spec", spec))
}

fn own_arguments(spec: &Value) -> Result<Arguments, String> {
    match spec.get("arguments") {
        None => Ok(Arguments::default()),
        Some(a) => Arguments::deserialize(a).map_err(|_| place::<Arguments>("spec.arguments", a)),
    }
}

/// Where and why something cannot be read; found only when it cannot, because it takes longer.
fn place<'v, T: Deserialize<'v>>(what: &str, v: &'v Value) -> String {
    match serde_path_to_error::deserialize::<_, T>(v) {
        Err(e) if e.path().to_string() == "." => format!("{what}: {}", e.inner()),
        Err(e) => format!("{what}.{}: {}", e.path(), e.inner()),
        Ok(_) => format!("{what} cannot be read"),
    }
}

/// Arguments by name; those of the workflow win.
fn merge(over: Arguments, under: Arguments) -> Arguments {
    let mut parameters: Vec<Parameter> = over.parameters.unwrap_or_default();
    for p in under.parameters.unwrap_or_default() {
        if !parameters.iter().any(|x| x.name == p.name) {
            parameters.push(p);
        }
    }
    Arguments { parameters: Some(parameters), artifacts: over.artifacts.or(under.artifacts) }
}

/// The text of a parameter, if it has one.
pub fn value(p: &Parameter) -> Option<String> {
    p.value.clone().or(p.default.clone()).map(|t| t.0)
}

pub fn arguments(spec: &WorkflowSpec) -> BTreeMap<String, Option<String>> {
    let list = spec.arguments.as_ref().and_then(|a| a.parameters.clone()).unwrap_or_default();
    list.iter().map(|p| (p.name.clone().unwrap_or_default(), value(p))).collect()
}

/// The template that the run starts with.
pub fn entry(spec: &WorkflowSpec) -> Result<Template, String> {
    let name = spec.entrypoint.clone().filter(|n| !n.is_empty()).ok_or("spec.entrypoint is required")?;
    let found = spec.templates.iter().flatten().find(|t| t.name.as_deref() == Some(name.as_str()));
    found.cloned().ok_or_else(|| format!("spec.entrypoint: template name '{name}' undefined"))
}

/// The inputs of the entry template: the workflow's arguments by name, else its own defaults.
pub fn inputs(template: &Template, spec: &WorkflowSpec, workflow: &Value) -> Result<Vec<(String, String)>, String> {
    let given = arguments(spec);
    if let Some((name, _)) = given.iter().find(|(_, v)| v.is_none()) {
        return Err(format!("spec.arguments.{name}.value or spec.arguments.{name}.valueFrom is required"));
    }
    let mut out = Vec::new();
    for p in template.inputs.as_ref().and_then(|i| i.parameters.clone()).unwrap_or_default() {
        let name = p.name.clone().unwrap_or_default();
        let found = given.get(&name).cloned().flatten().or_else(|| value(&p));
        let text = found.ok_or_else(|| {
            format!("templates.{} inputs.parameters.{name} was not supplied", template.name.clone().unwrap_or_default())
        })?;
        let text = super::tags::replace(&text, &super::tags::globals(workflow, spec));
        if let Some(allowed) = p.allowed.as_ref().filter(|a| !a.iter().any(|x| x.0 == text)) {
            let list: Vec<&str> = allowed.iter().map(|a| a.0.as_str()).collect();
            return Err(format!(
                "templates.{}.inputs.parameters.{name}: {text:?} is none of {}",
                template.name.clone().unwrap_or_default(),
                list.join(", ")
            ));
        }
        out.push((name, text));
    }
    Ok(out)
}

/// What this version can run; anything else is refused by name.
pub fn supported(t: &Template) -> Result<(), String> {
    let name = t.name.clone().unwrap_or_default();
    let kinds = [
        ("container", t.container.is_some()),
        ("script", t.script.is_some()),
        ("steps", t.steps.is_some()),
        ("dag", t.dag.is_some()),
        ("suspend", t.suspend.is_some()),
        ("resource", t.resource.is_some()),
        ("http", t.http.is_some()),
        ("containerSet", t.container_set.is_some()),
        ("data", t.data.is_some()),
        ("plugin", t.plugin.is_some()),
    ];
    let given: Vec<&str> = kinds.iter().filter(|(_, is)| *is).map(|(k, _)| *k).collect();
    match given.as_slice() {
        [] => {
            return Err(format!(
                "templates.{name}: template type unspecified. choose one of: container, containerSet, steps, script, resource, dag, suspend, http, data or plugin"
            ));
        }
        ["container" | "script"] => {}
        [other] => {
            return Err(format!(
                "templates.{name}.{other}: this version runs container and script templates; {other} is not supported yet"
            ));
        }
        many => return Err(format!("templates.{name}: multiple template types specified: {}", many.join(", "))),
    }
    let features = [
        ("retryStrategy", t.retry_strategy.is_some()),
        ("sidecars", t.sidecars.as_ref().is_some_and(|s| !s.is_empty())),
        ("initContainers", t.init_containers.as_ref().is_some_and(|s| !s.is_empty())),
        ("daemon", t.daemon == Some(true)),
        ("memoize", t.memoize.is_some()),
        ("synchronization", t.synchronization.is_some()),
        ("inputs.artifacts", t.inputs.as_ref().is_some_and(|i| i.artifacts.as_ref().is_some_and(|a| !a.is_empty()))),
        ("outputs.artifacts", t.outputs.as_ref().is_some_and(|o| o.artifacts.as_ref().is_some_and(|a| !a.is_empty()))),
    ];
    match features.iter().find(|(_, is)| *is) {
        Some((feature, _)) => Err(format!("templates.{name}.{feature}: not supported yet by this version; remove it")),
        None => Ok(()),
    }
}

/// What is wrong with a workflow before it runs, as the REST façade reports it on create.
pub fn validate(workflow: &Value, stored: &Stored) -> Result<(), String> {
    if let Stored::Missing(why) = stored {
        return Err(why.clone());
    }
    if workflow.get("spec").is_none_or(Value::is_null) {
        return Err("spec.entrypoint is required".into());
    }
    let spec = effective(workflow, stored)?;
    let template = entry(&spec)?;
    inputs(&template, &spec, workflow).map(|_| ())
}

/// What is wrong with a stored template: the templates that it names must be there.
pub fn validate_template(template: &Value) -> Result<(), String> {
    let spec = read(template.get("spec").filter(|s| !s.is_null()).unwrap_or(&serde_json::json!({})))?;
    let known = |name: &str| spec.templates.iter().flatten().any(|t| t.name.as_deref() == Some(name));
    if let Some(name) = spec.entrypoint.as_deref().filter(|n| !n.is_empty() && !known(n)) {
        return Err(format!("template name '{name}' undefined"));
    }
    for t in template.pointer("/spec/templates").and_then(Value::as_array).into_iter().flatten() {
        let steps = t["steps"].as_array().into_iter().flatten().enumerate();
        let steps = steps.flat_map(|(i, group)| {
            group.as_array().into_iter().flatten().map(move |step| (format!("steps[{i}]"), step))
        });
        let tasks = t
            .pointer("/dag/tasks")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|task| ("tasks".to_owned(), task));
        for (place, part) in steps.chain(tasks) {
            if let Some(name) = part["template"].as_str().filter(|n| !n.is_empty() && !known(n)) {
                return Err(format!(
                    "templates.{}.{place}.{} template name '{name}' undefined",
                    t["name"].as_str().unwrap_or(""),
                    part["name"].as_str().unwrap_or("")
                ));
            }
        }
    }
    Ok(())
}

/// The stored template that a workflow starts with, under the name that `status.storedTemplates` gives it.
pub fn stored_entry(workflow: &Value, template: &Value) -> Option<(String, Value)> {
    let text = |o: &Value, pointer: &str| o.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let entry = text(workflow, "/spec/entrypoint").or_else(|| text(template, "/spec/entrypoint"))?;
    let found = template.pointer("/spec/templates")?.as_array()?.iter().find(|t| t["name"] == entry)?;
    let scope = if workflow.pointer("/spec/workflowTemplateRef/clusterScope") == Some(&Value::Bool(true)) {
        "cluster"
    } else {
        "namespaced"
    };
    Some((format!("{scope}/{}/{entry}", text(template, "/metadata/name")?), found.clone()))
}
