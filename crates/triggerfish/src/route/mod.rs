//! Decides, without doing anything, what an event starts: (event, bindings) → decisions.

mod admission;
mod binding;
mod bindings;
mod identity;

pub use admission::{admit, admit_with_warnings};
pub use binding::{Binding, Parameter, Parsed, Source, Submit};
pub use bindings::{Asked, Bindings};
pub use identity::{suffix, workflow_name};

use crate::event::Event;
use expr::{Program, Value, Variables};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// What one binding says to an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The selector is false; the part that made it so.
    Pass {
        because: String,
    },
    /// The selector is true and nothing is to be submitted.
    Nothing,
    Start(Start),
    Fail {
        message: String,
    },
}

/// A workflow to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub template: String,
    pub cluster_scope: bool,
    pub name: Option<String>,
    pub generate_name: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub parameters: Vec<(String, String)>,
    /// Evaluated only after the template was found, as the original does: its failure is told then.
    pub failure: Option<String>,
}

/// An event's values, read once for all bindings.
pub struct Facts {
    payload: Json,
    metadata: Json,
    namespace: String,
    discriminator: String,
}

impl Facts {
    pub fn of(event: &Event) -> Result<Self, String> {
        let payload = event.payload()?;
        let metadata = json!(event.metadata);
        Ok(Self::new(payload, metadata, event.namespace.clone(), event.discriminator.clone()))
    }

    pub fn new(payload: Json, metadata: Json, namespace: String, discriminator: String) -> Self {
        Self { payload, metadata, namespace, discriminator }
    }

    /// What expressions read. `event.payload` and the like are for the documents' examples; `$env` has not got them.
    pub fn variables(&self) -> Variables<'_> {
        let v = Variables::new()
            .with_text("namespace", &self.namespace)
            .with_text("discriminator", &self.discriminator)
            .with("metadata", &self.metadata)
            .with("payload", &self.payload);
        let whole = v.as_map();
        v.with_unlisted("event", whole)
    }
}

/// Asks one binding.
pub fn decide(binding: &Binding, facts: &Facts) -> Decision {
    verdict(binding, &facts.variables())
}

fn verdict(binding: &Binding, variables: &Variables) -> Decision {
    let said = binding.selector.as_ref().map_err(Clone::clone).and_then(|p| p.run(variables));
    outcome(binding, said, variables)
}

/// What follows from what a binding's selector gave.
fn outcome(binding: &Binding, said: Result<Value, expr::Error>, variables: &Variables) -> Decision {
    let fail = |message: String| Decision::Fail { message };
    let selector = match &binding.selector {
        Ok(p) => p,
        Err(e) => return fail(format!("failed to evaluate workflow template expression: {e}")),
    };
    let value = match said {
        Ok(v) => v,
        Err(e) if e.kind == expr::ErrorKind::Compile => {
            return fail(format!("failed to evaluate workflow template expression: {e}"));
        }
        Err(e) => {
            return fail(format!(
                "failed to evaluate workflow template expression: unable to evaluate expression '{}': {e}",
                selector.source()
            ));
        }
    };
    match value {
        Value::Bool(true) => {}
        Value::Bool(false) => return Decision::Pass { because: expr::falsified(selector, variables) },
        other => {
            return fail(format!(
                "failed to evaluate workflow template expression: unable to cast expression result '{}' to bool",
                go_verb(&other)
            ));
        }
    }
    match &binding.submit {
        None => Decision::Nothing,
        Some(s) => Decision::Start(start(s, variables)),
    }
}

/// What Go's `%s` makes of a value that is no string.
fn go_verb(v: &Value) -> String {
    match v {
        Value::Text(s) => s.clone().into_owned(),
        Value::Nil => "%!s(<nil>)".into(),
        other => format!("%!s({}={})", other.type_name(), other.to_json_text().unwrap_or_default()),
    }
}

fn start(s: &Submit, variables: &Variables) -> Start {
    let mut out = Start {
        template: s.template.clone(),
        cluster_scope: s.cluster_scope,
        name: None,
        generate_name: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        parameters: Vec::new(),
        failure: None,
    };
    out.failure = fill(&mut out, s, variables).err();
    out
}

fn fill(out: &mut Start, s: &Submit, variables: &Variables) -> Result<(), String> {
    if let Some(p) = &s.name {
        out.name = Some(metadata("name", p, variables)?).filter(|n| !n.is_empty());
    }
    if let Some(p) = &s.generate_name {
        out.generate_name = Some(metadata("generateName", p, variables)?);
    }
    for (k, p) in &s.labels {
        out.labels.insert(k.clone(), metadata(&format!("label {k:?}"), p, variables)?);
    }
    for (k, p) in &s.annotations {
        out.annotations.insert(k.clone(), metadata(&format!("annotation {k:?}"), p, variables)?);
    }
    for p in &s.parameters {
        out.parameters.push((p.name.clone(), parameter(p, variables)?));
    }
    Ok(())
}

