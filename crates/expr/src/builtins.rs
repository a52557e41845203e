//! The functions of the language.

use crate::Functions;
use crate::ast::{Node, Op};
use crate::error::Error;
use crate::eval::{Eval, Outcome, integer, interface};
use crate::time;
use crate::value::{Dict, List, Value, go_float};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::rc::Rc;

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
    ("all", &[VALUE, PREDICATE]), ("none", &[VALUE, PREDICATE]), ("any", &[VALUE, PREDICATE]), ("one", &[VALUE, PREDICATE]), ("filter", &[VALUE, PREDICATE]),
    ("map", &[VALUE, PREDICATE]), ("count", &[VALUE, MAYBE_PREDICATE]), ("sum", &[VALUE, MAYBE_PREDICATE]), ("find", &[VALUE, PREDICATE]),
    ("findIndex", &[VALUE, PREDICATE]), ("findLast", &[VALUE, PREDICATE]), ("findLastIndex", &[VALUE, PREDICATE]), ("groupBy", &[VALUE, PREDICATE]),
    ("sortBy", &[VALUE, PREDICATE, OPTIONAL]), ("reduce", &[VALUE, PREDICATE, OPTIONAL]),
];

/// Name, and how many arguments it takes at least and at most.
const FUNCTIONS: [(&str, usize, usize); 56] = [
    ("len", 1, 1), ("type", 1, 1), ("abs", 1, 1), ("ceil", 1, 1), ("floor", 1, 1), ("round", 1, 1), ("int", 1, 1), ("float", 1, 1), ("string", 1, 1),
    ("trim", 1, 2), ("trimPrefix", 1, 2), ("trimSuffix", 1, 2), ("upper", 1, 1), ("lower", 1, 1), ("split", 2, 3), ("splitAfter", 2, 3), ("replace", 3, 4),
    ("repeat", 2, 2), ("join", 1, 2), ("indexOf", 2, 2), ("lastIndexOf", 2, 2), ("hasPrefix", 2, 2), ("hasSuffix", 2, 2), ("max", 1, usize::MAX),
    ("min", 1, usize::MAX), ("mean", 1, usize::MAX), ("median", 1, usize::MAX), ("toJSON", 1, 1), ("fromJSON", 1, 1), ("toBase64", 1, 1),
    ("fromBase64", 1, 1), ("now", 0, 1), ("duration", 1, 1), ("date", 1, 3), ("timezone", 1, 1), ("first", 1, 1), ("last", 1, 1), ("get", 2, 2),
    ("take", 2, 2), ("keys", 1, 1), ("values", 1, 1), ("toPairs", 1, 1), ("fromPairs", 1, 1), ("reverse", 1, 1), ("uniq", 1, 1), ("concat", 1, usize::MAX),
    ("flatten", 1, 1), ("sort", 1, 2), ("bitnot", 1, 1), ("bitand", 2, 2), ("bitor", 2, 2), ("bitxor", 2, 2), ("bitnand", 2, 2), ("bitshl", 2, 2),
    ("bitshr", 2, 2), ("bitushr", 2, 2),
];
const METADATA: [&str; 4] = ["asInt", "asFloat", "jsonpath", "toJson"];

pub fn predicate(name: &str) -> Option<&'static [Argument]> {
    PREDICATES.iter().find(|(n, _)| *n == name).map(|(_, a)| *a)
}
pub fn arity(name: &str) -> Option<(usize, usize)> {
    if METADATA.contains(&name) {
        return Some(if name == "jsonpath" { (2, 2) } else { (1, 1) });
    }
    FUNCTIONS.iter().find(|(n, ..)| *n == name).map(|(_, min, max)| (*min, *max))
}
pub fn is_builtin(name: &str) -> bool {
    predicate(name).is_some() || FUNCTIONS.iter().any(|(n, ..)| *n == name)
}
pub fn is_metadata_function(name: &str) -> bool {
    METADATA.contains(&name)
}
pub fn function_value(name: &str, functions: Functions) -> Option<&'static str> {
    let all = FUNCTIONS.iter().map(|(n, ..)| *n);
    all.chain(METADATA.iter().copied().filter(|_| functions == Functions::Metadata)).find(|n| *n == name)
}

