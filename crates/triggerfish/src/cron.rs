//! Cron schedules: `30 * * * *` to the instants it means, in a time zone, forwards and backwards.
//!
//! A firing is an instant whose local time fits all fields. An hour that the clock skips has none, an hour that it repeats
//! has them twice. Days are those of the month and of the week where one of the two is `*`, else those of either.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Years that are searched for a firing: `0 0 31 2 *` never comes.
const YEARS: i16 = 5;
/// The longest schedule that is read, in bytes.
const LONGEST: usize = 4096;

/// What a schedule may be written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    pub seconds: Seconds,
    /// `@hourly`, `@every 5m` and the like.
    pub descriptors: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seconds {
    /// Five fields.
    None,
    /// Five fields, or six of which the first is the second.
    Optional,
    /// Six fields.
    Required,
}

/// Five fields or a descriptor: cron workflows.
pub const STANDARD: Syntax = Syntax { seconds: Seconds::None, descriptors: true };

#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    when: When,
    /// From a `TZ=` before the fields.
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone, PartialEq)]
enum When {
    Fields(Fields),
    /// `@every`: whole seconds.
    Every(SignedDuration),
}

/// One bit for each value of a field.
#[derive(Debug, Clone, PartialEq)]
struct Fields {
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// Whether the day of the month, and of the week, were left open.
    any_day: bool,
    any_weekday: bool,
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 6] = [
    Field { name: "second", least: 0, most: 59, names: &[] },
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    Field { name: "day of the week", least: 0, most: 6, names: &WEEKDAYS },
];

impl Schedule {
    /// Reads a schedule; the error says which field is wrong and what it may be.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a schedule has at most {LONGEST} bytes"));
        }
        let (zone, rest) = zone(text)?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let when = match rest.strip_prefix('@') {
            Some(_) if !syntax.descriptors => {
                return Err(format!("{rest:?}: descriptors are not accepted here; write five fields"));
            }
            Some(descriptor) => described(descriptor)?,
            None => When::Fields(Fields::parse(&fields, syntax.seconds)?),
        };
        Ok(Schedule { when, zone })
    }

    /// The first firing after an instant; none within five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match &self.when {
            When::Fields(f) => f,
            When::Every(d) => return whole_second(after, false).checked_add(*d).ok(),
        };
        let zone = self.zone.as_ref().unwrap_or(zone);
        let mut at = whole_second(after, false).checked_add(SignedDuration::from_secs(1)).ok()?;
        let last = zone.to_datetime(at).year().saturating_add(YEARS);
        let mut changes = zone.following(at);
        let mut offset = zone.to_offset(at);
        // From one change of the clock to the next, local time and instants differ by a constant.
        loop {
            let change = changes.next();
            let found = fields.at_or_after(offset.to_datetime(at), last).and_then(|c| instant(c, offset));
            match (found, change) {
                (Some(f), Some(c)) if f < c.timestamp() => return Some(f),
                (found, None) => return found,
                (_, Some(c)) => (at, offset) = (c.timestamp(), c.offset()),
            }
            if offset.to_datetime(at).year() > last {
                return None;
            }
        }
    }

    /// The last firing before an instant; none within five years.
    pub fn previous(&self, before: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match &self.when {
            When::Fields(f) => f,
            When::Every(d) => return whole_second(before, true).checked_sub(*d).ok(),
        };
        let zone = self.zone.as_ref().unwrap_or(zone);
        let mut at = whole_second(before, true).checked_sub(SignedDuration::from_secs(1)).ok()?;
        let first = zone.to_datetime(at).year().saturating_sub(YEARS);
        loop {
            let offset = zone.to_offset(at);
            // The change at this very second began this stretch.
            let begun = zone.preceding(at.checked_add(SignedDuration::from_nanos(1)).ok()?).next();
            let found = fields.at_or_before(offset.to_datetime(at), first).and_then(|c| instant(c, offset));
            match (found, begun) {
                (Some(f), Some(b)) if f >= b.timestamp() => return Some(f),
                (found, None) => return found,
                (_, Some(b)) => at = b.timestamp().checked_sub(SignedDuration::from_secs(1)).ok()?,
            }
            if zone.to_datetime(at).year() < first {
                return None;
            }
        }
    }
}

