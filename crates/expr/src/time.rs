//! Dates, durations and Go's layouts.

use crate::error::Error;
use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

pub fn shift(t: &Zoned, nanos: i64, at: usize) -> Result<Zoned, Error> {
    t.checked_add(SignedDuration::from_nanos(nanos)).map_err(|e| Error::run(at, format!("date out of range: {e}")))
}

/// Nanoseconds from one time to another, within what 64 bits hold.
pub fn between(from: &Zoned, to: &Zoned) -> i64 {
    i64::try_from(to.timestamp().duration_since(from.timestamp()).as_nanos()).unwrap_or(i64::MAX)
}

pub fn rfc3339(t: &Zoned) -> String {
    format(t, "2006-01-02T15:04:05.999999999Z07:00")
}

/// As Go prints a time: `2023-08-14 00:00:00 +0000 UTC`.
pub fn shown(t: &Zoned) -> String {
    format(t, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Go's duration syntax: `1h30m`, `-1.5s`, `100ms`.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(r) => (true, r),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0f64;
    let mut exact = 0i128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if digits == 0 || rest[..digits] == *"." {
            return Err(wrong());
        }
        let (number, after) = rest.split_at(digits);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            other => return Err(format!("time: unknown unit {other:?} in duration {text:?}")),
        };
        match number.split_once('.') {
            None => exact += number.parse::<i128>().map_err(|_| wrong())?.checked_mul(scale).ok_or_else(wrong)?,
            Some((whole, fraction)) => {
                let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
                exact += whole.checked_mul(scale).ok_or_else(wrong)?;
                if !fraction.is_empty() {
                    total += format!("0.{fraction}").parse::<f64>().map_err(|_| wrong())? * scale as f64;
                }
            }
        }
        rest = after;
    }
    let nanos = exact + total as i128;
    i64::try_from(if negative { -nanos } else { nanos }).map_err(|_| wrong())
}

/// As Go prints a duration: `1h30m0s`.
pub fn show_duration(d: i64) -> String {
    if d == 0 {
        return "0s".into();
    }
    let sign = if d < 0 { "-" } else { "" };
    let n = d.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let (whole, part) = (value / unit, value % unit);
        if part == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        format!("{whole}.{}", format!("{part:0width$}").trim_end_matches('0'))
    };
    if n < 1_000 {
        return format!("{sign}{n}ns");
    }
    if n < 1_000_000 {
        return format!("{sign}{}µs", fraction(n, 1_000));
    }
    if n < 1_000_000_000 {
        return format!("{sign}{}ms", fraction(n, 1_000_000));
    }
    let seconds = n / 1_000_000_000;
    let (h, m) = (seconds / 3600, seconds / 60 % 60);
    let s = fraction(n % 60_000_000_000, 1_000_000_000);
    match (h, m) {
        (0, 0) => format!("{sign}{s}s"),
        (0, m) => format!("{sign}{m}m{s}s"),
        (h, m) => format!("{sign}{h}h{m}m{s}s"),
    }
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub fn weekday(t: &Zoned) -> &'static str {
    DAYS[t.weekday().to_sunday_zero_offset() as usize]
}
pub fn month(t: &Zoned) -> &'static str {
    MONTHS[t.month() as usize - 1]
}

/// A zone by its name in the time zone database.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" | "Local" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

/// The parts that a layout is made of, longest first where one begins another.
const PARTS: [&str; 37] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "2006",
    "_2006",
    "__2",
    "_2",
    "15",
    "PM",
    "pm",
    "-070000",
    "-07:00:00",
    "-0700",
    "-07:00",
    "-07",
    "Z070000",
    "Z07:00:00",
    "Z0700",
    "Z07:00",
    "Z07",
    "1",
    "2",
    "3",
    "4",
    "5",
    "000",
    "999",
    ",",
];

/// The next part of a layout: what comes before it, the part, and what follows.
fn split(layout: &str) -> Option<(&str, String, &str)> {
    for (i, c) in layout.char_indices() {
        let rest = &layout[i..];
        if matches!(c, '.' | ',') {
            let digits = &rest[1..];
            for d in ['0', '9'] {
                let n = digits.len() - digits.trim_start_matches(d).len();
                if n > 0 && !digits[n..].starts_with(|c: char| c.is_ascii_digit()) {
                    return Some((&layout[..i], rest[..=n].to_owned(), &rest[n + 1..]));
                }
            }
            continue;
        }
        let found = PARTS
            .iter()
            .filter(|p| p.len() > 1 || p.chars().all(|c| c.is_ascii_digit()))
            .filter(|p| **p != "000" && **p != "999" && rest.starts_with(**p))
            .max_by_key(|p| p.len());
        if let Some(p) = found {
            // "_2006" is a blank and a year.
            if *p == "_2006" {
                return Some((&layout[..i + 1], "2006".into(), &rest[5..]));
            }
            // "Jan" must not be the start of another word.
            if *p == "Jan" && rest[3..].starts_with(|c: char| c.is_ascii_lowercase())
                || *p == "Mon" && rest[3..].starts_with(|c: char| c.is_ascii_lowercase())
            {
                continue;
            }
            return Some((&layout[..i], (*p).to_owned(), &rest[p.len()..]));
        }
    }
    None
}

