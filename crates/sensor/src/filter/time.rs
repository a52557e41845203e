//! `time`

use super::{Part, TimeFilter};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

pub fn ask(window: &TimeFilter, time: &str) -> Part {
    let named = |name: &str| {
        TimeZone::get(name)
            .map_err(|_| format!("time filter error (invalid timezone '{name}': unknown time zone {name})"))
    };
    let zone = match &*window.timezone {
        "" | "Local" => TimeZone::UTC,
        name if name != "UTC" && !name.contains(char::is_uppercase) => {
            return Err(format!("time filter error (invalid timezone '{name}': unknown time zone {name})"));
        }
        name => named(name)?,
    };
    let at: Timestamp = time.parse().map_err(|e| format!("time filter error ({e})"))?;
    let day = at.to_zoned(TimeZone::UTC).with_time_zone(zone.clone()).date();
    let instant = |text: &str| {
        let time = time_of(text).map_err(|why| format!("time filter error (parsing time \"{day} {text}\"{why})"))?;
        day.to_datetime(time).to_zoned(zone.clone()).map_err(|e| format!("time filter error ({e})"))
    };
    let (start, mut stop) = (instant(&window.start)?, instant(&window.stop)?);
    let mut start = start;
    if stop <= start {
        // The window goes over midnight: into tomorrow, or from yesterday.
        let here = at.to_zoned(zone.clone());
        if here < stop {
            start = start.checked_sub(1.day()).map_err(|e| e.to_string())?;
        } else {
            stop = stop.checked_add(1.day()).map_err(|e| e.to_string())?;
        }
    }
    let inside = start.timestamp() <= at && at < stop.timestamp();
    Ok(if inside {
        Ok(())
    } else {
        let zone = if window.timezone.is_empty() { "UTC" } else { &window.timezone };
        Err(format!("time {time} is not between {} and {} {zone}", window.start, window.stop))
    })
}

/// `HH:MM:SS`, with a fraction; what is wrong, as Go says it.
fn time_of(text: &str) -> Result<Time, String> {
    let as_layout = |rest: &str, part: &str| format!(" as \"2006-01-02 15:04:05\": cannot parse {rest:?} as {part:?}");
    let mut rest = text;
    let mut parts = [0i8; 3];
    for (i, (layout, most, name)) in
        [("15", 24, "hour"), ("04", 60, "minute"), ("05", 60, "second")].into_iter().enumerate()
    {
        if i > 0 {
            rest = rest.strip_prefix(':').ok_or_else(|| as_layout(rest, ":"))?;
        }
        // The hour may have one digit.
        let width = if i == 0 && rest.as_bytes().get(1).is_none_or(|c| !c.is_ascii_digit()) { 1 } else { 2 };
        let digits = rest.get(..width).filter(|d| d.bytes().all(|c| c.is_ascii_digit()));
        let n: i8 = digits.and_then(|d| d.parse().ok()).ok_or_else(|| as_layout(rest, layout))?;
        if n >= most {
            return Err(format!(": {name} out of range"));
        }
        parts[i] = n;
        rest = &rest[width..];
    }
    let nanoseconds = match rest.strip_prefix(['.', ',']) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            format!("{digits:0<9}")[..9].parse().unwrap_or(0)
        }
        _ if rest.is_empty() => 0,
        _ => return Err(format!(": extra text: {rest:?}")),
    };
    Time::new(parts[0], parts[1], parts[2], nanoseconds).map_err(|e| format!(": {e}"))
}
