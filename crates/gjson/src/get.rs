//! Follows a path through a text.

use crate::modifiers;
use crate::path::{self, Then, Which};
use crate::scan::{self, Piece};
use crate::text::{go_float, matches, quote, unescape};
use crate::{PATH, PRODUCED};
use std::borrow::Cow;
use std::cell::Cell;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `false`
    False,
    /// A number.
    Number,
    /// A string.
    String,
    /// `true`
    True,
    /// An object or a list.
    Json,
}

/// A value that a path led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'j> {
    /// What it is.
    pub kind: Kind,
    /// As it is written; borrowed where it is a piece of the text.
    pub raw: Cow<'j, str>,
    /// Where the pieces of the text are that a list was made of.
    pub(crate) places: Vec<usize>,
}

impl<'j> Found<'j> {
    pub(crate) fn of(kind: Kind, raw: impl Into<Cow<'j, str>>) -> Self {
        Found { kind, raw: raw.into(), places: Vec::new() }
    }

    fn piece((kind, raw): Piece<'j>) -> Self {
        Found::of(kind, raw)
    }

    fn owned(self) -> Found<'static> {
        Found { kind: self.kind, raw: Cow::Owned(self.raw.into_owned()), places: Vec::new() }
    }

    /// As text: a string says what it says, `null` nothing, anything else what is written.
    pub fn text(&self) -> Cow<'_, str> {
        match self.kind {
            Kind::Null => Cow::Borrowed(""),
            Kind::String => unescape(scan::inner(&self.raw)),
            Kind::Number if !self.is_whole() => Cow::Owned(go_float(self.float())),
            _ => Cow::Borrowed(&self.raw),
        }
    }

    fn is_whole(&self) -> bool {
        self.raw.strip_prefix('-').unwrap_or(&self.raw).bytes().all(|c| c.is_ascii_digit())
    }

    /// As a number: 1 for true, what a string says, else 0.
    pub fn float(&self) -> f64 {
        match self.kind {
            Kind::True => 1.0,
            Kind::Number => self.raw.parse().unwrap_or(0.0),
            Kind::String => self.text().parse().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// As a truth: a number that is not 0, a string that says so.
    pub fn bool(&self) -> bool {
        match self.kind {
            Kind::True => true,
            Kind::Number => self.float() != 0.0,
            Kind::String => matches!(&*self.text().to_lowercase(), "1" | "t" | "true"),
            _ => false,
        }
    }

    /// As a value: numbers are floats, the first of equal keys counts. `null` for what makes no sense.
    pub fn value(&self) -> serde_json::Value {
        match self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::False => false.into(),
            Kind::True => true.into(),
            Kind::Number => self.float().into(),
            Kind::String => self.text().into(),
            Kind::Json => stacker::maybe_grow(64 << 10, 1 << 20, || self.nested()),
        }
    }

    fn nested(&self) -> serde_json::Value {
        let of = |(kind, raw): Piece| Found::of(kind, raw).value();
        let Some(inside) = self.raw.get(1..) else { return serde_json::Value::Null };
        if self.raw.starts_with('[') {
            return scan::elements(inside).map(of).collect();
        }
        let mut out = serde_json::Map::new();
        for (key, piece) in scan::members(inside) {
            out.entry(unescape(scan::inner(key))).or_insert_with(|| of(piece));
        }
        out.into()
    }
}

/// The first value of a text, with all that follows it if it is an object or a list.
pub fn parse(json: &str) -> Option<Found<'_>> {
    let at = json.bytes().position(|c| c > b' ')?;
    let kind = scan::kind_at(json.as_bytes(), at)?;
    let end = if kind == Kind::Json { json.len() } else { scan::value_end(json.as_bytes(), at, kind) };
    json.get(at..end).map(|raw| Found::of(kind, raw))
}

/// What a path leads to.
pub fn get<'j>(json: &'j str, path: &str) -> Option<Found<'j>> {
    if path.len() > PATH {
        return None;
    }
    find(json, path, &Room(Cell::new(PRODUCED)))
}

/// Bytes that may still be produced.
pub struct Room(Cell<usize>);

impl Room {
    pub fn take(&self, n: usize) -> Option<()> {
        self.0.set(self.0.get().checked_sub(n)?);
        Some(())
    }
}

pub fn find<'j>(json: &'j str, path: &str, room: &Room) -> Option<Found<'j>> {
    stacker::maybe_grow(64 << 10, 1 << 20, || find_here(json, path, room))
}

