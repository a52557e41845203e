//! Dates in Go's layouts, and durations. Local time is UTC.

use super::{Call, Outcome};
use crate::time;
use crate::value::Value;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const HTML_DATE: &str = "2006-01-02";

/// A time, seconds since 1970, or else now.
fn moment(v: &Value) -> Zoned {
    match v {
        Value::Time(t) => (**t).clone(),
        Value::Int(n) | Value::Int64(n) => {
            Timestamp::from_second(*n).map_or_else(|_| time::now(), |t| t.to_zoned(TimeZone::UTC))
        }
        _ => time::now(),
    }
}
fn shown<'a>(layout: &str, v: &Value<'a>, zone: &str) -> Outcome<'a> {
    let zone = match zone {
        "" | "Local" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Ok(Value::text(time::format(&moment(v).with_time_zone(zone), layout)))
}
pub fn date<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    shown(c.text(0), c.any(1), "")
}
pub fn date_in_zone<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    shown(c.text(0), c.any(1), c.text(2))
}
pub fn html_date<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    shown(HTML_DATE, c.any(0), "")
}
pub fn html_date_in_zone<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    shown(HTML_DATE, c.any(0), c.text(1))
}
pub fn now<'a>(_: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::time(time::now()))
}

/// The first moment of the year 1: what Go has where no time is.
fn zero() -> Zoned {
    Timestamp::from_second(-62_135_596_800).map(|t| t.to_zoned(TimeZone::UTC)).unwrap_or_else(|_| time::now())
}
fn time_of(v: &Value) -> Zoned {
    if let Value::Time(t) = v { (**t).clone() } else { zero() }
}

pub fn must_modify<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let by = time::parse_duration(c.text(0))?;
    time::shift(&time_of(c.any(1)), by, 0).map(Value::time).map_err(|e| e.message.clone())
}
/// What is no duration moves nothing.
pub fn modify<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(must_modify(c).unwrap_or_else(|_| Value::time(time_of(c.any(1)))))
}
pub fn must_to_date<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let (layout, text) = (c.text(0), c.text(1));
    let read = time::parse(text, layout, &TimeZone::UTC);
    read.map(Value::time)
        .ok_or_else(|| format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as {layout:?}"))
}
pub fn to_date<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(must_to_date(c).unwrap_or_else(|_| Value::time(zero())))
}
pub fn unix_epoch<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(time_of(c.any(0)).timestamp().as_second().to_string()))
}
pub fn ago<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let since = time::between(&moment(c.any(0)), &time::now());
    let seconds = (since + since.signum() * 500_000_000) / 1_000_000_000;
    Ok(Value::text(time::show_duration(seconds.saturating_mul(1_000_000_000))))
}
pub fn duration<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let seconds = match c.any(0) {
        // What does not fit is the largest number, as Go reads it.
        Value::Text(s) => s.parse().unwrap_or_else(|e: std::num::ParseIntError| match e.kind() {
            std::num::IntErrorKind::PosOverflow => i64::MAX,
            std::num::IntErrorKind::NegOverflow => i64::MIN,
            _ => 0,
        }),
        Value::Int64(n) => *n,
        _ => 0i64,
    };
    Ok(Value::text(time::show_duration(seconds.wrapping_mul(1_000_000_000))))
}

/// The largest unit that fits, with a letter: `2h`, `3mo`.
pub fn duration_round<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let nanos = match c.any(0) {
        Value::Text(s) => time::parse_duration(s).unwrap_or(0),
        Value::Int64(n) => *n,
        Value::Time(t) => time::between(t, &time::now()),
        _ => 0,
    };
    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 24 * 3600 * SECOND;
    let units =
        [(365 * DAY, "y"), (30 * DAY, "mo"), (DAY, "d"), (3600 * SECOND, "h"), (60 * SECOND, "m"), (SECOND, "s")];
    let length = nanos.unsigned_abs();
    let found = units.iter().find(|(unit, _)| length > *unit);
    Ok(Value::text(found.map_or_else(|| "0s".to_owned(), |(unit, letter)| format!("{}{letter}", length / unit))))
}