/// `%v` of Go.
pub fn format(v: &Value) -> String {
    match v {
        Value::Nil => "<nil>".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(f) => go_float(*f),
        Value::Text(s) => s.clone().into_owned(),
        Value::Bytes(b) => format!("[{}]", b.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")),
        Value::List(l) => format!("[{}]", l.iter().map(|v| format(&v)).collect::<Vec<_>>().join(" ")),
        Value::Map(m) => {
            let mut pairs: Vec<_> = m.iter().map(|(k, v)| (k.to_owned(), format(&v))).collect();
            pairs.sort();
            format!("map[{}]", pairs.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(" "))
        }
        Value::Time(t) => time::shown(t),
        Value::Duration(d) => time::show_duration(*d),
        Value::Function(_) => "func".into(),
    }
}

fn list<'a>(v: &Value<'a>, name: &str, at: usize) -> Result<List<'a>, Error> {
    match v {
        Value::List(l) => Ok(l.clone()),
        other => Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    }
}

/// Elements that a predicate runs over.
fn items<'a>(v: &Value<'a>, name: &str, at: usize) -> Result<Vec<Value<'a>>, Error> {
    match v {
        Value::List(l) => Ok(l.iter().collect()),
        Value::Map(m) => Ok(m.iter().map(|(_, v)| v).collect()),
        Value::Text(s) => Ok(s.bytes().map(|b| Value::Int(i64::from(b))).collect()),
        other => Err(Error::run(at, format!("builtin {name} takes only array (got {})", if other.is_nil() { "nil" } else { other.type_name() }))),
    }
}

fn truth(v: &Value, at: usize) -> Result<bool, Error> {
    match v {
        Value::Bool(b) => Ok(*b),
        other => Err(interface(at, other, "bool")),
    }
}

pub fn call<'a>(e: &mut Eval<'_, 'a>, name: &str, arguments: &'a [Node], at: usize) -> Outcome<'a> {
    if predicate(name).is_some() {
        return with_predicate(e, name, arguments, at);
    }
    let values = arguments.iter().map(|a| e.node(a)).collect::<Result<Vec<_>, _>>()?;
    plain(e, name, &values, at)
}

fn with_predicate<'a>(e: &mut Eval<'_, 'a>, name: &str, arguments: &'a [Node], at: usize) -> Outcome<'a> {
    let over = e.node(&arguments[0])?;
    let all = items(&over, name, at)?;
    let body = arguments.get(1);
    let test = |e: &mut Eval<'_, 'a>, i: usize| -> Result<bool, Error> {
        match body {
            Some(b) => truth(&e.with_item(b, all[i].clone(), i, None)?, at),
            None => truth(&all[i], at),
        }
    };
    let n = all.len();
    Ok(match name {
        "all" => {
            for i in 0..n {
                if !test(e, i)? {
                    return Ok(Value::Bool(false));
                }
            }
            Value::Bool(true)
        }
        "none" | "any" => {
            for i in 0..n {
                if test(e, i)? {
                    return Ok(Value::Bool(name == "any"));
                }
            }
            Value::Bool(name == "none")
        }
        "one" | "count" => {
            let mut found = 0;
            for i in 0..n {
                found += i64::from(test(e, i)?);
            }
            if name == "one" { Value::Bool(found == 1) } else { Value::Int(found) }
        }
        "filter" => {
            let mut out = Vec::new();
            for i in 0..n {
                if test(e, i)? {
                    out.push(all[i].clone());
                }
            }
            e.produce(out.len(), at)?;
            Value::list(out)
        }
        "find" | "findIndex" | "findLast" | "findLastIndex" => {
            let order: Box<dyn Iterator<Item = usize>> = if name.starts_with("findLast") { Box::new((0..n).rev()) } else { Box::new(0..n) };
            for i in order {
                if test(e, i)? {
                    return Ok(if name.ends_with("Index") { Value::Int(i as i64) } else { all[i].clone() });
                }
            }
            Value::Nil
        }
        "map" => {
            e.produce(n, at)?;
            let mut out = Vec::with_capacity(n);
            for (i, v) in all.iter().enumerate() {
                out.push(match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                });
            }
            Value::list(out)
        }
        "sum" => {
            let mut total = Value::Int(0);
            for (i, v) in all.iter().enumerate() {
                let v = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                total = e.operate(Op::Add, total, v, at)?;
            }
            total
        }
        "groupBy" => {
            let mut out: BTreeMap<String, Vec<Value<'a>>> = BTreeMap::new();
            for (i, v) in all.iter().enumerate() {
                let key = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                if matches!(key, Value::Map(_) | Value::List(_)) {
                    return Err(Error::run(at, format!("cannot use {} as a key for groupBy: unhashable type", key.type_name())));
                }
                out.entry(format(&key)).or_default().push(v.clone());
            }
            e.produce(n, at)?;
            Value::map(out.into_iter().map(|(k, v)| (k, Value::list(v))).collect())
        }
        "sortBy" => {
            let mut keyed = Vec::with_capacity(n);
            for (i, v) in all.iter().enumerate() {
                let key = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                keyed.push((key, v.clone()));
            }
            let down = descending(e, arguments.get(2), at)?;
            sort(&mut keyed, down, at)?;
            e.produce(n, at)?;
            Value::list(keyed.into_iter().map(|(_, v)| v).collect())
        }
        "reduce" => {
            let start = arguments.get(2).map(|a| e.node(a)).transpose()?;
            let mut rest = all.iter().enumerate();
            let mut total = match start {
                Some(v) => v,
                None => match rest.next() {
                    Some((_, v)) => v.clone(),
                    None => return Err(Error::run(at, "reduce of empty array with no initial value")),
                },
            };
            for (i, v) in rest {
                let Some(b) = body else { break };
                total = e.with_item(b, v.clone(), i, Some(total))?;
            }
            total
        }
        other => return Err(Error::run(at, format!("unknown builtin {other}"))),
    })
}

