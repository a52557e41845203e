//! `printf`, as Go formats.

use expr::Value;

/// The widest that a field may be.
const WIDTH: usize = 100_000;

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    blank: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub fn printf(format: &str, args: &[Value], room: u64) -> Result<String, String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(c) = rest.peek() {
            match c {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                '0' => verb.zero = true,
                ' ' => verb.blank = true,
                '#' => verb.sharp = true,
                _ => break,
            }
            rest.next();
        }
        verb.width = digits(&mut rest);
        if rest.next_if_eq(&'.').is_some() {
            verb.precision = Some(digits(&mut rest).unwrap_or(0));
        }
        let letter = match rest.next() {
            None => {
                out.push_str("%!(NOVERB)");
                break;
            }
            Some('%') => {
                out.push('%');
                continue;
            }
            Some(letter) => letter,
        };
        match args.next() {
            Some(v) => out.push_str(&verb.padded(verb.body(letter, v), v)),
            None => out.push_str(&format!("%!{letter}(MISSING)")),
        }
        if out.len() as u64 > room {
            return Err("printf would produce more than the template may".into());
        }
    }
    let extra: Vec<String> = args.map(|v| format!("{}={}", v.type_name(), v.shown())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars>) -> Option<usize> {
    let mut n = None;
    while let Some(d) = rest.peek().and_then(|c| c.to_digit(10)) {
        n = Some((n.unwrap_or(0) * 10 + d as usize).min(WIDTH));
        rest.next();
    }
    n
}

impl Verb {
    fn body(&self, letter: char, v: &Value) -> String {
        let wrong = || match v {
            Value::Nil => format!("%!{letter}(<nil>)"),
            v => format!("%!{letter}({}={})", v.type_name(), v.shown()),
        };
        let text = match v {
            Value::Text(s) => Some(s.to_string()),
            Value::Bytes(b) => Some(String::from_utf8_lossy(b).into_owned()),
            _ => None,
        };
        let cut = |s: String| match self.precision {
            Some(n) => s.chars().take(n).collect(),
            None => s,
        };
        match (letter, v) {
            ('v', Value::Nil) => "<nil>".into(),
            ('v', Value::Float(_) | Value::Int(_)) => self.signed(v.shown()),
            ('v', v) => v.shown(),
            ('T', v) => v.type_name().into(),
            ('t', Value::Bool(b)) => b.to_string(),
            ('s', _) if text.is_some() => cut(text.unwrap_or_default()),
            ('s', Value::List(_) | Value::Map(_)) => v.shown(),
            ('q', _) if text.is_some() => format!("{:?}", cut(text.unwrap_or_default())),
            ('x' | 'X', _) if text.is_some() => {
                let hex: String = text.unwrap_or_default().bytes().map(|b| format!("{b:02x}")).collect();
                if letter == 'X' { hex.to_uppercase() } else { hex }
            }
            (_, Value::Float(f)) => match letter {
                'f' | 'F' => self.signed(format!("{f:.*}", self.precision.unwrap_or(6))),
                'e' => self.signed(exponent(format!("{f:.*e}", self.precision.unwrap_or(6)))),
                'g' if self.precision.is_none() => self.signed(v.shown()),
                _ => wrong(),
            },
            (_, v) => match (letter, v.as_int()) {
                ('d', Some(n)) => self.signed(n.to_string()),
                ('x', Some(n)) => format!("{}{n:x}", if self.sharp { "0x" } else { "" }),
                ('X', Some(n)) => format!("{n:X}"),
                ('o', Some(n)) => format!("{n:o}"),
                ('b', Some(n)) => format!("{n:b}"),
                ('c', Some(n)) => u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
                _ => wrong(),
            },
        }
    }

    fn signed(&self, number: String) -> String {
        match (number.starts_with('-'), self.plus, self.blank) {
            (false, true, _) => format!("+{number}"),
            (false, false, true) => format!(" {number}"),
            _ => number,
        }
    }

    fn padded(&self, body: String, v: &Value) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(body.chars().count());
        if missing == 0 {
            body
        } else if self.minus {
            format!("{body}{}", " ".repeat(missing))
        } else if self.zero {
            match body.strip_prefix(['-', '+']).filter(|_| v.as_number().is_some()) {
                Some(digits) => format!("{}{}{digits}", &body[..1], "0".repeat(missing)),
                None => format!("{}{body}", "0".repeat(missing)),
            }
        } else {
            format!("{}{body}", " ".repeat(missing))
        }
    }
}

/// Go writes at least two digits of an exponent, and its sign.
fn exponent(text: String) -> String {
    match text.split_once('e') {
        Some((mantissa, e)) => match e.strip_prefix('-') {
            Some(e) => format!("{mantissa}e-{e:0>2}"),
            None => format!("{mantissa}e+{e:0>2}"),
        },
        None => text,
    }
}
