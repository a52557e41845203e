//! Time as text.

use jiff::{SignedDuration, Timestamp};

/// RFC 3339 with seconds, as Kubernetes writes times.
pub fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn now_text() -> String {
    text(Timestamp::now())
}

/// RFC 3339 with nanoseconds, for log lines.
pub fn precise(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
}

/// A duration as Go writes it: `90s`, `1h30m`, `250ms`.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    expr::parse_duration(text)
        .map(SignedDuration::from_nanos)
        .map_err(|_| format!("{text:?} is no duration: expected a number and its unit, such as 10s, 5m or 1h30m"))
}
