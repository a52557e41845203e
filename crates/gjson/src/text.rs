//! Strings and numbers as JSON and Go write them.

use std::borrow::Cow;

/// What a JSON string says, given what is between its quotes. Where it makes no sense it ends.
pub fn unescape(s: &str) -> Cow<'_, str> {
    if !s.bytes().any(|c| c == b'\\' || c < b' ') {
        return Cow::Borrowed(s);
    }
    let mut out = String::with_capacity(s.len());
    let mut rest = s.chars();
    while let Some(c) = rest.next() {
        if c < ' ' {
            break;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some(c @ ('\\' | '/' | '"')) => out.push(c),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let Some(first) = unit(&mut rest) else { break };
                out.push(match first {
                    0xd800..=0xdfff if rest.as_str().starts_with("\\u") => {
                        rest.nth(1);
                        let second = unit(&mut rest).unwrap_or(0);
                        char::decode_utf16([first, second]).next().and_then(Result::ok).unwrap_or('\u{fffd}')
                    }
                    _ => char::from_u32(first.into()).unwrap_or('\u{fffd}'),
                });
            }
            _ => break,
        }
    }
    Cow::Owned(out)
}

/// The four digits of an escape.
fn unit(rest: &mut std::str::Chars) -> Option<u16> {
    let digits = rest.as_str().get(..4)?;
    let n = u16::from_str_radix(digits, 16).unwrap_or(0);
    rest.nth(3);
    Some(n)
}

/// A JSON string as Go's encoder writes it, with `<`, `>` and `&` escaped.
pub fn quote(s: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number without an exponent, as short as it can be.
pub fn go_float(n: f64) -> String {
    if n.is_nan() {
        return "NaN".into();
    }
    if n.is_infinite() {
        return if n > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    format!("{n}")
}

/// Whether a name matches a pattern with `*`, `?` and escapes.
pub fn matches(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut n, mut p) = (0, 0);
    // Where to go on when what follows the last star does not fit.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let fits = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('\\') => pattern.get(p + 1).filter(|c| **c == name[n]).map(|_| 2),
            Some(c) => (*c == name[n]).then_some(1),
            None => None,
        };
        match (fits, star) {
            (Some(width), _) => {
                p += width;
                n += 1;
            }
            (None, Some((after, at))) => {
                p = after;
                n = at + 1;
                star = Some((after, at + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == '*')
}
