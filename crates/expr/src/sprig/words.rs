//! Texts word by word: cases, initials, wrapping.

use super::{Call, Outcome};
use crate::builtins::{simple_lower, simple_upper};
use crate::value::Value;

/// First letters, by byte as the original takes them.
pub fn initials<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut gap = true;
    let mut out = String::new();
    for b in c.text(0).bytes() {
        let space = (b as char).is_whitespace();
        if gap && !space {
            out.push(b as char);
        }
        gap = space;
    }
    Ok(Value::text(out))
}

/// The first letter of every word in upper case; words are made of letters, digits and underscores.
pub fn title<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut previous = ' ';
    let separates = |c: char| {
        if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { !c.is_alphanumeric() && c.is_whitespace() }
    };
    let change = |c: char| {
        let out = if separates(previous) { simple_upper(c) } else { c };
        previous = c;
        out
    };
    Ok(Value::text(c.text(0).chars().map(change).collect::<String>()))
}
pub fn untitle<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut gap = true;
    let change = |c: char| {
        let out = if gap && !c.is_whitespace() { simple_lower(c) } else { c };
        gap = c.is_whitespace();
        out
    };
    Ok(Value::text(c.text(0).chars().map(change).collect::<String>()))
}
pub fn swap_case<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let swap = |c: char| if c.is_uppercase() { simple_lower(c) } else { simple_upper(c) };
    Ok(Value::text(c.text(0).chars().map(swap).collect::<String>()))
}

fn connects(c: char) -> bool {
    matches!(c, '-' | '_') || c.is_whitespace()
}
/// Letters of scripts that have words; ideographs stand for themselves.
fn letter(c: char) -> bool {
    c.is_alphabetic() && !matches!(c, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}
fn punctuation(c: char) -> bool {
    if c.is_ascii() {
        "!\"#%&'()*,-./:;?@[\\]_{}".contains(c)
    } else {
        matches!(c, '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{203e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Connector,
    Punctuation,
    Upper,
    Letters,
    Number,
    Other,
}

/// Cuts the first word off: a run of one sort, where `HTTPStatus` is `HTTP` and `Status`.
fn word(chars: &[char]) -> (Sort, usize) {
    let run = |of: fn(char) -> bool| chars.iter().take_while(|c| of(**c)).count();
    let small = |from: usize| from + chars[from..].iter().take_while(|c| letter(**c) && !c.is_uppercase()).count();
    match chars[0] {
        c if connects(c) => (Sort::Connector, run(connects)),
        c if punctuation(c) => (Sort::Punctuation, run(punctuation)),
        c if c.is_uppercase() => {
            let capitals = run(char::is_uppercase);
            let followed = chars.get(capitals).is_some_and(|c| letter(*c));
            (
                Sort::Upper,
                match (capitals, followed) {
                    (1, true) => small(1),
                    (n, true) => n - 1,
                    (n, false) => n,
                },
            )
        }
        c if letter(c) => (Sort::Letters, small(0)),
        c if c.is_numeric() => (Sort::Number, run(char::is_numeric)),
        _ => (Sort::Other, run(|c| !(connects(c) || letter(c) || c.is_numeric() || punctuation(c)))),
    }
}

/// Words in lower case with one connector between them.
fn connected(source: &str, connector: char) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut words: Vec<(Sort, &[char])> = Vec::new();
    let mut rest = &chars[..];
    while !rest.is_empty() {
        let (sort, length) = word(rest);
        words.push((sort, &rest[..length.max(1)]));
        rest = &rest[length.max(1)..];
    }
    let mut out = String::new();
    let put = |out: &mut String, (sort, text): (Sort, &[char])| match sort {
        Sort::Upper => out.extend(text.iter().map(|c| simple_lower(*c))),
        Sort::Connector => out.extend(text.iter().map(|_| connector)),
        _ => out.extend(text),
    };
    // Letters and digits behind a number belong to it.
    let stuck = |out: &mut String, mut i: usize| {
        while let Some(w) = words.get(i).filter(|w| matches!(w.0, Sort::Letters | Sort::Number)) {
            put(out, *w);
            i += 1;
        }
        if words.get(i).is_some_and(|w| !matches!(w.0, Sort::Punctuation | Sort::Connector)) {
            out.push(connector);
        }
        i
    };
    let mut i = 0;
    while let Some(w) = words.get(i) {
        put(&mut out, *w);
        i += 1;
        let next = words.get(i).map(|w| w.0);
        match (w.0, next) {
            (_, None) | (Sort::Connector | Sort::Punctuation, _) => {}
            (Sort::Number, _) => i = stuck(&mut out, i),
            (_, Some(Sort::Number)) => match words.get(i + 1).map(|w| w.0) {
                None => {}
                Some(Sort::Letters) => {
                    out.push(connector);
                    put(&mut out, words[i]);
                    i = stuck(&mut out, i + 1);
                }
                Some(after) => {
                    put(&mut out, words[i]);
                    i += 1;
                    if !matches!(after, Sort::Connector | Sort::Punctuation) {
                        out.push(connector);
                    }
                }
            },
            (_, Some(Sort::Connector | Sort::Punctuation)) => {}
            _ => out.push(connector),
        }
    }
    out
}

pub fn snake<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(connected(c.text(0), '_')))
}
pub fn kebab<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(connected(c.text(0), '-')))
}

/// Words begin in upper case and the connectors between them are gone; those in front stay.
pub fn camel<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let source = c.text(0);
    let body = source.trim_start_matches(connects);
    let mut out = source[..source.len() - body.len()].to_owned();
    let chars: Vec<char> = body.chars().collect();
    let words_end = body.trim_end_matches(connects).chars().count();
    // Whether the word began with a capital, so that further ones of the same run are lowered.
    let mut capitals = false;
    for (i, now) in chars.iter().copied().enumerate() {
        let before = i.checked_sub(1).map(|p| chars[p]);
        if before.is_none_or(connects) && !connects(now) {
            capitals = now.is_uppercase();
            out.push(simple_upper(now));
        } else if connects(now) {
            // Of a run of connectors one goes, but for a run at the end.
            if before.is_some_and(connects) || i >= words_end {
                out.push(now);
            }
        } else if capitals && now.is_uppercase() {
            out.push(simple_lower(now));
        } else {
            capitals = false;
            out.push(now);
        }
    }
    Ok(Value::text(out))
}

pub fn wrap<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    wrapped(c, c.text(1), "\n", false)
}
pub fn wrap_with<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let line = if c.text(1).is_empty() { "\n" } else { c.text(1) };
    wrapped(c, c.text(2), line, true)
}

/// Breaks lines at blanks; a word longer than a line is cut only where asked. Widths count bytes.
fn wrapped<'a>(c: &Call<'_, 'a>, text: &str, line: &str, cut: bool) -> Outcome<'a> {
    let width = usize::try_from(c.int(0)).unwrap_or(0).max(1);
    c.room((text.len() + text.len() / width * line.len()) as u64)?;
    let mut rest = text.as_bytes();
    let mut out: Vec<u8> = Vec::new();
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let blank = rest[..=width].iter().rposition(|b| *b == b' ');
        let (end, skip) = match blank {
            Some(i) => (i, 1),
            None if cut => (width, 0),
            None => match rest[width..].iter().position(|b| *b == b' ') {
                Some(i) => (width + i, 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(line.as_bytes());
        rest = &rest[end + skip..];
    }
    out.extend_from_slice(rest);
    Ok(Value::text(String::from_utf8_lossy(&out)))
}
