//! Regular expressions in RE2's syntax, on an engine that needs time linear in the text.
//!
//! The engine's own syntax differs: here `\d`, `\w`, `\s` and `\b` mean ASCII, a class holds no classes, a repetition is
//! at most 1000, and `\Q…\E` quotes. The pattern is rewritten so that it means what RE2 says.
//!
//! ```
//! assert!(re2::compile(r"^\d{2,3}$").unwrap().is_match("42"));
//! assert!(re2::compile("a**").unwrap_err().contains("invalid nested repetition operator"));
//! ```

#![warn(missing_docs)]

pub use regex::Regex;
use regex::RegexBuilder;

/// Bytes of a compiled pattern.
const MAX_COMPILED: usize = 1 << 20;
/// The most that `{n}` may say.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern; the error is worded as RE2 does.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&translated).size_limit(MAX_COMPILED).build().map_err(|e| describe(pattern, &e))
}

fn translate(pattern: &str) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut class = false;
    // Where a repetition begins that nothing came after yet.
    let mut repeated: Option<usize> = None;
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        let before = repeated.take();
        match (c, class) {
            ('\\', _) => {
                i += escape(&chars, i, class, &mut out)?;
                continue;
            }
            ('[', false) => {
                class = true;
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    i += 1;
                }
                // What closes a class closes nothing at its beginning.
                if chars.get(i + 1) == Some(&']') {
                    out.push_str("\\]");
                    i += 1;
                }
            }
            ('[', true) if next == Some(':') => match near(&chars[i..]).windows(2).position(|w| w == [':', ']']) {
                Some(end) => {
                    out.extend(&chars[i..i + end + 2]);
                    i += end + 2;
                    continue;
                }
                None => out.push_str("\\["),
            },
            ('[' | '&' | '~', true) => out.extend(['\\', c]),
            ('-', true) if next == Some('-') => out.push_str("\\-"),
            (']', true) => {
                class = false;
                out.push(']');
            }
            ('{', false) => match repetition(&chars[i..]) {
                Some((most, text)) if most > MAX_REPEAT => {
                    return Err(format!("error parsing regexp: invalid repeat count: `{text}`"));
                }
                Some((_, text)) => {
                    i = once(&chars, before, i, text.len(), &mut out)?;
                    repeated = Some(i - text.len());
                    continue;
                }
                // Anything else in braces is text.
                None => out.push_str("\\{"),
            },
            ('*' | '+' | '?', false) => {
                i = once(&chars, before, i, 1, &mut out)?;
                repeated = Some(i - 1);
                continue;
            }
            ('}', false) => out.push_str("\\}"),
            _ => out.push(c),
        }
        i += 1;
    }
    Ok(out)
}

/// Writes a repetition with the sign that makes it reluctant, and tells where it ends. Nothing is repeated repeatedly.
fn once(chars: &[char], before: Option<usize>, i: usize, length: usize, out: &mut String) -> Result<usize, String> {
    let reluctant = usize::from(chars.get(i + length) == Some(&'?'));
    let end = i + length + reluctant;
    match before {
        Some(start) => {
            let text: String = chars[start..end].iter().collect();
            Err(format!("error parsing regexp: invalid nested repetition operator: `{text}`"))
        }
        None => {
            out.extend(&chars[i..end]);
            Ok(end)
        }
    }
}

/// Writes what an escape at `i` means and tells how long it is.
fn escape(chars: &[char], i: usize, class: bool, out: &mut String) -> Result<usize, String> {
    let Some(&c) = chars.get(i + 1) else {
        return Err("error parsing regexp: trailing backslash at end of expression: ``".into());
    };
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\f\\r ]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'b' if !class => out.push_str("(?-u:\\b)"),
        'Q' if !class => {
            let end = chars[i..].windows(2).position(|w| w == ['\\', 'E']);
            let quoted: String = chars[i + 2..end.map_or(chars.len(), |e| i + e)].iter().collect();
            out.push_str(&regex::escape(&quoted));
            return Ok(end.map_or(chars.len() - i, |e| e + 2));
        }
        'p' | 'P' | 'x' if chars.get(i + 2) == Some(&'{') => {
            let length = near(&chars[i..]).iter().position(|c| *c == '}').map_or(3, |end| end + 1);
            out.extend(&chars[i..i + length]);
            return Ok(length);
        }
        _ => out.extend(['\\', c]),
    }
    Ok(2)
}

/// As far as a repetition or the name of a class may reach: nothing is looked for to the end of a long pattern.
fn near(chars: &[char]) -> &[char] {
    &chars[..chars.len().min(48)]
}

/// `{2}`, `{2,}` or `{2,3}`: its larger number, and its text.
fn repetition(chars: &[char]) -> Option<(u32, String)> {
    let end = near(chars).iter().position(|c| *c == '}')?;
    let text: String = chars[..=end].iter().collect();
    let inner: String = chars[1..end].iter().collect();
    let number = |s: &str| if s.bytes().all(|b| b.is_ascii_digit()) { s.parse::<u32>().ok() } else { None };
    let most = match inner.split_once(',') {
        None | Some((_, "")) => number(inner.trim_end_matches(','))?,
        Some((low, high)) => number(low)?.max(number(high)?),
    };
    Some((most, text))
}

/// The error of a bad pattern, as RE2 words it where the reason is the same.
fn describe(pattern: &str, e: &regex::Error) -> String {
    let text = e.to_string();
    if text.contains("unclosed group") {
        return format!("error parsing regexp: missing closing ): `{pattern}`");
    }
    if text.contains("unclosed character class") {
        return format!("error parsing regexp: missing closing ]: `{pattern}`");
    }
    if text.contains("repetition operator missing expression") {
        return format!(
            "error parsing regexp: missing argument to repetition operator: `{}`",
            pattern.chars().take(1).collect::<String>()
        );
    }
    let last = text.lines().last().unwrap_or("").trim_start_matches("error: ");
    format!("error parsing regexp: {last}: `{pattern}`")
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn patterns_mean_what_re2_says() {
        for (pattern, text, matches) in [
            (r"^\p{L}+$", "né", true),
            (r"[\p{Greek}q]", "q", true),
            (r"\x{1F600}", "😀", true),
            (r"^\d+$", "٣", false),
            (r"^\w$", "é", false),
            (r"\bfoo\b", "éfoo", true),
            (r"^[^\d]$", "5", false),
            (r"^a{2,3}$", "aa", true),
            (r"^a{,3}$", "a{,3}", true),
            (r"^{}$", "{}", true),
            (r"^{Κ}$", "{Κ}", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[[a]$", "[", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[]a]+$", "a]", true),
            (r"^\Qa.b{2}\E$", "a.b{2}", true),
        ] {
            assert_eq!(compile(pattern).map(|r| r.is_match(text)), Ok(matches), "{pattern} on {text}");
        }
        for wrong in ["(", "a**", "a{2}{3}", "a+?*", "a{1001}", "(?=a)", "\\"] {
            assert!(compile(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_long_pattern_is_read_in_linear_time() {
        for long in ["{".repeat(1 << 20), "[[:".repeat(1 << 18), "}".repeat(1 << 20), r"\p{".repeat(1 << 18)] {
            // Most are too large when compiled; reaching that must not take long.
            let _ = compile(&long);
        }
    }
}
