//! The types that the check knows, and the kinds of variables.

use crate::value::Value;
use crate::variables::Variables;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Unknown,
    Nil,
    Bool,
    Int,
    Float,
    Text,
    List(Element),
    Map,
    Time,
    Duration,
    /// The map of functions by name.
    Functions,
    /// A map whose keys may be anything.
    Keyed,
    Other,
}

/// What a list holds, where that is known: of lists that the expression itself makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Any,
    Bool,
    Int,
    Float,
    Text,
    /// Text, in a list whose Go type says so: what `split` gives.
    Strings,
    List,
    Map,
}

impl Element {
    pub fn of(t: Type) -> Self {
        match t {
            Type::Bool => Element::Bool,
            Type::Int => Element::Int,
            Type::Float => Element::Float,
            Type::Text => Element::Text,
            Type::List(_) => Element::List,
            Type::Map => Element::Map,
            _ => Element::Any,
        }
    }
    pub fn kind(self) -> Type {
        match self {
            Element::Any => Type::Unknown,
            Element::Bool => Type::Bool,
            Element::Int => Type::Int,
            Element::Float => Type::Float,
            Element::Text | Element::Strings => Type::Text,
            Element::List => Type::List(Element::Any),
            Element::Map => Type::Map,
        }
    }
}

/// A list whose elements may be anything.
pub const LIST: Type = Type::List(Element::Any);

impl Type {
    /// What a list of this type holds.
    pub fn element(self) -> Type {
        if let Type::List(e) = self { e.kind() } else { Type::Unknown }
    }
    /// This type, if it is a list's; else that of any list.
    pub fn or_list(self) -> Type {
        if matches!(self, Type::List(_)) { self } else { LIST }
    }
    pub fn of(v: &Value) -> Self {
        match v {
            Value::Nil => Type::Nil,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) | Value::Int64(_) | Value::Byte(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::List(_) => LIST,
            Value::Map(crate::value::Dict::Keyed(..)) => Type::Keyed,
            Value::Map(_) => Type::Map,
            Value::Time(_) => Type::Time,
            Value::Duration(_) => Type::Duration,
            _ => Type::Other,
        }
    }
    pub fn shown(self) -> &'static str {
        match self {
            Type::Unknown => "unknown",
            Type::Nil => "nil",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float64",
            Type::Text => "string",
            Type::List(_) => "[]interface {}",
            Type::Map | Type::Functions => "map[string]interface {}",
            Type::Keyed => "map[interface {}]interface {}",
            Type::Time => "time.Time",
            Type::Duration => "time.Duration",
            Type::Other => "func",
        }
    }
    pub fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Float | Type::Unknown)
    }
    pub fn is(self, want: Type) -> bool {
        self == want || self == Type::Unknown || want == Type::Unknown
    }
}

/// The kinds of variables, by name.
#[derive(Debug, Clone, Default)]
pub struct Kinds(Vec<(String, Type)>);

impl Kinds {
    pub(crate) fn of(variables: &Variables) -> Self {
        Self(variables.iter().map(|(name, v)| (name.to_owned(), Type::of(v))).collect())
    }
    /// A variable that is a text.
    #[must_use]
    pub fn text(mut self, name: &str) -> Self {
        self.0.push((name.to_owned(), Type::Text));
        self
    }
    /// A variable that is a map of anything.
    #[must_use]
    pub fn map(mut self, name: &str) -> Self {
        self.0.push((name.to_owned(), Type::Map));
        self
    }
    /// A variable of which nothing is known.
    #[must_use]
    pub fn unknown(mut self, name: &str) -> Self {
        self.0.push((name.to_owned(), Type::Unknown));
        self
    }
    pub(crate) fn get(&self, name: &str) -> Option<Type> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, t)| *t)
    }
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(n, _)| n.as_str())
    }
}

/// A number for the kind of a value: values of one number are checked alike.
pub fn kind_number(v: &Value) -> u64 {
    match Type::of(v) {
        Type::Unknown => 0,
        Type::Nil => 1,
        Type::Bool => 2,
        Type::Int => 3,
        Type::Float => 4,
        Type::Text => 5,
        Type::List(_) => 6,
        Type::Map => 7,
        Type::Time => 8,
        Type::Duration => 9,
        Type::Functions => 10,
        Type::Keyed => 11,
        Type::Other => 12,
    }
}
