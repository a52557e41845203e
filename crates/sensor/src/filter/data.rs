//! `data`

use super::{DataFilter, Part, combined, json};
use crate::event::Event;
use gotemplate::Template;

pub fn ask(filters: &[DataFilter], operator: &str, event: &Event) -> Part {
    let data = match json("data", event) {
        None => return Ok(Ok(())),
        Some(data) => data?,
    };
    combined("data", filters, operator, |f| one(f, data, operator == "or"))
}

fn one(f: &DataFilter, data: &str, any_of: bool) -> Part {
    let found = gjson::get(data, &f.path).ok_or_else(|| format!("path '{}' does not exist", f.path))?;
    if f.value.is_empty() {
        return Err("no values specified".into());
    }
    let templated = if f.template.is_empty() { None } else { Some(templated(&f.template, &found, any_of)?) };
    let holds = match &*f.kind {
        "bool" => {
            let have = templated.as_deref().map_or_else(|| found.bool(), |t| go_bool(t) == Some(true));
            any(&f.value, |v| {
                let wanted = go_bool(v).ok_or_else(|| format!("strconv.ParseBool: parsing {v:?}: invalid syntax"))?;
                // The original asks no comparator here.
                Ok(have == wanted)
            })?
        }
        "number" => {
            let have = templated.as_deref().map_or_else(|| found.float(), |t| go_number(t).unwrap_or(0.0));
            any(&f.value, |v| {
                let wanted = go_number(v).map_err(|why| format!("strconv.ParseFloat: parsing {v:?}: {why}"))?;
                Ok(compare(&f.comparator, have.partial_cmp(&wanted)))
            })?
        }
        "string" => {
            let have = templated.clone().unwrap_or_else(|| found.text().into_owned());
            any(&f.value, |v| {
                let matches = re2::compile(v)?.is_match(&have);
                Ok(match &*f.comparator {
                    "!=" => !matches,
                    "=" | "" => matches,
                    _ => false,
                })
            })?
        }
        other => return Err(format!("unsupported JSON type '{other}'")),
    };
    Ok(if holds {
        Ok(())
    } else {
        let comparator = if f.comparator.is_empty() { "=" } else { &f.comparator };
        let have = templated.unwrap_or_else(|| found.raw.into_owned());
        Err(format!("data {} is {}, not {comparator} {}", f.path, shortened(&have), f.value.join(" or ")))
    })
}

/// Values may be large.
fn shortened(s: &str) -> String {
    match s.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &s[..end]),
        None => s.to_owned(),
    }
}

/// Whether one of the values holds; those after it are not looked at.
fn any(values: &[String], holds: impl Fn(&str) -> Result<bool, String>) -> Result<bool, String> {
    for v in values {
        if holds(v)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn compare(comparator: &str, order: Option<std::cmp::Ordering>) -> bool {
    match comparator {
        "=" | "" => order.is_some_and(|o| o.is_eq()),
        "!=" => !order.is_some_and(|o| o.is_eq()),
        "<" => order.is_some_and(|o| o.is_lt()),
        "<=" => order.is_some_and(|o| o.is_le()),
        ">" => order.is_some_and(|o| o.is_gt()),
        ">=" => order.is_some_and(|o| o.is_ge()),
        _ => false,
    }
}

fn templated(template: &str, found: &gjson::Found, any_of: bool) -> Result<String, String> {
    let out = Template::parse(template)?.render(&serde_json::json!({"Input": found.text()}))?;
    if out.is_empty() || out == "<no value>" {
        return Err(if any_of {
            format!("template evaluated to empty string or no value: '{template}'")
        } else {
            format!("template '{template}' evaluated to empty string or no value")
        });
    }
    Ok(out)
}

/// What Go's `strconv.ParseBool` takes.
fn go_bool(s: &str) -> Option<bool> {
    match s {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What Go's `strconv.ParseFloat` takes, but for hexadecimal; digits may be parted as in `1_000`.
fn go_number(s: &str) -> Result<f64, &'static str> {
    let bytes = s.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let parted = bytes.iter().enumerate().all(|(i, c)| *c != b'_' || (i > 0 && digit(i - 1) && digit(i + 1)));
    let n: f64 = if parted { s.replace('_', "") } else { s.to_owned() }.parse().map_err(|_| "invalid syntax")?;
    let spelled = s.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    if n.is_infinite() && !spelled { Err("value out of range") } else { Ok(n) }
}
