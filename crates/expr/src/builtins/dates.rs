//! Dates: reading them, and the methods of dates and durations.

use super::text;
use crate::error::Error;
use crate::eval::{Outcome, integer};
use crate::time;
use crate::value::{Object, Value};

pub fn date<'a>(v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if let Value::Time(t) = &v[0] {
        return Ok(Value::Time(t.clone()));
    }
    let s = text(&v[0], "date", at)?;
    let zone = match v.get(2) {
        Some(z) => time::zone(text(z, "date", at)?).map_err(|m| Error::run(at, m))?,
        None => jiff::tz::TimeZone::UTC,
    };
    if let Some(layout) = v.get(1) {
        let layout = text(layout, "date", at)?;
        return time::parse(s, layout, &zone)
            .map(Value::time)
            .ok_or_else(|| Error::run(at, format!("parsing time {s:?} as {layout:?}: cannot parse")));
    }
    time::parse_any(s, &zone).map(Value::time).ok_or_else(|| Error::run(at, format!("invalid date {s}")))
}

/// What is no number and no text, as a text.
pub fn object_text(o: &Object) -> String {
    match o {
        Object::Month(n) => time::MONTHS[*n as usize - 1].to_owned(),
        Object::Weekday(n) => time::DAYS[*n as usize].to_owned(),
        Object::Zone(zone) => zone.iana_name().unwrap_or("UTC").to_owned(),
        other => Value::object(other.clone()).shown(),
    }
}

/// Methods of dates and durations.
pub fn method<'a>(target: Value<'a>, name: &str, arguments: Vec<Value<'a>>, at: usize) -> Outcome<'a> {
    let missing = |t: &Value| Err(Error::run(at, format!("cannot fetch {name} from {}", t.type_name())));
    let seconds = |nanos: i64, unit: f64| Value::Float(nanos as f64 / unit);
    if let Value::Object(o) = &target
        && let Object::Version(v) = &**o
        && let Some(out) = v.method(name, &arguments)
    {
        return Ok(out);
    }
    Ok(match (&target, name, arguments.as_slice()) {
        (Value::Duration(d), "Hours", []) => seconds(*d, 3.6e12),
        (Value::Duration(d), "Minutes", []) => seconds(*d, 6e10),
        (Value::Duration(d), "Seconds", []) => seconds(*d, 1e9),
        (Value::Duration(d), "Milliseconds", []) => Value::Int(d / 1_000_000),
        (Value::Duration(d), "Microseconds", []) => Value::Int(d / 1_000),
        (Value::Duration(d), "Nanoseconds", []) => Value::Int(*d),
        (Value::Duration(d), "String", []) => Value::text(time::show_duration(*d)),
        (Value::Duration(d), "Abs", []) => Value::Duration(d.wrapping_abs()),
        (Value::Duration(d), "Truncate", [Value::Duration(m)]) if *m > 0 => Value::Duration(d - d % m),
        (Value::Duration(d), "Round", [Value::Duration(m)]) if *m > 0 => {
            let r = d.rem_euclid(*m);
            Value::Duration(if r * 2 < *m { d - r } else { d - r + m })
        }
        (Value::Time(t), "Year", []) => Value::Int(i64::from(t.year())),
        (Value::Time(t), "Month", []) => Value::object(Object::Month(t.month())),
        (Value::Time(t), "Day", []) => Value::Int(i64::from(t.day())),
        (Value::Time(t), "Hour", []) => Value::Int(i64::from(t.hour())),
        (Value::Time(t), "Minute", []) => Value::Int(i64::from(t.minute())),
        (Value::Time(t), "Second", []) => Value::Int(i64::from(t.second())),
        (Value::Time(t), "Nanosecond", []) => Value::Int(i64::from(t.subsec_nanosecond())),
        (Value::Time(t), "YearDay", []) => Value::Int(i64::from(t.day_of_year())),
        (Value::Time(t), "Weekday", []) => Value::object(Object::Weekday(t.weekday().to_sunday_zero_offset())),
        (Value::Time(t), "In", [Value::Object(o)]) if matches!(**o, Object::Zone(_)) => match &**o {
            Object::Zone(zone) => Value::time(t.with_time_zone(zone.clone())),
            _ => return missing(&target),
        },
        (Value::Object(o), "String", []) => Value::text(object_text(o)),
        (Value::Time(t), "Unix", []) => Value::Int(t.timestamp().as_second()),
        (Value::Time(t), "UnixMilli", []) => Value::Int(t.timestamp().as_millisecond()),
        (Value::Time(t), "UnixMicro", []) => Value::Int(t.timestamp().as_microsecond()),
        (Value::Time(t), "UnixNano", []) => {
            Value::Int(i64::try_from(t.timestamp().as_nanosecond()).unwrap_or(i64::MAX))
        }
        (Value::Time(t), "String", []) => Value::text(time::shown(t)),
        (Value::Time(t), "UTC", []) => Value::time(t.with_time_zone(jiff::tz::TimeZone::UTC)),
        (Value::Time(t), "Format", [Value::Text(layout)]) => Value::text(time::format(t, layout)),
        (Value::Time(t), "Add", [Value::Duration(d)]) => Value::time(time::shift(t, *d, at)?),
        (Value::Time(t), "Sub", [Value::Time(u)]) => Value::Duration(time::between(u, t)),
        (Value::Time(t), "Before", [Value::Time(u)]) => Value::Bool(t.timestamp() < u.timestamp()),
        (Value::Time(t), "After", [Value::Time(u)]) => Value::Bool(t.timestamp() > u.timestamp()),
        (Value::Time(t), "Equal", [Value::Time(u)]) => Value::Bool(t.timestamp() == u.timestamp()),
        (Value::Time(t), "IsZero", []) => Value::Bool(t.year() == 1 && t.day_of_year() == 1),
        (Value::Time(t), "AddDate", [y, m, d]) => {
            let (Some(y), Some(m), Some(d)) = (integer(y), integer(m), integer(d)) else { return missing(&target) };
            let span = jiff::Span::new().try_years(y).and_then(|s| s.try_months(m)).and_then(|s| s.try_days(d));
            Value::time(
                span.and_then(|s| t.checked_add(s)).map_err(|e| Error::run(at, format!("date out of range: {e}")))?,
            )
        }
        _ => return missing(&target),
    })
}
