//! `?fields=`: keeps the named parts of an answer, or with a leading `-` drops them.

use serde_json::{Map, Value};

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
    if exclude { drop(v, &paths) } else { keep(v, &paths) }
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
