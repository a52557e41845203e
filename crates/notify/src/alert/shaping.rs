//! What an alert may ask for beyond the original: when, in which words, to whom, how often. Decided from the notice, the time, and
//! what is remembered of those before it.

use crate::notice::Notice;
use crate::setup::duration;
use expr::{Functions, Kinds, Program, Variables};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Notices of one group that are kept word for word; more are only counted.
const KEPT: usize = 50;
/// Objects whose last state one alert remembers, and messages whose last sending it does; beyond it the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// `spec.triggerfish` of an Alert.
pub struct Shaping {
    pub when: Option<Arc<Program>>,
    pub title: Option<Arc<Program>>,
    pub text: Option<Arc<Program>>,
    pub body: Option<Arc<Program>>,
    pub channel: Option<String>,
    pub providers: Vec<Target>,
    pub on: Option<On>,
    pub threshold: Option<(usize, SignedDuration)>,
    pub group: Option<Group>,
    pub quiet: Vec<Quiet>,
    /// Times of day at which what came is sent together.
    pub digest: Option<Digest>,
}

impl fmt::Debug for Shaping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shaping").field("on", &self.on).field("group", &self.group).finish_non_exhaustive()
    }
}

/// One who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub provider: String,
    pub channel: Option<String>,
}

/// Which turns of an object's state are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    Change,
    Failure,
    Recovery,
}

#[derive(Debug)]
pub struct Group {
    pub by: Vec<Arc<Program>>,
    pub wait: SignedDuration,
    pub interval: SignedDuration,
    pub repeat: Option<SignedDuration>,
}

/// Hours in which nothing is sent; what comes is sent together afterwards, or not at all.
#[derive(Debug, Clone)]
pub struct Quiet {
    from: Time,
    to: Time,
    days: Vec<Weekday>,
    zone: TimeZone,
    drop: bool,
}

