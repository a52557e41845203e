//! The functions of `text/template`, and sprig's.

use crate::format::printf;
use expr::Value;

type Outcome<'a> = Result<Value<'a>, String>;

const BUILTINS: [&str; 18] = [
    "and", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf", "println",
    "slice", "urlquery",
];

/// The function of a name, if there is one.
pub fn known(name: &str) -> Option<&'static str> {
    BUILTINS.iter().find(|b| **b == name).copied().or_else(|| expr::sprig(name).map(|f| f.name))
}

/// Whether `if` takes a value for true: what is not empty is.
pub fn truth(v: &Value) -> bool {
    match v {
        Value::Nil => false,
        Value::Bool(b) => *b,
        Value::Text(s) => !s.is_empty(),
        Value::Bytes(b) => !b.is_empty(),
        Value::List(l) => !l.is_empty(),
        Value::Map(m) => !m.is_empty(),
        other => other.as_number().is_none_or(|n| n != 0.0),
    }
}

pub fn call<'a>(name: &str, args: &[Value<'a>], room: u64, steps: &mut u64) -> Outcome<'a> {
    let least = match name {
        "not" | "len" | "printf" | "index" | "slice" => 1,
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => 2,
        _ => 0,
    };
    if args.len() < least {
        return Err(format!("wrong number of args for {name}: want at least {least} got {}", args.len()));
    }
    let text = |s: String| Ok(Value::text(s));
    let joined = || print(args, false);
    match name {
        "not" => Ok(Value::Bool(!truth(&args[0]))),
        "eq" => {
            for other in &args[1..] {
                if equal(&args[0], other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "ne" => Ok(Value::Bool(!equal(&args[0], &args[1])?)),
        "lt" | "le" | "gt" | "ge" => order(name, &args[0], &args[1]),
        "len" => length(&args[0]),
        "index" => args[1..].iter().try_fold(args[0].clone(), |v, at| index(v, at)),
        "slice" => slice(args),
        "print" => text(joined()),
        "println" => text(print(args, true)),
        "printf" => match &args[0] {
            Value::Text(format) => printf(format, &args[1..], room).and_then(text),
            other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
        },
        "html" => text(escaped(&joined(), html)),
        "js" => text(escaped(&joined(), js)),
        "urlquery" => text(urlquery(&joined())),
        _ => sprig(name, args, room, steps),
    }
}

fn sprig<'a>(name: &str, args: &[Value<'a>], room: u64, steps: &mut u64) -> Outcome<'a> {
    let Some(function) = expr::sprig(name) else { return Err("it is not defined".into()) };
    for (i, v) in args.iter().enumerate() {
        let wanted = function.takes(i).unwrap_or("interface {}");
        if matches!(v, Value::Nil) && matches!(wanted, "string" | "int" | "float64" | "bool" | "uint32") {
            return Err(format!("invalid value; expected {wanted}"));
        }
    }
    *steps = steps.checked_sub(function.steps()).ok_or("the template takes more steps than it may")?;
    function.call(args, room)
}

/// The kinds of values that can be compared with each other.
#[derive(PartialEq)]
enum Basic<'v> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'v str),
}

fn basic<'v>(v: &'v Value) -> Option<Basic<'v>> {
    Some(match v {
        Value::Bool(b) => Basic::Bool(*b),
        Value::Float(f) => Basic::Float(*f),
        Value::Text(s) => Basic::Text(s),
        other => Basic::Int(other.as_int()?),
    })
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    if let (Value::Nil, _) | (_, Value::Nil) = (a, b) {
        return Ok(matches!((a, b), (Value::Nil, Value::Nil)));
    }
    match (basic(a), basic(b)) {
        (Some(x), Some(y)) if std::mem::discriminant(&x) == std::mem::discriminant(&y) => Ok(x == y),
        (Some(_), Some(_)) => Err("incompatible types for comparison".into()),
        _ => Err("non-comparable types".into()),
    }
}

