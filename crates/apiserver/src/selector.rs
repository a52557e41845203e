//! Label and field selectors, as list and watch requests write them.

use crate::object;
use crate::status::Status;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Equals(String, String),
    Differs(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// `a=b,c in (d,e),!f`: every term must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels(Vec<Term>);

/// `metadata.name=x,status.phase!=Failed`: every term must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(String, String, bool)>);

impl Labels {
    pub fn parse(text: &str) -> Result<Self, Status> {
        let wrong = |why: String| Status::bad_request(format!("unable to parse requirement: {why}"));
        let mut terms = Vec::new();
        for part in split_terms(text) {
            if let Some(operator) = ["==", "!=", "=", "(", ")"].into_iter().find(|o| part.trim_start().starts_with(o)) {
                return Err(Status::bad_request(format!(
                    "found '{operator}', expected: !, identifier, or 'end of string'"
                )));
            }
            terms.push(parse_term(part.trim()).map_err(wrong)?);
        }
        Ok(Self(terms))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn matches(&self, o: &Value) -> bool {
        let labels = object::at(o, &["metadata", "labels"]);
        let get = |k: &str| labels.and_then(|l| l.get(k)).and_then(Value::as_str);
        self.0.iter().all(|t| match t {
            Term::Equals(k, v) => get(k) == Some(v),
            Term::Differs(k, v) => get(k) != Some(v),
            Term::In(k, list) => get(k).is_some_and(|x| list.iter().any(|v| v == x)),
            Term::NotIn(k, list) => get(k).is_none_or(|x| !list.iter().any(|v| v == x)),
            Term::Exists(k) => get(k).is_some(),
            Term::Missing(k) => get(k).is_none(),
        })
    }
}

/// Splits at commas that are not inside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut out, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() || !out.is_empty() {
        out.push(&text[start..]);
    }
    out
}

fn parse_term(t: &str) -> Result<Term, String> {
    if let Some(key) = t.strip_prefix('!') {
        return Ok(Term::Missing(label_key(key.trim())?));
    }
    for (op, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((k, v)) = t.split_once(op) {
            let (k, v) = (label_key(k.trim())?, label_value(v.trim())?);
            return Ok(if equal { Term::Equals(k, v) } else { Term::Differs(k, v) });
        }
    }
    if let Some((head, list)) = t.split_once('(') {
        let list = list.strip_suffix(')').ok_or_else(|| "found '', expected: ',' or ')'".to_owned())?;
        let values = list.split(',').map(|v| label_value(v.trim())).collect::<Result<Vec<_>, _>>()?;
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(k), Some("in"), None) => Ok(Term::In(label_key(k)?, values)),
            (Some(k), Some("notin"), None) => Ok(Term::NotIn(label_key(k)?, values)),
            (_, Some(other), _) => Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
            _ => Err(format!("found '{t}', expected: a key and in or notin")),
        };
    }
    if t.split_whitespace().count() > 1 {
        let mut words = t.split_whitespace().skip(1);
        let second = words.next().unwrap_or("");
        if matches!(second, "in" | "notin") {
            return Err(format!("found '{}' expected: '('", words.next().unwrap_or("")));
        }
        return Err(format!("found '{second}', expected: in, notin, =, ==, !=, gt, lt"));
    }
    Ok(Term::Exists(label_key(t)?))
}

fn label_key(k: &str) -> Result<String, String> {
    match crate::names::label_key_problem(k) {
        None => Ok(k.into()),
        Some(_) if k.is_empty() => Err("found '', expected: !, identifier, or 'end of string'".into()),
        Some(why) => Err(format!("<nil>: Invalid value: {k:?}: {why}")),
    }
}

fn label_value(v: &str) -> Result<String, String> {
    match crate::names::label_value_problem(v) {
        None => Ok(v.into()),
        Some(why) => Err(format!("<nil>: Invalid value: {v:?}: {why}")),
    }
}

impl Fields {
    /// `supported` are the paths of the resource; anything else is refused by name, and where there are few they are told.
    pub fn parse(text: &str, supported: &[String], tell: bool) -> Result<Self, Status> {
        let mut out = Vec::new();
        for part in text.split(',').filter(|p| !p.trim().is_empty()) {
            let (path, value, equal) = if let Some((p, v)) = part.split_once("!=") {
                (p, v, false)
            } else if let Some((p, v)) = part.split_once("==") {
                (p, v, true)
            } else if let Some((p, v)) = part.split_once('=') {
                (p, v, true)
            } else {
                return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            let path = path.trim();
            if !supported.iter().any(|s| s == path) {
                let all: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
                return Err(Status::bad_request(if tell {
                    format!("{path:?} is not a known field selector: only {}", all.join(", "))
                } else {
                    format!("field label not supported: {path}")
                }));
            }
            out.push((path.to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self(out))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that the selector pins, if it does: such a list is a lookup.
    pub fn name(&self) -> Option<&str> {
        self.0.iter().find(|(p, _, equal)| *equal && p == "metadata.name").map(|(_, v, _)| v.as_str())
    }

    pub fn matches(&self, o: &Value) -> bool {
        self.0.iter().all(|(path, want, equal)| {
            let mut v = Some(o);
            for part in path.split('.') {
                v = v.and_then(|v| v.get(part));
            }
            let have = match v {
                Some(Value::String(s)) => s.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (have == *want) == *equal
        })
    }
}

/// `matchLabels` and `matchExpressions` of an object, as a selector.
pub fn from_object(selector: &Value) -> Labels {
    let mut terms = Vec::new();
    for (k, v) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        terms.push(Term::Equals(k.clone(), v.as_str().unwrap_or("").into()));
    }
    for e in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = object::text(e, &["key"]).to_owned();
        let values: Vec<String> = object::strings(e.get("values")).into_iter().map(str::to_owned).collect();
        match object::text(e, &["operator"]) {
            "In" => terms.push(Term::In(key, values)),
            "NotIn" => terms.push(Term::NotIn(key, values)),
            "Exists" => terms.push(Term::Exists(key)),
            "DoesNotExist" => terms.push(Term::Missing(key)),
            _ => {}
        }
    }
    Labels(terms)
}
