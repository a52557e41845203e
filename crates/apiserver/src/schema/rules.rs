//! Rules of a definition in CEL (`x-kubernetes-validations`): compiled with the schema, asked of objects whose shape is right.
//!
//! The language is the standard one with macros and regular expressions. The libraries that Kubernetes adds (`url`, `quantity`,
//! `isSorted` …) are not there: a rule that needs them is named in a warning when its definition is applied, and not asked.

use super::{Schema, Type};
use crate::status::{FieldError, FieldErrorKind};
use cel::{Context, Program, objects::Value as Cel};
use serde_json::Value;
use std::fmt;

pub struct Rule {
    text: String,
    program: Program,
    message: String,
    computed: Option<Program>,
    reason: String,
    field: String,
    /// Compares with the object before the change: not asked of new ones.
    transition: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.text).finish()
    }
}

/// Functions and macros that are there.
const KNOWN: [&str; 22] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "dyn",
    "type",
    "min",
    "max",
    "in",
];

impl Rule {
    /// Reads one entry. `Err`: not CEL. `Ok(Err)`: CEL that this server cannot ask, and why.
    pub fn read(source: &Value) -> Result<Result<Rule, String>, String> {
        let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or("").trim().to_owned();
        let rule = text("rule");
        let program = compile(&rule)?;
        let references = program.references();
        let foreign = references
            .functions()
            .into_iter()
            .find(|f| f.chars().next().is_some_and(char::is_alphabetic) && !KNOWN.contains(f))
            .map(str::to_owned);
        if let Some(function) = foreign {
            return Ok(Err(format!("{rule:?} uses {function}(), which this server does not have")));
        }
        let transition = references.has_variable("oldSelf");
        let computed = match text("messageExpression") {
            given if given.is_empty() => None,
            given => Some(compile(&given)?),
        };
        let message = Some(text("message")).filter(|m| !m.is_empty()).unwrap_or_else(|| format!("failed rule: {rule}"));
        Ok(Ok(Rule {
            program,
            message,
            computed,
            reason: text("reason"),
            field: text("fieldPath"),
            transition,
            text: rule,
        }))
    }

    fn ask(&self, schema: &Schema, value: &Value, old: Option<&Value>, path: &str) -> Option<FieldError> {
        if self.transition && old.is_none() {
            return None;
        }
        let mut context = Context::default();
        context.add_variable_from_value("self", to_cel(schema, value));
        if let Some(old) = old {
            context.add_variable_from_value("oldSelf", to_cel(schema, old));
        }
        let why = match self.program.execute(&context) {
            Ok(Cel::Bool(true)) => return None,
            Ok(_) => match self.computed.as_ref().map(|c| c.execute(&context)) {
                Some(Ok(Cel::String(made))) => made.to_string(),
                _ => self.message.clone(),
            },
            Err(e) => format!("rule evaluation error: {e}: {}", self.text),
        };
        let path = format!("{path}{}", self.field);
        let path = if path.is_empty() { "<nil>".into() } else { path.trim_start_matches('.').to_owned() };
        let shown = Value::from(schema.kind.name());
        let kind = match self.reason.as_str() {
            "FieldValueRequired" => FieldErrorKind::Required,
            "FieldValueForbidden" => FieldErrorKind::Forbidden,
            "FieldValueDuplicate" => FieldErrorKind::Duplicate(shown),
            _ => FieldErrorKind::Invalid(shown),
        };
        Some(FieldError { path, kind, detail: why })
    }
}

fn compile(text: &str) -> Result<Program, String> {
    Program::compile(text).map_err(|e| format!("{text:?} is not CEL: {e}"))
}

/// Asks every rule of a schema; `old` is the object before the change.
pub fn check(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut out = Vec::new();
    visit(schema, value, old, "", &mut out);
    out
}

fn visit(schema: &Schema, value: &Value, old: Option<&Value>, path: &str, out: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    if !schema.any_rules {
        return;
    }
    out.extend(schema.rules.iter().filter_map(|r| r.ask(schema, value, old, path)));
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                if let Some(s) = schema.property(name) {
                    let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    visit(s, child, old.and_then(|o| o.get(name)), &here, out);
                }
            }
        }
        Value::Array(list) => {
            for (i, child) in list.iter().enumerate() {
                if let Some(s) = &schema.items {
                    // Elements of a list are not followed through a change.
                    visit(s, child, None, &format!("{path}[{i}]"), out);
                }
            }
        }
        _ => {}
    }
}

/// A value with the types that its schema gives: `1` of a number is `1.0`.
fn to_cel(schema: &Schema, v: &Value) -> Cel {
    match v {
        Value::Null => Cel::Null,
        Value::Bool(b) => Cel::Bool(*b),
        Value::String(s) => Cel::String(s.clone().into()),
        Value::Number(n) => match n.as_i64().filter(|_| schema.kind != Type::Number) {
            Some(i) => Cel::Int(i),
            None => Cel::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(list) => {
            let any = Schema::any();
            let items = schema.items.as_deref().unwrap_or(&any);
            Cel::List(list.iter().map(|x| to_cel(items, x)).collect::<Vec<_>>().into())
        }
        Value::Object(map) => {
            let any = Schema::any();
            let members = map.iter().map(|(k, x)| (k.clone(), to_cel(schema.property(k).map_or(&any, |s| s), x)));
            Cel::Map(members.collect::<std::collections::HashMap<String, Cel>>().into())
        }
    }
}
