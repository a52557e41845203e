//! Functions over texts.

use super::{list, text};
use crate::error::Error;
use crate::eval::{Eval, Outcome, integer, interface};
use crate::value::{Holds, Value};

pub fn call<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if name == "join" {
        let glue = v.get(1).map(|g| text(g, name, at)).transpose()?.unwrap_or("");
        let all = list(&v[0], name, at)?;
        if !matches!(all.holds(), Holds::Any | Holds::Text) {
            return Err(Error::run(at, format!("invalid argument for join (type {})", v[0].type_name())));
        }
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
            Value::texts(parts)
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
            let n = usize::try_from(n).map_err(|_| {
                Error::run(at, format!("invalid argument for repeat (expected positive integer, got {n})"))
            })?;
            e.produce(s.len().saturating_mul(n), at)?;
            if n > 1_000_000 {
                return Err(Error::run(at, "memory budget exceeded: repeat takes at most 1000000"));
            }
            Value::text(s.repeat(n))
        }
        other => return Err(Error::run(at, format!("unknown builtin {other}"))),
    })
}

/// Upper case letter by letter, as Go does: no letter becomes two.
pub fn simple_upper(c: char) -> char {
    let mut up = c.to_uppercase();
    match (up.next(), up.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}
pub fn simple_lower(c: char) -> char {
    let mut low = c.to_lowercase();
    match (low.next(), low.next()) {
        (Some(l), None) => l,
        (Some(l), Some(_)) => l,
        _ => c,
    }
}

pub fn split(s: &str, separator: &str, limit: i64, after: bool) -> Vec<String> {
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
