//! `?fields=`: keeps the named parts of an answer, or with a leading `-` drops them.

use serde_json::{Map, Value, json};

pub fn apply(v: Value, fields: &str) -> Value {
    if fields.is_empty() {
        return v;
    }
    let (exclude, list) = match fields.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, fields),
    };
    let paths: Vec<Vec<&str>> = list.split(',').map(|p| p.trim().split('.').collect()).collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    if exclude {
        return drop(v, &paths);
    }
    let (is_list, is_stream) = (v.get("items").is_some(), v.get("result").is_some());
    let mut kept = keep(v, &paths);
    if !is_stream {
        complete(&mut kept, is_list);
    } else if let Some(o) = kept.pointer_mut("/result/object") {
        complete(o, false);
    }
    kept
}

/// Strict clients want the required members of a list or a workflow even when they are empty.
fn complete(v: &mut Value, list: bool) {
    let Some(m) = v.as_object_mut() else { return };
    m.entry("metadata").or_insert_with(|| json!({}));
    if !list {
        m.entry("spec").or_insert_with(|| json!({}));
    } else if let Some(items) = m.entry("items").or_insert_with(|| json!([])).as_array_mut() {
        items.iter_mut().for_each(|item| complete(item, false));
    }
}

fn keep(v: Value, paths: &[&[&str]]) -> Value {
    if paths.iter().any(|p| p.is_empty()) {
        return v;
    }
    match v {
        Value::Array(l) => l.into_iter().map(|x| keep(x, paths)).collect(),
        Value::Object(m) => {
            let mut out = Map::new();
            for (k, x) in m {
                let below: Vec<&[&str]> = paths.iter().filter(|p| p[0] == k).map(|p| &p[1..]).collect();
                if !below.is_empty() {
                    out.insert(k, keep(x, &below));
                }
            }
            Value::Object(out)
        }
        other => other,
    }
}

fn drop(v: Value, paths: &[&[&str]]) -> Value {
    match v {
        Value::Array(l) => l.into_iter().map(|x| drop(x, paths)).collect(),
        Value::Object(m) => {
            let mut out = Map::new();
            for (k, x) in m {
                let below: Vec<&[&str]> = paths.iter().filter(|p| p[0] == k).map(|p| &p[1..]).collect();
                if below.iter().any(|p| p.is_empty()) {
                    continue;
                }
                out.insert(k, drop(x, &below));
            }
            Value::Object(out)
        }
        other => other,
    }
}
