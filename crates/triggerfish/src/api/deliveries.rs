//! Deliveries to providers: what waits, what was done, what was given up.

use super::answer::{Answer, Fault, ok};
use super::records::may;
use super::{Call, State};
use crate::bus::ledger::{self, Action};
use crate::kind::FLUX_GROUP;
use crate::notices::{Letter, OWNERS};
use serde_json::{Value, json};
use std::sync::Arc;

/// Deliveries in one answer, at most.
const PAGE: usize = 500;

pub fn shown(a: &Action) -> Value {
    json!({
        "id": a.id, "namespace": a.namespace, "alert": a.name, "provider": a.owner.rsplit('/').next(), "about": a.part,
        "state": a.state.name(), "attempts": a.attempts, "result": a.result, "changed": a.changed, "event": a.seq,
    })
}

/// `?state=dead&limit=N`: newest first.
pub fn list(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    may(state, call, "list", FLUX_GROUP, "alerts", namespace)?;
    let limit = call.query.number("limit").map_err(|e| Fault::invalid(e.message))?;
    let limit = limit.map_or(50, |n| n as usize).clamp(1, PAGE);
    let wanted = match call.query.get("state") {
        "" => None,
        "waiting" => Some(ledger::State::Waiting),
        "done" => Some(ledger::State::Done),
        "dead" => Some(ledger::State::Dead),
        other => return Err(Fault::invalid(format!("state {other:?}: expected waiting, done or dead"))),
    };
    let found = state.bus.newest_actions(OWNERS, namespace, wanted, limit).map_err(Fault::internal)?;
    Ok(ok(&json!({"items": found.iter().map(shown).collect::<Vec<_>>()})))
}

fn one(state: &State, namespace: &str, id: &str) -> Result<Action, Fault> {
    let found = state.bus.action(id).map_err(Fault::internal)?;
    let found = found.filter(|a| a.owner.starts_with(OWNERS) && (namespace.is_empty() || a.namespace == namespace));
    found.ok_or_else(|| Fault::not_found(format!("there is no delivery {id:?} in the namespace {namespace:?}")))
}

pub fn show(state: &Arc<State>, call: &Call, namespace: &str, id: &str) -> Result<Answer, Fault> {
    may(state, call, "get", FLUX_GROUP, "alerts", namespace)?;
    let a = one(state, namespace, id)?;
    let mut out = shown(&a);
    if let Ok(letter) = Letter::read(&a.events) {
        out["letter"] = json!(letter);
    }
    Ok(ok(&out))
}

/// Has one that was given up, or all of a namespace, made again.
pub async fn replay(state: &Arc<State>, call: &Call, namespace: &str, id: &str) -> Result<Answer, Fault> {
    may(state, call, "update", FLUX_GROUP, "alerts", namespace)?;
    let found = if id == "all" {
        state.bus.newest_actions(OWNERS, namespace, Some(ledger::State::Dead), PAGE).map_err(Fault::internal)?
    } else {
        let a = one(state, namespace, id)?;
        if a.state != ledger::State::Dead {
            return Err(Fault::invalid(format!("the delivery {id:?} was not given up: it is {}", a.state.name())));
        }
        vec![a]
    };
    for a in &found {
        let again = Letter::read(&a.events).map(|l| l.again()).map_err(Fault::internal)?;
        let lines = vec![
            ledger::Write::Rewrite { id: a.id.clone(), events: serde_json::to_string(&again).unwrap_or_default() },
            ledger::Write::Settle {
                id: a.id.clone(),
                state: ledger::State::Waiting,
                attempts: 0,
                result: String::new(),
            },
        ];
        state.bus.write(lines).await.map_err(|e| Fault::internal(format!("{e:?}")))?;
    }
    state.bus.retried.notify_waiters();
    Ok(ok(&json!({"replayed": found.len()})))
}