fn descending<'a>(e: &mut Eval<'_, 'a>, order: Option<&'a Node>, at: usize) -> Result<bool, Error> {
    match order.map(|o| e.node(o)).transpose()? {
        None => Ok(false),
        Some(v) => order_of(&v, at),
    }
}

fn order_of(v: &Value, at: usize) -> Result<bool, Error> {
    match v {
        Value::Text(s) if s == "asc" => Ok(false),
        Value::Text(s) if s == "desc" => Ok(true),
        other => Err(Error::run(at, format!("invalid order {}, expected asc or desc", format(other)))),
    }
}

fn sort<'a>(keyed: &mut [(Value<'a>, Value<'a>)], down: bool, at: usize) -> Result<(), Error> {
    let mut wrong = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let order = match (a, b) {
            (Value::Text(x), Value::Text(y)) => x.cmp(y),
            (Value::Time(x), Value::Time(y)) => x.timestamp().cmp(&y.timestamp()),
            (Value::Duration(x), Value::Duration(y)) => x.cmp(y),
            _ => match (a.as_number(), b.as_number()) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                _ => {
                    wrong = Some(format!("invalid operation: {} < {}", a.type_name(), b.type_name()));
                    std::cmp::Ordering::Equal
                }
            },
        };
        if down { order.reverse() } else { order }
    });
    match wrong {
        Some(text) => Err(Error::run(at, text)),
        None => Ok(()),
    }
}

fn text<'v>(v: &'v Value, name: &str, at: usize) -> Result<&'v str, Error> {
    match v {
        Value::Text(s) => Ok(s),
        other => Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    }
}