fn metadata(what: &str, parsed: &Parsed, variables: &Variables) -> Result<String, String> {
    let failed = |e: &expr::Error| format!("failed to evaluate workflow {what} expression: {e}");
    match parsed.as_ref().map_err(failed)?.run(variables).map_err(|e| failed(&e))? {
        Value::Text(s) => Ok(s.into_owned()),
        other => Err(format!("workflow {what} expression must evaluate to a string, not a {}", other.type_name())),
    }
}

fn parameter(p: &Parameter, variables: &Variables) -> Result<String, String> {
    let name = &p.name;
    match &p.source {
        Source::Constant(v) => Ok(v.clone()),
        Source::Missing => Err(format!("malformed workflow template parameter {name:?}: valueFrom is nil")),
        Source::Expression(e) => expression(name, e, variables),
        Source::WithDefault(e, default) => match e.as_ref().map(|e| e.run(variables)) {
            Ok(Ok(v)) if !v.is_nil() => expression(name, e, variables),
            _ => Ok(default.clone()),
        },
    }
}

fn expression(name: &str, parsed: &Parsed, variables: &Variables) -> Result<String, String> {
    let compile = |e: &expr::Error| format!("failed to compile workflow template parameter {name} expression: {e}");
    let program: &Program = parsed.as_ref().map_err(compile)?;
    let value = program.run(variables).map_err(|e| match e.kind {
        expr::ErrorKind::Compile => compile(&e),
        expr::ErrorKind::Run => format!("failed to evaluate workflow template parameter {name:?} expression: {e}"),
    })?;
    let text =
        value.to_json_text().map_err(|e| format!("failed to convert result to JSON {name:?} expression: {e}"))?;
    Ok(unquoted(&text))
}

/// JSON text as a parameter's value: a string loses its outer quotes, nothing inside is unescaped but `<`, `>` and `&`.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    inner.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
}

/// What a Workflow that a binding starts looks like; its name is added by who creates it.
pub fn workflow(start: &Start, binding: &Binding, template: &Json, creator: &Creator, instance_id: &str) -> Json {
    let mut labels: Map<String, Json> = Map::new();
    let kind = if start.cluster_scope { "cluster-workflow-template" } else { "workflow-template" };
    labels.insert(format!("workflows.argoproj.io/{kind}"), json!(start.template));
    let mut annotations: Map<String, Json> = Map::new();
    let own = |field: &str| {
        template
            .pointer(&format!("/spec/workflowMetadata/{field}"))
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default()
    };
    labels.extend(own("labels"));
    annotations.extend(own("annotations"));
    if instance_id.is_empty() {
        labels.remove("workflows.argoproj.io/controller-instanceid");
    } else {
        labels.insert("workflows.argoproj.io/controller-instanceid".into(), json!(instance_id));
    }
    labels.extend(start.labels.iter().map(|(k, v)| (k.clone(), json!(v))));
    annotations.extend(start.annotations.iter().map(|(k, v)| (k.clone(), json!(v))));
    // Nobody says of himself who he is.
    labels.retain(|k, _| {
        !matches!(
            k.as_str(),
            "workflows.argoproj.io/creator"
                | "workflows.argoproj.io/creator-email"
                | "workflows.argoproj.io/creator-preferred-username"
        )
    });
    labels.extend(creator.labels());
    labels.insert("workflows.argoproj.io/workflow-event-binding".into(), json!(binding.name));
    let mut reference = json!({"name": start.template});
    if start.cluster_scope {
        reference["clusterScope"] = json!(true);
    }
    let mut spec = json!({"workflowTemplateRef": reference, "arguments": {}});
    if !start.parameters.is_empty() {
        spec["arguments"]["parameters"] =
            start.parameters.iter().map(|(n, v)| json!({"name": n, "value": v})).collect();
    }
    let mut meta = json!({"namespace": binding.namespace, "labels": labels});
    if !annotations.is_empty() {
        meta["annotations"] = Json::Object(annotations);
    }
    json!({"apiVersion": crate::kind::API_VERSION, "kind": "Workflow", "metadata": meta, "spec": spec})
}

/// Who a workflow is said to be made by.
#[derive(Debug, Clone, Default)]
pub struct Creator {
    pub subject: String,
    pub email: String,
    pub preferred_username: String,
}

impl Creator {
    pub fn labels(&self) -> Vec<(String, Json)> {
        let mut out = Vec::new();
        for (key, value) in [
            ("creator", self.subject.clone()),
            ("creator-email", self.email.replacen('@', ".at.", 1)),
            ("creator-preferred-username", self.preferred_username.clone()),
        ] {
            let value = label_value(&value);
            if !value.is_empty() {
                out.push((format!("workflows.argoproj.io/{key}"), json!(value)));
            }
        }
        out
    }
}

/// A text as a label value: other characters become dashes, and the last 63 are kept.
fn label_value(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect();
    let tail = &clean[clean.len().saturating_sub(63)..];
    tail.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}
