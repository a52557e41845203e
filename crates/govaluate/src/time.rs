//! Strings that look like times are times.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// Layouts without a zone, which are in UTC, and those with one.
const LAYOUTS: [&str; 12] = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%a %b %e %H:%M:%S %Y",
    "%Y-%m-%d %H:%M:%S%:z",
    "%Y-%m-%dT%H%z",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%a %b %e %H:%M:%S UTC %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%I:%M%p",
];

/// Seconds since 1970.
pub fn parse(text: &str) -> Option<f64> {
    // Nothing shorter or without a digit is a time; most strings are none.
    if text.len() < 6 || text.len() > 40 || !text.bytes().any(|c| c.is_ascii_digit()) {
        return None;
    }
    if text.contains('T')
        && let Ok(instant) = text.parse::<jiff::Timestamp>()
    {
        return Some(instant.as_second() as f64);
    }
    LAYOUTS.iter().find_map(|layout| {
        let parsed = strtime::parse(layout, text).ok()?;
        let instant = parsed.to_timestamp().ok().or_else(|| {
            let date = parsed.to_date().ok().or_else(|| jiff::civil::Date::new(0, 1, 1).ok())?;
            let time = parsed.to_time().unwrap_or_default();
            DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
        })?;
        Some(instant.as_second() as f64)
    })
}
