//! JSON in and out, as Go reads and writes it.

use crate::error::Error;
use crate::eval::Outcome;
use crate::value::{Dict, List, Value, go_float};

/// JSON on one line.
pub fn compact(v: &Value) -> Result<String, String> {
    let mut out = String::new();
    write(v, None, &mut out)?;
    Ok(out)
}

/// JSON with two blanks of indentation.
pub fn pretty(v: &Value) -> Result<String, String> {
    let mut out = String::new();
    write(v, Some(0), &mut out)?;
    Ok(out)
}

/// `depth`: how far lines are indented; none writes them as one.
fn write(v: &Value, depth: Option<usize>, out: &mut String) -> Result<(), String> {
    let inner = depth.map(|d| d + 1);
    match v {
        Value::Nil | Value::List(List::Nil(_)) => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) | Value::Int64(n) | Value::Duration(n) => out.push_str(&n.to_string()),
        Value::Float(f) if f.is_finite() => out.push_str(&float(*f)),
        Value::Float(f) => return Err(format!("json: unsupported value: {}", go_float(*f))),
        Value::Text(s) => string(s, out),
        Value::List(l) if l.is_empty() => out.push_str("[]"),
        Value::List(l) => {
            for (i, x) in l.iter().enumerate() {
                begin(if i == 0 { '[' } else { ',' }, inner, out);
                write(&x, inner, out)?;
            }
            end(']', depth, out);
        }
        Value::Map(m) if m.is_empty() && !matches!(m, Dict::Keyed(..)) => out.push_str("{}"),
        Value::Map(m) if !matches!(m, Dict::Keyed(..)) => {
            let mut pairs: Vec<_> = m.iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            for (i, (k, x)) in pairs.iter().enumerate() {
                begin(if i == 0 { '{' } else { ',' }, inner, out);
                string(k, out);
                out.push_str(if depth.is_some() { ": " } else { ":" });
                write(x, inner, out)?;
            }
            end('}', depth, out);
        }
        other => out.push_str(&other.to_json()?.to_string()),
    }
    Ok(())
}

/// What comes before an element.
fn begin(mark: char, depth: Option<usize>, out: &mut String) {
    out.push(mark);
    line(depth, out);
}
fn end(mark: char, depth: Option<usize>, out: &mut String) {
    line(depth, out);
    out.push(mark);
}
fn line(depth: Option<usize>, out: &mut String) {
    if let Some(d) = depth {
        out.push('\n');
        out.push_str(&"  ".repeat(d));
    }
}

fn string(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A float as Go's JSON encoder writes it.
fn float(f: f64) -> String {
    if f == 0.0 {
        return if f.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let magnitude = f.abs();
    if (1e-6..1e21).contains(&magnitude) {
        return format!("{f}");
    }
    let text = format!("{f:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits}")
}

pub fn from_json<'a>(source: &str, at: usize) -> Outcome<'a> {
    let parsed = serde_json::from_str(source).or_else(|e| {
        if source.contains("\\u") { serde_json::from_str(&without_lone_surrogates(source)) } else { Err(e) }
    });
    parsed.map(owned).map_err(|e| Error::run(at, format!("invalid JSON: {e}")))
}

/// Half of a surrogate pair is no character: it becomes the replacement character, as in Go.
fn without_lone_surrogates(source: &str) -> String {
    let unit = |i: usize| {
        source.get(i..i + 6).filter(|e| e.starts_with("\\u")).and_then(|e| u16::from_str_radix(&e[2..], 16).ok())
    };
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
