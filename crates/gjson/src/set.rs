//! Sets and deletes values in place: the rest of the text stays as it is written.

use crate::get::{self, Found, Kind, place};
use crate::text::quote;
use crate::{PADDING, PATH, scan};
use std::borrow::Cow;

/// Why a text could not be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

fn error<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error(text.into()))
}

/// One step of a path that leads to one place.
struct Step<'p> {
    name: Cow<'p, str>,
    /// The same as [`get::get`] wants it.
    path: &'p str,
    /// It is a name even where it looks like an index.
    forced: bool,
}

impl Step<'_> {
    fn index(&self) -> Option<usize> {
        if self.forced || !self.name.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        // Nothing at all counts as 0.
        Some(self.name.parse().unwrap_or(if self.name.is_empty() { 0 } else { usize::MAX }))
    }
    fn appends(&self) -> bool {
        !self.forced && self.name == "-1"
    }
}

/// Sets what is at a path to a value, given as JSON text.
///
/// `-1` is the place after a list's last element; `:5` is a name and no index. A path with `#`, `*`, `?`, `|` or `@` changes
/// what there is and adds nothing.
pub fn set(json: &str, path: &str, value: &str) -> Result<String, Error> {
    check(path)?;
    match steps(path) {
        Some(steps) => change(json, &steps, Some(value)).map(|c| c.unwrap_or_else(|| json.to_owned())),
        None => Ok(set_all(json, path, value)),
    }
}

/// Deletes what is at a path, if there is anything; `-1` is the last element of a list.
pub fn delete(json: &str, path: &str) -> Result<String, Error> {
    check(path)?;
    match steps(path) {
        Some(steps) => change(json, &steps, None).map(|c| c.unwrap_or_else(|| json.to_owned())),
        None => error("cannot delete value from a complex path"),
    }
}

fn check(path: &str) -> Result<(), Error> {
    match path.len() {
        0 => error("path cannot be empty"),
        n if n > PATH => error(format!("the path has {n} bytes, {PATH} are possible")),
        _ => Ok(()),
    }
}

/// The steps of a path; none where it may lead to many places.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut out = Vec::new();
    let mut rest = Some(path);
    while let Some(path) = rest {
        let (step, next) = step(path)?;
        out.push(step);
        rest = next;
    }
    Some(out)
}

