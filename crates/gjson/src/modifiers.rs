//! What begins with `@`: a change of the whole value; and with `!`: a value that is written in the path.

use crate::get::{Found, Kind, Room, find, parse};
use crate::pretty::{self, Layout};
use crate::scan::{self, balanced_end, inner};
use crate::text::{quote, unescape};
use std::borrow::Cow;

/// From the value and the argument to a text.
pub type Modifier = fn(&str, &str, &Room) -> Option<String>;

const MODIFIERS: &[(&str, Modifier)] = &[
    ("dig", dig),
    ("flatten", |json, arg, _| Some(flatten(json, option(arg, "deep").is_some_and(|v| v.bool()), 0))),
    ("fromstr", |json, _, _| Some(if crate::valid(json) { parse(json)?.text().into_owned() } else { String::new() })),
    ("group", group),
    ("join", join),
    ("keys", keys),
    ("pretty", pretty_with),
    ("reverse", reverse),
    ("this", |json, _, _| Some(json.to_owned())),
    ("tostr", |json, _, _| Some(quote(json))),
    ("ugly", |json, _, _| Some(pretty::ugly(json))),
    ("valid", |json, _, _| Some(if crate::valid(json) { json.to_owned() } else { String::new() })),
    ("values", values),
];

/// The modifier of a name.
pub fn named(name: &str) -> Option<Modifier> {
    MODIFIERS.iter().find(|(known, _)| *known == name).map(|(_, m)| *m)
}

/// Runs what a path begins with, if it is a modifier or a value; also what follows it.
pub fn run<'j, 'p>(json: &'j str, path: &'p str, room: &Room) -> Option<(Cow<'j, str>, &'p str)> {
    if let Some(written) = path.strip_prefix('!') {
        return literal(written).map(|(value, rest)| (Cow::Owned(value.to_owned()), rest));
    }
    let path = path.strip_prefix('@')?;
    let end = path.find(['.', '|', ':']).unwrap_or(path.len());
    let modifier = named(&path[..end])?;
    let (argument, rest) = match path[end..].strip_prefix(':') {
        Some(rest) => argument(rest),
        None => ("", &path[end..]),
    };
    if &path[..end] == "this" {
        return Some((Cow::Borrowed(json), rest));
    }
    let made = modifier(json, argument, room).unwrap_or_default();
    Some((Cow::Owned(made), rest))
}

/// The argument that a path begins with, and what follows it.
fn argument(path: &str) -> (&str, &str) {
    let bytes = path.as_bytes();
    let mut i = 0;
    if let Some(b'{' | b'[' | b'"') = bytes.first() {
        i = balanced_end(bytes, 0);
    } else {
        while i < bytes.len() && bytes[i] != b'|' {
            i = if matches!(bytes[i], b'{' | b'[' | b'"' | b'(') { balanced_end(bytes, i) } else { i + 1 };
        }
    }
    let i = i.min(bytes.len());
    path.split_at_checked(i).unwrap_or((path, ""))
}

/// A value that is written in a path, and what follows it.
fn literal(path: &str) -> Option<(&str, &str)> {
    let bytes = path.as_bytes();
    let end = match bytes.first()? {
        b'{' | b'[' => balanced_end(bytes, 0),
        // The quote, the sign or the first digit opens what nothing closes.
        b'"' | b'+' | b'-' | b'0'..=b'9' => unclosed_end(bytes),
        _ => {
            let end = path.find(['|', '.']).unwrap_or(path.len());
            let known = ["true", "false", "null", "nan", "inf"];
            return known.contains(&&*path[..end].to_ascii_lowercase()).then(|| path.split_at(end));
        }
    };
    path.split_at_checked(end)
}

/// Where a bracket closes that was opened before the text.
fn unclosed_end(bytes: &[u8]) -> usize {
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'"' | b'{' | b'[' | b'(' => i = balanced_end(bytes, i),
            b'}' | b']' | b')' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// An option of a modifier's argument.
fn option<'a>(argument: &'a str, name: &str) -> Option<Found<'a>> {
    let inside = argument.trim_start().strip_prefix('{')?;
    let (_, (kind, raw)) = scan::members(inside).filter(|(key, _)| unescape(inner(key)) == name).last()?;
    Some(Found::of(kind, raw))
}

fn list_of(json: &str) -> Option<&str> {
    json.trim_start_matches(|c| c <= ' ').strip_prefix('[')
}

fn object_of(json: &str) -> Option<&str> {
    json.trim_start_matches(|c| c <= ' ').strip_prefix('{')
}

/// What is between the brackets.
fn unwrap(json: &str) -> &str {
    let json = json.trim_matches(|c| c <= ' ');
    if json.len() >= 2 && json.starts_with(['[', '{']) { json.get(1..json.len() - 1).unwrap_or("") } else { json }
}

fn reverse(json: &str, _: &str, _: &Room) -> Option<String> {
    if let Some(inside) = list_of(json) {
        let mut all: Vec<&str> = scan::elements(inside).map(|(_, raw)| raw).collect();
        all.reverse();
        return Some(format!("[{}]", all.join(",")));
    }
    let Some(inside) = object_of(json) else { return Some(json.to_owned()) };
    let mut all: Vec<String> = scan::members(inside).map(|(key, (_, raw))| format!("{key}:{raw}")).collect();
    all.reverse();
    Some(format!("{{{}}}", all.join(",")))
}