fn find_here<'j>(json: &'j str, path: &str, room: &Room) -> Option<Found<'j>> {
    if path.len() > 1 {
        if let Some((made, rest)) = modifiers::run(json, path, room) {
            room.take(made.len())?;
            return match rest.strip_prefix(['|', '.']) {
                Some(rest) => find_in(made, rest, room),
                None => parse(&made).map(Found::owned),
            };
        }
        if let Some(out) = selection(json, path, room) {
            return out;
        }
    }
    let mut walk = Walk { room, pipe: None, value: None };
    if let Some(lines) = path.strip_prefix("..") {
        walk.list(json, lines, json);
    } else if let Some(start) = json.find(['{', '[']) {
        walk.below(&json[start..], path, json);
    }
    match (walk.pipe, walk.value) {
        (None, value) => value,
        (Some(pipe), value) => find_in(value.map(|v| v.raw).unwrap_or_default(), &pipe, room),
    }
}

fn find_in<'j>(json: Cow<'j, str>, path: &str, room: &Room) -> Option<Found<'j>> {
    match json {
        Cow::Borrowed(json) => find(json, path, room),
        Cow::Owned(json) => find(&json, path, room).map(Found::owned),
    }
}

/// A list or an object of paths: `[a,b]`, `{a,"name":b}`. The outer answer is none where it is no such thing.
fn selection<'j>(json: &'j str, path: &str, room: &Room) -> Option<Option<Found<'j>>> {
    let object = path.starts_with('{');
    if !object && !path.starts_with('[') {
        return None;
    }
    let (parts, rest) = parts(path)?;
    if !rest.is_empty() && !rest.starts_with(['|', '.']) {
        return None;
    }
    let mut out = String::from(if object { "{" } else { "[" });
    for (name, path) in parts {
        let Some(found) = find(json, path, room) else { continue };
        if room.take(found.raw.len() + path.len()).is_none() {
            return Some(None);
        }
        if out.len() > 1 {
            out.push(',');
        }
        if object {
            match name {
                Some(name) if name.starts_with('"') && crate::valid(name) => out.push_str(name),
                Some(name) => out.push_str(&quote(name)),
                None => out.push_str(&quote(last_name(path))),
            }
            out.push(':');
        }
        out.push_str(&found.raw);
    }
    out.push(if object { '}' } else { ']' });
    Some(match rest.get(1..) {
        None => Some(Found::of(Kind::Json, out)),
        Some(rest) => find_in(Cow::Owned(out), rest, room),
    })
}

/// The members of a selection: names where they have them, and paths; and what follows it.
type Parts<'p> = (Vec<(Option<&'p str>, &'p str)>, &'p str);

fn parts(path: &str) -> Option<Parts<'_>> {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut depth = 1;
    let (mut start, mut colon, mut modifier) = (1, None, false);
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'@' => modifier |= matches!(bytes[i - 1], b'.' | b'|'),
            b':' if !modifier && colon.is_none() && depth == 1 => colon = Some(i),
            b'"' => i = scan::string_end(bytes, i) - 1,
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && bytes.get(i) == Some(&b',')) {
            out.push(match colon.filter(|c| *c > start) {
                Some(colon) => (path.get(start..colon), path.get(colon + 1..i)?),
                None if colon.is_some() => (None, path.get(start + 1..i)?),
                None => (None, path.get(start..i)?),
            });
            (start, colon, modifier) = (i + 1, None, false);
        }
        if depth == 0 {
            return Some((out, &path[i + 1..]));
        }
        i += 1;
    }
    None
}

/// What a member of a selection is called that has no name of its own.
fn last_name(path: &str) -> &str {
    let end = path
        .char_indices()
        .rev()
        .find(|(i, c)| matches!(c, '|' | '.') && (*i == 0 || !path[..*i].ends_with('\\')))
        .map_or(0, |(i, _)| i + 1);
    let name = &path[end..];
    if name.contains(|c| c < ' ' || "[]{}()#|!".contains(c)) { "_" } else { name }
}

/// One way through a text.
struct Walk<'r, 'j> {
    room: &'r Room,
    /// What is to be asked of the value in the end.
    pipe: Option<String>,
    value: Option<Found<'j>>,
}

