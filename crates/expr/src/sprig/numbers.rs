//! Numbers: whole ones in 64 bits that wrap, and floating-point ones added up in decimal.

use super::decimal::Decimal;
use super::{Call, Outcome};
use crate::builtins::{format, parse_float, parse_int};
use crate::value::{Holds, Value};

/// Any value as a whole number; what is none counts as 0.
pub fn int_of(v: &Value) -> i64 {
    match v {
        Value::Bool(b) => i64::from(*b),
        Value::Float(f) => crate::value::whole(*f),
        Value::Text(s) => {
            // Decimals are cut off.
            let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
            let whole = s
                .split_once('.')
                .filter(|(whole, part)| digits(whole.trim_start_matches(['+', '-'])) && digits(part))
                .map_or(&**s, |(whole, _)| whole);
            parse_int(whole).unwrap_or(0)
        }
        Value::Duration(d) => *d,
        other => other.as_int().unwrap_or(0),
    }
}
fn float_of(v: &Value) -> f64 {
    match v {
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Text(s) => parse_float(s).unwrap_or(0.0),
        other => other.as_number().unwrap_or(0.0),
    }
}

pub fn int<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int(int_of(c.any(0))))
}
pub fn int64<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(int_of(c.any(0))))
}
pub fn float64<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Float(float_of(c.any(0))))
}
pub fn atoi<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int(c.text(0).parse().unwrap_or(0)))
}
/// Reads octal digits.
pub fn to_decimal<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(i64::from_str_radix(&format(c.any(0)), 8).unwrap_or(0)))
}

pub fn add<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(c.values.iter().fold(0, |sum, v| sum.wrapping_add(int_of(v)))))
}
pub fn add1<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(int_of(c.any(0)).wrapping_add(1)))
}
pub fn sub<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(int_of(c.any(0)).wrapping_sub(int_of(c.any(1)))))
}
pub fn mul<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(c.values.iter().fold(1, |product, v| product.wrapping_mul(int_of(v)))))
}
fn divisor(c: &Call) -> Result<i64, String> {
    Some(int_of(c.any(1))).filter(|d| *d != 0).ok_or_else(|| "runtime error: integer divide by zero".into())
}
pub fn div<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(int_of(c.any(0)).wrapping_div(divisor(c)?)))
}
pub fn modulo<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(int_of(c.any(0)).wrapping_rem(divisor(c)?)))
}
pub fn max<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(c.values.iter().map(int_of).max().unwrap_or(0)))
}
pub fn min<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Int64(c.values.iter().map(int_of).min().unwrap_or(0)))
}
fn best<'a>(c: &Call<'_, 'a>, better: fn(f64, f64) -> bool) -> Outcome<'a> {
    let pick = |a: f64, b: f64| {
        if a.is_nan() || b.is_nan() {
            f64::NAN
        } else if better(b, a) {
            b
        } else {
            a
        }
    };
    Ok(Value::Float(c.values.iter().map(float_of).reduce(pick).unwrap_or(0.0)))
}
pub fn maxf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    best(c, |b, a| b > a)
}
pub fn minf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    best(c, |b, a| b < a)
}

type Step = fn(Decimal, Decimal) -> Result<Decimal, String>;
fn decimals<'a>(start: &Value<'a>, rest: &[Value<'a>], step: Step) -> Outcome<'a> {
    let mut out = Decimal::of(float_of(start))?;
    for v in rest {
        out = step(out, Decimal::of(float_of(v))?)?;
    }
    Ok(Value::Float(out.float()))
}
pub fn add1f<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    decimals(c.any(0), &[Value::Int(1)], Decimal::add)
}
pub fn addf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    decimals(&Value::Int(0), c.values, Decimal::add)
}
pub fn subf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    decimals(c.any(0), c.rest(1), Decimal::sub)
}
pub fn mulf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    decimals(c.any(0), c.rest(1), Decimal::mul)
}
pub fn divf<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    decimals(c.any(0), c.rest(1), Decimal::div)
}

pub fn ceil<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Float(float_of(c.any(0)).ceil()))
}
pub fn floor<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Float(float_of(c.any(0)).floor()))
}
/// To so many places; the third argument is the fraction from which on it goes up.
pub fn round<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let on = c.rest(2).first().map_or(0.5, float_of);
    let power = 10f64.powf(c.int(1) as f64);
    let shifted = power * float_of(c.any(0));
    let rounded = if shifted.fract() >= on { shifted.ceil() } else { shifted.floor() };
    Ok(Value::Float(rounded / power))
}

/// `from` to just before `to`.
fn steps(c: &Call, from: i64, to: i64, step: i64) -> Result<Vec<i64>, String> {
    if step == 0 || (to < from) != (step < 0) || to == from {
        return Ok(Vec::new());
    }
    c.room(to.abs_diff(from) / step.unsigned_abs() + 1)?;
    let mut out = Vec::new();
    let mut at = from;
    while if step > 0 { at < to } else { at > to } {
        out.push(at);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(out)
}
fn ints<'a>(l: Vec<i64>) -> Value<'a> {
    Value::list_of(Holds::Int, l.into_iter().map(Value::Int).collect())
}
pub fn until<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let n = c.int(0);
    Ok(ints(steps(c, 0, n, if n < 0 { -1 } else { 1 })?))
}
pub fn until_step<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(ints(steps(c, c.int(0), c.int(1), c.int(2))?))
}
/// As `seq` of the shell, the end included.
pub fn seq<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (from, step, to) = match c.values.len() {
        1 => (1, None, c.int(0)),
        2 => (c.int(0), None, c.int(1)),
        3 => (c.int(0), Some(c.int(1)), c.int(2)),
        _ => return Ok(Value::text("")),
    };
    let way = if to < from { -1 } else { 1 };
    let step = step.unwrap_or(way);
    if to < from && step > 0 {
        return Ok(Value::text(""));
    }
    let shown: Vec<String> = steps(c, from, to.saturating_add(way), step)?.iter().map(i64::to_string).collect();
    Ok(Value::text(shown.join(" ")))
}
