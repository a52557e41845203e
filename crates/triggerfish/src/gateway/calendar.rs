//! Calendars: events at points in time, by a cron schedule or an interval, with dates that are left out.

use super::outlet::{Emission, Outlet};
use super::{Failure, Kind, Source, settings};
use crate::cron::{Schedule, Seconds, Syntax, time_zone};
use futures_util::future::BoxFuture;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "calendar", read, example: "schedule: 30 * * * *\n" };

/// The clock is looked at this often: it may be set, and a machine may sleep.
const LOOK: Duration = Duration::from_secs(30);
/// Firings that may be left out in a row before a calendar counts as never firing again.
const LEFT_OUT: usize = 600_000;
/// Firings that were missed are made up for when they are not older than this.
const CATCH_UP: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    schedule: Option<String>,
    interval: Option<String>,
    /// RFC 5545 lines: instants that are left out, or days where only dates are given.
    #[serde(default)]
    recurrence: Vec<String>,
    /// The same lines; whole days are left out, as Argo Events has it.
    #[serde(default)]
    exclusion_dates: Vec<String>,
    #[serde(default)]
    timezone: String,
    user_payload: Option<Value>,
    metadata: Option<Value>,
    #[serde(default)]
    catch_up: CatchUp,
}

/// What becomes of firings that were missed while nothing ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CatchUp {
    None,
    /// The newest of the last 24 hours fires.
    #[default]
    Last,
    /// All of the last 24 hours fire.
    All,
}

#[derive(Debug)]
enum When {
    Schedule(Schedule),
    Every(SignedDuration),
}

/// A calendar: when it fires.
#[derive(Debug)]
pub struct Calendar {
    when: When,
    zone: TimeZone,
    left_out: Exclusions,
    payload: Option<Value>,
    catch_up: CatchUp,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    Ok(Arc::new(Calendar::read(v)?))
}

impl Calendar {
    pub fn read(v: &Value) -> Result<Self, String> {
        let s: Settings = settings(v)?;
        let syntax = Syntax { seconds: Seconds::Optional, descriptors: false };
        let filled = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
        let when = match (filled(&s.schedule), filled(&s.interval)) {
            (Some(text), _) => When::Schedule(Schedule::parse(&text, syntax).map_err(|e| format!("schedule: {e}"))?),
            (None, Some(text)) => {
                let every = crate::clock::duration(&text).map_err(|e| format!("interval: {e}"))?;
                if every < SignedDuration::from_millis(10) {
                    return Err(format!("interval: {text:?} is too short: the shortest is 10ms"));
                }
                When::Every(every)
            }
            (None, None) => return Err("give a schedule (five cron fields) or an interval (such as 10s)".into()),
        };
        let zone = time_zone(&s.timezone).map_err(|e| format!("timezone: {e}"))?;
        let mut out = Exclusions::default();
        for line in &s.recurrence {
            out.read(line).map_err(|e| format!("recurrence: {e}"))?;
        }
        let mut of_days = Exclusions::default();
        for line in &s.exclusion_dates {
            of_days.read(line).map_err(|e| format!("exclusionDates: {e}"))?;
        }
        out.days.extend(of_days.days);
        out.days.extend(of_days.instants.iter().map(|t| t.to_zoned(TimeZone::UTC).date()));
        out.doubts.extend(of_days.doubts);
        Ok(Calendar { when, zone, left_out: out, payload: s.user_payload.or(s.metadata), catch_up: s.catch_up })
    }

