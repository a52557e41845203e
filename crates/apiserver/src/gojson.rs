//! Says why a text is not JSON in the sentences that Go programs use: clients compare and print them.

use serde_json::Value;

/// The message for a text that does not parse.
pub fn error(text: &[u8]) -> String {
    let mut s = Scanner { text, at: 0 };
    match s.value("looking for beginning of value", 0).and_then(|()| s.end()) {
        Ok(()) => "invalid JSON".into(),
        Err(None) => "unexpected end of JSON input".into(),
        Err(Some((c, context))) => format!("invalid character {} {context}", quoted(c)),
    }
}

/// A value as Go's `%v` prints it: `map[a:1 b:[x y]]`.
pub fn printed(v: &Value) -> String {
    match v {
        Value::Null => "<nil>".into(),
        Value::String(s) => s.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            format!("map[{}]", map.iter().map(|(k, v)| format!("{k}:{}", printed(v))).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// Where the scan stopped: at the end of the text, or at a character that does not fit.
type Stop = Option<(char, String)>;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// Nesting that is looked into; deeper texts are refused elsewhere.
const MAX_DEPTH: usize = 10_000;

fn quoted(c: char) -> String {
    match c {
        '\'' => r"'\''".into(),
        '"' => "'\"'".into(),
        c if c.is_control() && c < '\u{80}' => format!("'\\x{:02x}'", u32::from(c)),
        c if c.is_control() => format!("'\\u{:04x}'", u32::from(c)),
        c => format!("'{c}'"),
    }
}

impl Scanner<'_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn stop(&self, context: &str) -> Stop {
        // Go looks at single bytes.
        self.text.get(self.at).map(|b| (char::from(*b), context.to_owned()))
    }

    fn end(&mut self) -> Result<(), Stop> {
        self.space();
        if self.at < self.text.len() { Err(self.stop("after top-level value")) } else { Ok(()) }
    }

    fn value(&mut self, context: &str, depth: usize) -> Result<(), Stop> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(None);
        }
        match self.text.get(self.at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.stop(context)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Stop> {
        self.at += 1;
        self.space();
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            if self.text.get(self.at) != Some(&b'"') {
                return Err(self.stop("looking for beginning of object key string"));
            }
            self.string()?;
            self.space();
            if self.text.get(self.at) != Some(&b':') {
                return Err(self.stop("after object key"));
            }
            self.at += 1;
            self.value("looking for beginning of value", depth + 1)?;
            self.space();
            match self.text.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.stop("after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Stop> {
        self.at += 1;
        self.space();
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value("looking for beginning of value", depth + 1)?;
            self.space();
            match self.text.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.stop("after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.text.get(self.at) {
                        Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.text.get(self.at).is_some_and(u8::is_ascii_hexdigit) {
                                    return Err(self.stop("in \\u hexadecimal character escape"));
                                }
                                self.at += 1;
                            }
                        }
                        _ => return Err(self.stop("in string escape code")),
                    }
                }
                Some(c) if *c < 0x20 => return Err(self.stop("in string literal")),
                Some(_) => self.at += 1,
                None => return Err(None),
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Stop> {
        for (i, c) in word.bytes().enumerate() {
            if self.text.get(self.at) != Some(&c) {
                let expected = char::from(word.as_bytes()[i]);
                return Err(self.stop(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), Stop> {
        if !self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Err(self.stop(context));
        }
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }
}