fn step(path: &str) -> Option<(Step<'_>, Option<&str>)> {
    let (forced, path) = match path.strip_prefix(':') {
        Some(path) => (true, path),
        None => (false, path),
    };
    let bytes = path.as_bytes();
    let mut unescaped: Option<Vec<u8>> = None;
    let mut i = 0;
    while i < bytes.len() && bytes[i] != b'.' {
        match bytes[i] {
            b'|' | b'#' | b'@' | b'*' | b'?' => return None,
            b'\\' => {
                let name = unescaped.get_or_insert_with(|| bytes[..i].to_vec());
                i += 1;
                name.extend(bytes.get(i));
            }
            c => {
                if let Some(name) = &mut unescaped {
                    name.push(c);
                }
            }
        }
        i += 1;
    }
    let path_here = &path[..i.min(path.len())];
    let name = match unescaped {
        None => Cow::Borrowed(path_here),
        Some(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
    };
    Some((Step { name, path: path_here, forced }, path.get(i + 1..)))
}

/// Replaces every place that a path leads to.
fn set_all(json: &str, path: &str, value: &str) -> String {
    // What a pipe leads to has no place of its own.
    let Some(found) = get::get(json, path).filter(|_| !path.contains('|')) else { return json.to_owned() };
    let mut places = match &found.raw {
        Cow::Borrowed(raw) => place(json, raw).into_iter().collect(),
        Cow::Owned(_) => found.places,
    };
    places.retain(|at| *at > 0);
    places.sort_unstable();
    let mut out = String::with_capacity(json.len());
    let mut done = 0;
    for at in places.into_iter().filter(|at| *at < json.len()) {
        let Some(kind) = scan::kind_at(json.as_bytes(), at) else { continue };
        let end = scan::value_end(json.as_bytes(), at, kind);
        if at < done {
            continue;
        }
        out.push_str(&json[done..at]);
        out.push_str(value);
        done = end;
    }
    out.push_str(&json[done..]);
    out
}

/// Changes what is at the steps; without a value it goes. Nothing to change: none.
fn change(json: &str, steps: &[Step], value: Option<&str>) -> Result<Option<String>, Error> {
    let Some((step, below)) = steps.split_first() else { return Ok(None) };
    let last = || {
        let n = get::get(json, "#")?.float() as usize;
        get::get(json, &n.checked_sub(1)?.to_string())
    };
    let found = match value {
        None if step.appends() => last().or_else(|| get::get(json, step.path)),
        _ => get::get(json, step.path),
    };
    let at = found.as_ref().and_then(|f| match &f.raw {
        Cow::Borrowed(raw) => place(json, raw).filter(|at| *at > 0).map(|at| (at, at + raw.len())),
        Cow::Owned(_) => None,
    });
    if let Some((start, end)) = at {
        let (before, after) = (&json[..start], &json[end..]);
        if !below.is_empty() {
            let deeper = stacker::maybe_grow(64 << 10, 1 << 20, || change(&json[start..end], below, value))?;
            return Ok(deeper.map(|inside| format!("{before}{inside}{after}")));
        }
        return Ok(Some(match value {
            Some(value) => format!("{before}{value}{after}"),
            None => without(before, after),
        }));
    }
    match value {
        None => Ok(None),
        Some(value) => add(json, steps, value).map(Some),
    }
}

/// What is left when the value between two pieces goes: its key, and one comma.
fn without(before: &str, after: &str) -> String {
    let bytes = before.as_bytes();
    let kept = |end: usize| before.get(..end).unwrap_or(before);
    let (before, comma_follows) = match bytes.iter().rposition(|c| matches!(c, b'[' | b',' | b':')) {
        Some(at) if bytes[at] == b'[' => (before, true),
        Some(at) if bytes[at] == b',' => (kept(at), false),
        Some(colon) => match key_start(&bytes[..colon]) {
            None => (before, false),
            Some(key) => match bytes[..key].iter().rposition(|c| matches!(c, b'{' | b',')) {
                Some(at) if bytes[at] == b'{' => (kept(at + 1), true),
                Some(at) => (kept(at), false),
                None => (before, false),
            },
        },
        None => (before, false),
    };
    let after =
        if comma_follows { after.trim_start_matches(|c| c <= ' ').strip_prefix(',').unwrap_or(after) } else { after };
    format!("{before}{after}")
}

/// Where the last string of a text begins.
fn key_start(bytes: &[u8]) -> Option<usize> {
    let mut i = bytes.iter().rposition(|c| *c == b'"')?;
    loop {
        i = bytes[..i].iter().rposition(|c| *c == b'"')?;
        if i == 0 || bytes[i - 1] != b'\\' {
            return Some(i);
        }
    }
}

/// Adds a value that is not there yet.
fn add(json: &str, steps: &[Step], value: &str) -> Result<String, Error> {
    let step = &steps[0];
    if json.bytes().all(|c| c <= b' ') {
        return match step.index() {
            Some(n) => Ok(format!("[{}{}]", nulls(n)?, built(steps, true, value)?)),
            None => Ok(format!("{{{}}}", built(steps, false, value)?)),
        };
    }
    let found = get::parse(json).filter(|f| f.kind == Kind::Json);
    let whole = found.unwrap_or_else(|| Found::of(Kind::Json, if step.index().is_some() { "[]" } else { "{}" }));
    let whole = &*whole.raw;
    let empty = whole[1..].bytes().find(|c| *c > b' ').is_none_or(|c| matches!(c, b'}' | b']'));
    let comma = if empty { "" } else { "," };
    if whole.starts_with('{') {
        let end = whole.rfind('}').unwrap_or(0);
        return Ok(format!("{}{comma}{}}}", &whole[..end], built(steps, false, value)?));
    }
    if step.appends() {
        let list = whole.trim_matches(|c| c <= ' ');
        let list = list.strip_suffix(']').unwrap_or(list);
        return Ok(format!("{list}{comma}{}]", built(steps, true, value)?));
    }
    let Some(n) = step.index() else {
        return error(format!("cannot set array element for non-numeric key '{}'", step.name));
    };
    let elements: Vec<&str> = scan::elements(&whole[1..]).map(|(_, raw)| raw).collect();
    let padding = nulls(n.saturating_sub(elements.len()))?;
    let comma = if elements.is_empty() { "" } else { "," };
    Ok(format!("[{}{comma}{padding}{}]", elements.join(","), built(steps, true, value)?))
}

fn nulls(n: usize) -> Result<String, Error> {
    if n > PADDING {
        return error(format!("an index of {n} is out of reach: at most {PADDING} elements are added to a list"));
    }
    Ok("null,".repeat(n))
}

/// A new member or element, with everything that the steps below it need.
fn built(steps: &[Step], in_list: bool, value: &str) -> Result<String, Error> {
    let name = if in_list { String::new() } else { format!("{}:", plain_quote(&steps[0].name)) };
    let Some(next) = steps.get(1) else { return Ok(format!("{name}{value}")) };
    let deeper = |in_list| stacker::maybe_grow(64 << 10, 1 << 20, || built(&steps[1..], in_list, value));
    if next.index().is_some() || next.appends() {
        Ok(format!("{name}[{}{}]", nulls(next.index().unwrap_or(0))?, deeper(true)?))
    } else {
        Ok(format!("{name}{{{}}}", deeper(false)?))
    }
}

/// A string as short as it can be written: `<` and the like are escaped only where something else has to be.
pub fn plain_quote(s: &str) -> String {
    if s.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'"' && c != b'\\') {
        return format!("\"{s}\"");
    }
    quote(s)
}
