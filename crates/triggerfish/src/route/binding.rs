//! A binding ready to be asked: its expressions parsed once.

use crate::kind::workflow_event_binding::{WorkflowEventBindingObject, WorkflowEventBindingSpec};
use expr::{Functions, Program};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An expression of a binding and what its parsing gave.
pub type Parsed = Result<Arc<Program>, expr::Error>;

#[derive(Debug)]
pub struct Binding {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub generation: i64,
    pub labels: BTreeMap<String, String>,
    pub selector: Parsed,
    pub submit: Option<Submit>,
}

/// What a matching event starts.
#[derive(Debug)]
pub struct Submit {
    pub template: String,
    pub cluster_scope: bool,
    pub name: Option<Parsed>,
    pub generate_name: Option<Parsed>,
    pub labels: Vec<(String, Parsed)>,
    pub annotations: Vec<(String, Parsed)>,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: String,
    pub source: Source,
}

#[derive(Debug)]
pub enum Source {
    Expression(Parsed),
    /// Neither an expression nor a value.
    Missing,
    /// `value: x`: a constant.
    Constant(String),
    /// An expression with a default for when it fails or gives nothing.
    WithDefault(Parsed, String),
}

impl Binding {
    pub fn read(o: &Value) -> Result<Self, String> {
        let read: WorkflowEventBindingObject = serde_json::from_value(o.clone()).map_err(|e| e.to_string())?;
        let spec = read.spec.unwrap_or_default();
        let meta = |k: &str| o.pointer(&format!("/metadata/{k}")).and_then(Value::as_str).unwrap_or("").to_owned();
        let labels =
            o.pointer("/metadata/labels").and_then(|l| serde_json::from_value(l.clone()).ok()).unwrap_or_default();
        Ok(Binding {
            namespace: meta("namespace"),
            name: meta("name"),
            uid: meta("uid"),
            generation: o.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            labels,
            selector: Program::parse(spec.event.as_ref().and_then(|e| e.selector.as_deref()).unwrap_or(""))
                .map(Arc::new),
            submit: submit(&spec),
        })
    }

    /// The instance that it belongs to; empty for none.
    pub fn instance(&self) -> &str {
        self.labels.get("workflows.argoproj.io/controller-instanceid").map_or("", String::as_str)
    }

    /// Every expression with the path of its field.
    pub fn expressions(&self) -> Vec<(String, &Parsed)> {
        let mut out = vec![("spec.event.selector".to_owned(), &self.selector)];
        let Some(s) = &self.submit else { return out };
        out.extend(s.name.iter().map(|p| ("spec.submit.metadata.name".to_owned(), p)));
        out.extend(s.generate_name.iter().map(|p| ("spec.submit.metadata.generateName".to_owned(), p)));
        out.extend(s.labels.iter().map(|(k, p)| (format!("spec.submit.metadata.labels[{k}]"), p)));
        out.extend(s.annotations.iter().map(|(k, p)| (format!("spec.submit.metadata.annotations[{k}]"), p)));
        for (i, p) in s.parameters.iter().enumerate() {
            if let Source::Expression(e) | Source::WithDefault(e, _) = &p.source {
                out.push((format!("spec.submit.arguments.parameters[{i}].valueFrom.event"), e));
            }
        }
        out
    }
}

fn submit(spec: &WorkflowEventBindingSpec) -> Option<Submit> {
    let s = spec.submit.as_ref()?;
    let reference = s.workflow_template_ref.clone().unwrap_or_default();
    let meta = s.metadata.clone().unwrap_or_default();
    let metadata = |text: &String| Program::parse_with(text, Functions::Metadata).map(Arc::new);
    let given = |text: &Option<String>| text.as_ref().filter(|t| !t.is_empty()).map(&metadata);
    let map = |m: Option<BTreeMap<String, String>>| {
        m.unwrap_or_default().into_iter().map(|(k, v)| (k, metadata(&v))).collect()
    };
    let parameters = s.arguments.as_ref().and_then(|a| a.parameters.clone()).unwrap_or_default();
    Some(Submit {
        template: reference.name.unwrap_or_default(),
        cluster_scope: reference.cluster_scope.unwrap_or(false),
        name: given(&meta.name),
        generate_name: given(&meta.generate_name),
        labels: map(meta.labels.clone()),
        annotations: map(meta.annotations.clone()),
        parameters: parameters
            .into_iter()
            .map(|p| {
                let expression =
                    p.value_from.as_ref().map(|v| Program::parse(v.event.as_deref().unwrap_or("")).map(Arc::new));
                let default = p.value_from.as_ref().and_then(|v| v.default.clone()).or(p.default).map(|t| t.0);
                let source = match (expression, default, p.value) {
                    (Some(e), Some(d), _) => Source::WithDefault(e, d),
                    (Some(e), None, _) => Source::Expression(e),
                    (None, _, Some(v)) => Source::Constant(v.0),
                    (None, Some(d), None) => Source::Constant(d),
                    (None, None, None) => Source::Missing,
                };
                Parameter { name: p.name.unwrap_or_default(), source }
            })
            .collect(),
    })
}