fn plain<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    let wrong = || Err(Error::run(at, format!("invalid argument for {name} (type {})", v.first().map_or("none", Value::type_name))));
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
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::Bytes(_) | Value::List(_) => "array",
            Value::Map(_) => "map",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Function(_) => "func",
        }),
        "abs" | "ceil" | "floor" | "round" | "int" | "float" | "asInt" | "asFloat" => return numeric(name, &v[0], at),
        "string" => Value::text(format(&v[0])),
        "trim" | "trimPrefix" | "trimSuffix" | "upper" | "lower" | "split" | "splitAfter" | "replace" | "repeat" | "join" | "indexOf" | "lastIndexOf" | "hasPrefix" | "hasSuffix" => {
            return strings(e, name, v, at);
        }
        "max" | "min" | "mean" | "median" => return statistics(name, v, at),
        "toJSON" => Value::text(pretty(&v[0]).map_err(|m| Error::run(at, m))?),
        "toJson" => Value::text(v[0].to_json_text().map_err(|m| Error::run(at, m))?),
        "fromJSON" => from_json(text(&v[0], name, at)?, at)?,
        "jsonpath" => return jsonpath(&v[0], text(&v[1], name, at)?, at),
        "toBase64" => Value::text(match &v[0] {
            Value::Bytes(b) => STANDARD.encode(&**b),
            other => STANDARD.encode(text(other, name, at)?),
        }),
        "fromBase64" => {
            let raw = STANDARD.decode(text(&v[0], name, at)?).map_err(|_| Error::run(at, format!("illegal base64 data at input byte {}", bad_base64(&v[0]))))?;
            Value::text(String::from_utf8_lossy(&raw))
        }
        "now" => Value::Time(time::now()),
        "duration" => Value::Duration(match &v[0] {
            Value::Duration(d) => *d,
            other => time::parse_duration(text(other, name, at)?).map_err(|m| Error::run(at, m))?,
        }),
        "date" => return date(v, at),
        "timezone" => {
            let name = text(&v[0], name, at)?;
            jiff::tz::TimeZone::get(name).map_err(|_| Error::run(at, format!("unknown time zone {name}")))?;
            Value::text(name)
        }
        "first" | "last" | "get" | "take" | "keys" | "values" | "toPairs" | "fromPairs" | "reverse" | "uniq" | "concat" | "flatten" | "sort" => return collections(e, name, v, at),
        _ if name.starts_with("bit") => return bits(name, v, at),
        _ => return wrong(),
    };
    Ok(out)
}

fn bad_base64(v: &Value) -> usize {
    let Value::Text(s) = v else { return 0 };
    s.bytes().position(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))).unwrap_or(s.len() / 4 * 4)
}

fn numeric<'a>(name: &str, v: &Value<'a>, at: usize) -> Outcome<'a> {
    let wrong = || Err(Error::run(at, format!("invalid operation: {}({})", name.trim_start_matches("as").to_lowercase(), v.type_name())));
    Ok(match (name, v) {
        ("abs", Value::Int(n)) => Value::Int(n.wrapping_abs()),
        ("abs", Value::Float(f)) => Value::Float(f.abs()),
        ("ceil" | "floor" | "round" | "float" | "asFloat", Value::Int(n)) => Value::Float(*n as f64),
        ("ceil", Value::Float(f)) => Value::Float(f.ceil()),
        ("floor", Value::Float(f)) => Value::Float(f.floor()),
        ("round", Value::Float(f)) => Value::Float(f.round()),
        ("float" | "asFloat", Value::Float(f)) => Value::Float(*f),
        ("float" | "asFloat", Value::Text(s)) => match s.parse::<f64>() {
            Ok(f) => Value::Float(f),
            Err(_) => return Err(Error::run(at, format!("invalid operation: float({s})"))),
        },
        ("int" | "asInt", Value::Int(n)) => Value::Int(*n),
        ("int" | "asInt", Value::Float(f)) => Value::Int(*f as i64),
        ("int" | "asInt", Value::Duration(d)) => Value::Int(*d),
        ("int" | "asInt", Value::Text(s)) => match s.parse::<i64>() {
            Ok(n) => Value::Int(n),
            Err(_) => return Err(Error::run(at, format!("invalid operation: int({s})"))),
        },
        ("abs" | "ceil" | "floor" | "round", _) => return Err(Error::run(at, format!("invalid argument for {name} (type {})", v.type_name()))),
        _ => return wrong(),
    })
}

