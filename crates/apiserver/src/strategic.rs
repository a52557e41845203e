//! Strategic merge patches of built-in kinds: lists merged by key, and the `$patch` directives.

use crate::schema::Schema;
use crate::status::Status;
use serde_json::{Map, Value};

const PATCH: &str = "$patch";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";
const RETAIN: &str = "$retainKeys";

pub fn apply(schema: &Schema, target: &mut Value, patch: &Value) -> Result<(), Status> {
    let Some(patch) = patch.as_object() else {
        return Err(Status::bad_request("a strategic merge patch must be an object"));
    };
    merge_object(Some(schema), target, patch)
}

fn merge_object(schema: Option<&Schema>, target: &mut Value, patch: &Map<String, Value>) -> Result<(), Status> {
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            *target =
                Value::Object(patch.iter().filter(|(k, _)| *k != PATCH).map(|(k, v)| (k.clone(), v.clone())).collect());
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Status::bad_request(format!("unknown patch type: {other}"))),
    }
    let target = crate::object::map(target);
    if let Some(keep) = patch.get(RETAIN).and_then(Value::as_array) {
        target.retain(|k, _| keep.iter().any(|x| x == k));
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            if let (Some(list), Some(gone)) = (target.get_mut(field).and_then(Value::as_array_mut), value.as_array()) {
                list.retain(|v| !gone.contains(v));
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        let child = schema.and_then(|s| s.property(key)).map(|s| &**s);
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(inner) => {
                let slot = target.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                merge_object(child, slot, inner)?;
            }
            Value::Array(inner) => {
                let slot = target.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(child, slot, inner)?;
            }
            scalar => {
                target.insert(key.clone(), scalar.clone());
            }
        }
    }
    for (key, order) in patch {
        let Some(field) = key.strip_prefix(SET_ORDER) else { continue };
        let merge_key = schema.and_then(|s| s.property(field)).and_then(|s| s.merge_key.clone());
        if let (Some(list), Some(order), Some(merge_key)) =
            (target.get_mut(field).and_then(Value::as_array_mut), order.as_array(), merge_key)
        {
            sort_by(list, order, &merge_key);
        }
    }
    Ok(())
}

fn identity<'a>(v: &'a Value, key: &str) -> Option<&'a Value> {
    if key.is_empty() { Some(v) } else { v.get(key) }
}

fn merge_list(schema: Option<&Schema>, target: &mut Value, patch: &[Value]) -> Result<(), Status> {
    let Some(key) = schema.and_then(|s| s.merge_key.as_deref()) else {
        *target = Value::Array(patch.to_vec());
        return Ok(());
    };
    if patch.iter().any(|p| p.get(PATCH).and_then(Value::as_str) == Some("replace")) {
        *target = Value::Array(patch.iter().filter(|p| p.get(PATCH).is_none()).cloned().collect());
        return Ok(());
    }
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return Ok(()) };
    let items = schema.and_then(|s| s.items.as_deref());
    for p in patch {
        let Some(id) = identity(p, key) else {
            return Err(Status::bad_request(format!("map: {p} does not contain declared merge key: {key}")));
        };
        let at = list.iter().position(|v| identity(v, key) == Some(id));
        match (at, p) {
            (Some(i), _) if p.get(PATCH).and_then(Value::as_str) == Some("delete") => {
                list.remove(i);
            }
            (None, _) if p.get(PATCH).and_then(Value::as_str) == Some("delete") => {}
            (Some(i), Value::Object(inner)) => merge_object(items, &mut list[i], inner)?,
            (Some(_), _) => {}
            (None, other) => list.push(other.clone()),
        }
    }
    Ok(())
}

/// Puts the elements named by `order` into that order, others stay behind the ones they followed.
fn sort_by(list: &mut [Value], order: &[Value], key: &str) {
    let place = |v: &Value| {
        let id = identity(v, key);
        order.iter().position(|o| identity(o, key) == id || Some(o) == id)
    };
    let mut last = 0;
    let mut keyed: Vec<(usize, Value)> = list
        .iter()
        .map(|v| {
            last = place(v).unwrap_or(last);
            (last, v.clone())
        })
        .collect();
    keyed.sort_by_key(|(p, _)| *p);
    for (slot, (_, v)) in list.iter_mut().zip(keyed) {
        *slot = v;
    }
}
