//! What became of events: lists and single records.

use super::answer::{Answer, Fault, ok};
use super::{Call, State};
use crate::bus::Record;
use crate::bus::ledger::{self, Action};
use crate::kind::GROUP;
use crate::notices::OWNERS;
use serde_json::{Value, json};
use std::sync::Arc;

/// Records in one answer, at most.
const PAGE: usize = 500;

pub fn record(r: &Record) -> Value {
    let e = &r.event;
    let mut out = json!({
        "id": e.id, "received": e.time, "namespace": e.namespace, "discriminator": e.discriminator, "from": e.caller.name, "source": e.source,
        "metadata": e.metadata, "payload": e.data, "phase": if r.outcome.is_some() { "Dispatched" } else { "Waiting" },
    });
    if let Some(o) = &e.origin {
        out["gateway"] = json!(o.gateway);
        out["configuration"] = json!(o.configuration);
    }
    if let Some(o) = &r.outcome {
        out["dispatched"] = json!(o.dispatched);
        out["bindings"] = json!(o.bindings);
        if o.more_not_matched > 0 {
            out["moreNotMatched"] = json!(o.more_not_matched);
        }
        if !o.more_failed.is_empty() {
            out["moreFailed"] = json!(o.more_failed);
        }
        if !o.error.is_empty() {
            out["error"] = json!(o.error);
        }
    }
    out
}

fn may_see(state: &State, call: &Call, namespace: &str) -> Result<(), Fault> {
    may(state, call, "list", GROUP, "workfloweventbindings", namespace)
}

pub fn may(state: &State, call: &Call, verb: &str, group: &str, resource: &str, namespace: &str) -> Result<(), Fault> {
    let c = state.caller(call)?;
    let user = apiserver::User { name: c.name.clone(), uid: c.uid, groups: c.groups, ..Default::default() };
    if state.clients.server().allowed(&user, verb, group, resource, namespace, "") {
        return Ok(());
    }
    let what = format!("User {:?} cannot {verb} {resource}.{group} in the namespace {namespace:?}", c.name);
    Err(Fault::new(403, 7, format!("event records are forbidden: {what}")))
}

/// `?limit=N&before=SEQ`: newest first; `continue` is the next `before`.
pub fn list(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    may_see(state, call, namespace)?;
    let number = |k: &str| call.query.number(k).map_err(|e| Fault::invalid(e.message));
    let limit = number("limit")?.map_or(50, |n| n as usize).clamp(1, PAGE);
    let wanted = (!namespace.is_empty()).then_some(namespace);
    let found = state
        .bus
        .list(wanted, number("before")?.and_then(|n| u64::try_from(n).ok()), limit)
        .map_err(Fault::internal)?;
    let next =
        if found.len() == limit { found.last().map(|r| r.seq.to_string()).unwrap_or_default() } else { String::new() };
    let items: Vec<Value> = found.iter().map(record).collect();
    Ok(ok(&json!({"metadata": {"continue": next}, "items": items})))
}

pub fn show(state: &Arc<State>, call: &Call, namespace: &str, id: &str) -> Result<Answer, Fault> {
    may_see(state, call, namespace)?;
    let found =
        state.bus.get(id).map_err(Fault::internal)?.filter(|r| namespace.is_empty() || r.event.namespace == namespace);
    let found =
        found.ok_or_else(|| Fault::not_found(format!("no event {id:?} is recorded in the namespace {namespace:?}")))?;
    let mut out = record(&found);
    let (watched, actions) = (
        state.bus.watched(found.seq).map_err(Fault::internal)?,
        state.bus.actions_of(found.seq).map_err(Fault::internal)?,
    );
    let watchers: Vec<Value> = watched
        .into_iter()
        .map(|(name, mut outcome)| {
            outcome["actions"] = actions.iter().filter(|a| a.name == name).map(action).collect();
            outcome["name"] = json!(name);
            outcome
        })
        .collect();
    if !watchers.is_empty() {
        out["watchers"] = json!(watchers);
    }
    let deliveries: Vec<Value> =
        actions.iter().filter(|a| a.owner.starts_with(OWNERS)).map(super::deliveries::shown).collect();
    if !deliveries.is_empty() {
        out["deliveries"] = json!(deliveries);
    }
    Ok(ok(&out))
}

fn action(a: &Action) -> Value {
    json!({
        "id": a.id, "sensor": a.name, "trigger": a.part, "state": a.state.name(), "attempts": a.attempts,
        "result": a.result, "changed": a.changed,
    })
}

/// What was given up, newest first.
pub fn dead_letters(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    may(state, call, "list", GROUP, "sensors", namespace)?;
    let found = state.bus.dead_letters(namespace, PAGE).map_err(Fault::internal)?;
    let items: Vec<Value> = found
        .iter()
        .map(|a| {
            let mut item = action(a);
            item["namespace"] = json!(a.namespace);
            item["events"] = serde_json::from_str(&a.events).unwrap_or_default();
            item
        })
        .collect();
    Ok(ok(&json!({ "items": items })))
}

/// Has one, or all of a namespace, tried again.
pub async fn retry(state: &Arc<State>, call: &Call, namespace: &str, id: &str) -> Result<Answer, Fault> {
    may(state, call, "update", GROUP, "sensors", namespace)?;
    let found = if id == "all" {
        state.bus.dead_letters(namespace, PAGE).map_err(Fault::internal)?
    } else {
        let one = state.bus.action(id).map_err(Fault::internal)?;
        let one = one.filter(|a| a.state == ledger::State::Dead && (namespace.is_empty() || a.namespace == namespace));
        vec![one.ok_or_else(|| Fault::not_found(format!("nothing with the id {id:?} was given up in {namespace:?}")))?]
    };
    for a in &found {
        state.bus.retry(&a.id).await.map_err(|e| Fault::internal(format!("{e:?}")))?;
    }
    Ok(ok(&json!({"retried": found.len()})))
}
