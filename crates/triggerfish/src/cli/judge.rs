//! `triggerfish judge`: runs scripts and jq programs of dependencies, for a server that may end it.

use rustix::process::{Resource, Rlimit, setrlimit};
use sensor::Event;
use sensor::dependency::Judgement;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, Write};

/// Bytes of data that it may have.
const MEMORY: u64 = 1 << 30;

#[derive(Deserialize)]
struct Question {
    judgement: Judgement,
    event: Event,
}

/// Answers each line of standard input with a line.
pub fn run() -> Result<(), String> {
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    setrlimit(Resource::Data, limit).map_err(|e| format!("cannot limit memory: {e}"))?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| e.to_string())?;
        let answer = match serde_json::from_str::<Question>(&line) {
            Err(e) => json!({"error": format!("the question: {e}")}),
            Ok(q) => match q.judgement.judge(&q.event) {
                Ok(event) => json!({ "event": event }),
                Err(why) => json!({ "error": why }),
            },
        };
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(|e| e.to_string())?;
    }
    Ok(())
}
