//! Emptiness, types, equality and JSON of any value.

use super::{Call, Outcome};
use crate::builtins::format;
use crate::json::{from_json as parse, pretty};
use crate::value::{Object, Value};

/// What the other functions take for "not given".
pub fn is_empty(v: &Value) -> bool {
    match v {
        Value::Nil => true,
        Value::Bool(b) => !b,
        Value::Float(f) => *f == 0.0,
        Value::Text(s) => s.is_empty(),
        Value::Bytes(b) => b.is_empty(),
        Value::List(l) => l.is_empty(),
        Value::Map(m) => m.is_empty(),
        Value::Duration(d) => *d == 0,
        Value::Int(_) | Value::Int64(_) | Value::Byte(_) => v.as_int() == Some(0),
        Value::Time(_) | Value::Function(_) | Value::Object(_) => false,
    }
}

pub fn empty_value<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(is_empty(c.any(0))))
}
pub fn all<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(!c.values.iter().any(is_empty)))
}
pub fn any<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(!c.values.iter().all(is_empty)))
}
pub fn coalesce<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(c.values.iter().find(|v| !is_empty(v)).cloned().unwrap_or(Value::Nil))
}
pub fn default<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(c.rest(1).first().filter(|v| !is_empty(v)).unwrap_or(c.any(0)).clone())
}
pub fn ternary<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(c.any(usize::from(!matches!(c.any(2), Value::Bool(true)))).clone())
}
pub fn fail<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Err(c.text(0).to_owned())
}
pub fn copy<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    if c.any(0).is_nil() {
        return Err("there is nothing to copy: the argument is nil".into());
    }
    Ok(c.any(0).clone())
}
pub fn deep_equal<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.any(0).same(c.any(1))))
}

/// Go's word for the kind of a value.
pub fn kind(v: &Value) -> &'static str {
    match v {
        Value::Nil => "invalid",
        Value::Bytes(_) => "slice",
        Value::List(l) if l.holds() == crate::value::Holds::Pair => "array",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
        Value::Time(_) => "struct",
        Value::Duration(_) => "int64",
        Value::Function(_) => "func",
        Value::Object(o) => match **o {
            Object::Version(_) | Object::Zone(_) => "ptr",
            Object::Certificate { .. } => "struct",
            Object::Month(_) | Object::Weekday(_) => "int",
        },
        other => other.type_name(),
    }
}

pub fn kind_of<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(kind(c.any(0))))
}
pub fn kind_is<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(0) == kind(c.any(1))))
}
pub fn type_of<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(c.any(0).type_name()))
}
pub fn type_is<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(0) == c.any(1).type_name()))
}
pub fn type_is_like<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let name = c.any(1).type_name();
    Ok(Value::Bool(c.text(0) == name || format!("*{}", c.text(0)) == name))
}

pub fn must_from_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    parse(c.text(0), 0).map_err(|e| e.message.clone())
}
pub fn from_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(must_from_json(c).unwrap_or(Value::Nil))
}
pub fn must_to_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    c.any(0).to_json_text().map(Value::text)
}
pub fn to_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(c.any(0).to_json_text().unwrap_or_default()))
}
pub fn must_to_pretty_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    pretty(c.any(0)).map(Value::text)
}
pub fn to_pretty_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(pretty(c.any(0)).unwrap_or_default()))
}
/// JSON without the escapes that make it safe inside HTML.
pub fn to_raw_json<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let text = c.any(0).to_json_text()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(i) = rest.find('\\') {
        let (plain, escape) = rest.split_at(i);
        out.push_str(plain);
        let (raw, length) = match escape.get(1..6) {
            Some("u003c") => ("<", 6),
            Some("u003e") => (">", 6),
            Some("u0026") => ("&", 6),
            _ => (escape.get(..2).unwrap_or(escape), 2.min(escape.len())),
        };
        out.push_str(raw);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(Value::text(out))
}

/// What the original says when it is given nil for a list.
pub const NIL: &str = "runtime error: invalid memory address or nil pointer dereference";

/// The elements of a list, or the refusal that names the function and the kind.
pub fn elements<'a>(v: &Value<'a>, does: &str) -> Result<Vec<Value<'a>>, String> {
    match v {
        Value::List(l) => Ok(l.iter().collect()),
        Value::Nil => Err(NIL.into()),
        Value::Bytes(b) => Ok(b.iter().map(|b| Value::Byte(*b)).collect()),
        other => Err(format!("Cannot {does} {}", kind(other))),
    }
}

/// A value as the text functions print it.
pub fn text_of(v: &Value) -> String {
    match v {
        Value::Bytes(b) => String::from_utf8_lossy(b).into_owned(),
        other => format(other),
    }
}

/// A list of texts of whatever is given; nil elements are left out.
pub fn texts_of(v: &Value) -> Vec<String> {
    match v {
        Value::List(l) => l.iter().filter(|x| !x.is_nil()).map(|x| text_of(&x)).collect(),
        Value::Nil => Vec::new(),
        other => vec![text_of(other)],
    }
}