    /// The first firing after an instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut at = after;
        for _ in 0..LEFT_OUT {
            at = match &self.when {
                When::Schedule(s) => s.next(at, &self.zone)?,
                // Whole seconds come on whole seconds.
                When::Every(d) if d.subsec_nanos() == 0 => {
                    Timestamp::from_second(at.as_second()).ok()?.checked_add(*d).ok()?
                }
                When::Every(d) => at.checked_add(*d).ok()?,
            };
            let day = at.to_zoned(self.zone.clone());
            if self.left_out.days.contains(&day.date()) {
                // A schedule goes on after the day; an interval is stepped through, so that it keeps its rhythm.
                if let When::Schedule(_) = self.when {
                    let tomorrow = day.date().tomorrow().ok()?.to_zoned(self.zone.clone()).ok()?;
                    at = tomorrow.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?;
                }
            } else if !self.left_out.instants.contains(&at) {
                return Some(at);
            }
        }
        None
    }

    /// The firing to go on with, of those after the last one: missed ones as `catchUp` says.
    fn due(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let since = last.max(now.checked_sub(CATCH_UP).unwrap_or(last));
        match self.catch_up {
            CatchUp::None => self.next(now),
            CatchUp::All => self.next(since),
            CatchUp::Last => {
                let mut newest = self.next(since)?;
                while let Some(later) = self.next(newest).filter(|t| *t <= now) {
                    newest = later;
                }
                Some(newest)
            }
        }
    }
}

impl Source for Calendar {
    fn outlook(&self, now: Timestamp) -> Vec<String> {
        let following = std::iter::successors(self.next(now), |at| self.next(*at));
        following.take(5).map(|t| t.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()).collect()
    }

    fn doubts(&self) -> Vec<String> {
        self.left_out.doubts.clone()
    }

    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let begun = Timestamp::now();
            let known = out.position()?.and_then(|p| p.parse::<Timestamp>().ok());
            let mut next = match known {
                Some(last) => self.due(last, begun),
                None => self.next(begun),
            };
            out.running();
            while let Some(at) = next {
                wait(at).await;
                let mut data = json!({"eventTime": crate::clock::text(at)});
                if let Some(p) = &self.payload {
                    data["userPayload"] = p.clone();
                }
                // The instant is the identity: however often it is come to, it fires once.
                out.emit_patiently(Emission {
                    data: data.to_string().into_bytes(),
                    content_type: "application/json".into(),
                    time: Some(at),
                    identity: Some(at.to_string()),
                    position: Some(at.to_string()),
                    ..Emission::default()
                })
                .await;
                next = self.next(at);
            }
            Ok(())
        })
    }
}

/// Waits until the clock shows an instant, even when the clock is set meanwhile.
async fn wait(at: Timestamp) {
    loop {
        let rest = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        if rest.is_zero() {
            return;
        }
        tokio::time::sleep(rest.min(LOOK)).await;
    }
}

/// Dates that are left out.
#[derive(Debug, Default)]
struct Exclusions {
    instants: Vec<Timestamp>,
    days: Vec<Date>,
    /// Lines that have no effect.
    doubts: Vec<String>,
}

impl Exclusions {
    /// `EXDATE:20181225T090000Z,20190101T090000Z`, `EXDATE;VALUE=DATE:20181225` or `EXDATE;TZID=Europe/Berlin:20181225T090000`.
    fn read(&mut self, line: &str) -> Result<(), String> {
        let Some(rest) = line.strip_prefix("EXDATE").filter(|r| r.starts_with([':', ';'])) else {
            self.doubts.push(format!("{line:?} has no effect: only lines that begin with EXDATE leave dates out"));
            return Ok(());
        };
        let (parameters, list) =
            rest.split_once(':').ok_or_else(|| format!("{line:?}: a colon and dates are expected"))?;
        let zone = match parameters.split(';').find_map(|p| p.strip_prefix("TZID=")) {
            Some(name) => time_zone(name)?,
            None => TimeZone::UTC,
        };
        for part in list.split(',') {
            let wrong = || format!("{part:?}: expected an instant such as 20181225T090000Z, or a day such as 20181225");
            if part.contains(char::is_whitespace) {
                return Err(wrong());
            }
            if !part.contains('T') {
                self.days.push(Date::strptime("%Y%m%d", part).map_err(|_| wrong())?);
                continue;
            }
            let (text, zone) = match part.strip_suffix('Z') {
                Some(text) => (text, &TimeZone::UTC),
                None if parameters.contains("TZID=") => (part, &zone),
                None => return Err(wrong()),
            };
            let at = DateTime::strptime("%Y%m%dT%H%M%S", text).map_err(|_| wrong())?;
            self.instants.push(zone.to_timestamp(at).map_err(|_| wrong())?);
        }
        Ok(())
    }
}
