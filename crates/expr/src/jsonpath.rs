//! `jsonpath(text, path)`: the dialect that Argo's metadata expressions have.
//!
//! A path that names one place gives its value and fails where there is none; one that can name many (`*`, `..`, ranges,
//! unions, filters) gives the list of what it found.

use crate::value::{Holds, Value};
use serde_json::Value as Json;

/// Values that a path may find.
const MAX_FOUND: usize = 100_000;

#[derive(Debug)]
enum Step {
    Key(String),
    Index(i64),
    All,
    Descend(Box<Step>),
    Range(Option<i64>, Option<i64>, i64),
    Union(Vec<Step>),
    /// `[(@.length-1)]`
    FromEnd(i64),
    Filter(Filter),
}

impl Step {
    fn names_one(&self) -> bool {
        matches!(self, Step::Key(_) | Step::Index(_) | Step::FromEnd(_))
    }
}

/// `[?(…)]`: a condition on each element, evaluated by the language itself with `@` as the element.
#[derive(Debug)]
struct Filter(crate::Program);

pub fn find<'a>(source: &str, path: &str) -> Result<Value<'a>, String> {
    let root: Json = serde_json::from_str(source).map_err(|e| {
        if source.trim().is_empty() { "unexpected end of JSON input".into() } else { format!("invalid JSON: {e}") }
    })?;
    let steps = parse(path)?;
    let mut found = vec![&root];
    let mut many = false;
    for step in &steps {
        let mut next = Vec::new();
        for v in found {
            match walk(v, step, &mut next) {
                Err(e) if !many => return Err(e),
                _ => {}
            }
            if next.len() > MAX_FOUND {
                return Err(format!("jsonpath {path:?} finds more than {MAX_FOUND} values"));
            }
        }
        many |= !step.names_one();
        found = next;
    }
    let owned = |v: &Json| crate::json::owned(v.clone());
    if many {
        return Ok(Value::list_of(Holds::Any, found.into_iter().map(owned).collect()));
    }
    Ok(found.first().map_or(Value::Nil, |v| owned(v)))
}

fn kind(v: &Json) -> &'static str {
    match v {
        Json::Null => "nil",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    }
}

fn walk<'j>(v: &'j Json, step: &Step, out: &mut Vec<&'j Json>) -> Result<(), String> {
    let target =
        |what: &str, wanted: &str| Err(format!("{what}: invalid token target. expected [{wanted}] got [{}]", kind(v)));
    match (step, v) {
        (Step::Key(k), Json::Object(m)) => {
            out.push(m.get(k).ok_or_else(|| format!("key: invalid token key '{k}' not found"))?)
        }
        (Step::Key(_), _) => return target("key", "map"),
        (Step::Index(i), Json::Array(l)) => out.push(at(l, *i).ok_or("index: invalid token out of range")?),
        (Step::Index(_), _) => return target("index", "array slice"),
        (Step::FromEnd(n), Json::Array(l)) => {
            out.push(at(l, l.len() as i64 - n).ok_or("index: invalid token out of range")?)
        }
        (Step::FromEnd(_), _) => return target("index", "array slice"),
        (Step::All, Json::Array(l)) => out.extend(l),
        (Step::All, Json::Object(m)) => out.extend(m.values()),
        (Step::All, _) => return target("wildcard", "array map slice"),
        (Step::Range(from, to, by), Json::Array(l)) => {
            out.extend(range(l.len() as i64, *from, *to, *by).filter_map(|i| l.get(i)))
        }
        (Step::Range(..), _) => return target("range", "array slice"),
        (Step::Union(parts), Json::Array(_) | Json::Object(_)) => {
            for part in parts {
                walk(v, part, out)?;
            }
        }
        (Step::Union(_), _) => return target("union", "array map slice"),
        (Step::Filter(f), Json::Array(l)) => out.extend(l.iter().filter(|x| f.takes(x))),
        (Step::Filter(f), Json::Object(m)) => out.extend(m.values().filter(|x| f.takes(x))),
        (Step::Filter(_), _) => return target("filter", "array map slice"),
        (Step::Descend(inner), _) => descend(v, inner, out),
    }
    Ok(())
}

fn descend<'j>(v: &'j Json, step: &Step, out: &mut Vec<&'j Json>) {
    crate::with_room(|| {
        // Where the step leads nowhere from, it is looked for further down.
        let _ = walk(v, step, out);
        match v {
            Json::Array(l) => l.iter().for_each(|x| descend(x, step, out)),
            Json::Object(m) => m.values().for_each(|x| descend(x, step, out)),
            _ => {}
        }
    });
}