/// An instant without its fraction; `up` goes to the next whole second where there is one.
fn whole_second(t: Timestamp, up: bool) -> Timestamp {
    let floor = t.as_nanosecond().div_euclid(1_000_000_000);
    let second = if up && t.subsec_nanosecond() != 0 { floor + 1 } else { floor };
    Timestamp::from_second(second as i64).unwrap_or(t)
}

fn instant(local: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(local).ok()
}

/// `TZ=Europe/Berlin 0 9 * * *`, or `CRON_TZ=`.
fn zone(text: &str) -> Result<(Option<TimeZone>, &str), String> {
    let Some(after) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
        return Ok((None, text.trim()));
    };
    let (name, rest) = after.split_once(' ').ok_or("after the time zone a schedule is missing")?;
    Ok((Some(time_zone(name)?), rest.trim()))
}

/// A time zone by its IANA name; empty and `Local` are UTC.
pub fn time_zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" | "Local" => Ok(TimeZone::UTC),
        // Only names as they are written: the database here does not mind case.
        _ => TimeZone::get(name)
            .ok()
            .filter(|z| z.iana_name() == Some(name))
            .ok_or_else(|| format!("unknown time zone {name:?}: give an IANA name such as Europe/Berlin")),
    }
}

/// What stands after an `@`.
fn described(text: &str) -> Result<When, String> {
    let all = |least: u32, most: u32| range(least, most, 1);
    let hourly = Fields {
        second: 1,
        minute: 1,
        hour: all(0, 23),
        day: all(1, 31),
        month: all(1, 12),
        weekday: all(0, 6),
        any_day: true,
        any_weekday: true,
    };
    let daily = Fields { hour: 1, ..hourly.clone() };
    let monthly = Fields { day: 1 << 1, any_day: false, ..daily.clone() };
    Ok(When::Fields(match text {
        "yearly" | "annually" => Fields { month: 1 << 1, ..monthly },
        "monthly" => monthly,
        "weekly" => Fields { weekday: 1, any_weekday: false, ..daily },
        "daily" | "midnight" => daily,
        "hourly" => hourly,
        _ => {
            let Some(duration) = text.strip_prefix("every ") else {
                return Err(format!(
                    "unknown descriptor \"@{text}\": expected @yearly, @monthly, @weekly, @daily, @hourly or @every DURATION"
                ));
            };
            let every = crate::clock::duration(duration)?;
            // Less than a second is a second.
            return Ok(When::Every(SignedDuration::from_secs(every.as_secs().max(1))));
        }
    }))
}

impl Fields {
    fn parse(fields: &[&str], seconds: Seconds) -> Result<Self, String> {
        let given = fields.len();
        let want = match seconds {
            Seconds::None => 5,
            Seconds::Optional if given == 5 => 5,
            Seconds::Optional | Seconds::Required => 6,
        };
        if given != want {
            let expected = match seconds {
                Seconds::None => "5 fields (minute, hour, day of the month, month, day of the week)",
                Seconds::Optional => "5 fields, or 6 of which the first is the second",
                Seconds::Required => "6 fields (second, minute, hour, day of the month, month, day of the week)",
            };
            return Err(format!("expected {expected}, found {given}"));
        }
        let mut sets = [1u64; 6];
        let mut open = [false; 6];
        for (n, text) in fields.iter().enumerate() {
            let at = n + 6 - want;
            (sets[at], open[at]) = set(text, &FIELDS[at]).map_err(|e| format!("{} {text:?}: {e}", FIELDS[at].name))?;
        }
        let [second, minute, hour, day, month, weekday] = sets;
        Ok(Fields { second, minute, hour, day, month, weekday, any_day: open[3], any_weekday: open[5] })
    }

    fn fits(&self, date: Date) -> bool {
        let month = has(self.month, date.month());
        let day = has(self.day, date.day());
        let weekday = has(self.weekday, date.weekday().to_sunday_zero_offset());
        month && if self.any_day || self.any_weekday { day && weekday } else { day || weekday }
    }

    /// The first local time that fits, not before `from` nor after the year `last`.
    fn at_or_after(&self, from: DateTime, last: i16) -> Option<DateTime> {
        let midnight = Time::midnight();
        let mut date = from.date();
        let mut earliest = from.time();
        while date.year() <= last {
            if !has(self.month, date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                earliest = midnight;
                continue;
            }
            if self.fits(date)
                && let Some(time) = self.time_at_or_after(earliest)
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            earliest = midnight;
        }
        None
    }