fn strings<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if name == "join" {
        let glue = v.get(1).map(|g| text(g, name, at)).transpose()?.unwrap_or("");
        let all = list(&v[0], name, at)?;
        let mut parts = Vec::with_capacity(all.len());
        for item in all.iter() {
            match item {
                Value::Text(s) => parts.push(s.into_owned()),
                other => return Err(Error::run(at, format!("invalid argument for join (type {})", other.type_name()))),
            }
        }
        e.produce(parts.iter().map(String::len).sum::<usize>() + glue.len() * parts.len(), at)?;
        return Ok(Value::text(parts.join(glue)));
    }
    if matches!(name, "indexOf" | "lastIndexOf") {
        let (s, part) = (text(&v[0], name, at)?, text(&v[1], name, at)?);
        let found = if name == "indexOf" { s.find(part) } else { s.rfind(part) };
        return Ok(Value::Int(found.map_or(-1, |i| i as i64)));
    }
    let s = text(&v[0], name, at)?;
    let argument = |i: usize| v.get(i).map(|x| text(x, name, at)).transpose();
    Ok(match name {
        "trim" => Value::text(match argument(1)? {
            Some(set) => s.trim_matches(|c| set.contains(c)),
            None => s.trim(),
        }),
        "trimPrefix" => Value::text(s.strip_prefix(argument(1)?.unwrap_or(" ")).unwrap_or(s)),
        "trimSuffix" => Value::text(s.strip_suffix(argument(1)?.unwrap_or(" ")).unwrap_or(s)),
        "upper" => Value::text(s.chars().map(simple_upper).collect::<String>()),
        "lower" => Value::text(s.chars().map(simple_lower).collect::<String>()),
        "hasPrefix" => Value::Bool(s.starts_with(argument(1)?.unwrap_or(""))),
        "hasSuffix" => Value::Bool(s.ends_with(argument(1)?.unwrap_or(""))),
        "split" | "splitAfter" => {
            let separator = argument(1)?.unwrap_or("");
            let limit = v.get(2).map(|n| integer(n).ok_or_else(|| interface(at, n, "int"))).transpose()?.unwrap_or(-1);
            let parts = split(s, separator, limit, name == "splitAfter");
            e.produce(parts.len() + s.len(), at)?;
            Value::list(parts.into_iter().map(Value::text).collect())
        }
        "replace" => {
            let (old, new) = (argument(1)?.unwrap_or(""), argument(2)?.unwrap_or(""));
            let limit = v.get(3).map(|n| integer(n).ok_or_else(|| interface(at, n, "int"))).transpose()?.unwrap_or(-1);
            let count = if old.is_empty() { s.chars().count() + 1 } else { s.matches(old).count() };
            e.produce(s.len() + count * new.len(), at)?;
            Value::text(if limit < 0 { s.replace(old, new) } else { s.replacen(old, new, limit as usize) })
        }
        "repeat" => {
            let n = integer(&v[1]).ok_or_else(|| interface(at, &v[1], "int"))?;
            let n = usize::try_from(n).map_err(|_| Error::run(at, format!("invalid argument for repeat (expected positive integer, got {n})")))?;
            e.produce(s.len().saturating_mul(n), at)?;
            if n > 1_000_000 {
                return Err(Error::run(at, "memory budget exceeded"));
            }
            Value::text(s.repeat(n))
        }
        other => return Err(Error::run(at, format!("unknown builtin {other}"))),
    })
}

/// Upper case letter by letter, as Go does: no letter becomes two.
fn simple_upper(c: char) -> char {
    let mut up = c.to_uppercase();
    match (up.next(), up.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}
fn simple_lower(c: char) -> char {
    let mut low = c.to_lowercase();
    match (low.next(), low.next()) {
        (Some(l), None) => l,
        (Some(l), Some(_)) => l,
        _ => c,
    }
}

fn split(s: &str, separator: &str, limit: i64, after: bool) -> Vec<String> {
    if limit == 0 {
        return Vec::new();
    }
    let max = if limit < 0 { usize::MAX } else { limit as usize };
    let mut out = Vec::new();
    let mut rest = s;
    while out.len() + 1 < max {
        let (cut, skip) = if separator.is_empty() {
            match rest.chars().next() {
                Some(c) if rest.len() > c.len_utf8() => (c.len_utf8(), 0),
                _ => break,
            }
        } else {
            match rest.find(separator) {
                Some(i) => (if after { i + separator.len() } else { i }, if after { 0 } else { separator.len() }),
                None => break,
            }
        };
        out.push(rest[..cut].to_owned());
        rest = &rest[cut + skip..];
    }
    if !(separator.is_empty() && rest.is_empty()) {
        out.push(rest.to_owned());
    }
    out
}

fn statistics<'a>(name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if let ([one], "max" | "min") = (v, name)
        && !matches!(one, Value::List(_))
    {
        return Ok(one.clone());
    }
    let mut all = Vec::new();
    flat(v, &mut all);
    let mut numbers = Vec::with_capacity(all.len());
    for x in &all {
        numbers.push(x.as_number().ok_or_else(|| Error::run(at, format!("invalid argument for {name} (type {})", x.type_name())))?);
    }
    match name {
        "max" | "min" => {
            let best = all.into_iter().reduce(|a, b| {
                let (x, y) = (a.as_number().unwrap_or(0.0), b.as_number().unwrap_or(0.0));
                if (name == "max") == (y > x) && x != y { b } else { a }
            });
            Ok(best.unwrap_or(Value::Nil))
        }
        "mean" if numbers.is_empty() => Ok(Value::Float(0.0)),
        "mean" => Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64)),
        _ if numbers.is_empty() => Ok(Value::Float(0.0)),
        _ => {
            numbers.sort_by(f64::total_cmp);
            let middle = numbers.len() / 2;
            Ok(Value::Float(if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }))
        }
    }
}

