//! Parts a template into text and actions, and an action into words.

/// A piece of a template, and the line where it begins.
#[derive(Debug)]
pub enum Piece<'t> {
    Text(&'t str),
    Action(&'t str, usize),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// A name: of a function, a keyword, `true`, `false`, `nil`.
    Name(String),
    /// `.a.b`; empty for dot itself.
    Field(Vec<String>),
    /// `$x.a`: the variable with its sign, and fields.
    Variable(String, Vec<String>),
    Text(String),
    Int(i64),
    Float(f64),
    Open,
    /// A closing parenthesis, with the fields that follow it.
    Close(Vec<String>),
    Pipe,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

pub fn error(line: usize, what: impl std::fmt::Display) -> String {
    format!("template: :{line}: {what}")
}

/// Text and actions, trimmed where a sign at a delimiter says so; comments are gone.
pub fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = template;
    let mut line = 1;
    let mut trim = false;
    while let Some(at) = rest.find("{{") {
        let (text, action) = (&rest[..at], &rest[at + 2..]);
        let text = if trim { text.trim_start() } else { text };
        let trims = action.starts_with('-') && action[1..].starts_with(char::is_whitespace);
        out.push(Piece::Text(if trims { text.trim_end() } else { text }));
        line += rest[..at].matches('\n').count();
        let inside = if trims { &action[1..] } else { action };
        let end = action_end(inside).ok_or_else(|| error(line, "unclosed action"))?;
        let body = &inside[..end];
        trim = body.ends_with('-') && body[..body.len() - 1].ends_with(char::is_whitespace);
        let body = if trim { &body[..body.len() - 1] } else { body };
        let comment = body.trim();
        if !(comment.starts_with("/*") && comment.ends_with("*/") && comment.len() >= 4) {
            out.push(Piece::Action(body, line));
        }
        line += inside[..end].matches('\n').count();
        rest = &inside[end + 2..];
    }
    out.push(Piece::Text(if trim { rest.trim_start() } else { rest }));
    Ok(out)
}

/// Where an action ends: strings may hold its delimiter.
fn action_end(inside: &str) -> Option<usize> {
    if let Some(comment) = inside.trim_start().strip_prefix("/*") {
        let close = comment.find("*/")?;
        let at = inside.len() - comment.len() + close;
        return inside[at..].find("}}").map(|n| at + n);
    }
    let bytes = inside.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'}' if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            quote @ (b'"' | b'\'' | b'`') => {
                i += 1;
                while i < bytes.len() && bytes[i] != quote {
                    i += if bytes[i] == b'\\' && quote != b'`' { 2 } else { 1 };
                }
            }
            _ => {}
        }
        i += 1;
    }
    None
}

/// The words of an action.
pub fn words(action: &str, line: usize) -> Result<Vec<Word>, String> {
    let mut out = Vec::new();
    let mut rest = action.trim_start();
    while let Some(c) = rest.chars().next() {
        let (word, length) = word(rest, c).map_err(|what| error(line, what))?;
        out.push(word);
        rest = rest[length..].trim_start();
    }
    Ok(out)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names of `.a.b`, and how long that is.
fn fields(text: &str) -> (Vec<String>, usize) {
    let mut out = Vec::new();
    let mut length = 0;
    while let Some(rest) = text[length..].strip_prefix('.') {
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        out.push(rest[..end].to_owned());
        length += 1 + end;
    }
    (out, length)
}

fn word(text: &str, first: char) -> Result<(Word, usize), String> {
    let one = |w| Ok((w, 1));
    match first {
        '(' => one(Word::Open),
        '|' => one(Word::Pipe),
        ',' => one(Word::Comma),
        '=' => one(Word::Assign),
        ':' if text.starts_with(":=") => Ok((Word::Declare, 2)),
        ')' => {
            let (fields, length) = fields(&text[1..]);
            Ok((Word::Close(fields), 1 + length))
        }
        '"' => quoted(text),
        '\'' => {
            let (word, length) = quoted_by(text, '\'')?;
            Ok((Word::Int(word.chars().next().map_or(0, |c| i64::from(u32::from(c)))), length))
        }
        '`' => {
            let end = text[1..].find('`').ok_or("unterminated raw quoted string")?;
            Ok((Word::Text(text[1..=end].to_owned()), end + 2))
        }
        '$' => {
            let end = text[1..].find(|c| !is_name(c)).map_or(text.len(), |n| n + 1);
            let (fields, length) = fields(&text[end..]);
            Ok((Word::Variable(text[..end].to_owned(), fields), end + length))
        }
        '.' if !text[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let (fields, length) = fields(text);
            Ok((Word::Field(fields), length.max(1)))
        }
        c if c.is_ascii_digit() || "+-.".contains(c) => number(text),
        c if is_name(c) => {
            let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
            Ok((Word::Name(text[..end].to_owned()), end))
        }
        c => Err(format!("unexpected {c:?} in command")),
    }
}

fn number(text: &str) -> Result<(Word, usize), String> {
    let end = text
        .char_indices()
        .find(|(i, c)| {
            !(c.is_alphanumeric()
                || "._".contains(*c)
                || ("+-".contains(*c) && (*i == 0 || text[..*i].ends_with(['e', 'E']))))
        })
        .map_or(text.len(), |(i, _)| i);
    let digits = text[..end].replace('_', "");
    let bare = digits.trim_start_matches(['+', '-']);
    let sign = if digits.starts_with('-') { -1 } else { 1 };
    let based = [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, base)| bare.strip_prefix(prefix).map(|d| i64::from_str_radix(d, base)));
    let word = match (based, digits.trim_start_matches('+').parse::<i64>()) {
        (Some(Ok(n)), _) => Word::Int(sign * n),
        (None, Ok(n)) => Word::Int(n),
        (None, Err(_)) => match digits.parse::<f64>() {
            Ok(f) if f.is_finite() => Word::Float(f),
            _ => return Err(format!("bad number syntax: {:?}", &text[..end])),
        },
        (Some(Err(_)), _) => return Err(format!("bad number syntax: {:?}", &text[..end])),
    };
    Ok((word, end))
}

fn quoted(text: &str) -> Result<(Word, usize), String> {
    quoted_by(text, '"').map(|(s, length)| (Word::Text(s), length))
}

/// A string with escapes as Go writes them.
fn quoted_by(text: &str, quote: char) -> Result<(String, usize), String> {
    let unclosed = || if quote == '"' { "unterminated quoted string" } else { "unterminated character constant" };
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((out, i + 1)),
            '\n' => break,
            '\\' => {
                let (_, c) = chars.next().ok_or_else(unclosed)?;
                let mut hex = |n: usize, base: u32, first: &str| -> Result<char, String> {
                    let mut digits = first.to_owned();
                    digits.extend(chars.by_ref().take(n).map(|(_, c)| c));
                    u32::from_str_radix(&digits, base)
                        .ok()
                        .and_then(char::from_u32)
                        .ok_or_else(|| "invalid syntax in a quoted string".to_owned())
                };
                out.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '\\' | '"' | '\'' => c,
                    'x' => hex(2, 16, "")?,
                    'u' => hex(4, 16, "")?,
                    'U' => hex(8, 16, "")?,
                    '0'..='7' => hex(2, 8, &c.to_string())?,
                    _ => return Err("invalid syntax in a quoted string".into()),
                });
            }
            c => out.push(c),
        }
    }
    Err(unclosed().into())
}
