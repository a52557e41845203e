//! Counters in the Prometheus text format.

use super::answer::{Answer, Fault, respond};
use super::{Call, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Counters {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
}

pub fn metrics(state: &Arc<State>, call: &Call) -> Result<Answer, Fault> {
    if state.caller(call).is_err() {
        return Ok(respond(403, "text/plain; charset=utf-8", ""));
    }
    let c = &state.counters;
    let rows = [
        (
            "triggerfish_events_accepted_total",
            "counter",
            "Events answered with 200 since the start.",
            c.accepted.load(Ordering::Relaxed),
        ),
        (
            "triggerfish_events_refused_total",
            "counter",
            "Events answered with an error since the start.",
            c.refused.load(Ordering::Relaxed),
        ),
        ("triggerfish_events_waiting", "gauge", "Events accepted and not yet dispatched.", state.bus.waiting()),
        (
            "triggerfish_events_stored",
            "gauge",
            "The sequence number of the newest event in the log.",
            state.bus.accepted(),
        ),
    ];
    let mut out = String::new();
    for (name, kind, help, value) in rows {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    Ok(respond(200, "text/plain; version=0.0.4; charset=utf-8", out))
}
