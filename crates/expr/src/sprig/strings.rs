//! Texts: cutting, joining, quoting, encodings and regular expressions.

use super::values::{text_of, texts_of};
use super::{Call, Outcome};
use crate::builtins::{simple_lower, simple_upper, split as parts_of};
use crate::encoding;
use crate::value::{Holds, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

fn text<'a>(s: impl Into<String>) -> Outcome<'a> {
    Ok(Value::text(s))
}

/// Bytes of a text; a cut inside a character leaves a replacement character.
fn bytes<'a>(b: &[u8]) -> Outcome<'a> {
    text(String::from_utf8_lossy(b))
}

pub fn hello<'a>(_: &Call<'_, 'a>) -> Outcome<'a> {
    text("Hello!")
}
pub fn upper<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(0).chars().map(simple_upper).collect::<String>())
}
pub fn lower<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(0).chars().map(simple_lower).collect::<String>())
}
pub fn trim<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(0).trim())
}
pub fn trim_all<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(1).trim_matches(|x| c.text(0).contains(x)))
}
pub fn trim_prefix<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(1).strip_prefix(c.text(0)).unwrap_or(c.text(1)))
}
pub fn trim_suffix<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(1).strip_suffix(c.text(0)).unwrap_or(c.text(1)))
}
pub fn nospace<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let s = c.text(0);
    // The original takes the bytes for characters as soon as it removes one; so does this.
    let kept: String = s.bytes().map(char::from).filter(|x| !x.is_whitespace()).collect();
    text(if kept.chars().count() == s.len() { s.to_owned() } else { kept })
}
pub fn contains<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(1).contains(c.text(0))))
}
pub fn has_prefix<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(1).starts_with(c.text(0))))
}
pub fn has_suffix<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(1).ends_with(c.text(0))))
}
pub fn replace<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (old, new, s) = (c.text(0), c.text(1), c.text(2));
    c.room((s.len() + s.matches(old).count() * new.len()) as u64)?;
    text(s.replace(old, new))
}
pub fn plural<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(c.text(usize::from(c.int(2) != 1)))
}
pub fn repeat<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let n = c.size(c.int(0), "strings: negative Repeat count")?;
    c.room(n as u64 * c.text(1).len() as u64)?;
    text(c.text(1).repeat(n))
}
fn indented(c: &Call) -> Result<String, String> {
    let n = c.size(c.int(0), "strings: negative Repeat count")?;
    c.room(n as u64 * (1 + c.text(1).matches('\n').count() as u64))?;
    let pad = " ".repeat(n);
    Ok(format!("{pad}{}", c.text(1).replace('\n', &format!("\n{pad}"))))
}
pub fn indent<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(indented(c)?)
}
pub fn nindent<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(format!("\n{}", indented(c)?))
}
pub fn to_string<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(text_of(c.any(0)))
}
pub fn cat<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let shown: Vec<String> = c.values.iter().filter(|v| !v.is_nil()).map(crate::builtins::format).collect();
    text(shown.join(" "))
}
pub fn quote<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let shown: Vec<String> = c.values.iter().filter(|v| !v.is_nil()).map(|v| quoted(&text_of(v))).collect();
    text(shown.join(" "))
}
pub fn squote<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let shown: Vec<String> =
        c.values.iter().filter(|v| !v.is_nil()).map(|v| format!("'{}'", crate::builtins::format(v))).collect();
    text(shown.join(" "))
}

/// A Go string literal.
fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control()
                || (c.is_whitespace() && c != ' ')
                || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}') =>
            {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub fn join<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let parts = texts_of(c.any(1));
    c.room(parts.iter().map(|p| p.len() + c.text(0).len()).sum::<usize>() as u64)?;
    text(parts.join(c.text(0)))
}

/// Parts under `_0`, `_1` and so on.
fn numbered<'a>(parts: Vec<String>) -> Outcome<'a> {
    Ok(Value::map_of(
        Holds::Text,
        parts.into_iter().enumerate().map(|(i, p)| (format!("_{i}"), Value::text(p))).collect(),
    ))
}
pub fn split<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    numbered(parts_of(c.text(1), c.text(0), -1, false))
}
pub fn splitn<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    numbered(parts_of(c.text(2), c.text(0), c.int(1), false))
}
pub fn split_list<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::texts(parts_of(c.text(1), c.text(0), -1, false)))
}

pub fn trunc<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (n, s) = (c.int(0), c.text(1).as_bytes());
    let keep = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    bytes(match n {
        _ if keep >= s.len() => s,
        ..0 => &s[s.len() - keep..],
        _ => &s[..keep],
    })
}