impl<'j> Walk<'_, 'j> {
    /// Goes on below a value; true when the search is over. `whole` is the text that places are counted in.
    fn below(&mut self, value: &'j str, path: &str, whole: &'j str) -> bool {
        let Some(inside) = value.get(1..) else { return false };
        stacker::maybe_grow(64 << 10, 1 << 20, || match value.as_bytes().first() {
            Some(b'{') => self.object(inside, path, whole),
            Some(b'[') => self.list(inside, path, whole),
            _ => false,
        })
    }

    fn found(&mut self, piece: Piece<'j>) -> bool {
        self.value = Some(Found::piece(piece));
        true
    }

    fn object(&mut self, inside: &'j str, path: &str, whole: &'j str) -> bool {
        let step = path::key(path);
        if let Then::Pipe(pipe) = step.then {
            self.pipe = Some(pipe.to_owned());
        }
        for (key, piece) in scan::members(inside) {
            let name = unescape(scan::inner(key));
            if !(if step.wild { matches(&name, &step.name) } else { name == step.name }) {
                continue;
            }
            let done = match step.then {
                Then::Below(rest) => self.below(piece.1, rest, whole),
                Then::End | Then::Pipe(_) => self.found(piece),
            };
            if done {
                return true;
            }
        }
        false
    }

    fn list(&mut self, inside: &'j str, path: &str, whole: &'j str) -> bool {
        let step = path::element(path);
        if let Then::Pipe(pipe) = step.then {
            self.pipe = Some(pipe.to_owned());
        }
        match step.which {
            Which::Nothing => false,
            Which::Index(n) => match (scan::elements(inside).nth(n), step.then) {
                (None, _) => false,
                (Some(piece), Then::Below(rest)) => self.below(piece.1, rest, whole),
                (Some(piece), _) => self.found(piece),
            },
            Which::Count => {
                let n = scan::elements(inside).count();
                self.value = Some(Found::of(Kind::Number, n.to_string()));
                true
            }
            Which::Each(path) => self.each(inside, path, whole),
            Which::Query(query) => self.query(inside, &query, step.then, whole),
        }
    }

    /// `#.path`: a list of what the path leads to in every element.
    fn each(&mut self, inside: &'j str, path: &str, whole: &'j str) -> bool {
        let path = self.up_to_pipe(path);
        let mut out = Gathered::default();
        for piece in scan::elements(inside) {
            if let Some(found) = find(piece.1, &path, self.room)
                && out.add(&found, whole, self.room).is_none()
            {
                return true;
            }
        }
        self.value = Some(out.list());
        true
    }

    fn query(&mut self, inside: &'j str, query: &crate::query::Query, then: Then, whole: &'j str) -> bool {
        let below = match then {
            Then::Below(path) => Some(path.to_owned()),
            Then::End | Then::Pipe(_) => None,
        };
        let mut out = Gathered::default();
        let mut any = false;
        for piece in scan::elements(inside) {
            any = true;
            let element = Found::piece(piece);
            let asked = match (element.kind, query.path) {
                (Kind::Json, path) => find(piece.1, path, self.room),
                (_, "") => Some(element.clone()),
                _ => continue,
            };
            if !query.holds(asked.as_ref()) {
                continue;
            }
            let result = match &below {
                None => Some(element),
                Some(path) => {
                    let path = self.up_to_pipe(path);
                    find(piece.1, &path, self.room)
                }
            };
            if !query.all {
                self.value = result;
                return true;
            }
            if let Some(found) = result
                && out.add(&found, whole, self.room).is_none()
            {
                return true;
            }
        }
        if query.all && self.value.is_none() {
            self.value = Some(if any { out.list() } else { Found::of(Kind::Json, "[]") });
        }
        false
    }

    /// The part of a path before its pipe; what is behind it is for the end.
    fn up_to_pipe(&mut self, path: &str) -> String {
        match path::split_pipe(path) {
            Some((left, right)) => {
                self.pipe = Some(right.to_owned());
                left.to_owned()
            }
            None => path.to_owned(),
        }
    }
}

/// A list that is made of pieces.
#[derive(Default)]
struct Gathered {
    text: String,
    places: Vec<usize>,
}

impl Gathered {
    fn add(&mut self, found: &Found, whole: &str, room: &Room) -> Option<()> {
        room.take(found.raw.len() + 1)?;
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&found.raw);
        if let Cow::Borrowed(raw) = &found.raw {
            self.places.extend(place(whole, raw));
        }
        Some(())
    }

    fn list(self) -> Found<'static> {
        Found { kind: Kind::Json, raw: Cow::Owned(format!("[{}]", self.text)), places: self.places }
    }
}

/// Where a piece of a text begins in it.
pub fn place(whole: &str, piece: &str) -> Option<usize> {
    (piece.as_ptr() as usize).checked_sub(whole.as_ptr() as usize).filter(|at| at + piece.len() <= whole.len())
}
