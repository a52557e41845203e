//! Tables and partial objects: what `kubectl get` draws, without knowing the kind.

use crate::jsonpath;
use crate::object;
use crate::resource::{Cell, Column, Resource};
use serde_json::{Value, json};

/// How rows carry their objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    None,
    Metadata,
    Object,
}

/// Seconds as people read them: `5s`, `3m20s`, `4h`, `2d`, `1y12d`.
pub fn human_duration(seconds: i64) -> String {
    let s = seconds;
    if s < -1 {
        return "<invalid>".into();
    }
    match s {
        ..=0 => "0s".into(),
        1..120 => format!("{s}s"),
        120..600 => with(s / 60, "m", s % 60, "s"),
        600..10_800 => format!("{}m", s / 60),
        10_800..28_800 => with(s / 3600, "h", (s / 60) % 60, "m"),
        28_800..172_800 => format!("{}h", s / 3600),
        172_800..691_200 => with(s / 86_400, "d", (s / 3600) % 24, "h"),
        691_200..63_072_000 => format!("{}d", s / 86_400),
        63_072_000..252_288_000 => with(s / 31_536_000, "y", (s / 86_400) % 365, "d"),
        _ => format!("{}y", s / 31_536_000),
    }
}

fn with(big: i64, big_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
}

/// The age of an RFC 3339 time.
pub fn age(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(t) => human_duration(jiff::Timestamp::now().as_second() - t.as_second()),
        Err(_) => "<unknown>".into(),
    }
}

pub fn age_of(o: &Value) -> Value {
    json!(age(object::text(o, &["metadata", "creationTimestamp"])))
}

fn cell(column: &Column, o: &Value) -> Value {
    let path = match &column.cell {
        Cell::Computed(f) => return f(o),
        Cell::Path(path) => path,
    };
    let Some(found) = jsonpath::first(o, path) else { return Value::Null };
    match (column.kind.as_str(), found) {
        ("date", Value::String(t)) => {
            // Built-in "Created At" columns hold the time itself; those of definitions hold its age.
            if column.name == "Created At" { json!(t) } else { json!(age(t)) }
        }
        ("string", Value::String(_)) => found.clone(),
        ("string", Value::Null) => Value::Null,
        ("string", other) => json!(other.to_string()),
        ("integer", Value::Number(n)) if n.is_i64() || n.is_u64() => found.clone(),
        ("integer", Value::Number(n)) => json!(n.as_f64().unwrap_or(0.0) as i64),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => found.clone(),
        _ => Value::Null,
    }
}

pub fn definitions(r: &Resource) -> Value {
    r.columns
        .iter()
        .map(|c| json!({"name": c.name, "type": c.kind, "format": c.format, "description": c.description, "priority": c.priority}))
        .collect()
}

fn row(r: &Resource, o: &Value, include: Include, version: &str) -> Value {
    let cells: Value = r.columns.iter().map(|c| cell(c, o)).collect();
    let shown = match include {
        Include::None => return json!({"cells": cells, "object": null}),
        Include::Metadata => partial(o, version),
        Include::Object => o.clone(),
    };
    json!({"cells": cells, "object": shown})
}

/// A `Table` of some objects. Watches send the columns only once.
pub fn table(
    r: &Resource,
    items: &[Value],
    list_meta: Value,
    include: Include,
    version: &str,
    with_columns: bool,
) -> Value {
    let rows: Value = items.iter().map(|o| row(r, o, include, version)).collect();
    let columns = if with_columns { definitions(r) } else { Value::Null };
    json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": list_meta, "columnDefinitions": columns, "rows": rows})
}

pub fn partial(o: &Value, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": o.get("metadata").cloned().unwrap_or(json!({}))})
}
