//! Takes an expression apart.

use crate::time;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Start,
    Prefix,
    Numeric,
    Boolean,
    Text,
    Time,
    Variable,
    Accessor,
    Comparator,
    Logical,
    Modifier,
    Open,
    Close,
    Ternary,
    Separator,
}

impl Kind {
    fn shown(self) -> &'static str {
        match self {
            Kind::Start => "UNKNOWN",
            Kind::Prefix => "PREFIX",
            Kind::Numeric => "NUMERIC",
            Kind::Boolean => "BOOLEAN",
            Kind::Text => "STRING",
            Kind::Time => "TIME",
            Kind::Variable => "VARIABLE",
            Kind::Accessor => "ACCESSOR",
            Kind::Comparator => "COMPARATOR",
            Kind::Logical => "LOGICALOP",
            Kind::Modifier => "MODIFIER",
            Kind::Open => "CLAUSE",
            Kind::Close => "CLAUSE_CLOSE",
            Kind::Ternary => "TERNARY",
            Kind::Separator => "SEPARATOR",
        }
    }

    /// Whether a value, or something that leads to one, may come next.
    fn before_value(self) -> bool {
        use Kind::*;
        matches!(self, Start | Open | Comparator | Logical | Modifier | Ternary | Separator | Prefix)
    }

    fn allows(self, next: Kind) -> bool {
        use Kind::*;
        match self {
            Prefix => matches!(next, Numeric | Boolean | Variable | Accessor | Open | Close),
            Start => matches!(next, Prefix | Numeric | Boolean | Text | Time | Variable | Accessor | Open),
            Open | Comparator | Logical => {
                matches!(next, Prefix | Numeric | Boolean | Text | Time | Variable | Accessor | Open | Close)
            }
            Modifier => matches!(next, Prefix | Numeric | Boolean | Text | Variable | Accessor | Open | Close),
            Ternary => {
                matches!(next, Prefix | Numeric | Boolean | Text | Time | Variable | Accessor | Open | Separator)
            }
            Separator => matches!(next, Prefix | Numeric | Boolean | Text | Time | Variable | Accessor | Open),
            Close => !matches!(next, Prefix | Accessor | Start),
            Numeric | Boolean | Text | Time | Variable | Accessor => {
                matches!(next, Modifier | Comparator | Logical | Close | Ternary | Separator)
            }
        }
    }

    fn may_end(self) -> bool {
        use Kind::*;
        matches!(self, Numeric | Boolean | Text | Time | Variable | Accessor | Close)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    /// As it is written, without quotes and escapes.
    pub text: String,
    pub number: f64,
}

const PREFIXES: [&str; 3] = ["-", "!", "~"];
const MODIFIERS: [&str; 11] = ["+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"];
const LOGICAL: [&str; 2] = ["&&", "||"];
const COMPARATORS: [&str; 8] = ["==", "!=", ">", ">=", "<", "<=", "=~", "!~"];
const TERNARY: [&str; 3] = ["?", ":", "??"];

/// The tokens of an expression that could be one.
pub fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let mut reader = Reader { rest: source };
    let mut out: Vec<Token> = Vec::new();
    let mut last = Kind::Start;
    while let Some(token) = reader.token(last)? {
        last = token.kind;
        out.push(token);
    }
    let open = |kind| out.iter().filter(|t| t.kind == kind).count();
    if open(Kind::Open) != open(Kind::Close) {
        return Err("Unbalanced parenthesis".into());
    }
    let mut before = Token { kind: Kind::Start, text: "<nil>".into(), number: 0.0 };
    for token in &out {
        if !before.kind.allows(token.kind) {
            if before.kind == Kind::Variable && token.kind == Kind::Open {
                return Err(format!("Undefined function {}", before.text));
            }
            return Err(format!(
                "Cannot transition token types from {} [{}] to {} [{}]",
                before.kind.shown(),
                before.text,
                token.kind.shown(),
                token.text
            ));
        }
        before = token.clone();
    }
    if before.kind.may_end() { Ok(out) } else { Err("Unexpected end of expression".into()) }
}

