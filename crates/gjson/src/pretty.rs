//! Lays a JSON text out over lines, or without any blanks.

use crate::get::Kind;
use crate::scan::{self, Piece};

pub struct Layout {
    /// Lists that fit are written on one line.
    pub width: i64,
    /// Before every line.
    pub prefix: String,
    pub indent: String,
    pub sort: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Layout { width: 80, prefix: String::new(), indent: "  ".into(), sort: false }
    }
}

/// The deepest level that is laid out; what is deeper is written as it is.
const DEPTH: usize = 256;

pub fn ugly(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut quoted = false;
    let mut escaped = false;
    for c in json.chars() {
        if quoted || c > ' ' {
            out.push(c);
        }
        if quoted {
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else {
            quoted = c == '"';
        }
    }
    out
}

pub fn pretty(json: &str, layout: &Layout) -> String {
    let Some(piece) = first(json) else { return layout.prefix.clone() };
    let mut out = layout.prefix.clone();
    let mut line = 0;
    value(&mut out, piece, layout, 0, &mut line);
    out.push('\n');
    out
}

fn first(json: &str) -> Option<Piece<'_>> {
    let at = json.bytes().position(|c| c > b' ')?;
    let kind = scan::kind_at(json.as_bytes(), at)?;
    json.get(at..scan::value_end(json.as_bytes(), at, kind)).map(|raw| (kind, raw))
}

/// Writes a value; `line` is where its line began.
fn value(out: &mut String, (kind, raw): Piece, layout: &Layout, depth: usize, line: &mut usize) {
    if kind != Kind::Json || depth > DEPTH {
        out.push_str(raw);
        return;
    }
    let list = raw.starts_with('[');
    if list && layout.width > 0 {
        let room = layout.width - (out.len() - *line) as i64;
        if room > 3
            && let Some(short) = on_one_line(raw, room)
        {
            out.push_str(&short);
            return;
        }
    }
    out.push_str(&raw[..1]);
    let mut members: Vec<(Option<&str>, Piece)> = if list {
        scan::elements(&raw[1..]).map(|piece| (None, piece)).collect()
    } else {
        scan::members(&raw[1..]).map(|(key, piece)| (Some(key), piece)).collect()
    };
    if layout.sort && !list {
        members.sort_by(|a, b| a.0.map(scan::inner).cmp(&b.0.map(scan::inner)));
    }
    let none = members.is_empty();
    for (i, (key, piece)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        new_line(out, layout, depth + 1, line);
        if let Some(key) = key {
            out.push_str(key);
            out.push_str(": ");
        }
        value(out, piece, layout, depth + 1, line);
    }
    if !none {
        new_line(out, layout, depth, line);
    }
    out.push(if list { ']' } else { '}' });
}

fn new_line(out: &mut String, layout: &Layout, depth: usize, line: &mut usize) {
    *line = out.len();
    out.push('\n');
    out.push_str(&layout.prefix);
    out.push_str(&layout.indent.repeat(depth));
}

/// A list without objects, if it is no longer than that.
fn on_one_line(raw: &str, room: i64) -> Option<String> {
    // Each level takes some of the room, so that there are not many.
    if room < 2 {
        return None;
    }
    let mut out = String::from("[");
    for (i, (kind, raw)) in scan::elements(&raw[1..]).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        match kind {
            Kind::Json if raw.starts_with('{') => return None,
            Kind::Json => out.push_str(&on_one_line(raw, room - out.len() as i64)?),
            _ => out.push_str(raw),
        }
        if out.len() as i64 > room {
            return None;
        }
    }
    out.push(']');
    (out.len() as i64 <= room).then_some(out)
}