fn offset(t: &Zoned, colon: bool, seconds: bool, minutes: bool) -> String {
    let total = t.offset().seconds();
    let sign = if total < 0 { '-' } else { '+' };
    let n = total.abs();
    let separator = if colon { ":" } else { "" };
    let mut out = format!("{sign}{:02}", n / 3600);
    if minutes {
        out.push_str(&format!("{separator}{:02}", n / 60 % 60));
    }
    if seconds {
        out.push_str(&format!("{separator}{:02}", n % 60));
    }
    out
}

/// Formats a time by a layout of Go.
pub fn format(t: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some((before, part, after)) = split(rest) {
        out.push_str(before);
        let hour12 = match t.hour() % 12 {
            0 => 12,
            h => h,
        };
        match part.as_str() {
            "January" => out.push_str(month(t)),
            "Jan" => out.push_str(&month(t)[..3]),
            "Monday" => out.push_str(weekday(t)),
            "Mon" => out.push_str(&weekday(t)[..3]),
            "MST" => out.push_str(&zone_name(t)),
            "01" => out.push_str(&format!("{:02}", t.month())),
            "1" => out.push_str(&t.month().to_string()),
            "02" => out.push_str(&format!("{:02}", t.day())),
            "_2" => out.push_str(&format!("{:2}", t.day())),
            "2" => out.push_str(&t.day().to_string()),
            "002" => out.push_str(&format!("{:03}", t.day_of_year())),
            "__2" => out.push_str(&format!("{:3}", t.day_of_year())),
            "15" => out.push_str(&format!("{:02}", t.hour())),
            "03" => out.push_str(&format!("{hour12:02}")),
            "3" => out.push_str(&hour12.to_string()),
            "04" => out.push_str(&format!("{:02}", t.minute())),
            "4" => out.push_str(&t.minute().to_string()),
            "05" => out.push_str(&format!("{:02}", t.second())),
            "5" => out.push_str(&t.second().to_string()),
            "2006" => out.push_str(&format!("{:04}", t.year())),
            "06" => out.push_str(&format!("{:02}", t.year().rem_euclid(100))),
            "PM" => out.push_str(if t.hour() >= 12 { "PM" } else { "AM" }),
            "pm" => out.push_str(if t.hour() >= 12 { "pm" } else { "am" }),
            p if p.starts_with('Z') && t.offset().seconds() == 0 => out.push('Z'),
            "Z07:00" | "-07:00" => out.push_str(&offset(t, true, false, true)),
            "Z0700" | "-0700" => out.push_str(&offset(t, false, false, true)),
            "Z07:00:00" | "-07:00:00" => out.push_str(&offset(t, true, true, true)),
            "Z070000" | "-070000" => out.push_str(&offset(t, false, true, true)),
            "Z07" | "-07" => out.push_str(&offset(t, false, false, false)),
            p if p.starts_with(['.', ',']) => {
                let width = p.len() - 1;
                let nanos = format!("{:09}", t.subsec_nanosecond());
                let mut digits = format!("{nanos:0<width$}")[..width].to_owned();
                if p.ends_with('9') {
                    digits = digits.trim_end_matches('0').to_owned();
                }
                if !digits.is_empty() {
                    out.push_str(&p[..1]);
                    out.push_str(&digits);
                }
            }
            other => out.push_str(other),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn zone_name(t: &Zoned) -> String {
    let name = t.time_zone().to_offset_info(t.timestamp()).abbreviation().to_owned();
    if name.starts_with(['+', '-']) || name.is_empty() { offset(t, false, false, true) } else { name }
}

/// Layouts that `date` tries when none is given.
const KNOWN: [&str; 9] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 -0700",
    "Mon Jan _2 15:04:05 2006",
];

/// Reads a time in any of the usual layouts.
pub fn parse_any(text: &str, zone: &TimeZone) -> Option<Zoned> {
    KNOWN.iter().find_map(|layout| parse(text, layout, zone))
}

/// Reads a time by a layout of Go.
pub fn parse(text: &str, layout: &str, zone: &TimeZone) -> Option<Zoned> {
    let (mut year, mut month, mut day, mut hour, mut minute, mut second, mut nanos) =
        (0i16, 1i8, 1i8, 0i8, 0i8, 0i8, 0i32);
    let (mut afternoon, mut at_offset) = (None, None);
    let (mut rest_text, mut rest_layout) = (text, layout);
    loop {
        let Some((before, part, after)) = split(rest_layout) else {
            if rest_text != rest_layout {
                return None;
            }
            break;
        };
        rest_text = rest_text.strip_prefix(before)?;
        rest_layout = after;
        let number = |min: usize, max: usize| -> Option<(i64, usize)> {
            let n = rest_text.bytes().take(max).take_while(u8::is_ascii_digit).count();
            if n < min { None } else { rest_text[..n].parse().ok().map(|v| (v, n)) }
        };
        let word = |names: &[&str], short: bool| -> Option<(usize, usize)> {
            names.iter().enumerate().find_map(|(i, name)| {
                let name = if short { &name[..3] } else { name };
                rest_text.get(..name.len()).filter(|t| t.eq_ignore_ascii_case(name)).map(|_| (i, name.len()))
            })
        };
        let used = match part.as_str() {
            "2006" => {
                let (v, n) = number(4, 4)?;
                year = v as i16;
                n
            }
            "06" => {
                let (v, n) = number(2, 2)?;
                year = if v >= 69 { 1900 + v as i16 } else { 2000 + v as i16 };
                n
            }
            "01" => {
                let (v, n) = number(2, 2)?;
                month = v as i8;
                n
            }
            "1" => {
                let (v, n) = number(1, 2)?;
                month = v as i8;
                n
            }
            "January" => {
                let (i, n) = word(&MONTHS, false)?;
                month = i as i8 + 1;
                n
            }
            "Jan" => {
                let (i, n) = word(&MONTHS, true)?;
                month = i as i8 + 1;
                n
            }
            "Monday" => word(&DAYS, false)?.1,
            "Mon" => word(&DAYS, true)?.1,
            "02" => {
                let (v, n) = number(2, 2)?;
                day = v as i8;
                n
            }
            "2" => {
                let (v, n) = number(1, 2)?;
                day = v as i8;
                n
            }
            "_2" => {
                let blank = rest_text.len() - rest_text.trim_start_matches(' ').len();
                let digits = rest_text[blank..].bytes().take(2).take_while(u8::is_ascii_digit).count();
                day = rest_text[blank..blank + digits].parse().ok()?;
                blank + digits
            }
            "15" | "03" => {
                let (v, n) = number(2, 2)?;
                hour = v as i8;
                n
            }
            "3" => {
                let (v, n) = number(1, 2)?;
                hour = v as i8;
                n
            }
            "04" => {
                let (v, n) = number(2, 2)?;
                minute = v as i8;
                n
            }
            "4" => {
                let (v, n) = number(1, 2)?;
                minute = v as i8;
                n
            }
            "05" | "5" => {
                let (v, mut n) = number(if part == "05" { 2 } else { 1 }, 2)?;
                second = v as i8;
                // A fraction may follow even where the layout has none.
                if rest_text[n..].starts_with('.') && !rest_layout.starts_with(['.', ',']) {
                    let digits = rest_text[n + 1..].bytes().take_while(u8::is_ascii_digit).count();
                    if digits > 0 {
                        nanos = format!("{:0<9}", &rest_text[n + 1..n + 1 + digits])[..9].parse().ok()?;
                        n += digits + 1;
                    }
                }
                n
            }
            "PM" | "pm" => {
                let half = rest_text.get(..2)?;
                afternoon = Some(half.eq_ignore_ascii_case("pm"));
                if !half.eq_ignore_ascii_case("am") && afternoon != Some(true) {
                    return None;
                }
                2
            }
            "MST" => {
                let n = rest_text.bytes().take_while(u8::is_ascii_uppercase).count();
                if !(3..=5).contains(&n) {
                    return None;
                }
                if matches!(&rest_text[..n], "UTC" | "GMT") {
                    at_offset = Some(0)
                }
                n
            }
            p if p.starts_with('Z') && rest_text.starts_with('Z') => {
                at_offset = Some(0);
                1
            }
            p if p.starts_with(['Z', '-']) => {
                let sign = match rest_text.bytes().next()? {
                    b'+' => 1,
                    b'-' => -1,
                    _ => return None,
                };
                let colon = p.contains(':');
                let digits = rest_text.get(1..3)?.parse::<i32>().ok()?;
                let (minutes, n) = if p.len() <= 3 {
                    (0, 3)
                } else if colon {
                    (
                        rest_text
                            .get(4..6)
                            .filter(|_| rest_text.as_bytes().get(3) == Some(&b':'))?
                            .parse::<i32>()
                            .ok()?,
                        6,
                    )
                } else {
                    (rest_text.get(3..5)?.parse::<i32>().ok()?, 5)
                };
                at_offset = Some(sign * (digits * 3600 + minutes * 60));
                n
            }
            p if p.starts_with(['.', ',']) => {
                let digits = rest_text.strip_prefix(['.', ','])?.bytes().take_while(u8::is_ascii_digit).count();
                nanos = format!("{:0<9}", rest_text.get(1..=digits)?).get(..9)?.parse().ok()?;
                digits + 1
            }
            _ => return None,
        };
        rest_text = rest_text.get(used..)?;
    }
    hour = match (afternoon, hour) {
        (Some(true), h) if h < 12 => h + 12,
        (Some(false), 12) => 0,
        (_, h) => h,
    };
    let date = civil::DateTime::new(year, month, day, hour, minute, second, nanos).ok()?;
    match at_offset {
        Some(0) => date.to_zoned(TimeZone::UTC).ok(),
        Some(seconds) => date.to_zoned(TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?)).ok(),
        None => date.to_zoned(zone.clone()).ok(),
    }
}

pub fn now() -> Zoned {
    Timestamp::now().to_zoned(TimeZone::UTC)
}