/// Bytes `from` to `to`; a negative end or one behind the text means its end.
pub fn substr<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (from, to, s) = (c.int(0), c.int(1), c.text(2).as_bytes());
    let length = s.len() as i64;
    let (from, to) = match (from, to) {
        (..0, to) => (0, to),
        (from, to) if to < 0 || to > length => (from, length),
        both => both,
    };
    if from > to || to > length || to < 0 {
        return Err(format!("runtime error: slice bounds out of range [{from}:{to}]"));
    }
    bytes(&s[from as usize..to as usize])
}

pub fn abbrev<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    abbreviated(c.text(1), 0, c.int(0))
}
pub fn abbrev_both<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (left, right) = (c.int(0), c.int(1));
    if left > 0 && right < 7 { text(c.text(2)) } else { abbreviated(c.text(2), left, right) }
}

/// At most `width` bytes that begin about `offset`, with dots where something was left out.
fn abbreviated<'a>(s: &str, offset: i64, width: i64) -> Outcome<'a> {
    let (all, length) = (s.as_bytes(), s.len() as i64);
    if width < 4 || length <= width {
        return text(s);
    }
    // Three of them are the dots.
    let keep = width - 3;
    let offset = offset.min(length - keep);
    if offset <= 4 {
        return bytes(&[&all[..keep as usize], b"..."].concat());
    }
    let tail = &all[offset as usize..];
    if offset + keep < length {
        let inner = (keep - 3).max(0) as usize;
        return bytes(&[b"...", &tail[..inner], b"..."].concat());
    }
    bytes(&[b"...", &all[(length - keep) as usize..]].concat())
}

pub fn b64enc<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(STANDARD.encode(c.text(0)))
}
pub fn b64dec<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    match encoding::base64(c.text(0)) {
        Ok(raw) => bytes(&raw),
        Err(at) => text(format!("illegal base64 data at input byte {at}")),
    }
}
pub fn b32enc<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(encoding::to_base32(c.text(0).as_bytes()))
}
pub fn b32dec<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    match encoding::base32(c.text(0)) {
        Ok(raw) => bytes(&raw),
        Err(at) => text(format!("illegal base32 data at input byte {at}")),
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    re2::compile(pattern)
}
pub fn regex_match<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(regex(c.text(0)).is_ok_and(|r| r.is_match(c.text(1)))))
}
pub fn must_regex_match<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(regex(c.text(0))?.is_match(c.text(1))))
}
pub fn regex_find<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    text(regex(c.text(0))?.find(c.text(1)).map_or("", |m| m.as_str()))
}
pub fn regex_find_all<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let limit = usize::try_from(c.int(2)).unwrap_or(usize::MAX);
    let found: Vec<&str> = regex(c.text(0))?.find_iter(c.text(1)).take(limit).map(|m| m.as_str()).collect();
    Ok(if found.is_empty() { Value::nil_list(Holds::Text) } else { Value::texts(found) })
}
pub fn regex_split<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (pattern, s, n) = (regex(c.text(0))?, c.text(1), c.int(2));
    if n == 0 {
        return Ok(Value::nil_list(Holds::Text));
    }
    if !c.text(0).is_empty() && s.is_empty() {
        return Ok(Value::texts([""]));
    }
    let (mut out, mut from, mut last) = (Vec::new(), 0, 0);
    for m in pattern.find_iter(s) {
        if n > 0 && out.len() as i64 == n - 1 {
            break;
        }
        // An empty match at the very beginning parts nothing.
        if m.end() != 0 {
            out.push(&s[from..m.start()]);
        }
        (from, last) = (m.end(), m.start());
    }
    if last != s.len() {
        out.push(&s[from..]);
    }
    Ok(Value::texts(out))
}
pub fn regex_replace<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    bounded_replace(c, |r| r.replace_all(c.text(1), c.text(2)).into_owned())
}
pub fn regex_replace_literal<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    bounded_replace(c, |r| r.replace_all(c.text(1), regex::NoExpand(c.text(2))).into_owned())
}
fn bounded_replace<'a>(c: &Call<'_, 'a>, replace: impl Fn(&Regex) -> String) -> Outcome<'a> {
    let pattern = regex(c.text(0))?;
    let found = pattern.find_iter(c.text(1)).count() as u64;
    // A group in the replacement can be as long as the text.
    let each =
        c.text(2).len() as u64 + c.text(2).matches('$').count() as u64 * (c.text(1).len() as u64 / found.max(1) + 1);
    c.room(c.text(1).len() as u64 + found * each)?;
    text(replace(&pattern))
}
pub fn regex_quote_meta<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let special = |x: char| "\\.+*?()|[]{}^$".contains(x);
    text(c.text(0).chars().flat_map(|x| special(x).then_some('\\').into_iter().chain([x])).collect::<String>())
}
