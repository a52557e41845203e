//! From text to tokens.

use crate::error::Error;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Symbols and the operators that are words.
    Operator(&'static str),
    Bracket(char),
    End,
}

#[derive(Debug, Clone)]
pub struct Spanned {
    pub token: Token,
    pub at: usize,
    /// Just behind it.
    pub until: usize,
}

/// Operators that are written as words.
const WORDS: [&str; 11] =
    ["in", "or", "and", "not", "contains", "startsWith", "endsWith", "matches", "let", "if", "else"];
/// Longest first.
const SYMBOLS: [&str; 26] = [
    "??", "?.", "?:", "::", "..", "**", "==", "!=", "<=", ">=", "&&", "||", "?", ":", ".", "*", "=", "!", "<", ">",
    "|", ",", ";", "+", "-", "/",
];
const MORE: [&str; 3] = ["%", "^", "#"];

impl Token {
    /// How an error names it.
    pub fn shown(&self) -> String {
        match self {
            Token::Name(n) => format!("Identifier({n:?})"),
            Token::Int(n) => format!("Number(\"{n}\")"),
            Token::Float(n) => format!("Number(\"{n}\")"),
            Token::Text(s) => format!("String({s:?})"),
            Token::Bytes(_) => "Bytes".into(),
            Token::Operator(o) => format!("Operator({o:?})"),
            Token::Bracket(c) => format!("Bracket(\"{c}\")"),
            Token::End => "EOF".into(),
        }
    }
}

pub fn tokens(source: &str) -> Result<Vec<Spanned>, Error> {
    let mut l = Lexer { source, at: 0 };
    let mut out = Vec::new();
    loop {
        l.skip()?;
        let at = l.at;
        let token = l.token()?;
        let end = token == Token::End;
        // The end is drawn under the last character, as the original does.
        let at = if end { source.char_indices().next_back().map_or(0, |(i, _)| i) } else { at };
        out.push(Spanned { token, at, until: l.at });
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }
    fn take_while(&mut self, f: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&f) {
            self.next();
        }
        &self.source[start..self.at]
    }

    /// Blanks and comments.
    fn skip(&mut self) -> Result<(), Error> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                match self.rest().find("*/") {
                    Some(n) => self.at += n + 2,
                    None => return Err(Error::compile(start, "unclosed comment")),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let Some(c) = self.peek() else { return Ok(Token::End) };
        if matches!(c, 'b' | 'B') && self.rest()[1..].starts_with(['"', '\'']) {
            self.next();
            return self.quoted(true);
        }
        if c.is_alphabetic() || c == '_' || c == '$' {
            let word = self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$');
            return Ok(WORDS
                .iter()
                .find(|w| **w == word)
                .map_or_else(|| Token::Name(word.to_owned()), |w| Token::Operator(w)));
        }
        let digit_after_dot = c == '.' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
        if c.is_ascii_digit() || digit_after_dot {
            return self.number();
        }
        match c {
            '"' | '\'' => return self.quoted(false),
            '`' => return self.raw(),
            '(' | ')' | '[' | ']' | '{' | '}' => {
                self.next();
                return Ok(Token::Bracket(c));
            }
            _ => {}
        }
        match SYMBOLS.iter().chain(MORE.iter()).find(|s| self.rest().starts_with(**s)) {
            Some(s) => {
                self.at += s.len();
                Ok(Token::Operator(s))
            }
            None => Err(Error::compile(start, format!("unrecognized character: U+{:04X} '{c}'", c as u32))),
        }
    }

    fn number(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let wrong = |text: &str| Error::compile(start, format!("bad number syntax: {text:?}"));
        for (prefix, base) in [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)] {
            if self.rest().starts_with(prefix) {
                self.at += 2;
                let digits = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').replace('_', "");
                let whole = &self.source[start..self.at];
                return i64::from_str_radix(&digits, base).map(Token::Int).map_err(|_| wrong(whole));
            }
        }
        self.take_while(|c| c.is_ascii_digit() || c == '_');
        let mut float = false;
        // `1..5` is a range, not a number with two dots.
        if self.rest().starts_with('.') && !self.rest().starts_with("..") {
            float = true;
            self.next();
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        if self.rest().starts_with(['e', 'E']) {
            float = true;
            self.next();
            if self.rest().starts_with(['+', '-']) {
                self.next();
            }
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        if self.peek().is_some_and(|c| c.is_alphanumeric()) {
            self.take_while(char::is_alphanumeric);
            return Err(wrong(&self.source[start..self.at]));
        }
        let text = self.source[start..self.at].replace('_', "");
        if float {
            return text.parse().map(Token::Float).map_err(|_| wrong(&text));
        }
        text.parse().map(Token::Int).map_err(|_| Error::compile(start, "integer literal is too large"))
    }

    fn raw(&mut self) -> Result<Token, Error> {
        let start = self.at;
        self.next();
        let mut out = String::new();
        loop {
            match self.next() {
                Some('`') if self.rest().starts_with('`') => {
                    self.next();
                    out.push('`');
                }
                Some('`') => return Ok(Token::Text(out)),
                Some(c) => out.push(c),
                None => return Err(Error::compile(start, "literal not terminated")),
            }
        }
    }

    fn quoted(&mut self, bytes: bool) -> Result<Token, Error> {
        let start = self.at;
        let quote = self.next();
        let mut out = Vec::new();
        loop {
            match self.next() {
                c if c == quote => break,
                Some('\n') | None => return Err(Error::compile(start, "literal not terminated")),
                Some('\\') => self.escape(&mut out, bytes, start)?,
                Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if bytes {
            return Ok(Token::Bytes(out));
        }
        String::from_utf8(out).map(Token::Text).map_err(|_| Error::compile(start, "the string is not UTF-8"))
    }

    fn escape(&mut self, out: &mut Vec<u8>, bytes: bool, start: usize) -> Result<(), Error> {
        let wrong = || Error::compile(start, "unknown escape sequence");
        let c = self.next().ok_or_else(wrong)?;
        let simple = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '\'' | '"' => c as u8,
            'x' | 'u' | 'U' => {
                let n = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = self.rest().chars().take(n).collect();
                let code = u32::from_str_radix(&digits, 16).map_err(|_| wrong())?;
                self.at += digits.len();
                if bytes && c == 'x' {
                    out.push(code as u8);
                } else {
                    let c = char::from_u32(code).ok_or_else(wrong)?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                return Ok(());
            }
            '0'..='7' => {
                let mut digits = String::from(c);
                digits.extend(self.rest().chars().take(2));
                self.at += digits.len() - 1;
                let code = u32::from_str_radix(&digits, 8).map_err(|_| wrong())?;
                if bytes {
                    out.push(code as u8);
                } else {
                    out.extend_from_slice(char::from_u32(code).ok_or_else(wrong)?.encode_utf8(&mut [0; 4]).as_bytes());
                }
                return Ok(());
            }
            _ => return Err(wrong()),
        };
        out.push(simple);
        Ok(())
    }
}