struct Reader<'s> {
    rest: &'s str,
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

fn is_quote(c: char) -> bool {
    c == '\'' || c == '"'
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// What comes while it `fits`; a backslash takes what follows it as it is.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some(c) = self.rest.chars().next() {
            if c == '\\' {
                self.next();
                out.extend(self.next());
            } else if fits(c) {
                out.push(c);
                self.next();
            } else {
                break;
            }
        }
        out
    }

    fn token(&mut self, last: Kind) -> Result<Option<Token>, String> {
        self.rest = self.rest.trim_start();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let of = |kind, text: String| Token { kind, text, number: 0.0 };
        Ok(Some(match first {
            '0'..='9' | '.' => self.number()?,
            ',' | '(' | ')' => {
                self.next();
                let kind = match first {
                    ',' => Kind::Separator,
                    '(' => Kind::Open,
                    _ => Kind::Close,
                };
                of(kind, first.to_string())
            }
            '[' => {
                self.next();
                let name = self.take(|c| c != ']');
                self.next().ok_or("Unclosed parameter bracket")?;
                of(Kind::Variable, name)
            }
            c if c.is_alphabetic() => name(self.take(is_name))?,
            c if is_quote(c) => {
                self.next();
                let text = self.take(|c| !is_quote(c));
                self.next().ok_or("Unclosed string literal")?;
                match time::parse(&text) {
                    Some(seconds) => Token { kind: Kind::Time, text, number: seconds },
                    None => of(Kind::Text, text),
                }
            }
            _ => {
                let text =
                    self.take(|c| !c.is_alphanumeric() && !"()[]".contains(c) && !is_quote(c) && !c.is_whitespace());
                of(symbol(&text, last)?, text)
            }
        }))
    }

    fn number(&mut self) -> Result<Token, String> {
        if let Some(rest) = self.rest.strip_prefix("0x") {
            self.rest = rest;
            let digits = self.take(|c| c.is_ascii_hexdigit());
            let n = u64::from_str_radix(&digits, 16)
                .map_err(|_| format!("Unable to parse hex value '{digits}' to uint64"))?;
            return Ok(Token { kind: Kind::Numeric, text: n.to_string(), number: n as f64 });
        }
        let digits = self.take(|c| c.is_ascii_digit() || c == '.');
        let number = digits.parse().map_err(|_| format!("Unable to parse numeric value '{digits}' to float64"))?;
        Ok(Token { kind: Kind::Numeric, text: digits, number })
    }
}

fn name(text: String) -> Result<Token, String> {
    let kind = match &*text {
        "true" | "false" => Kind::Boolean,
        "in" | "IN" => return Ok(Token { kind: Kind::Comparator, text: "in".into(), number: 0.0 }),
        _ if text.contains('.') => Kind::Accessor,
        _ => Kind::Variable,
    };
    if kind == Kind::Accessor {
        if text.ends_with('.') {
            return Err(format!("Hanging accessor on token '{text}'"));
        }
        // Fields of Go's structures begin with a capital.
        let hidden = text.split('.').skip(1).find(|f| f.chars().next().is_none_or(char::is_lowercase));
        if let Some(field) = hidden {
            return Err(format!("Unable to access unexported field '{field}' in token '{text}'"));
        }
    }
    Ok(Token { kind, text, number: 0.0 })
}

/// What a symbol is after what came before it.
fn symbol(text: &str, last: Kind) -> Result<Kind, String> {
    if PREFIXES.contains(&text) && last.before_value() && last != Kind::Prefix {
        return Ok(Kind::Prefix);
    }
    let kinds: [(&[&str], Kind); 4] = [
        (&MODIFIERS, Kind::Modifier),
        (&LOGICAL, Kind::Logical),
        (&COMPARATORS, Kind::Comparator),
        (&TERNARY, Kind::Ternary),
    ];
    kinds
        .into_iter()
        .find(|(symbols, _)| symbols.contains(&text))
        .map(|(_, kind)| kind)
        .ok_or_else(|| format!("Invalid token: '{text}'"))
}
