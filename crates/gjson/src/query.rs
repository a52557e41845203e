//! Queries of lists: `#(age>40)`.

use crate::get::{Found, Kind};
use crate::scan;
use crate::text::{matches, unescape};
use std::borrow::Cow;

#[derive(Debug, Default)]
pub struct Query<'p> {
    /// Where to look in each element; empty: at itself.
    pub path: &'p str,
    /// Empty: whether there is anything.
    op: &'p str,
    value: Cow<'p, str>,
    /// Every match, not the first only.
    pub all: bool,
}

fn trim(s: &str) -> &str {
    s.trim_matches(|c| c <= ' ')
}

impl<'p> Query<'p> {
    /// Reads a query at the beginning of a path; also where it ends.
    pub fn parse(path: &'p str) -> Option<(Self, usize)> {
        let bytes = path.as_bytes();
        let mut depth = 1;
        let mut operator = 0;
        let mut i = 2;
        while i < bytes.len() {
            match bytes[i] {
                b'!' | b'=' | b'<' | b'>' | b'%' if depth == 1 && operator == 0 => operator = i,
                b'\\' => i += 1,
                b'[' | b'(' => depth += 1,
                b']' | b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'"' => i = scan::string_end(bytes, i) - 1,
                _ => {}
            }
            i += 1;
        }
        if depth > 0 || i >= bytes.len() {
            return None;
        }
        let mut out = Query { path: trim(path.get(2..if operator > 0 { operator } else { i })?), ..Query::default() };
        if operator > 0 {
            let mut right = trim(path.get(operator..i)?);
            right = right.strip_prefix("==").map_or(right, |_| &right[1..]);
            let width = ["!=", "!%", "<=", ">="].iter().find(|op| right.starts_with(**op)).map_or_else(
                || usize::from(right.len() == 1 || right.starts_with(['<', '>', '=', '%'])),
                |op| op.len(),
            );
            out.op = &right[..width];
            let value = trim(&right[width..]);
            out.value = if value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
                unescape(scan::inner(value))
            } else {
                Cow::Borrowed(value)
            };
        }
        Some((out, i + 1))
    }

    /// Whether what was found at the query's path is what it asks for.
    pub fn holds(&self, found: Option<&Found>) -> bool {
        let mut wanted = &*self.value;
        let truth;
        let mut found = found;
        if let Some(like) = wanted.strip_prefix('~') {
            let alike = match like {
                "*" => found.is_some(),
                "null" => found.is_none_or(|f| f.kind == Kind::Null),
                "true" => found.is_some_and(|f| truth_of(f) == Some(true)),
                "false" => found.is_none_or(|f| f.kind == Kind::Null || truth_of(f) == Some(false)),
                _ => return false,
            };
            wanted = "true";
            truth = Found::of(if alike { Kind::True } else { Kind::False }, if alike { "true" } else { "false" });
            found = Some(&truth);
        }
        let Some(found) = found else { return false };
        if self.op.is_empty() {
            return true;
        }
        match found.kind {
            Kind::String => {
                let text = found.text();
                match self.op {
                    "%" => matches(&text, wanted),
                    "!%" => !matches(&text, wanted),
                    op => compare(op, &*text, wanted),
                }
            }
            Kind::Number => compare(self.op, &found.float(), &wanted.parse::<f64>().unwrap_or(0.0)),
            Kind::True => match self.op {
                "=" => wanted == "true",
                "!=" => wanted != "true",
                ">" => wanted == "false",
                op => op == ">=",
            },
            Kind::False => match self.op {
                "=" => wanted == "false",
                "!=" => wanted != "false",
                "<" => wanted == "true",
                op => op == "<=",
            },
            Kind::Null | Kind::Json => false,
        }
    }
}

/// What a value says when it is asked for a truth; nothing when it says neither.
fn truth_of(f: &Found) -> Option<bool> {
    match f.kind {
        Kind::True => Some(true),
        Kind::False => Some(false),
        Kind::Number => Some(f.float() != 0.0),
        Kind::String => match &*f.text().to_lowercase() {
            "1" | "t" | "true" => Some(true),
            "0" | "f" | "false" => Some(false),
            _ => None,
        },
        Kind::Null | Kind::Json => None,
    }
}

fn compare<T: PartialOrd + ?Sized>(op: &str, a: &T, b: &T) -> bool {
    match op {
        "=" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        ">=" => a >= b,
        _ => false,
    }
}