fn flat<'a>(v: &[Value<'a>], out: &mut Vec<Value<'a>>) {
    for x in v {
        match x {
            Value::List(l) => flat(&l.iter().collect::<Vec<_>>(), out),
            other => out.push(other.clone()),
        }
    }
}

/// JSON with two blanks of indentation.
fn pretty(v: &Value) -> Result<String, String> {
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
            Value::Map(m) if !m.is_empty() => {
                out.push_str("{\n");
                let mut pairs: Vec<_> = m.iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(b.0));
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

fn from_json<'a>(source: &str, at: usize) -> Outcome<'a> {
    let parsed: serde_json::Value = serde_json::from_str(source).map_err(|e| Error::run(at, format!("invalid JSON: {e}")))?;
    Ok(owned(parsed))
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

/// `$.a.b[0]` and `$.a[*].b`.
fn jsonpath<'a>(v: &Value<'a>, path: &str, at: usize) -> Outcome<'a> {
    let source = match v {
        Value::Text(s) => serde_json::from_str(s).map_err(|e| Error::run(at, format!("invalid JSON: {e}")))?,
        other => other.to_json().map_err(|m| Error::run(at, m))?,
    };
    let unknown = || Error::run(at, format!("jsonpath {path:?} finds nothing"));
    let mut found = vec![source];
    let mut many = false;
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(r) => {
                let end = r.find(['.', '[']).unwrap_or(r.len());
                (r[..end].to_owned(), &r[end..])
            }
            None => {
                let r = rest.strip_prefix('[').ok_or_else(unknown)?;
                let end = r.find(']').ok_or_else(unknown)?;
                (r[..end].trim_matches(['\'', '"']).to_owned(), &r[end + 1..])
            }
        };
        let mut next = Vec::new();
        for f in found {
            match (&f, step.as_str()) {
                (serde_json::Value::Array(l), "*") => {
                    many = true;
                    next.extend(l.iter().cloned());
                }
                (serde_json::Value::Object(m), "*") => {
                    many = true;
                    next.extend(m.values().cloned());
                }
                (serde_json::Value::Object(m), k) => next.extend(m.get(k).cloned()),
                (serde_json::Value::Array(l), k) => {
                    let i: i64 = k.parse().map_err(|_| unknown())?;
                    let i = if i < 0 { l.len() as i64 + i } else { i };
                    next.extend(usize::try_from(i).ok().and_then(|i| l.get(i)).cloned());
                }
                _ => {}
            }
        }
        found = next;
        rest = after;
    }
    if many {
        return Ok(Value::list(found.into_iter().map(owned).collect()));
    }
    found.into_iter().next().map(owned).ok_or_else(unknown)
}

fn date<'a>(v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if let Value::Time(t) = &v[0] {
        return Ok(Value::Time(t.clone()));
    }
    let s = text(&v[0], "date", at)?;
    let zone = match v.get(2) {
        Some(z) => jiff::tz::TimeZone::get(text(z, "date", at)?).map_err(|_| Error::run(at, format!("unknown time zone {}", format(z))))?,
        None => jiff::tz::TimeZone::UTC,
    };
    if let Some(layout) = v.get(1) {
        let layout = text(layout, "date", at)?;
        return time::parse(s, layout, &zone).map(Value::Time).ok_or_else(|| Error::run(at, format!("parsing time {s:?} as {layout:?}: cannot parse")));
    }
    time::parse_any(s, &zone).map(Value::Time).ok_or_else(|| Error::run(at, format!("invalid date {s}")))
}

