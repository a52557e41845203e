//! The functions of the language.

mod collections;
mod dates;
mod numbers;
mod predicates;
mod strings;

pub use dates::method;
pub(crate) use numbers::{parse_float, parse_int};
pub use predicates::NO_ELEMENT;
pub(crate) use strings::{simple_lower, simple_upper, split};

use crate::Functions;
use crate::ast::Node;
use crate::error::Error;
use crate::eval::{Eval, Outcome};
use crate::time;
use crate::value::{Function, List, Object, Value, go_float};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One argument of a function that takes a predicate.
pub struct Argument {
    pub predicate: bool,
    pub optional: bool,
}

const VALUE: Argument = Argument { predicate: false, optional: false };
const OPTIONAL: Argument = Argument { predicate: false, optional: true };
const PREDICATE: Argument = Argument { predicate: true, optional: false };
const MAYBE_PREDICATE: Argument = Argument { predicate: true, optional: true };

const PREDICATES: [(&str, &[Argument]); 15] = [
    ("all", &[VALUE, PREDICATE]),
    ("none", &[VALUE, PREDICATE]),
    ("any", &[VALUE, PREDICATE]),
    ("one", &[VALUE, PREDICATE]),
    ("filter", &[VALUE, PREDICATE]),
    ("map", &[VALUE, PREDICATE]),
    ("count", &[VALUE, MAYBE_PREDICATE]),
    ("sum", &[VALUE, MAYBE_PREDICATE]),
    ("find", &[VALUE, PREDICATE]),
    ("findIndex", &[VALUE, PREDICATE]),
    ("findLast", &[VALUE, PREDICATE]),
    ("findLastIndex", &[VALUE, PREDICATE]),
    ("groupBy", &[VALUE, PREDICATE]),
    ("sortBy", &[VALUE, PREDICATE, OPTIONAL]),
    ("reduce", &[VALUE, PREDICATE, OPTIONAL]),
];

/// Name, and how many arguments it takes at least and at most.
const FUNCTIONS: [(&str, usize, usize); 56] = [
    ("len", 1, 1),
    ("type", 1, 1),
    ("abs", 1, 1),
    ("ceil", 1, 1),
    ("floor", 1, 1),
    ("round", 1, 1),
    ("int", 1, 1),
    ("float", 1, 1),
    ("string", 1, 1),
    ("trim", 1, 2),
    ("trimPrefix", 1, 2),
    ("trimSuffix", 1, 2),
    ("upper", 1, 1),
    ("lower", 1, 1),
    ("split", 2, 3),
    ("splitAfter", 2, 3),
    ("replace", 3, 4),
    ("repeat", 2, 2),
    ("join", 1, 2),
    ("indexOf", 2, 2),
    ("lastIndexOf", 2, 2),
    ("hasPrefix", 2, 2),
    ("hasSuffix", 2, 2),
    ("max", 1, usize::MAX),
    ("min", 1, usize::MAX),
    ("mean", 1, usize::MAX),
    ("median", 1, usize::MAX),
    ("toJSON", 1, 1),
    ("fromJSON", 1, 1),
    ("toBase64", 1, 1),
    ("fromBase64", 1, 1),
    ("now", 0, 1),
    ("duration", 1, 1),
    ("date", 1, 3),
    ("timezone", 1, 1),
    ("first", 1, 1),
    ("last", 1, 1),
    ("get", 2, 2),
    ("take", 2, 2),
    ("keys", 1, 1),
    ("values", 1, 1),
    ("toPairs", 1, 1),
    ("fromPairs", 1, 1),
    ("reverse", 1, 1),
    ("uniq", 1, 1),
    ("concat", 1, usize::MAX),
    ("flatten", 1, 1),
    ("sort", 1, 2),
    ("bitnot", 1, 1),
    ("bitand", 2, 2),
    ("bitor", 2, 2),
    ("bitxor", 2, 2),
    ("bitnand", 2, 2),
    ("bitshl", 2, 2),
    ("bitshr", 2, 2),
    ("bitushr", 2, 2),
];
/// What metadata expressions have beside them and `sprig`.
const METADATA: [(&str, &str); 4] = [
    ("asInt", "func(interface {}) interface {}"),
    ("asFloat", "func(interface {}) interface {}"),
    ("jsonpath", "func(string, string) interface {}"),
    ("toJson", "func(interface {}) string"),
];

