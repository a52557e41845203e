//! What a schema does to an object's shape: defaults filled in, unknown members found or dropped.

use super::{Schema, Type};
use serde_json::Value;

/// The members every object has whatever its schema says.
const OBJECT_MEMBERS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Fills in defaults where a member is missing.
pub fn apply_defaults(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                if let Some(default) = &property.default
                    && (!map.contains_key(name) || (map[name].is_null() && !property.nullable))
                {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(child) = map.get_mut(name) {
                    apply_defaults(property, child);
                }
            }
            if let Some(additional) = &schema.additional {
                for (name, child) in map.iter_mut() {
                    if !schema.properties.contains_key(name) {
                        apply_defaults(additional, child);
                    }
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|v| apply_defaults(items, v));
            }
        }
        _ => {}
    }
}

/// Drops members that the schema does not know.
pub fn prune(schema: &Schema, value: &mut Value, root: bool) {
    match value {
        Value::Object(map) => {
            let keep_all =
                schema.preserve_unknown || schema.additional.is_some() || !matches!(schema.kind, Type::Object);
            if !keep_all {
                map.retain(|k, _| {
                    schema.properties.contains_key(k)
                        || ((root || schema.embedded) && OBJECT_MEMBERS.contains(&k.as_str()))
                });
            }
            for (name, child) in map.iter_mut() {
                if root && name == "metadata" {
                    continue;
                }
                if let Some(s) = schema.property(name) {
                    prune(s, child, false);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                list.iter_mut().for_each(|v| prune(items, v, false));
            }
        }
        _ => {}
    }
}

/// Paths of members that the schema does not know, such as `spec.templates[0].nope`.
pub fn unknown_fields(schema: &Schema, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    collect_unknown(schema, value, "", true, &mut out);
    out
}

fn collect_unknown(schema: &Schema, value: &Value, path: &str, root: bool, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let keep_all =
                schema.preserve_unknown || schema.additional.is_some() || !matches!(schema.kind, Type::Object);
            for (name, child) in map {
                let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match schema.property(name) {
                    Some(s) => collect_unknown(s, child, &here, false, out),
                    None if keep_all || ((root || schema.embedded) && OBJECT_MEMBERS.contains(&name.as_str())) => {}
                    None => out.push(here),
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (i, child) in list.iter().enumerate() {
                    collect_unknown(items, child, &format!("{path}[{i}]"), false, out);
                }
            }
        }
        _ => {}
    }
}

/// Typed kinds read `null` as "not given".
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