fn collections<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    match name {
        "sort" if !matches!(v[0], Value::List(_)) => return Ok(Value::Nil),
        "first" | "last" => {
            // What has no elements has neither.
            return Ok(crate::eval::fetch(&v[0], &Value::Int(if name == "first" { 0 } else { -1 }), at).unwrap_or(Value::Nil));
        }
        "get" => {
            return Ok(match (&v[0], &v[1]) {
                (Value::Map(m), Value::Text(k)) => m.get(k).unwrap_or(Value::Nil),
                (Value::List(_) | Value::Text(_), k) if integer(k).is_some() => crate::eval::fetch(&v[0], k, at).unwrap_or(Value::Nil),
                _ => Value::Nil,
            });
        }
        "keys" | "values" | "toPairs" => {
            let Value::Map(m) = &v[0] else { return Err(Error::run(at, format!("cannot get {name} from {}", v[0].type_name()))) };
            e.produce(m.len(), at)?;
            let pairs = crate::eval::entries(m);
            return Ok(Value::list(
                pairs
                    .into_iter()
                    .map(|(k, x)| match name {
                        "keys" => Value::text(k),
                        "values" => x,
                        _ => Value::list(vec![Value::text(k), x]),
                    })
                    .collect(),
            ));
        }
        _ => {}
    }
    let l = match (&v[0], name) {
        (Value::List(l), _) => l.clone(),
        (other, "concat") => return Err(Error::run(at, format!("cannot concat {}", other.type_name()))),
        (other, _) => return Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    };
    e.produce(l.len(), at)?;
    Ok(match name {
        "take" => {
            let n = integer(&v[1]).ok_or_else(|| interface(at, &v[1], "int"))?;
            let n = usize::try_from(n).map_err(|_| Error::run(at, format!("cannot take {n} elements")))?;
            Value::list(l.iter().take(n).collect())
        }
        "reverse" => Value::list(l.iter().rev().collect()),
        "uniq" => {
            let mut out: Vec<Value<'a>> = Vec::new();
            for x in l.iter() {
                if !out.contains(&x) {
                    out.push(x);
                }
            }
            Value::list(out)
        }
        "flatten" => {
            let mut out = Vec::new();
            flat(&v[..1], &mut out);
            Value::list(out)
        }
        "concat" => {
            let mut out: Vec<Value<'a>> = Vec::new();
            for x in v {
                match x {
                    Value::List(l) => out.extend(l.iter()),
                    other => return Err(Error::run(at, format!("cannot concat {}", other.type_name()))),
                }
            }
            e.produce(out.len(), at)?;
            Value::list(out)
        }
        "sort" => {
            let mut keyed: Vec<_> = l.iter().map(|x| (x.clone(), x)).collect();
            let down = v.get(1).map(|o| order_of(o, at)).transpose()?.unwrap_or(false);
            sort(&mut keyed, down, at)?;
            Value::list(keyed.into_iter().map(|(_, x)| x).collect())
        }
        _ => {
            let mut out = BTreeMap::new();
            for pair in l.iter() {
                match &pair {
                    Value::List(p) if p.len() == 2 => {
                        let key = format(&p.get(0).unwrap_or(Value::Nil));
                        out.insert(key, p.get(1).unwrap_or(Value::Nil));
                    }
                    other => return Err(Error::run(at, format!("invalid pair {}", format(other)))),
                }
            }
            Value::Map(Dict::Own(Rc::new(out)))
        }
    })
}

fn bits<'a>(name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    let int = |i: usize| match &v[i] {
        Value::Int(n) => Ok(*n),
        other => Err(Error::run(at, format!("cannot use {} as argument (type int) to call {name}", other.type_name()))),
    };
    let a = int(0)?;
    if name == "bitnot" {
        return Ok(Value::Int(!a));
    }
    let b = int(1)?;
    if name.contains("sh") && b < 0 {
        return Err(Error::run(at, format!("invalid operation: negative shift count {b} (type int)")));
    }
    let shift = u32::try_from(b).unwrap_or(u32::MAX);
    Ok(Value::Int(match name {
        "bitand" => a & b,
        "bitor" => a | b,
        "bitxor" => a ^ b,
        "bitnand" => a & !b,
        "bitshl" => a.checked_shl(shift).unwrap_or(0),
        "bitshr" => a.checked_shr(shift).unwrap_or(if a < 0 { -1 } else { 0 }),
        _ => (a as u64).checked_shr(shift).unwrap_or(0) as i64,
    }))
}