pub fn predicate(name: &str) -> Option<&'static [Argument]> {
    PREDICATES.iter().find(|(n, _)| *n == name).map(|(_, a)| *a)
}
pub fn arity(name: &str) -> Option<(usize, usize)> {
    if METADATA.iter().any(|(n, _)| *n == name) {
        return Some(if name == "jsonpath" { (2, 2) } else { (1, 1) });
    }
    FUNCTIONS.iter().find(|(n, ..)| *n == name).map(|(_, min, max)| (*min, *max))
}
pub fn is_builtin(name: &str) -> bool {
    predicate(name).is_some() || FUNCTIONS.iter().any(|(n, ..)| *n == name)
}
pub fn is_metadata_function(name: &str) -> bool {
    METADATA.iter().any(|(n, _)| *n == name)
}
/// Every name that may be called.
pub fn names(functions: Functions) -> impl Iterator<Item = &'static str> {
    let more = METADATA.iter().map(|(n, _)| *n).chain(["sprig"]).filter(move |_| functions == Functions::Metadata);
    PREDICATES.iter().map(|(n, _)| *n).chain(FUNCTIONS.iter().map(|(n, ..)| *n)).chain(more)
}

/// A function that is named and not called.
pub fn function_value(name: &str, functions: Functions) -> Option<Function> {
    if let Some((name, ..)) = FUNCTIONS.iter().find(|(n, ..)| *n == name) {
        return Some(Function { name, signature: "", sprig: false });
    }
    METADATA.iter().find(|(n, _)| functions == Functions::Metadata && *n == name).map(|(name, signature)| Function {
        name,
        signature,
        sprig: false,
    })
}

/// `%v` of Go.
pub fn format(v: &Value) -> String {
    match v {
        Value::Nil => "<nil>".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) | Value::Int64(n) => n.to_string(),
        Value::Byte(b) => b.to_string(),
        Value::Float(f) => go_float(*f),
        Value::Text(s) => s.clone().into_owned(),
        Value::Bytes(b) => format!("[{}]", b.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")),
        Value::List(l) => format!("[{}]", l.iter().map(|v| format(&v)).collect::<Vec<_>>().join(" ")),
        Value::Map(m) => {
            let mut pairs: Vec<_> = m.iter().map(|(k, v)| (k.into_owned(), format(&v))).collect();
            pairs.sort();
            format!("map[{}]", pairs.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(" "))
        }
        Value::Time(t) => time::shown(t),
        Value::Duration(d) => time::show_duration(*d),
        Value::Function(f) => f.name.into(),
        Value::Object(o) => match &**o {
            Object::Month(_) | Object::Weekday(_) | Object::Zone(_) => dates::object_text(o),
            Object::Version(v) => v.to_string(),
            Object::Certificate { cert, key } => format!("{{{cert} {key}}}"),
        },
    }
}

fn list<'a>(v: &Value<'a>, name: &str, at: usize) -> Result<List<'a>, Error> {
    match v {
        Value::List(l) => Ok(l.clone()),
        other => Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    }
}

pub fn call<'a>(e: &mut Eval<'_, 'a>, name: &str, arguments: &'a [Node], at: usize) -> Outcome<'a> {
    if predicate(name).is_some() {
        return predicates::call(e, name, arguments, at);
    }
    let values = arguments.iter().map(|a| e.node(a)).collect::<Result<Vec<_>, _>>()?;
    if !matches!(name, "len" | "first" | "last" | "get" | "type" | "keys") {
        e.pass_through(&values, at)?;
    }
    let out = plain(e, name, &values, at)?;
    // What these make was counted before it was made.
    if let Value::Text(s) = &out
        && !matches!(name, "join" | "replace" | "repeat")
    {
        e.produce(s.len(), at)?;
    }
    Ok(out)
}

