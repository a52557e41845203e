//! Values: borrowed from the variables where possible, owned where computed.


use serde_json::{Map, Number};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value of the language.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Rc<Vec<u8>>),
    List(List<'a>),
    Map(Dict<'a>),
    Time(jiff::Zoned),
    /// Nanoseconds.
    Duration(i64),
    /// A function that was named but not called.
    Function(&'static str),
}

#[derive(Debug, Clone)]
pub enum List<'a> {
    Json(&'a Vec<serde_json::Value>),
    Own(Rc<Vec<Value<'a>>>),
}

#[derive(Debug, Clone)]
pub enum Dict<'a> {
    Json(&'a Map<String, serde_json::Value>),
    Own(Rc<BTreeMap<String, Value<'a>>>),
}

impl<'a> Value<'a> {
    pub fn json(v: &'a serde_json::Value) -> Self {
        match v {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            // Numbers of JSON are floating point, as in the original.
            serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Value::Text(Cow::Borrowed(s)),
            serde_json::Value::Array(l) => Value::List(List::Json(l)),
            serde_json::Value::Object(m) => Value::Map(Dict::Json(m)),
        }
    }
    pub fn text(s: impl Into<String>) -> Self {
        Value::Text(Cow::Owned(s.into()))
    }
    pub fn list(l: Vec<Value<'a>>) -> Self {
        Value::List(List::Own(Rc::new(l)))
    }
    pub fn map(m: BTreeMap<String, Value<'a>>) -> Self {
        Value::Map(Dict::Own(Rc::new(m)))
    }
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// The name of the type in the original's error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Function(_) => "func",
        }
    }

    /// The value as JSON; what JSON cannot say is an error.
    pub fn to_json(&self) -> Result<serde_json::Value, String> {
        Ok(match self {
            Value::Nil => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) | Value::Duration(n) => (*n).into(),
            Value::Float(f) => match Number::from_f64(*f) {
                Some(n) => n.into(),
                None => return Err(format!("json: unsupported value: {}", go_float(*f))),
            },
            Value::Text(s) => s.clone().into_owned().into(),
            Value::Bytes(b) => {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD.encode(&**b).into()
            }
            Value::List(l) => l.iter().map(|v| v.to_json()).collect::<Result<Vec<_>, _>>()?.into(),
            Value::Map(m) => m.iter().map(|(k, v)| Ok((k.to_owned(), v.to_json()?))).collect::<Result<Map<_, _>, String>>()?.into(),
            Value::Time(t) => crate::time::rfc3339(t).into(),
            Value::Function(_) => return Err("json: unsupported type: func".into()),
        })
    }

    /// JSON text as Go writes it: keys sorted, `<`, `>` and `&` escaped, floats without a needless point.
    pub fn to_json_text(&self) -> Result<String, String> {
        let mut out = String::new();
        self.write_json(&mut out)?;
        Ok(out)
    }

    pub(crate) fn write_json(&self, out: &mut String) -> Result<(), String> {
        match self {
            Value::Nil => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) | Value::Duration(n) => out.push_str(&n.to_string()),
            Value::Float(f) if f.is_finite() => out.push_str(&go_json_float(*f)),
            Value::Float(f) => return Err(format!("json: unsupported value: {}", go_float(*f))),
            Value::Text(s) => write_json_string(s, out),
            Value::List(l) => {
                out.push('[');
                for (i, v) in l.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    v.write_json(out)?;
                }
                out.push(']');
            }
            Value::Map(m) => {
                out.push('{');
                let mut pairs: Vec<_> = m.iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(b.0));
                for (i, (k, v)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_json_string(k, out);
                    out.push(':');
                    v.write_json(out)?;
                }
                out.push('}');
            }
            other => out.push_str(&other.to_json()?.to_string()),
        }
        Ok(())
    }
}

pub(crate) fn write_json_string(s: &str, out: &mut String) {
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
pub fn go_json_float(f: f64) -> String {
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

/// A float as Go's `%v` writes it.
pub fn go_float(f: f64) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if f == 0.0 {
        return if f.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let exponent = f.abs().log10().floor() as i32;
    let text = format!("{f:e}");
    let exact: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(exponent);
    if !(-4..21).contains(&exact) {
        let (mantissa, e) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = e.strip_prefix('-').map_or(('+', e), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{f}")
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(l) => l.len(),
            List::Own(l) => l.len(),
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn get(&self, i: usize) -> Option<Value<'a>> {
        match self {
            List::Json(l) => l.get(i).map(Value::json),
            List::Own(l) => l.get(i).cloned(),
        }
    }
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + '_ {
        (0..self.len()).map(|i| self.get(i).unwrap_or(Value::Nil))
    }
}

impl<'a> Dict<'a> {
    pub fn len(&self) -> usize {
        match self {
            Dict::Json(m) => m.len(),
            Dict::Own(m) => m.len(),
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Dict::Json(m) => m.get(key).map(Value::json),
            Dict::Own(m) => m.get(key).cloned(),
        }
    }
    pub fn iter(&self) -> Box<dyn Iterator<Item = (&str, Value<'a>)> + '_> {
        match self {
            Dict::Json(m) => Box::new(m.iter().map(|(k, v)| (k.as_str(), Value::json(v)))),
            Dict::Own(m) => Box::new(m.iter().map(|(k, v)| (k.as_str(), v.clone()))),
        }
    }
}

impl PartialEq for Value<'_> {
    /// Equality of the language: numbers by value, lists by element.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x == y),
            (Value::Map(a), Value::Map(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| v.same(&w))),
            (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp(),
            _ => false,
        }
    }
}

impl Value<'_> {
    /// Deep equality, where an integer is never a float: how members of maps are compared.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Int(_), Value::Float(_)) | (Value::Float(_), Value::Int(_)) => false,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x.same(&y)),
            _ => self == other,
        }
    }
}

/// The variables of an evaluation, by name.
#[derive(Debug, Clone, Default)]
pub struct Variables<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Variables<'a> {
    pub fn new() -> Self {
        Self::default()
    }
    #[must_use]
    pub fn with(mut self, name: &'a str, v: &'a serde_json::Value) -> Self {
        self.entries.push((name, Value::json(v)));
        self
    }
    #[must_use]
    pub fn with_text(mut self, name: &'a str, v: &'a str) -> Self {
        self.entries.push((name, Value::Text(Cow::Borrowed(v))));
        self
    }
    #[must_use]
    pub fn with_value(mut self, name: &'a str, v: Value<'a>) -> Self {
        self.entries.push((name, v));
        self
    }
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(n, _)| *n)
    }
    /// All of them as one map: `$env`.
    pub fn as_map(&self) -> Value<'a> {
        Value::map(self.entries.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect())
    }
}

