//! Schedules: the firings that robfig/cron was recorded to give.

use crate::Suite;
use crate::suite::{lines, vectors};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use triggerfish::cron::{self, Schedule, Seconds, Syntax};
use triggerfish::gateway::calendar::Calendar;

#[test]
fn cron() {
    let Some(dir) = vectors("cron") else { return };
    let mut suite = Suite::new("cron");
    for v in lines(&dir.join("vectors.jsonl")) {
        let kind = v["kind"].as_str().unwrap();
        let outcome = match kind {
            "next" => next(&v),
            "error" => error(&v),
            "hang" => hang(&v),
            "prev" => previous(&v),
            "calendar" => calendar(&v),
            other => panic!("unknown kind {other}"),
        };
        // The old gateway took the first of five fields for the second; here they mean what its document says.
        if v["parser"] == "v1-seconds" && spec(&v).split_whitespace().count() == 5 {
            suite.skip("five fields to the old parser of six");
            continue;
        }
        let group = v["parser"].as_str().map_or(kind.to_owned(), |p| format!("{kind} {p}"));
        suite.case(v["id"].as_str().unwrap(), &group, outcome);
    }
    suite.finish(0.98);
}

fn syntax(v: &Value) -> Syntax {
    let seconds = match v["parser"].as_str().unwrap_or("calendar") {
        "optional-seconds" => Seconds::Optional,
        "seconds" | "v1-seconds" => Seconds::Required,
        _ => Seconds::None,
    };
    Syntax { seconds, descriptors: v["parser"] != "calendar" && v["kind"] != "prev" }
}

fn zone(v: &Value) -> TimeZone {
    cron::time_zone(v["tz"].as_str().unwrap()).unwrap()
}

fn from(v: &Value) -> Timestamp {
    v["from"].as_str().unwrap().parse().unwrap()
}

/// RFC 3339 as Go writes it.
fn shown(at: Timestamp, zone: &TimeZone) -> String {
    let text = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    text.strip_suffix("+00:00").map_or(text.clone(), |t| format!("{t}Z"))
}

fn spec(v: &Value) -> &str {
    v["spec"].as_str().unwrap()
}

fn next(v: &Value) -> Result<(), String> {
    let schedule = Schedule::parse(spec(v), syntax(v))?;
    let zone = zone(v);
    let (mut at, mut ours) = (from(v), Vec::new());
    while ours.len() < 5 {
        let Some(t) = schedule.next(at, &zone) else {
            ours.push("never".to_owned());
            break;
        };
        ours.push(shown(t, &zone));
        at = t;
    }
    let theirs: Vec<&str> = v["next"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    if ours == theirs { Ok(()) } else { Err(format!("{:?} in {}: ours {ours:?}, theirs {theirs:?}", spec(v), v["tz"])) }
}

fn previous(v: &Value) -> Result<(), String> {
    let found = Schedule::parse(spec(v), syntax(v)).ok().and_then(|s| s.previous(from(v), &zone(v)));
    let ours = found.map(|t| shown(t, &zone(v)));
    let theirs = v["result"]["prev"].as_str().map(str::to_owned);
    // The search that does not end may give anything.
    let endless = v["result"]["error"] == "hang";
    if ours == theirs || endless {
        Ok(())
    } else {
        Err(format!("{:?} in {}: ours {ours:?}, theirs {theirs:?}", spec(v), v["tz"]))
    }
}

fn error(v: &Value) -> Result<(), String> {
    Schedule::parse(spec(v), syntax(v))
        .err()
        .map(drop)
        .ok_or_else(|| format!("{:?} is read; theirs: {}", spec(v), v["error"]))
}

/// Any answer, in bounded time.
fn hang(v: &Value) -> Result<(), String> {
    Schedule::parse(spec(v), syntax(v))?.next(from(v), &zone(v));
    Ok(())
}

/// The first five firings of a calendar.
fn calendar(v: &Value) -> Result<(), String> {
    let theirs = &v["result"];
    let ours = Calendar::read(&v["calendar"]);
    let Some(events) = theirs["events"].as_array() else {
        return ours.err().map(drop).ok_or_else(|| format!("{} is read; theirs: {}", v["calendar"], theirs["error"]));
    };
    let instants: Vec<Timestamp> = events.iter().map(|e| e["at"].as_str().unwrap().parse().unwrap()).collect();
    // The original fires without a pause: an interval that is too short, or a date that never comes.
    if instants.iter().all(|t| *t == instants[0]) {
        return Ok(());
    }
    let calendar = ours.map_err(|e| format!("{}: {e}", v["calendar"]))?;
    let mut at: Timestamp = v["start"].as_str().unwrap().parse().unwrap();
    for theirs in instants {
        let ours = calendar.next(at);
        if ours != Some(theirs) {
            return Err(format!("{} after {at}: ours {ours:?}, theirs {theirs}", v["calendar"]));
        }
        at = theirs;
    }
    Ok(())
}
