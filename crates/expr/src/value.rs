//! Values: borrowed from the variables where possible, owned where computed.

use serde_json::{Map, Number};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value of the language.
///
/// Integers are told apart as Go has them: what the language computes is `Int`, what some functions give is `Int64`, and
/// a position of a text is a `Byte`. Arithmetic makes an `Int` of all three.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// Nothing: `nil`, JSON's `null`, a missing member.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// Go's `int64`.
    Int64(i64),
    /// Go's `uint8`.
    Byte(u8),
    /// Go's `float64`.
    Float(f64),
    /// Go's `string`, which here is UTF-8.
    Text(Text<'a>),
    /// `b"…"`.
    Bytes(Rc<Vec<u8>>),
    /// A list of any kind.
    List(List<'a>),
    /// A map of any kind.
    Map(Dict<'a>),
    /// A time with its zone.
    Time(Box<jiff::Zoned>),
    /// Nanoseconds.
    Duration(i64),
    /// A function that was named but not called.
    Function(Box<Function>),
    /// What only functions of the metadata environment make.
    Object(Rc<Object>),
}

/// A text: the event's own, or one that was made and is shared by all that have it.
#[derive(Debug, Clone)]
pub enum Text<'a> {
    /// A part of the event, or of the expression.
    Borrowed(&'a str),
    /// One that the evaluation made.
    Shared(Rc<str>),
}

impl Text<'_> {
    /// A copy of its own.
    pub fn into_owned(self) -> String {
        String::from(&*self)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(s) => s,
            Text::Shared(s) => s,
        }
    }
}

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// A function as a value: it can be named, compared with nil and called, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Without `sprig.`.
    pub name: &'static str,
    /// As Go writes it; empty for the language's own.
    pub signature: &'static str,
    /// Whether it is a member of `sprig`.
    pub(crate) sprig: bool,
}

/// Values with fields of their own.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// From January as 1 on.
    Month(i8),
    /// From Sunday on.
    Weekday(i8),
    /// A zone of the time zone database.
    Zone(jiff::tz::TimeZone),
    /// What `sprig.semver` gives.
    Version(crate::sprig::Version),
    /// What `sprig.genCA` and the like give.
    Certificate {
        /// PEM.
        cert: String,
        /// PEM, of the private key.
        key: String,
    },
}

/// What a list or a map is known to hold, as far as its Go type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Holds {
    /// Anything.
    #[default]
    Any,
    /// Texts.
    Text,
    /// Integers.
    Int,
    /// Lists of anything.
    Lists,
    /// Pairs: lists of two.
    Pairs,
    /// A pair itself: a list of two.
    Pair,
}