/// Lists within lists are flattened as well where it goes `deep`, down to a depth that no sane value has.
fn flatten(json: &str, deep: bool, depth: usize) -> String {
    let Some(inside) = list_of(json) else { return json.to_owned() };
    let mut out = String::from("[");
    for (_, raw) in scan::elements(inside) {
        let deeper;
        let piece = match raw.starts_with('[') {
            true if deep && depth < 256 => {
                deeper = flatten(raw, deep, depth + 1);
                unwrap(&deeper)
            }
            true => unwrap(raw),
            false => raw,
        };
        let piece = piece.trim();
        if !piece.is_empty() {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(piece);
        }
    }
    out.push(']');
    out
}

fn keys(json: &str, _: &str, _: &Room) -> Option<String> {
    let keys: Vec<&str> = match (parse(json), object_of(json), list_of(json)) {
        (None, ..) => Vec::new(),
        (_, Some(inside), _) => scan::members(inside).map(|(key, _)| key).collect(),
        (_, _, Some(inside)) => scan::elements(inside).map(|_| "null").collect(),
        _ => vec!["null"],
    };
    Some(format!("[{}]", keys.join(",")))
}

fn values(json: &str, _: &str, _: &Room) -> Option<String> {
    if list_of(json).is_some() {
        return Some(json.to_owned());
    }
    let values: Vec<String> = match (parse(json), object_of(json)) {
        (None, _) => Vec::new(),
        (_, Some(inside)) => scan::members(inside).map(|(_, (_, raw))| raw.to_owned()).collect(),
        (Some(one), None) => vec![one.raw.into_owned()],
    };
    Some(format!("[{}]", values.join(",")))
}

fn join(json: &str, argument: &str, _: &Room) -> Option<String> {
    let Some(inside) = list_of(json) else { return Some(json.to_owned()) };
    let objects = scan::elements(inside).map(|(_, raw)| raw).filter(|raw| raw.starts_with('{'));
    if option(argument, "preserve").is_some_and(|v| v.bool()) {
        let all: Vec<&str> = objects.map(unwrap).collect();
        return Some(format!("{{{}}}", all.join(",")));
    }
    // A key has its first place and its last value.
    let mut places = std::collections::HashMap::new();
    let mut all: Vec<(&str, &str)> = Vec::new();
    for (key, (_, raw)) in objects.flat_map(|o| scan::members(&o[1..])) {
        let at = *places.entry(unescape(inner(key))).or_insert(all.len());
        match all.get_mut(at) {
            Some(known) => known.1 = raw,
            None => all.push((key, raw)),
        }
    }
    let all: Vec<String> = all.into_iter().map(|(key, raw)| format!("{key}:{raw}")).collect();
    Some(format!("{{{}}}", all.join(",")))
}

fn group(json: &str, _: &str, _: &Room) -> Option<String> {
    let inside = object_of(json)?;
    let mut all: Vec<String> = Vec::new();
    for (key, (_, raw)) in scan::members(inside) {
        let Some(inside) = raw.strip_prefix('[') else { continue };
        for (i, (_, raw)) in scan::elements(inside).enumerate() {
            match all.get_mut(i) {
                Some(one) => one.push_str(&format!(",{key}:{raw}")),
                None => all.push(format!("{key}:{raw}")),
            }
        }
    }
    let all: Vec<String> = all.into_iter().map(|members| format!("{{{members}}}")).collect();
    Some(format!("[{}]", all.join(",")))
}

/// What a path leads to in the value and in everything within it.
fn dig(json: &str, path: &str, room: &Room) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open: Vec<&str> = vec![json];
    while let Some(value) = open.pop() {
        room.take(value.len() / 8 + 1)?;
        if let Some(found) = find(value, path, room) {
            room.take(found.raw.len())?;
            out.push(found.raw.into_owned());
        }
        let within: Vec<&str> = match (object_of(value), list_of(value)) {
            (Some(inside), _) => scan::members(inside).map(|(_, (_, raw))| raw).collect(),
            (_, Some(inside)) => scan::elements(inside).map(|(_, raw)| raw).collect(),
            _ => Vec::new(),
        };
        open.extend(within.into_iter().rev());
    }
    Some(format!("[{}]", out.join(",")))
}

fn pretty_with(json: &str, argument: &str, _: &Room) -> Option<String> {
    let mut layout = Layout::default();
    if let Some(v) = option(argument, "sortKeys") {
        layout.sort = v.bool();
    }
    if let Some(v) = option(argument, "indent") {
        layout.indent = blanks(&v.text());
    }
    if let Some(v) = option(argument, "prefix") {
        layout.prefix = blanks(&v.text());
    }
    if let Some(v) = option(argument, "width").filter(|v| v.kind == Kind::Number) {
        layout.width = v.float() as i64;
    }
    Some(pretty::pretty(json, &layout))
}

/// Only what is blank may stand before lines.
fn blanks(s: &str) -> String {
    s.chars().filter(|c| " \t\n\r".contains(*c)).collect()
}
