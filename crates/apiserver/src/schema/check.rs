//! Checks a value against a schema and says what is wrong, in the words that a Kubernetes API uses.

use super::{Bounds, ListType, Schema, Type};
use crate::status::{FieldError, FieldErrorKind};
use serde_json::Value;

/// `old` is the object before the change, for rules that compare.
pub fn check(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut out = Vec::new();
    visit(schema, value, "", &mut out);
    let blocking = |e: &FieldError| {
        matches!(e.kind, FieldErrorKind::Required | FieldErrorKind::TypeInvalid(_) | FieldErrorKind::NotSupported(..))
    };
    if !out.iter().any(blocking) {
        out.extend(super::rules::check(schema, value, old));
    } else if schema.any_rules {
        out.push(FieldError::invalid(
            "<nil>",
            Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ));
    }
    out
}

fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn type_of(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits(kind: Type, v: &Value) -> bool {
    match kind {
        Type::Any => true,
        Type::Object => v.is_object(),
        Type::Array => v.is_array(),
        Type::String => v.is_string(),
        Type::Integer => v.is_i64() || v.is_u64() || v.as_f64().is_some_and(|f| f.fract() == 0.0),
        Type::Number => v.is_number(),
        Type::Boolean => v.is_boolean(),
        Type::IntOrString => v.is_i64() || v.is_u64() || v.is_string(),
    }
}

fn visit(schema: &Schema, value: &Value, path: &str, out: &mut Vec<FieldError>) {
    if value.is_null() && (schema.nullable || schema.kind == Type::Any) {
        return;
    }
    if !fits(schema.kind, value) {
        let shown = type_of(value);
        out.push(FieldError {
            path: if path.is_empty() { "<nil>".into() } else { path.into() },
            kind: FieldErrorKind::TypeInvalid(Value::from(shown)),
            detail: format!("{path} in body must be of type {}: {shown:?}", schema.kind.name()),
        });
        return;
    }
    if !schema.allowed.is_empty() && !schema.allowed.contains(value) {
        let names = schema.allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        out.push(FieldError {
            path: path.into(),
            kind: FieldErrorKind::NotSupported(value.clone(), names),
            detail: String::new(),
        });
    }
    if let Some(bounds) = &schema.bounds {
        check_bounds(bounds, value, path, out);
    }
    match value {
        Value::Object(map) => {
            for name in schema.required.iter().filter(|n| !map.contains_key(*n)) {
                out.push(FieldError::required(member(path, name), ""));
            }
            for (name, child) in map {
                if path.is_empty() && (name == "metadata" || name == "apiVersion" || name == "kind") {
                    continue;
                }
                if let Some(s) = schema.property(name) {
                    visit(s, child, &member(path, name), out);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (i, child) in list.iter().enumerate() {
                    visit(items, child, &format!("{path}[{i}]"), out);
                }
            }
            check_unique(&schema.list, list, path, out);
        }
        _ => {}
    }
}

fn check_unique(kind: &ListType, list: &[Value], path: &str, out: &mut Vec<FieldError>) {
    let identity = |v: &Value| -> Value {
        match kind {
            ListType::Map(keys) => keys.iter().map(|k| (k.clone(), v.get(k).cloned().unwrap_or_default())).collect(),
            _ => v.clone(),
        }
    };
    if *kind == ListType::Atomic {
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for (i, v) in list.iter().enumerate() {
        let id = identity(v);
        if !seen.insert(id.to_string()) {
            out.push(FieldError {
                path: format!("{path}[{i}]"),
                kind: FieldErrorKind::Duplicate(id),
                detail: String::new(),
            });
        }
    }
}

fn check_bounds(b: &Bounds, value: &Value, path: &str, out: &mut Vec<FieldError>) {
    let mut wrong = |shown: Value, detail: String| out.push(FieldError::invalid(path, shown, detail));
    match value {
        Value::String(s) => {
            let length = s.chars().count();
            if let Some(p) = &b.pattern
                && !p.is_match(s)
            {
                wrong(value.clone(), format!("{path} in body should match '{}'", p.as_str()));
            }
            if let Some(min) = b.min_length.filter(|m| length < *m) {
                wrong(value.clone(), format!("{path} in body should be at least {min} chars long"));
            }
            if let Some(max) = b.max_length.filter(|m| length > *m) {
                out.push(FieldError {
                    path: path.into(),
                    kind: FieldErrorKind::TooLong,
                    detail: format!("may not be more than {max} bytes"),
                });
            }
        }
        Value::Number(n) => {
            let x = n.as_f64().unwrap_or(0.0);
            if let Some(min) = b.minimum.filter(|m| x < *m || (b.exclusive.0 && x == *m)) {
                let how = if b.exclusive.0 { "greater than" } else { "greater than or equal to" };
                wrong(value.clone(), format!("{path} in body should be {how} {min}"));
            }
            if let Some(max) = b.maximum.filter(|m| x > *m || (b.exclusive.1 && x == *m)) {
                let how = if b.exclusive.1 { "less than" } else { "less than or equal to" };
                wrong(value.clone(), format!("{path} in body should be {how} {max}"));
            }
        }
        Value::Array(list) => {
            if let Some(min) = b.min_items.filter(|m| list.len() < *m) {
                wrong(Value::from(list.len()), format!("{path} in body should have at least {min} items"));
            }
            if let Some(max) = b.max_items.filter(|m| list.len() > *m) {
                out.push(FieldError {
                    path: path.into(),
                    kind: FieldErrorKind::TooMany(list.len()),
                    detail: format!("must have at most {max} items"),
                });
            }
        }
        Value::Object(map) => {
            if let Some(min) = b.min_properties.filter(|m| map.len() < *m) {
                wrong(Value::from(map.len()), format!("{path} in body should have at least {min} properties"));
            }
            if let Some(max) = b.max_properties.filter(|m| map.len() > *m) {
                out.push(FieldError {
                    path: path.into(),
                    kind: FieldErrorKind::TooMany(map.len()),
                    detail: format!("must have at most {max} items"),
                });
            }
        }
        _ => {}
    }
    let holds = |s: &Schema| {
        let mut errors = Vec::new();
        visit(s, value, path, &mut errors);
        errors.is_empty()
    };
    let matching = b.one_of.iter().filter(|s| holds(s)).count();
    if !b.one_of.is_empty() && matching != 1 {
        let found =
            if matching == 0 { "Found none valid".to_owned() } else { format!("Found {matching} valid alternatives") };
        out.push(FieldError::invalid(
            path,
            value.clone(),
            format!("{path:?} must validate one and only one schema (oneOf). {found}"),
        ));
    }
    if !b.any_of.is_empty() && !b.any_of.iter().any(holds) {
        out.push(FieldError::invalid(
            path,
            value.clone(),
            format!("{path:?} must validate at least one schema (anyOf)"),
        ));
    }
}