/// A list: the event's own, or one that was made.
#[derive(Debug, Clone)]
pub enum List<'a> {
    /// An array of the event.
    Json(&'a Vec<serde_json::Value>),
    /// One that the evaluation made.
    Own(Deep<Vec<Value<'a>>>, Holds),
    /// A list that was never made: it has no elements, equals nil, and is `null` in JSON.
    Nil(Holds),
}

/// A map: the event's own, or one that was made.
#[derive(Debug, Clone)]
pub enum Dict<'a> {
    /// An object of the event.
    Json(&'a Map<String, serde_json::Value>),
    /// One that the evaluation made, in the order of its keys.
    Own(Deep<BTreeMap<String, Value<'a>>>, Holds),
    /// Keys of any type: what `groupBy` and `fromPairs` make.
    Keyed(Deep<Vec<(Value<'a>, Value<'a>)>>, Holds),
}

/// A shared list or map that knows how deep it goes: whoever walks it, and whoever drops it, needs stack for that.
#[derive(Debug)]
pub struct Deep<T>(Rc<(u32, T)>);

/// What JSON's parser lets through.
const JSON_DEPTH: u32 = 128;

impl<T> Deep<T> {
    /// `inner`: the depth of the deepest member.
    fn new(inner: Option<u32>, value: T) -> Self {
        Self(Rc::new((1 + inner.unwrap_or(0), value)))
    }
    fn depth(&self) -> u32 {
        self.0.0
    }
}

impl<T> Clone for Deep<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> std::ops::Deref for Deep<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<'a> Value<'a> {
    /// Borrows a value of JSON; numbers become floats, as in the original.
    pub fn json(v: &'a serde_json::Value) -> Self {
        match v {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            // Numbers of JSON are floating point, as in the original.
            serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Value::Text(Text::Borrowed(s)),
            serde_json::Value::Array(l) => Value::List(List::Json(l)),
            serde_json::Value::Object(m) => Value::Map(Dict::Json(m)),
        }
    }
    /// A text.
    pub fn text(s: impl Into<String>) -> Self {
        Value::Text(Text::Shared(Rc::from(s.into())))
    }
    /// A list of anything.
    pub fn list(l: Vec<Value<'a>>) -> Self {
        Self::list_of(Holds::Any, l)
    }
    /// A list of a known kind.
    pub fn list_of(holds: Holds, l: Vec<Value<'a>>) -> Self {
        Value::List(List::Own(Deep::new(l.iter().map(Value::depth).max(), l), holds))
    }
    /// A list of texts.
    pub fn texts(l: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::list_of(Holds::Text, l.into_iter().map(Value::text).collect())
    }
    /// A map with texts as keys.
    pub fn map(m: BTreeMap<String, Value<'a>>) -> Self {
        Self::map_of(Holds::Any, m)
    }
    /// A map with texts as keys, of a known kind.
    pub fn map_of(holds: Holds, m: BTreeMap<String, Value<'a>>) -> Self {
        Value::Map(Dict::Own(Deep::new(m.values().map(Value::depth).max(), m), holds))
    }
    pub(crate) fn keyed(holds: Holds, m: Vec<(Value<'a>, Value<'a>)>) -> Self {
        Value::Map(Dict::Keyed(Deep::new(m.iter().map(|(_, v)| v.depth()).max(), m), holds))
    }
    /// Levels of lists and maps from here down.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Value::List(List::Own(l, _)) => l.depth(),
            Value::Map(Dict::Own(m, _)) => m.depth(),
            Value::Map(Dict::Keyed(m, _)) => m.depth(),
            Value::List(List::Json(_)) | Value::Map(Dict::Json(_)) => JSON_DEPTH,
            _ => 0,
        }
    }
    /// Whether it equals `nil`.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil | Value::List(List::Nil(_)))
    }
    /// A number of any kind, as a float.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Float(f) => Some(*f),
            other => other.as_int().map(|n| n as f64),
        }
    }
    /// A time.
    pub fn time(t: jiff::Zoned) -> Self {
        Value::Time(Box::new(t))
    }
    pub(crate) fn function(f: Function) -> Self {
        Value::Function(Box::new(f))
    }
    pub(crate) fn object(o: Object) -> Self {
        Value::Object(Rc::new(o))
    }
    pub(crate) fn nil_list(holds: Holds) -> Self {
        Value::List(List::Nil(holds))
    }
    /// A number without a fraction, whatever its width.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) | Value::Int64(n) => Some(*n),
            Value::Byte(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// The name of the type in the original's error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Byte(_) => "uint8",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::List(l) => match l.holds() {
                Holds::Any => "[]interface {}",
                Holds::Text => "[]string",
                Holds::Int => "[]int",
                Holds::Lists => "[][]interface {}",
                Holds::Pairs => "[][2]interface {}",
                Holds::Pair => "[2]interface {}",
            },
            Value::Map(Dict::Keyed(_, Holds::Lists)) => "map[interface {}][]interface {}",
            Value::Map(Dict::Keyed(..)) => "map[interface {}]interface {}",
            Value::Map(Dict::Own(_, Holds::Text)) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Function(f) if f.signature.is_empty() => "func",
            Value::Function(f) => f.signature,
            Value::Object(o) => match **o {
                Object::Month(_) => "time.Month",
                Object::Weekday(_) => "time.Weekday",
                Object::Zone(_) => "*time.Location",
                Object::Version(_) => "*semver.Version",
                Object::Certificate { .. } => "sprig.certificate",
            },
        }
    }

    /// The value as JSON; what JSON cannot say is an error.
    pub fn to_json(&self) -> Result<serde_json::Value, String> {
        Ok(match self {
            Value::Nil => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) | Value::Int64(n) | Value::Duration(n) => (*n).into(),
            Value::Byte(b) => (*b).into(),
            Value::Float(f) => match Number::from_f64(*f) {
                Some(n) => n.into(),
                None => return Err(format!("json: unsupported value: {}", go_float(*f))),
            },
            Value::Text(s) => s.clone().into_owned().into(),
            Value::Bytes(b) => {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD.encode(&**b).into()
            }
            Value::List(List::Nil(_)) => serde_json::Value::Null,
            Value::List(l) => l.iter().map(|v| v.to_json()).collect::<Result<Vec<_>, _>>()?.into(),
            Value::Map(Dict::Keyed(..)) | Value::Function(_) => {
                return Err(format!("json: unsupported type: {}", self.type_name()));
            }
            Value::Map(m) => {
                m.iter().map(|(k, v)| Ok((k.into_owned(), v.to_json()?))).collect::<Result<Map<_, _>, String>>()?.into()
            }
            Value::Time(t) => crate::time::rfc3339(t).into(),
            Value::Object(o) => match &**o {
                Object::Month(n) | Object::Weekday(n) => (*n).into(),
                Object::Zone(_) => serde_json::json!({}),
                Object::Version(v) => v.to_string().into(),
                Object::Certificate { cert, key } => serde_json::json!({"Cert": cert, "Key": key}),
            },
        })
    }

    /// As Go's `%v` prints it.
    pub fn shown(&self) -> String {
        crate::builtins::format(self)
    }

    /// JSON text as Go writes it: keys sorted, `<`, `>` and `&` escaped, floats without a needless point.
    pub fn to_json_text(&self) -> Result<String, String> {
        crate::json::compact(self)
    }
}

