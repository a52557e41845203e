//! Functions over numbers.

use crate::error::Error;
use crate::eval::Outcome;
use crate::value::Value;

pub fn numeric<'a>(name: &str, v: &Value<'a>, at: usize) -> Outcome<'a> {
    let wrong = || {
        Err(Error::run(
            at,
            format!("invalid operation: {}({})", name.trim_start_matches("as").to_lowercase(), v.type_name()),
        ))
    };
    let refused = |what: &str| Err(Error::run(at, format!("invalid operation: {what}")));
    Ok(match (name, v) {
        ("abs", Value::Int(n)) => Value::Int(n.wrapping_abs()),
        ("abs", Value::Int64(n)) => Value::Int64(n.wrapping_abs()),
        ("abs", Value::Byte(_)) => v.clone(),
        ("abs", Value::Float(f)) => Value::Float(f.abs()),
        ("ceil", Value::Float(f)) => Value::Float(f.ceil()),
        ("floor", Value::Float(f)) => Value::Float(f.floor()),
        ("round", Value::Float(f)) => Value::Float(f.round()),
        ("ceil" | "floor" | "round" | "float" | "asFloat", v) if v.as_number().is_some() => {
            Value::Float(v.as_number().unwrap_or_default())
        }
        ("float" | "asFloat", Value::Text(s)) => match parse_float(s) {
            Some(f) => Value::Float(f),
            None => return refused(&format!("float({s})")),
        },
        ("int" | "asInt", Value::Float(f)) => Value::Int(crate::value::whole(*f)),
        ("int" | "asInt", Value::Duration(d)) => Value::Int(*d),
        ("int" | "asInt", Value::Text(s)) => match s.parse::<i64>() {
            Ok(n) => Value::Int(n),
            Err(_) => return refused(&format!("int({s})")),
        },
        ("int" | "asInt", v) if v.as_int().is_some() => Value::Int(v.as_int().unwrap_or_default()),
        ("abs" | "ceil" | "floor" | "round", _) => {
            return Err(Error::run(at, format!("invalid argument for {name} (type {})", v.type_name())));
        }
        _ => return wrong(),
    })
}

/// A floating-point number as Go reads it: digits may be parted by underscores, and what is out of range is none.
pub fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), "inf" | "infinity" | "nan") {
        return text.to_ascii_lowercase().parse().ok();
    }
    if let Some(hex) = word.strip_prefix("0x") {
        return hex_float(hex).map(|f| if text.starts_with('-') { -f } else { f });
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !well_parted(unsigned) {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|f: &f64| f.is_finite())
}

/// `1.8p3`: a mantissa in hexadecimal digits and an exponent of two.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}").replace('_', "");
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    let f = value * 2f64.powi(exponent.checked_sub(4 * i32::try_from(part.len()).ok()?)?);
    f.is_finite().then_some(f)
}

/// Underscores stand between digits only.
fn well_parted(text: &str) -> bool {
    let b = text.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| b.get(i)).is_some_and(u8::is_ascii_alphanumeric);
    (0..b.len()).all(|i| b[i] != b'_' || (digit(i.checked_sub(1)) && digit(Some(i + 1))))
}

/// An integer as Go reads a literal: its prefix tells the base, underscores part digits.
pub fn parse_int(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    if !well_parted(unsigned) || !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase().replace('_', "");
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0b") => (&lower[2..], 2),
        Some("0o") => (&lower[2..], 8),
        _ if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

pub fn bits<'a>(name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    let int = |i: usize| match &v[i] {
        v if v.as_int().is_some() => Ok(v.as_int().unwrap_or_default()),
        other => Err(Error::run(at, format!("cannot use {} as argument (type int) to call {name}", other.type_name()))),
    };
    let a = int(0)?;
    if name == "bitnot" {
        return Ok(Value::Int(!a));
    }
    let b = int(1)?;
    if name.contains("sh") && b < 0 {
        return Err(Error::run(at, format!("invalid operation: negative shift count {b} (type int)")));
    }
    let shift = u32::try_from(b).unwrap_or(u32::MAX);
    Ok(Value::Int(match name {
        "bitand" => a & b,
        "bitor" => a | b,
        "bitxor" => a ^ b,
        "bitnand" => a & !b,
        "bitshl" => a.checked_shl(shift).unwrap_or(0),
        "bitshr" => a.checked_shr(shift).unwrap_or(if a < 0 { -1 } else { 0 }),
        _ => (a as u64).checked_shr(shift).unwrap_or(0) as i64,
    }))
}
