//! Which sequences of events fire a trigger.

use crate::suite::{Suite, lines, vectors};
use sensor::condition::Condition;
use sensor::rounds::Round;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn dependencies() {
    let Some(dir) = vectors("dependencies") else { return };
    let mut suite = Suite::new("dependencies");
    for v in lines(&dir.join("vectors.jsonl")) {
        suite.case(v["id"].as_str().unwrap(), "", one(&v));
    }
    suite.finish(0.90);
}

fn one(v: &Value) -> Result<(), String> {
    let text = |v: &Value, k: &str| v[k].as_str().unwrap_or("").to_owned();
    let dependencies: Vec<(String, String)> = v["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (text(d, "name"), format!("{}/{}", text(d, "eventSourceName"), text(d, "eventName"))))
        .collect();
    let names: Vec<&str> = dependencies.iter().map(|(n, _)| n.as_str()).collect();
    let parse =
        |c: &str| if c.is_empty() { Ok(Condition::all(names.iter().copied())) } else { Condition::parse(c, &names) };
    let theirs = &v["result"];
    let mut condition = match (parse(v["conditions"].as_str().unwrap()), theirs["error"].as_str()) {
        (Err(_), Some(_)) => return Ok(()),
        (Err(e), None) => return Err(format!("ours: {e}")),
        (Ok(_), Some(e)) => return Err(format!("recorded: {e}")),
        (Ok(c), None) => c,
    };
    let mut round = Round::default();
    let mut known = BTreeSet::new();
    let mut fired = Vec::new();
    let mut reset = false;
    let mut waiting: Vec<Value> = Vec::new();
    let mut down = false;
    for (i, step) in v["steps"].as_array().unwrap().iter().enumerate() {
        if step["reset"] == true {
            round.reset();
        } else if step["resetWhileStopped"] == true {
            reset = true;
        } else if step["stop"] == true {
            down = true;
        } else if step["start"] == true {
            if let Some(c) = step["newConditions"].as_str() {
                condition = parse(c)?;
                round.reset();
            }
            if std::mem::take(&mut reset) {
                round.reset();
            }
            down = false;
        } else {
            waiting.push(step.clone());
        }
        if down {
            continue;
        }
        for event in std::mem::take(&mut waiting) {
            let id = text(&event, "id");
            if !known.insert((id.clone(), text(&event, "event"))) {
                continue;
            }
            for (name, source) in &dependencies {
                if *source == text(&event, "event")
                    && condition.names().contains(name.as_str())
                    && let Some(with) = round.arrive(&condition, name, id.clone())
                {
                    fired.push(json!({"step": i, "with": with}));
                }
            }
        }
    }
    if json!(fired) == theirs["fired"] {
        Ok(())
    } else {
        Err(format!("recorded {}, ours {}", theirs["fired"], json!(fired)))
    }
}