#[derive(Debug, Clone)]
pub struct Digest {
    at: Vec<Time>,
    zone: TimeZone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    when: Option<String>,
    title: Option<String>,
    text: Option<String>,
    body: Option<String>,
    channel: Option<String>,
    #[serde(default)]
    providers: Vec<WrittenTarget>,
    on: Option<On>,
    threshold: Option<WrittenThreshold>,
    group: Option<WrittenGroup>,
    #[serde(default)]
    quiet: Vec<WrittenQuiet>,
    digest: Option<WrittenDigest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    name: String,
    channel: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenThreshold {
    count: usize,
    within: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    #[serde(default)]
    by: Vec<String>,
    wait: Option<String>,
    interval: Option<String>,
    repeat: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenQuiet {
    from: String,
    to: String,
    #[serde(default)]
    days: Vec<String>,
    #[serde(default)]
    timezone: String,
    #[serde(default)]
    drop: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDigest {
    at: Vec<String>,
    #[serde(default)]
    timezone: String,
}

/// Where a mistake is, and what it is.
pub type Mistake = (String, String);

impl Shaping {
    pub fn read(v: &Value) -> Result<Self, Mistake> {
        let w: Written =
            serde_json::from_value(v.clone()).map_err(|e| ("spec.triggerfish".to_owned(), e.to_string()))?;
        let at = |field: &str| format!("spec.triggerfish.{field}");
        let program = |field: &str, text: &Option<String>| -> Result<Option<Arc<Program>>, Mistake> {
            text.as_deref().map(|t| parse(t).map_err(|e| (at(field), e))).transpose()
        };
        let span = |field: &str, text: &str| {
            let d = duration(text).and_then(|d| SignedDuration::try_from(d).ok());
            d.ok_or_else(|| (at(field), format!("{text:?} is no duration, such as 30s, 5m or 4h")))
        };
        let threshold = match &w.threshold {
            None => None,
            Some(t) if t.count == 0 || t.count > 10_000 => {
                return Err((at("threshold.count"), "expected a number from 1 to 10000".into()));
            }
            Some(t) => Some((t.count, span("threshold.within", &t.within)?)),
        };
        let group = match &w.group {
            None => None,
            Some(g) => {
                let by = g.by.iter().map(|t| parse(t).map_err(|e| (at("group.by"), e))).collect::<Result<_, _>>()?;
                let of = |field: &str, text: &Option<String>, default: SignedDuration| {
                    text.as_deref().map_or(Ok(default), |t| span(field, t))
                };
                Some(Group {
                    by,
                    wait: of("group.wait", &g.wait, SignedDuration::from_secs(30))?,
                    interval: of("group.interval", &g.interval, SignedDuration::from_mins(5))?,
                    repeat: g.repeat.as_deref().map(|t| span("group.repeat", t)).transpose()?,
                })
            }
        };
        let quiet = w.quiet.iter().map(|q| Quiet::read(q).map_err(|e| (at("quiet"), e))).collect::<Result<_, _>>()?;
        let digest = w.digest.as_ref().map(|d| Digest::read(d).map_err(|e| (at("digest"), e))).transpose()?;
        Ok(Shaping {
            when: program("when", &w.when)?,
            title: program("title", &w.title)?,
            text: program("text", &w.text)?,
            body: program("body", &w.body)?,
            channel: w.channel,
            providers: w.providers.into_iter().map(|t| Target { provider: t.name, channel: t.channel }).collect(),
            on: w.on,
            threshold,
            group,
            quiet,
            digest,
        })
    }

    /// What a notice looks like in the alert's own words.
    pub fn shown(&self, n: &Notice) -> Result<Shown, String> {
        let event = n.value();
        let text = |p: &Option<Arc<Program>>, what: &str| -> Result<Option<String>, String> {
            p.as_ref().map(|p| run(p, &event).map_err(|e| format!("spec.triggerfish.{what}: {e}"))).transpose()
        };
        Ok(Shown {
            title: text(&self.title, "title")?,
            text: text(&self.text, "text")?,
            body: text(&self.body, "body")?,
        })
    }

    /// What is to be done about a notice now.
    pub fn step(&self, state: &mut State, n: &Notice, now: Timestamp) -> Step {
        if let Some(p) = &self.when {
            let event = n.value();
            match holds(p, &event) {
                Ok(true) => {}
                Ok(false) => return Step::Drop(format!("when: {} is false", p.source())),
                Err(e) => return Step::Drop(format!("when: {e}")),
            }
        }
        if let Some(why) = self.by_state(state, n) {
            return Step::Drop(why);
        }
        if let Some(why) = self.by_threshold(state, n, now) {
            return Step::Drop(why);
        }
        if let Some(why) = self.repeated(state, n, now) {
            return Step::Drop(why);
        }
        if let Some(q) = self.quiet.iter().find(|q| q.covers(now)) {
            if q.drop {
                return Step::Drop("quiet: nothing is sent at this hour".into());
            }
            return state.hold("", n, q.end(now));
        }
        if let Some(d) = &self.digest {
            return state.hold("", n, d.next(now));
        }
        let Some(g) = &self.group else { return Step::Send };
        let key = match g.key(n) {
            Ok(key) => key,
            Err(e) => return Step::Drop(format!("group.by: {e}")),
        };
        let due = match state.sent.get(&key) {
            Some(last) => (*last + g.interval).max(now + g.wait),
            None => now + g.wait,
        };
        state.hold(&key, n, due)
    }

    /// What has been held and is due now: a notice for each group.
    pub fn due(&self, state: &mut State, now: Timestamp) -> Vec<Notice> {
        let due: Vec<String> = state.held.iter().filter(|(_, h)| h.due <= now).map(|(k, _)| k.clone()).collect();
        let mut out = Vec::new();
        for key in due {
            let Some(held) = state.held.remove(&key) else { continue };
            state.sent.insert(key, now);
            out.extend(combined(&held.notices, held.count));
        }
        forget(&mut state.sent, REMEMBERED);
        out
    }

    fn by_state(&self, state: &mut State, n: &Notice) -> Option<String> {
        let on = self.on?;
        if !n.is_error() && !n.is_info() {
            return Some("on: this is neither a failure nor a recovery".into());
        }
        let failed = n.is_error();
        let before = state.failed.insert(n.path(), failed);
        while state.failed.len() > REMEMBERED {
            state.failed.pop_first();
        }
        // What was never seen before was well.
        let (broke, recovered) = (failed && before != Some(true), !failed && before == Some(true));
        let told = match on {
            On::Change => broke || recovered,
            On::Failure => broke,
            On::Recovery => recovered,
        };
        (!told).then(|| format!("on: the object {} before too", if failed { "failed" } else { "was well" }))
    }

    fn by_threshold(&self, state: &mut State, n: &Notice, now: Timestamp) -> Option<String> {
        let (count, within) = self.threshold?;
        let seen = state.seen.entry(n.path()).or_default();
        seen.retain(|t| now.duration_since(*t) < within);
        seen.push(now);
        let so_far = seen.len();
        if so_far >= count {
            seen.clear();
        }
        while state.seen.len() > REMEMBERED {
            state.seen.pop_first();
        }
        (so_far < count).then(|| format!("threshold: {so_far} of {count}"))
    }

    fn repeated(&self, state: &mut State, n: &Notice, now: Timestamp) -> Option<String> {
        let repeat = self.group.as_ref()?.repeat?;
        let key = format!("{} {} {}", n.path(), n.severity, n.reason);
        let last = state.told.get(&key).copied();
        if last.is_some_and(|t| now.duration_since(t) < repeat) {
            return Some("group.repeat: it was told already".into());
        }
        state.told.insert(key, now);
        forget(&mut state.told, REMEMBERED);
        None
    }
}

/// Keeps the newest.
fn forget(times: &mut BTreeMap<String, Timestamp>, most: usize) {
    while times.len() > most {
        let Some(oldest) = times.iter().min_by_key(|(_, t)| **t).map(|(k, _)| k.clone()) else { return };
        times.remove(&oldest);
    }
}

/// What an alert with memory remembers.
#[derive(Debug, Default, Clone, Serialize, Deserialize, PartialEq)]
#[serde(default)]
pub struct State {
    /// Whether objects failed the last time, by their paths.
    failed: BTreeMap<String, bool>,
    /// When notices of an object came.
    seen: BTreeMap<String, Vec<Timestamp>>,
    /// When a message was let through.
    told: BTreeMap<String, Timestamp>,
    /// When a group was sent.
    sent: BTreeMap<String, Timestamp>,
    held: BTreeMap<String, Held>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Held {
    due: Timestamp,
    /// As JSON.
    notices: Vec<Value>,
    count: usize,
}

impl State {
    fn hold(&mut self, key: &str, n: &Notice, due: Timestamp) -> Step {
        let held = self.held.entry(key.to_owned()).or_insert(Held { due, notices: Vec::new(), count: 0 });
        held.count += 1;
        if held.notices.len() < KEPT {
            held.notices.push(n.value());
        }
        Step::Hold(held.due)
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Timestamp> {
        self.held.values().map(|h| h.due).min()
    }
}

/// What becomes of a notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Send,
    Hold(Timestamp),
    Drop(String),
}

/// The alert's own words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Several notices as one: the first one's object, the gravest severity, a line for each.
pub fn combined(notices: &[Value], count: usize) -> Option<Notice> {
    let read: Vec<Notice> = notices.iter().filter_map(|v| Notice::from_value(v).ok()).collect();
    let first = read.first()?;
    if count == 1 {
        return Some(first.clone());
    }
    let mut out = first.clone();
    if let Some(grave) = read.iter().find(|n| n.is_error()) {
        out.severity = grave.severity.clone();
    }
    let mut lines: Vec<String> =
        read.iter().map(|n| format!("{}: {}: {}", n.title(), n.reason, n.message.replace('\n', " "))).collect();
    if count > read.len() {
        lines.push(format!("and {} more", count - read.len()));
    }
    out.message = format!("{count} events\n{}", lines.join("\n"));
    out.timestamp = read.iter().filter_map(|n| n.timestamp).max();
    if read.iter().any(|n| n.reason != first.reason) {
        out.reason = "Digest".into();
    }
    // What is not the same for all is not said of all.
    out.metadata.retain(|k, v| read.iter().all(|n| n.metadata.get(k) == Some(v)));
    Some(out)
}

fn parse(text: &str) -> Result<Arc<Program>, String> {
    let program = Program::parse_with(text, Functions::Metadata).map_err(|e| e.to_string())?;
    program.check_kinds(&Kinds::default().unknown("event")).map_err(|e| e.to_string())?;
    Ok(Arc::new(program))
}

fn holds(p: &Program, event: &Value) -> Result<bool, String> {
    match p.run(&Variables::new().with("event", event)).map_err(|e| e.to_string())? {
        expr::Value::Bool(b) => Ok(b),
        other => Err(format!("{} gave a {}, not true or false", p.source(), other.type_name())),
    }
}

/// What an expression gives, as text: anything but text is JSON.
fn run(p: &Program, event: &Value) -> Result<String, String> {
    match p.run(&Variables::new().with("event", event)).map_err(|e| e.to_string())? {
        expr::Value::Text(t) => Ok(t.into_owned()),
        other => other.to_json_text().map_err(|e| e.to_string()),
    }
}

impl Group {
    fn key(&self, n: &Notice) -> Result<String, String> {
        let event = n.value();
        let parts: Vec<String> = self.by.iter().map(|p| run(p, &event)).collect::<Result<_, _>>()?;
        Ok(json!(parts).to_string())
    }
}

fn time(text: &str) -> Result<Time, String> {
    let (hour, minute) = text.split_once(':').ok_or_else(|| format!("{text:?} is no time of day, such as 22:00"))?;
    let wrong = || format!("{text:?} is no time of day, such as 22:00");
    let part = |t: &str| t.parse::<i8>().map_err(|_| wrong());
    Time::new(part(hour)?, part(minute)?, 0, 0).map_err(|_| wrong())
}

fn zone(text: &str) -> Result<TimeZone, String> {
    if text.is_empty() {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(text).map_err(|_| format!("timezone: {text:?} is no time zone, such as Europe/Berlin"))
}

impl Quiet {
    fn read(w: &WrittenQuiet) -> Result<Self, String> {
        const DAYS: [(&str, Weekday); 7] = [
            ("Mon", Weekday::Monday),
            ("Tue", Weekday::Tuesday),
            ("Wed", Weekday::Wednesday),
            ("Thu", Weekday::Thursday),
            ("Fri", Weekday::Friday),
            ("Sat", Weekday::Saturday),
            ("Sun", Weekday::Sunday),
        ];
        let day = |text: &String| {
            let found =
                DAYS.iter().find(|(name, _)| text.len() >= 3 && text[..3.min(text.len())].eq_ignore_ascii_case(name));
            found.map(|(_, d)| *d).ok_or_else(|| format!("days: {text:?} is no day, such as Sat"))
        };
        if w.days.iter().any(|d| !d.is_ascii()) {
            return Err("days: expected names such as Sat".into());
        }
        Ok(Quiet {
            from: time(&w.from)?,
            to: time(&w.to)?,
            days: w.days.iter().map(day).collect::<Result<_, _>>()?,
            zone: zone(&w.timezone)?,
            drop: w.drop,
        })
    }

    /// When the quiet that there is now began: its day decides.
    fn covers(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        let (today, at) = (local.date(), local.time());
        let on = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        if self.from <= self.to {
            return self.from <= at && at < self.to && on(today.weekday());
        }
        at >= self.from && on(today.weekday()) || at < self.to && today.yesterday().is_ok_and(|d| on(d.weekday()))
    }

    /// When it ends.
    fn end(&self, now: Timestamp) -> Timestamp {
        next(now, &self.to, &self.zone)
    }
}

impl Digest {
    fn read(w: &WrittenDigest) -> Result<Self, String> {
        if w.at.is_empty() {
            return Err("at: give times of day, such as 09:00".into());
        }
        Ok(Digest { at: w.at.iter().map(|t| time(t)).collect::<Result<_, _>>()?, zone: zone(&w.timezone)? })
    }

    fn next(&self, now: Timestamp) -> Timestamp {
        self.at.iter().map(|t| next(now, t, &self.zone)).min().unwrap_or(now)
    }
}

/// The next time that a clock shows this.
fn next(now: Timestamp, at: &Time, zone: &TimeZone) -> Timestamp {
    let today = now.to_zoned(zone.clone()).date();
    let on = |date: jiff::civil::Date| date.to_datetime(*at).to_zoned(zone.clone()).map(|z| z.timestamp());
    let days = [Ok(today), today.tomorrow()];
    let found = days.into_iter().filter_map(|d| on(d.ok()?).ok()).find(|t| *t > now);
    found.unwrap_or(now)
}
