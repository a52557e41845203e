//! Finds where values of a JSON text begin and end. Tolerant: what is not a value is passed over.

use crate::get::Kind;

/// Where a string that begins at `i` ends, after its quote.
pub fn string_end(text: &[u8], i: usize) -> usize {
    let mut i = i + 1;
    while i < text.len() {
        match text[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

/// Where what a bracket at `i` opens is closed again; the end of the text if it never is.
pub fn balanced_end(text: &[u8], i: usize) -> usize {
    let mut depth = 0;
    let mut i = i;
    while i < text.len() {
        match text[i] {
            b'"' => {
                i = string_end(text, i);
                if depth == 0 {
                    return i;
                }
                continue;
            }
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth <= 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
        i += 1;
    }
    text.len()
}

/// What kind of value begins here, if one does.
pub fn kind_at(text: &[u8], i: usize) -> Option<Kind> {
    Some(match text[i] {
        b'{' | b'[' => Kind::Json,
        b'"' => Kind::String,
        b't' => Kind::True,
        b'f' => Kind::False,
        b'n' if text.get(i + 1).is_none_or(|c| *c == b'u') => Kind::Null,
        b'n' | b'+' | b'-' | b'0'..=b'9' | b'i' | b'I' | b'N' => Kind::Number,
        _ => return None,
    })
}

/// Where the value that begins at `i` ends.
pub fn value_end(text: &[u8], i: usize, kind: Kind) -> usize {
    let ends = |stop: fn(u8) -> bool| text[i + 1..].iter().position(|c| stop(*c)).map_or(text.len(), |n| i + 1 + n);
    match kind {
        Kind::Json => balanced_end(text, i),
        Kind::String => string_end(text, i),
        Kind::Number => ends(|c| c <= b' ' || matches!(c, b',' | b']' | b'}')),
        Kind::True | Kind::False | Kind::Null => ends(|c| !c.is_ascii_lowercase()),
    }
}

/// A value with its kind.
pub type Piece<'j> = (Kind, &'j str);

/// The next value at or after `i`, and where it ends; none before `close` or the end.
fn next_value(text: &str, mut i: usize, close: u8) -> Option<(Piece<'_>, usize)> {
    let bytes = text.as_bytes();
    while i < bytes.len() && bytes[i] != close {
        if let Some(kind) = kind_at(bytes, i) {
            let end = value_end(bytes, i, kind);
            return text.get(i..end).map(|raw| ((kind, raw), end));
        }
        i += 1;
    }
    None
}

/// The elements of a list, given from after its bracket; of lines, given whole.
pub fn elements(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (piece, end) = next_value(text, at, b']')?;
        at = end;
        Some(piece)
    })
}

/// The members of an object, given from after its bracket: the key with its quotes, and the value.
pub fn members(text: &str) -> impl Iterator<Item = (&str, Piece<'_>)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && bytes[at] != b'"' {
            if bytes[at] == b'}' {
                return None;
            }
            at += 1;
        }
        let end = string_end(bytes, at);
        let key = text.get(at..end).filter(|k| k.len() > 1 && k.ends_with('"'))?;
        let (piece, end) = next_value(text, end, 0)?;
        at = end;
        Some((key, piece))
    })
}

/// What is between the quotes of a string.
pub fn inner(raw: &str) -> &str {
    let s = raw.strip_prefix('"').unwrap_or(raw);
    s.strip_suffix('"').unwrap_or(s)
}
