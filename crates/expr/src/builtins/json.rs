//! JSON in and out.

use crate::error::Error;
use crate::eval::Outcome;
use crate::value::{Dict, Value};

/// JSON with two blanks of indentation.
pub fn pretty(v: &Value) -> Result<String, String> {
    fn write(v: &Value, depth: usize, out: &mut String) -> Result<(), String> {
        let pad = |n: usize| "  ".repeat(n);
        match v {
            Value::List(l) if !l.is_empty() => {
                out.push_str("[\n");
                for (i, x) in l.iter().enumerate() {
                    if i > 0 {
                        out.push_str(",\n");
                    }
                    out.push_str(&pad(depth + 1));
                    write(&x, depth + 1, out)?;
                }
                out.push_str(&format!("\n{}]", pad(depth)));
            }
            Value::Map(m) if !m.is_empty() && !matches!(m, Dict::Keyed(..)) => {
                out.push_str("{\n");
                let mut pairs: Vec<_> = m.iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                for (i, (k, x)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push_str(",\n");
                    }
                    out.push_str(&pad(depth + 1));
                    crate::value::write_json_string(k, out);
                    out.push_str(": ");
                    write(x, depth + 1, out)?;
                }
                out.push_str(&format!("\n{}}}", pad(depth)));
            }
            other => other.write_json(out)?,
        }
        Ok(())
    }
    let mut out = String::new();
    write(v, 0, &mut out)?;
    Ok(out)
}

pub fn from_json<'a>(source: &str, at: usize) -> Outcome<'a> {
    let parsed = serde_json::from_str(source).or_else(|e| if source.contains("\\u") { serde_json::from_str(&without_lone_surrogates(source)) } else { Err(e) });
    parsed.map(owned).map_err(|e| Error::run(at, format!("invalid JSON: {e}")))
}

/// Half of a surrogate pair is no character: it becomes the replacement character, as in Go.
fn without_lone_surrogates(source: &str) -> String {
    let unit = |i: usize| source.get(i..i + 6).filter(|e| e.starts_with("\\u")).and_then(|e| u16::from_str_radix(&e[2..], 16).ok());
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while let Some(c) = source[i..].chars().next() {
        let length = match (c, unit(i), unit(i + 6)) {
            ('\\', Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            ('\\', Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                i += 6;
                continue;
            }
            ('\\', ..) => 1 + source[i + 1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        out.push_str(&source[i..i + length]);
        i += length;
    }
    out
}

pub fn owned<'a>(v: serde_json::Value) -> Value<'a> {
    match v {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(s) => Value::text(s),
        serde_json::Value::Array(l) => Value::list(l.into_iter().map(owned).collect()),
        serde_json::Value::Object(m) => Value::map(m.into_iter().map(|(k, v)| (k, owned(v))).collect()),
    }
}