/// Calls a function that an expression has as a value.
pub fn call_value<'a>(e: &mut Eval<'_, 'a>, f: Function, arguments: &'a [Node], at: usize) -> Outcome<'a> {
    if !f.sprig {
        return call(e, f.name, arguments, at);
    }
    let values = arguments.iter().map(|a| e.node(a)).collect::<Result<Vec<_>, _>>()?;
    let Some(function) = crate::sprig::function(f.name) else {
        return Err(Error::run(at, format!("unknown function sprig.{}", f.name)));
    };
    e.spend(function.steps(), at)?;
    e.pass_through(&values, at)?;
    let out = function.call(&values, e.room()).map_err(|m| Error::run(at, m))?;
    e.produce(crate::sprig::weight(&out), at)?;
    Ok(out)
}

fn text<'v>(v: &'v Value, name: &str, at: usize) -> Result<&'v str, Error> {
    match v {
        Value::Text(s) => Ok(s),
        other => Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    }
}

fn plain<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    let wrong = || {
        Err(Error::run(
            at,
            format!("invalid argument for {name} (type {})", v.first().map_or("none", Value::type_name)),
        ))
    };
    if let Some((min, max)) = arity(name)
        && !(min..=max).contains(&v.len())
    {
        return Err(Error::compile(at, format!("invalid number of arguments (expected {min}, got {})", v.len())));
    }
    let out = match name {
        "len" => match &v[0] {
            Value::Text(s) => Value::Int(s.chars().count() as i64),
            Value::List(l) => Value::Int(l.len() as i64),
            Value::Map(m) => Value::Int(m.len() as i64),
            Value::Bytes(b) => Value::Int(b.len() as i64),
            _ => return wrong(),
        },
        "type" => Value::text(match &v[0] {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::Int64(_) => "int",
            Value::Byte(_) => "uint",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::Bytes(_) | Value::List(_) => "array",
            Value::Map(_) => "map",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Function(_) => "func",
            Value::Object(o) => match **o {
                Object::Version(_) => "github.com/Masterminds/semver/v3.Version",
                Object::Certificate { .. } => "github.com/Masterminds/sprig/v3.certificate",
                Object::Zone(_) => "time.Location",
                _ => v[0].type_name(),
            },
        }),
        "abs" | "ceil" | "floor" | "round" | "int" | "float" | "asInt" | "asFloat" => {
            return numbers::numeric(name, &v[0], at);
        }
        "string" => Value::text(format(&v[0])),
        "trim" | "trimPrefix" | "trimSuffix" | "upper" | "lower" | "split" | "splitAfter" | "replace" | "repeat"
        | "join" | "indexOf" | "lastIndexOf" | "hasPrefix" | "hasSuffix" => {
            return strings::call(e, name, v, at);
        }
        "max" | "min" | "mean" | "median" => return collections::statistics(name, v, at),
        "toJSON" => Value::text(crate::json::pretty(&v[0]).map_err(|m| Error::run(at, m))?),
        "toJson" => Value::text(v[0].to_json_text().map_err(|m| Error::run(at, m))?),
        "fromJSON" => crate::json::from_json(text(&v[0], name, at)?, at)?,
        "jsonpath" => {
            crate::jsonpath::find(text(&v[0], name, at)?, text(&v[1], name, at)?).map_err(|m| Error::run(at, m))?
        }
        "toBase64" => Value::text(match &v[0] {
            Value::Bytes(b) => STANDARD.encode(&**b),
            other => STANDARD.encode(text(other, name, at)?),
        }),
        "fromBase64" => {
            let raw = crate::encoding::base64(text(&v[0], name, at)?)
                .map_err(|i| Error::run(at, format!("illegal base64 data at input byte {i}")))?;
            Value::text(String::from_utf8_lossy(&raw))
        }
        "now" => Value::time(time::now()),
        "duration" => Value::Duration(match &v[0] {
            Value::Duration(d) => *d,
            other => time::parse_duration(text(other, name, at)?).map_err(|m| Error::run(at, m))?,
        }),
        "date" => return dates::date(v, at),
        "timezone" => {
            let name = text(&v[0], name, at)?;
            Value::object(Object::Zone(time::zone(name).map_err(|m| Error::run(at, m))?))
        }
        "first" | "last" | "get" | "take" | "keys" | "values" | "toPairs" | "fromPairs" | "reverse" | "uniq"
        | "concat" | "flatten" | "sort" => return collections::call(e, name, v, at),
        _ if name.starts_with("bit") => return numbers::bits(name, v, at),
        _ => return wrong(),
    };
    Ok(out)
}