/// A float without its fraction as amd64 converts it: what does not fit is the smallest integer.
pub fn whole(f: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f) { f as i64 } else { i64::MIN }
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
    let text = format!("{f:e}");
    let (mantissa, e) = text.split_once('e').unwrap_or((&text, "0"));
    // A million is `1e+06`, as every user of Go has met once.
    if !(-4..6).contains(&e.parse().unwrap_or(0)) {
        let (sign, digits) = e.strip_prefix('-').map_or(('+', e), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{f}")
}

impl<'a> List<'a> {
    /// What its type says that it holds.
    pub fn holds(&self) -> Holds {
        match self {
            List::Json(_) => Holds::Any,
            List::Own(_, holds) | List::Nil(holds) => *holds,
        }
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            List::Json(l) => l.len(),
            List::Own(l, _) => l.len(),
            List::Nil(_) => 0,
        }
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The element at a place.
    pub fn get(&self, i: usize) -> Option<Value<'a>> {
        match self {
            List::Json(l) => l.get(i).map(Value::json),
            List::Own(l, _) => l.get(i).cloned(),
            List::Nil(_) => None,
        }
    }
    /// Its elements.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> + '_ {
        (0..self.len()).map(|i| self.get(i).unwrap_or(Value::Nil))
    }
}

impl<'a> Dict<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Dict::Json(m) => m.len(),
            Dict::Own(m, _) => m.len(),
            Dict::Keyed(m, _) => m.len(),
        }
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The member under a text.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Dict::Json(m) => m.get(key).map(Value::json),
            Dict::Own(m, _) => m.get(key).cloned(),
            Dict::Keyed(m, _) => {
                m.iter().find(|(k, _)| matches!(k, Value::Text(t) if **t == *key)).map(|(_, v)| v.clone())
            }
        }
    }
    /// The member under a key of any type; types have to agree.
    pub fn at(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (_, Value::Text(k)) => self.get(k),
            (Dict::Keyed(m, _), key) => m.iter().find(|(k, _)| k.same(key)).map(|(_, v)| v.clone()),
            _ => None,
        }
    }
    /// Members under their keys as texts.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Cow<'_, str>, Value<'a>)> + '_> {
        match self {
            Dict::Json(m) => Box::new(m.iter().map(|(k, v)| (Cow::Borrowed(k.as_str()), Value::json(v)))),
            Dict::Own(m, _) => Box::new(m.iter().map(|(k, v)| (Cow::Borrowed(k.as_str()), v.clone()))),
            Dict::Keyed(m, _) => Box::new(m.iter().map(|(k, v)| (Cow::Owned(crate::builtins::format(k)), v.clone()))),
        }
    }
    /// Members under their keys as they are.
    pub fn pairs(&self) -> Vec<(Value<'a>, Value<'a>)> {
        match self {
            Dict::Json(m) => m.iter().map(|(k, v)| (Value::Text(Text::Borrowed(k)), Value::json(v))).collect(),
            Dict::Own(m, _) => m.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            Dict::Keyed(m, _) => m.to_vec(),
        }
    }
}

