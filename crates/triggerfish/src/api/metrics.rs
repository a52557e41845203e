//! Counters in the Prometheus text format.

use super::answer::{Answer, Fault, respond};
use super::{Call, State};
use crate::gateway::Progress;
use crate::notices;
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
        (
            "triggerfish_events_dropped_unread_total",
            "counter",
            "Events that a watcher lost to the bounds of the log since the start.",
            state.bus.dropped_unread(),
        ),
    ];
    let mut out = String::new();
    for (name, kind, help, value) in rows {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    configurations(state, &mut out);
    providers(state, &mut out);
    Ok(respond(200, "text/plain; version=0.0.4; charset=utf-8", out))
}

/// One line of a configuration's figure.
type Figure = fn(&Progress) -> u64;

/// Figures of the configurations of gateways.
const FIGURES: [(&str, &str, &str, Figure); 4] = [
    ("triggerfish_gateway_configuration_up", "gauge", "1 while the configuration is connected.", |p| {
        u64::from(p.running.load(Ordering::Relaxed))
    }),
    (
        "triggerfish_gateway_events_total",
        "counter",
        "Events that were accepted since the configuration started.",
        |p| p.events.load(Ordering::Relaxed),
    ),
    ("triggerfish_gateway_repeated_total", "counter", "Events that were known already.", |p| {
        p.repeated.load(Ordering::Relaxed)
    }),
    ("triggerfish_gateway_lost_total", "counter", "How often the other side was lost or could not be reached.", |p| {
        p.lost.load(Ordering::Relaxed)
    }),
];

fn configurations(state: &State, out: &mut String) {
    let all = state.board.all();
    for (name, kind, help, figure) in FIGURES {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for ([namespace, gateway, configuration], p) in &all {
            out.push_str(&format!(
                "{name}{{namespace={},gateway={},configuration={}}} {}\n",
                label(namespace),
                label(gateway),
                label(configuration),
                figure(p)
            ));
        }
    }
}

/// One line of a provider's figure.
type Delivered = fn(&notices::Progress) -> u64;

/// Figures of providers.
const DELIVERIES: [(&str, &str, &str, Delivered); 5] = [
    ("triggerfish_notify_delivered_total", "counter", "Deliveries that went well.", |p| {
        p.delivered.load(Ordering::Relaxed)
    }),
    ("triggerfish_notify_failed_total", "counter", "Tries that failed.", |p| p.failed.load(Ordering::Relaxed)),
    ("triggerfish_notify_unsure_total", "counter", "Tries whose answer was lost: what was sent may come twice.", |p| {
        p.unsure.load(Ordering::Relaxed)
    }),
    ("triggerfish_notify_waiting", "gauge", "Deliveries that are still to be made.", |p| {
        p.waiting.load(Ordering::Relaxed)
    }),
    ("triggerfish_notify_dead", "gauge", "Deliveries that were given up.", |p| p.dead.load(Ordering::Relaxed)),
];

fn providers(state: &State, out: &mut String) {
    let all = state.notices.all();
    for (name, kind, help, figure) in DELIVERIES {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for ((namespace, provider), p) in &all {
            out.push_str(&format!(
                "{name}{{namespace={},provider={}}} {}\n",
                label(namespace),
                label(provider),
                figure(p)
            ));
        }
    }
}

/// A label's value, quoted as the format has it.
fn label(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