/// Methods of dates and durations.
pub fn method<'a>(e: &mut Eval<'_, 'a>, target: Value<'a>, name: &str, arguments: Vec<Value<'a>>, at: usize) -> Outcome<'a> {
    let _ = e;
    let missing = |t: &Value| Err(Error::run(at, format!("cannot fetch {name} from {}", t.type_name())));
    let seconds = |nanos: i64, unit: f64| Value::Float(nanos as f64 / unit);
    Ok(match (&target, name, arguments.as_slice()) {
        (Value::Duration(d), "Hours", []) => seconds(*d, 3.6e12),
        (Value::Duration(d), "Minutes", []) => seconds(*d, 6e10),
        (Value::Duration(d), "Seconds", []) => seconds(*d, 1e9),
        (Value::Duration(d), "Milliseconds", []) => Value::Int(d / 1_000_000),
        (Value::Duration(d), "Microseconds", []) => Value::Int(d / 1_000),
        (Value::Duration(d), "Nanoseconds", []) => Value::Int(*d),
        (Value::Duration(d), "String", []) => Value::text(time::show_duration(*d)),
        (Value::Duration(d), "Abs", []) => Value::Duration(d.wrapping_abs()),
        (Value::Duration(d), "Truncate", [Value::Duration(m)]) if *m > 0 => Value::Duration(d - d % m),
        (Value::Duration(d), "Round", [Value::Duration(m)]) if *m > 0 => {
            let r = d.rem_euclid(*m);
            Value::Duration(if r * 2 < *m { d - r } else { d - r + m })
        }
        (Value::Time(t), "Year", []) => Value::Int(i64::from(t.year())),
        (Value::Time(t), "Month", []) => Value::Int(i64::from(t.month())),
        (Value::Time(t), "Day", []) => Value::Int(i64::from(t.day())),
        (Value::Time(t), "Hour", []) => Value::Int(i64::from(t.hour())),
        (Value::Time(t), "Minute", []) => Value::Int(i64::from(t.minute())),
        (Value::Time(t), "Second", []) => Value::Int(i64::from(t.second())),
        (Value::Time(t), "Nanosecond", []) => Value::Int(i64::from(t.subsec_nanosecond())),
        (Value::Time(t), "YearDay", []) => Value::Int(i64::from(t.day_of_year())),
        (Value::Time(t), "Weekday", []) => Value::Int(i64::from(t.weekday().to_sunday_zero_offset())),
        (Value::Time(t), "Unix", []) => Value::Int(t.timestamp().as_second()),
        (Value::Time(t), "UnixMilli", []) => Value::Int(t.timestamp().as_millisecond()),
        (Value::Time(t), "UnixMicro", []) => Value::Int(t.timestamp().as_microsecond()),
        (Value::Time(t), "UnixNano", []) => Value::Int(i64::try_from(t.timestamp().as_nanosecond()).unwrap_or(i64::MAX)),
        (Value::Time(t), "String", []) => Value::text(time::shown(t)),
        (Value::Time(t), "UTC", []) => Value::Time(t.with_time_zone(jiff::tz::TimeZone::UTC)),
        (Value::Time(t), "Format", [Value::Text(layout)]) => Value::text(time::format(t, layout)),
        (Value::Time(t), "Add", [Value::Duration(d)]) => Value::Time(time::shift(t, *d, at)?),
        (Value::Time(t), "Sub", [Value::Time(u)]) => Value::Duration(time::between(u, t)),
        (Value::Time(t), "Before", [Value::Time(u)]) => Value::Bool(t.timestamp() < u.timestamp()),
        (Value::Time(t), "After", [Value::Time(u)]) => Value::Bool(t.timestamp() > u.timestamp()),
        (Value::Time(t), "Equal", [Value::Time(u)]) => Value::Bool(t.timestamp() == u.timestamp()),
        (Value::Time(t), "IsZero", []) => Value::Bool(t.year() == 1 && t.day_of_year() == 1),
        (Value::Time(t), "AddDate", [y, m, d]) => {
            let (Some(y), Some(m), Some(d)) = (integer(y), integer(m), integer(d)) else { return missing(&target) };
            let span = jiff::Span::new().try_years(y).and_then(|s| s.try_months(m)).and_then(|s| s.try_days(d));
            Value::Time(span.and_then(|s| t.checked_add(s)).map_err(|e| Error::run(at, format!("date out of range: {e}")))?)
        }
        _ => return missing(&target),
    })
}

