//! Places of the event, looked at where they are: comparing them with constants copies nothing.

use crate::ast::{Kind, Node, Op};
use crate::eval::Eval;
use crate::value::{Dict, Text, Value};

impl<'a> Eval<'_, 'a> {
    /// The place that a path leads to, if it does so over the event's own maps.
    #[inline]
    pub fn place(&self, n: &Node) -> Option<Place<'a>> {
        match &n.kind {
            Kind::Name(name) if self.names.is_empty() => match self.variables.get(name)? {
                Value::Map(Dict::Json(m)) => Some(Place::Map(m)),
                Value::Text(Text::Borrowed(s)) => Some(Place::Text(s)),
                _ => None,
            },
            Kind::Member { of, property, optional: false } => {
                let Kind::Text(key) = &property.kind else { return None };
                match self.place(of)? {
                    Place::Map(m) | Place::Json(serde_json::Value::Object(m)) => {
                        Some(m.get(key).map_or(Place::Missing, Place::Json))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A place of the event, looked at without taking it out.
pub enum Place<'a> {
    Json(&'a serde_json::Value),
    Map(&'a serde_json::Map<String, serde_json::Value>),
    Text(&'a str),
    Missing,
}

impl<'a> Place<'a> {
    #[inline]
    pub fn value(&self) -> Value<'a> {
        match self {
            Place::Json(v) => Value::json(v),
            Place::Map(m) => Value::Map(Dict::Json(m)),
            Place::Text(s) => Value::Text(Text::Borrowed(s)),
            Place::Missing => Value::Nil,
        }
    }
    #[inline]
    pub fn equals(&self, n: &Node) -> bool {
        match self {
            Place::Json(v) => json_equals(v, n),
            Place::Text(s) => matches!(&n.kind, Kind::Text(t) if t == s),
            Place::Missing => matches!(n.kind, Kind::Nil),
            Place::Map(_) => false,
        }
    }
}

/// What an operator says of a constant, given what is equal; none if it is not for these.
#[inline]
pub fn compare(op: Op, constant: &Node, equal: impl Fn(&Node) -> bool) -> Option<bool> {
    match (op, &constant.kind) {
        (Op::In, Kind::List(items)) => Some(items.iter().any(equal)),
        (Op::Equal, _) => Some(equal(constant)),
        (Op::Differ, _) => Some(!equal(constant)),
        _ => None,
    }
}

#[inline]
fn json_equals(v: &serde_json::Value, n: &Node) -> bool {
    use serde_json::Value as Json;
    match (v, &n.kind) {
        (Json::Null, Kind::Nil) => true,
        (Json::Bool(a), Kind::Bool(b)) => a == b,
        (Json::String(a), Kind::Text(b)) => a == b,
        (Json::Number(a), Kind::Int(b)) => a.as_f64() == Some(*b as f64),
        (Json::Number(a), Kind::Float(b)) => a.as_f64() == Some(*b),
        (Json::Array(a), Kind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(v, n)| json_equals(v, n)),
        _ => false,
    }
}

/// Compares a value with a constant.
pub fn equals(v: &Value, n: &Node) -> bool {
    match (&n.kind, v) {
        (Kind::Nil, v) => v.is_nil(),
        (Kind::Bool(b), Value::Bool(x)) => b == x,
        (Kind::Int(i), v) => *v == Value::Int(*i),
        (Kind::Float(f), v) => *v == Value::Float(*f),
        (Kind::Text(s), Value::Text(x)) => **s == **x,
        (Kind::List(items), Value::List(l)) => {
            !v.is_nil() && items.len() == l.len() && items.iter().zip(l.iter()).all(|(i, x)| equals(&x, i))
        }
        _ => false,
    }
}