impl PartialEq for Value<'_> {
    /// Equality of the language: numbers by value, lists by element.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a == b,
            _ if self.is_nil() || other.is_nil() => self.is_nil() && other.is_nil(),
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(x, y)| x == y),
            (Value::Map(a), Value::Map(b)) => a.same(b),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => a == b,
                (Some(a), None) => matches!(other, Value::Float(b) if a as f64 == *b),
                (None, Some(b)) => matches!(self, Value::Float(a) if *a == b as f64),
                (None, None) => self.same(other),
            },
        }
    }
}

impl<'a> Value<'a> {
    /// Deep equality, where types have to agree too: how members of maps are compared.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b))
            | (Value::Int64(a), Value::Int64(b))
            | (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::Byte(a), Value::Byte(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.holds() == b.holds()
                    && self.is_nil() == other.is_nil()
                    && a.len() == b.len()
                    && a.iter().zip(b.iter()).all(|(x, y)| x.same(&y))
            }
            (Value::Map(a), Value::Map(b)) => self.type_name() == other.type_name() && a.same(b),
            (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp(),
            (Value::Object(a), Value::Object(b)) => a == b,
            _ => false,
        }
    }
}

impl<'a> Dict<'a> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && match self {
                Dict::Keyed(m, _) => m.iter().all(|(k, v)| other.at(k).is_some_and(|w| v.same(&w))),
                _ => self.iter().all(|(k, v)| other.get(&k).is_some_and(|w| v.same(&w))),
            }
    }
}

/// What it takes to go through a value, in parts of it; 64 bytes of a text are one.
pub(crate) fn size(v: &Value) -> u64 {
    match v {
        Value::Text(s) => 1 + s.len() as u64 / 64,
        Value::Bytes(b) => 1 + b.len() as u64 / 64,
        Value::List(List::Json(l)) => 1 + l.iter().map(json_size).sum::<u64>(),
        Value::List(List::Own(l, _)) => 1 + l.iter().map(size).sum::<u64>(),
        Value::Map(Dict::Json(m)) => 1 + m.values().map(json_size).sum::<u64>(),
        Value::Map(Dict::Own(m, _)) => 1 + m.iter().map(|(k, x)| 1 + k.len() as u64 / 64 + size(x)).sum::<u64>(),
        Value::Map(Dict::Keyed(m, _)) => 1 + m.iter().map(|(k, x)| size(k) + size(x)).sum::<u64>(),
        _ => 1,
    }
}

fn json_size(v: &serde_json::Value) -> u64 {
    match v {
        serde_json::Value::String(s) => 1 + s.len() as u64 / 64,
        serde_json::Value::Array(l) => 1 + l.iter().map(json_size).sum::<u64>(),
        serde_json::Value::Object(m) => 1 + m.values().map(json_size).sum::<u64>(),
        _ => 1,
    }
}

/// Places of values in a list by what they equal, so that equal ones are found without comparing all.
#[derive(Default)]
pub(crate) struct Classes(std::collections::HashMap<String, Vec<usize>>);

impl Classes {
    /// The places of those that may equal a value; the caller compares, and enters a new one's place.
    pub fn of(&mut self, v: &Value) -> &mut Vec<usize> {
        let name = match v.as_number() {
            Some(f) => format!("n{}", (f + 0.0).to_bits()),
            None => format!("{}{}", v.type_name(), v.shown()),
        };
        self.0.entry(name).or_default()
    }
}