    /// The last local time that fits, not after `until` nor before the year `first`.
    fn at_or_before(&self, until: DateTime, first: i16) -> Option<DateTime> {
        let end = Time::constant(23, 59, 59, 0);
        let mut date = until.date();
        let mut latest = until.time();
        while date.year() >= first {
            if !has(self.month, date.month()) {
                date = date.first_of_month().yesterday().ok()?;
                latest = end;
                continue;
            }
            if self.fits(date)
                && let Some(time) = self.time_at_or_before(latest)
            {
                return Some(date.to_datetime(time));
            }
            date = date.yesterday().ok()?;
            latest = end;
        }
        None
    }

    fn time_at_or_after(&self, from: Time) -> Option<Time> {
        let (h, m, s) = (from.hour(), from.minute(), from.second());
        if has(self.hour, h) {
            if has(self.minute, m)
                && let Some(second) = above(self.second, s)
            {
                return Some(Time::constant(h, m, second, 0));
            }
            if let Some(minute) = above(self.minute, m + 1) {
                return Some(Time::constant(h, minute, above(self.second, 0)?, 0));
            }
        }
        Some(Time::constant(above(self.hour, h + 1)?, above(self.minute, 0)?, above(self.second, 0)?, 0))
    }

    fn time_at_or_before(&self, until: Time) -> Option<Time> {
        let (h, m, s) = (until.hour(), until.minute(), until.second());
        if has(self.hour, h) {
            if has(self.minute, m)
                && let Some(second) = below(self.second, s)
            {
                return Some(Time::constant(h, m, second, 0));
            }
            if let Some(minute) = below(self.minute, m - 1) {
                return Some(Time::constant(h, minute, below(self.second, 59)?, 0));
            }
        }
        Some(Time::constant(below(self.hour, h - 1)?, below(self.minute, 59)?, below(self.second, 59)?, 0))
    }
}

fn has(set: u64, value: i8) -> bool {
    set >> value & 1 == 1
}

/// The least value of a set that is not below a bound.
fn above(set: u64, bound: i8) -> Option<i8> {
    let rest = set >> bound << bound;
    (rest != 0).then(|| rest.trailing_zeros() as i8)
}

/// The greatest value of a set that is not above a bound.
fn below(set: u64, bound: i8) -> Option<i8> {
    let rest = if bound < 0 { 0 } else { set & (u64::MAX >> (63 - bound)) };
    (rest != 0).then(|| 63 - rest.leading_zeros() as i8)
}

fn range(least: u32, most: u32, step: u32) -> u64 {
    (least..=most).step_by(step as usize).fold(0, |set, n| set | 1 << n)
}

/// The values of one field, and whether it is left open.
fn set(text: &str, field: &Field) -> Result<(u64, bool), String> {
    let mut all = 0;
    let mut open = false;
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (values, any) = part_of(part, field)?;
        all |= values;
        open |= any;
    }
    Ok((all, open))
}

/// `*`, `5`, `mon-fri`, `10-50/10`, `*/15`, `20/10`.
fn part_of(text: &str, field: &Field) -> Result<(u64, bool), String> {
    let (span, step) = match text.split('/').collect::<Vec<_>>()[..] {
        [span] => (span, None),
        [span, step] => (span, Some(number(step)?)),
        _ => return Err("has more than one step (/)".into()),
    };
    let bounds: Vec<&str> = span.split('-').collect();
    let any = matches!(bounds[0], "*" | "?");
    let (least, most) = match bounds[..] {
        _ if any => (field.least, field.most),
        // `5/10` goes on to the end.
        [one] if step.is_some() => (value(one, field)?, field.most),
        [one] => (value(one, field)?, value(one, field)?),
        [least, most] => (value(least, field)?, value(most, field)?),
        _ => return Err("has more than one range (-)".into()),
    };
    let Field { least: min, most: max, .. } = *field;
    if least < min || most > max {
        return Err(format!("must be within {min} and {max}"));
    }
    if least > most {
        return Err(format!("begins ({least}) after its end ({most})"));
    }
    if step == Some(0) {
        return Err("the step must be a positive number".into());
    }
    let step = step.unwrap_or(1);
    Ok((range(least, most, step), any && step == 1))
}

fn value(text: &str, field: &Field) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match field.names.iter().position(|n| *n == lower) {
        Some(place) => Ok(place as u32 + field.least),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain).ok_or_else(|| format!("{text:?} is no number"))
}