fn order<'a>(name: &str, a: &Value, b: &Value) -> Outcome<'a> {
    let ordering = match (basic(a), basic(b)) {
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Some(a.cmp(&b)),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => a.partial_cmp(&b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => Some(a.cmp(b)),
        (Some(_), Some(_)) => return Err("incompatible types for comparison".into()),
        _ => return Err("invalid type for comparison".into()),
    };
    Ok(Value::Bool(ordering.is_some_and(|o| match name {
        "lt" => o.is_lt(),
        "le" => o.is_le(),
        "gt" => o.is_gt(),
        _ => o.is_ge(),
    })))
}

fn length<'a>(v: &Value) -> Outcome<'a> {
    let n = match v {
        Value::Text(s) => s.len(),
        Value::Bytes(b) => b.len(),
        Value::List(l) => l.len(),
        Value::Map(m) => m.len(),
        Value::Nil => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(n as i64))
}

/// An index within a length.
fn within(at: &Value, length: usize) -> Result<usize, String> {
    let Some(n) = at.as_int() else { return Err(format!("cannot index slice/array with type {}", at.type_name())) };
    usize::try_from(n).ok().filter(|n| *n <= length).ok_or_else(|| format!("index out of range: {n}"))
}

fn index<'a>(v: Value<'a>, at: &Value<'a>) -> Outcome<'a> {
    match &v {
        Value::Map(m) => match at {
            Value::Text(key) => Ok(m.get(key).unwrap_or(Value::Nil)),
            other => Err(format!("value has type {}; should be string", other.type_name())),
        },
        Value::List(l) => {
            let i = within(at, l.len())?;
            l.get(i).ok_or_else(|| format!("index out of range: {i}"))
        }
        Value::Text(s) => {
            let i = within(at, s.len())?;
            s.as_bytes().get(i).map(|b| Value::Byte(*b)).ok_or_else(|| format!("index out of range: {i}"))
        }
        Value::Nil => Err("index of untyped nil".into()),
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

fn slice<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let length = match &args[0] {
        Value::Text(s) => s.len(),
        Value::List(l) => l.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let at = |i: usize, otherwise: usize| args.get(i).map_or(Ok(otherwise), |v| within(v, length));
    let (from, to) = (at(1, 0)?, at(2, length)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match &args[0] {
        Value::Text(s) => s
            .get(from..to)
            .map(|s| Value::text(s.to_owned()))
            .ok_or_else(|| "the slice would cut a character in two".to_owned()),
        Value::List(l) => Ok(Value::list(l.iter().skip(from).take(to - from).collect())),
        _ => Ok(Value::Nil),
    }
}

/// Operands as Go prints them: blanks between those of which neither is a text, or between all of them on a line.
fn print(args: &[Value], line: bool) -> String {
    let mut out = String::new();
    for (i, v) in args.iter().enumerate() {
        let texts = matches!(v, Value::Text(_)) || i > 0 && matches!(args[i - 1], Value::Text(_));
        if i > 0 && (line || !texts) {
            out.push(' ');
        }
        out.push_str(&v.shown());
    }
    if line {
        out.push('\n');
    }
    out
}

fn escaped(s: &str, escape: fn(char) -> Option<String>) -> String {
    s.chars().map(|c| escape(c).unwrap_or_else(|| c.to_string())).collect()
}

fn html(c: char) -> Option<String> {
    Some(
        match c {
            '"' => "&#34;",
            '\'' => "&#39;",
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\0' => "\u{fffd}",
            _ => return None,
        }
        .to_owned(),
    )
}

fn js(c: char) -> Option<String> {
    match c {
        '\\' => Some("\\\\".into()),
        '\'' => Some("\\'".into()),
        '"' => Some("\\\"".into()),
        '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => Some(format!("\\u{:04X}", u32::from(c))),
        _ => None,
    }
}

fn urlquery(s: &str) -> String {
    s.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
