//! Time as text.

use jiff::Timestamp;

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