fn at(l: &[Json], i: i64) -> Option<&Json> {
    let i = if i < 0 { l.len() as i64 + i } else { i };
    usize::try_from(i).ok().and_then(|i| l.get(i))
}

fn range(length: i64, from: Option<i64>, to: Option<i64>, by: i64) -> Box<dyn Iterator<Item = usize>> {
    let place = |i: i64| if i < 0 { (length + i).max(0) } else { i.min(length) };
    let stride = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    let all = place(from.unwrap_or(0)) as usize..place(to.unwrap_or(length)) as usize;
    if by < 0 { Box::new(all.rev().step_by(stride)) } else { Box::new(all.step_by(stride)) }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, String> {
        // The element has a name of its own in the language; what is quoted stays.
        let mut quote = None;
        let mut source = String::with_capacity(text.len());
        for c in text.chars() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(q)) if c == q => quote = None,
                _ => {}
            }
            if c == '@' && quote.is_none() { source.push_str("item") } else { source.push(c) }
        }
        crate::Program::parse(&source)
            .map(Filter)
            .map_err(|e| format!("filter: invalid expression {text:?}: {}", e.message))
    }
    /// What fails for an element leaves it out.
    fn takes(&self, v: &Json) -> bool {
        let found = self.0.run(&crate::Variables::new().with("item", v));
        match found {
            Ok(Value::Bool(b)) => b,
            Ok(Value::Nil) | Err(_) => false,
            Ok(_) => true,
        }
    }
}

fn parse(path: &str) -> Result<Vec<Step>, String> {
    let invalid =
        |at: usize, what: &str| format!("invalid JSONPath selector '{path}' unexpected token '{what}' at index {at}");
    let body = path
        .strip_prefix('$')
        .or_else(|| path.strip_prefix('@'))
        .ok_or_else(|| invalid(0, &path.chars().take(1).collect::<String>()))?;
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let place = path.len() - rest.len();
        let mut deep = false;
        if let Some(r) = rest.strip_prefix("..") {
            (deep, rest) = (true, r);
        } else if let Some(r) = rest.strip_prefix('.') {
            rest = r;
        } else if !rest.starts_with('[') {
            return Err(invalid(place, &rest.chars().take(1).collect::<String>()));
        }
        let step = if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside).ok_or_else(|| invalid(place, "["))?;
            rest = &inside[end + 1..];
            bracket(&inside[..end]).map_err(|what| invalid(place, &what))?
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            rest = &rest[end..];
            match name {
                "" if deep && rest.is_empty() => Step::All,
                "" => return Err(invalid(place, "")),
                "*" => Step::All,
                name => Step::Key(name.to_owned()),
            }
        };
        out.push(if deep { Step::Descend(Box::new(step)) } else { step });
    }
    Ok(out)
}

/// Where the bracket that was opened closes, quotes and inner brackets apart.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[' | '(', None) => depth += 1,
            (']', None) if depth == 0 => return Some(i),
            (']' | ')', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Result<Step, String> {
    let text = text.trim();
    let number = |s: &str| s.trim().parse::<i64>().map_err(|_| s.trim().to_owned());
    let quoted = |s: &str| {
        ['\'', '"'].iter().find_map(|q| s.strip_prefix(*q).and_then(|s| s.strip_suffix(*q))).map(str::to_owned)
    };
    if let Some(condition) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        return Filter::parse(condition).map(Step::Filter);
    }
    if let Some(script) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
        let n = script.trim().strip_prefix("@.length").ok_or(script)?.trim().strip_prefix('-').ok_or(script)?;
        return number(n).map(Step::FromEnd);
    }
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(key) = quoted(text).filter(|k| !k.contains(['\'', '"'])) {
        return Ok(Step::Key(key));
    }
    if text.contains(',') {
        return text.split(',').map(bracket).collect::<Result<_, _>>().map(Step::Union);
    }
    if text.contains(':') {
        let mut parts = text.split(':').map(|p| if p.trim().is_empty() { Ok(None) } else { number(p).map(Some) });
        let mut next = || parts.next().unwrap_or(Ok(None));
        let (from, to, by) = (next()?, next()?, next()?);
        return Ok(Step::Range(from, to, by.unwrap_or(1)));
    }
    number(text).map(Step::Index)
}
