//! Takes paths apart, one step at a time: what a step means depends on whether it meets an object or a list.

use crate::modifiers;
use crate::query::Query;
use std::borrow::Cow;

/// What comes after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then<'p> {
    /// Nothing: what the step finds is the result.
    End,
    /// A path below what the step finds.
    Below(&'p str),
    /// A path from whatever the whole path up to here gives.
    Pipe(&'p str),
}

/// A step into an object.
pub struct Key<'p> {
    pub name: Cow<'p, str>,
    pub wild: bool,
    pub then: Then<'p>,
}

/// A step into a list.
pub struct Element<'p> {
    pub which: Which<'p>,
    pub then: Then<'p>,
}

pub enum Which<'p> {
    Index(usize),
    /// `#` at the end: how many there are.
    Count,
    /// `#.path`: that path of every element.
    Each(&'p str),
    Query(Query<'p>),
    /// Something that no list has.
    Nothing,
}

/// Whether what follows a dot stands for the whole value: a modifier, or a list or an object of paths.
fn stands_alone(rest: &str) -> bool {
    match rest.as_bytes().first() {
        Some(b'@') => {
            let end = rest.find(['.', '|', ':']).unwrap_or(rest.len());
            modifiers::named(&rest[1..end]).is_some()
        }
        Some(b'[' | b'{') => true,
        _ => false,
    }
}

fn after_dot(rest: &str) -> Then<'_> {
    if stands_alone(rest) { Then::Pipe(rest) } else { Then::Below(rest) }
}

pub fn key(path: &str) -> Key<'_> {
    let bytes = path.as_bytes();
    let mut wild = false;
    // With escapes the name is no part of the path.
    let mut unescaped: Option<Vec<u8>> = None;
    let mut i = 0;
    let mut then = Then::End;
    while i < bytes.len() {
        match bytes[i] {
            b'|' => then = Then::Pipe(&path[i + 1..]),
            b'.' => then = after_dot(&path[i + 1..]),
            b'\\' => {
                let name = unescaped.get_or_insert_with(|| bytes[..i].to_vec());
                i += 1;
                name.extend(bytes.get(i));
                i += 1;
                continue;
            }
            c => {
                wild |= matches!(c, b'*' | b'?');
                if let Some(name) = &mut unescaped {
                    name.push(c);
                }
                i += 1;
                continue;
            }
        }
        break;
    }
    let name = match unescaped {
        None => Cow::Borrowed(&path[..i.min(path.len())]),
        Some(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
    };
    Key { name, wild, then }
}

pub fn element(path: &str) -> Element<'_> {
    let bytes = path.as_bytes();
    if let Some(each) = path.strip_prefix("#.") {
        return Element { which: Which::Each(each), then: Then::Below(each) };
    }
    let mut counts = false;
    let mut query = None;
    let mut i = 0;
    if path.starts_with("#(") || path.starts_with("#[") {
        counts = true;
        match Query::parse(path) {
            Some((mut parsed, end)) => {
                parsed.all = bytes.get(end) == Some(&b'#');
                query = Some(parsed);
                i = end;
            }
            // One that never ends asks whether there is anything.
            None => return Element { which: Which::Query(Query::default()), then: Then::End },
        }
    }
    let mut then = Then::End;
    while i < bytes.len() {
        match bytes[i] {
            b'|' => then = Then::Pipe(&path[i + 1..]),
            b'.' if counts => then = Then::Below(&path[i + 1..]),
            b'.' => then = after_dot(&path[i + 1..]),
            c => {
                counts |= c == b'#';
                i += 1;
                continue;
            }
        }
        break;
    }
    let part = &path[..i];
    let which = match query {
        Some(query) => Which::Query(query),
        None if part == "#" => Which::Count,
        None if counts || part.is_empty() || !part.bytes().all(|c| c.is_ascii_digit()) => Which::Nothing,
        None => part.parse().map_or(Which::Nothing, Which::Index),
    };
    Element { which, then }
}

/// Parts a path at its first pipe that is not inside something.
pub fn split_pipe(path: &str) -> Option<(&str, &str)> {
    let bytes = path.as_bytes();
    if bytes.first() == Some(&b'{') {
        let end = crate::scan::balanced_end(bytes, 0);
        return path.get(end..)?.strip_prefix('|').map(|right| (&path[..end], right));
    }
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'.' if i + 1 == bytes.len() => return None,
            b'.' if bytes[i + 1] == b'#' => {
                i += 2;
                match bytes.get(i) {
                    None => return None,
                    Some(b'(' | b'[') => i = query_end(bytes, i),
                    _ => {}
                }
            }
            b'|' => return Some((&path[..i], &path[i + 1..])),
            _ => {}
        }
        i += 1;
    }
    None
}

/// Where a query that a bracket at `i` opens is closed.
fn query_end(bytes: &[u8], i: usize) -> usize {
    let (open, close) = if bytes[i] == b'(' { (b'(', b')') } else { (b'[', b']') };
    let mut depth = 0;
    let mut i = i;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'"' => i = crate::scan::string_end(bytes, i) - 1,
            c if c == open => depth += 1,
            c if c == close => {
                depth -= 1;
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
        i += 1;
    }
    i
}
