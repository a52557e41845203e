//! `POST /api/v1/events/{namespace}/{discriminator}`: durable, then 200.

use super::answer::{Answer, Fault, ok};
use super::{Call, State, webhook};
use crate::bus::{Accepted, Refused};
use crate::event::{Caller, Event, Outcome, sender_identity};
use crate::kube_api::path;
use http::HeaderValue;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The longest that `Prefer: wait` waits, in seconds.
const LONGEST_WAIT: u64 = 60;

pub async fn receive(state: &Arc<State>, call: Call, namespace: &str, discriminator: &str) -> Result<Answer, Fault> {
    let outcome = accept(state, &call, namespace, discriminator).await;
    let counter = if outcome.is_ok() { &state.counters.accepted } else { &state.counters.refused };
    counter.fetch_add(1, Ordering::Relaxed);
    let (accepted, caller_waits) = outcome?;
    if let Some(waiting) = caller_waits {
        return Ok(dispatched(state, &call, namespace, &accepted, waiting).await);
    }
    Ok(answer(state, &call, namespace, &accepted, None))
}

type Waits = Option<(Duration, Option<tokio::sync::oneshot::Receiver<Outcome>>)>;

async fn accept(
    state: &Arc<State>,
    call: &Call,
    namespace: &str,
    discriminator: &str,
) -> Result<(Accepted, Waits), Fault> {
    let caller = who(state, call, namespace).await?;
    let data = payload(&call.body)?;
    // Who may list the bindings of a namespace may post events to it.
    may_list(state, &caller, namespace).await?;
    let metadata = metadata(call)?;
    let (id, identity) = identify(call, namespace);
    let event = Event {
        id,
        source: call
            .header("ce-source")
            .map_or_else(|| format!("/api/v1/events/{namespace}/{discriminator}"), str::to_owned),
        kind: call.header("ce-type").unwrap_or("dev.triggerfish.event.received").into(),
        subject: call.header("ce-subject").unwrap_or("").into(),
        time: crate::clock::precise(jiff::Timestamp::now()),
        datacontenttype: "application/json".into(),
        data,
        namespace: namespace.into(),
        discriminator: discriminator.into(),
        metadata,
        caller,
        origin: None,
        base64: false,
    };
    let accepted = state.bus.append(event, identity).await.map_err(|e| match e {
        Refused::Full => Fault::new(503, 14, "operation queue full"),
        Refused::Storage(why) => Fault::new(
            503,
            14,
            format!("operation queue full: the event could not be stored ({why}); it was not accepted, send it again"),
        ),
    })?;
    let waits = wait(call).map(|d| {
        let receiver = (!accepted.repeated
            || state.bus.get(&accepted.id).is_ok_and(|r| r.is_some_and(|r| r.outcome.is_none())))
        .then(|| state.waiting.on(accepted.seq));
        // The outcome may have come between the commit and the registration.
        (d, receiver)
    });
    Ok((accepted, waits))
}

/// Who sends it: by credentials, by a webhook's signature, or, where no webhook client fits, by the cookie of one of our pages.
async fn who(state: &State, call: &Call, namespace: &str) -> Result<Caller, Fault> {
    if call.header("authorization").is_some() || call.certificate.is_some() {
        return state.caller(call);
    }
    match webhook::caller(state, call, namespace).await {
        Err(f) if f.http == 401 => state.caller(call),
        outcome => outcome,
    }
}

/// The first JSON value of a body; what follows it is ignored, as the original does.
fn payload(body: &[u8]) -> Result<Option<Box<RawValue>>, Fault> {
    // Bytes that are no UTF-8 become U+FFFD, as in the original.
    let text = String::from_utf8_lossy(body);
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Box<RawValue>>();
    match values.next() {
        None => Ok(None),
        Some(Ok(v)) if v.get() == "null" => Ok(None),
        Some(Ok(v)) => Ok(Some(v)),
        Some(Err(_)) => Err(Fault::invalid(
            apiserver::gojson::error(body).replace("unexpected end of JSON input", "unexpected EOF"),
        )),
    }
}

async fn may_list(state: &State, caller: &Caller, namespace: &str) -> Result<(), Fault> {
    let user = apiserver::User {
        name: caller.name.clone(),
        uid: caller.uid.clone(),
        groups: caller.groups.clone(),
        ..Default::default()
    };
    if state.clients.server().allowed(&user, "list", crate::kind::GROUP, "workfloweventbindings", namespace, "") {
        return Ok(());
    }
    // The API says it in its own words.
    state.clients.as_caller(caller).get(&format!("{}?limit=1", path("workfloweventbindings", namespace, ""))).await?;
    Ok(())
}

/// `x-` headers as lists, and what the gateway of the original adds.
fn metadata(call: &Call) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &call.headers {
        let name = name.as_str();
        if !name.starts_with("x-") {
            continue;
        }
        let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
            return Err(Fault::invalid(format!("header {name} is not UTF-8")));
        };
        let text = if name.ends_with("-bin") {
            use base64::Engine;
            let raw =
                base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| {
                    let at = if let base64::DecodeError::InvalidByte(at, _)
                    | base64::DecodeError::InvalidLastSymbol(at, _) = e
                    {
                        at
                    } else {
                        text.len()
                    };
                    Fault::invalid(format!(
                        "invalid binary header {}: illegal base64 data at input byte {at}",
                        canonical(name)
                    ))
                })?;
            String::from_utf8_lossy(&raw).into_owned()
        } else {
            text.to_owned()
        };
        out.entry(name.to_owned()).or_default().push(text);
    }
    let host = call.header("host").unwrap_or("").to_owned();
    out.entry("x-forwarded-host".into()).or_default().push(host);
    let ip = call.peer.map(|p| p.ip().to_string()).unwrap_or_default();
    match out.get_mut("x-forwarded-for") {
        Some(given) => {
            let joined = given.last().map_or_else(|| ip.clone(), |g| format!("{g}, {ip}"));
            given.push(joined);
        }
        None => {
            out.insert("x-forwarded-for".into(), vec![ip]);
        }
    }
    Ok(out)
}

/// A header's name as people write it: `X-Data-Bin`.
fn canonical(name: &str) -> String {
    let words = name
        .split('-')
        .map(|w| w.chars().take(1).flat_map(char::to_uppercase).chain(w.chars().skip(1)).collect::<String>());
    words.collect::<Vec<_>>().join("-")
}

/// The event's id, and the sender's own identity of it if it gave one.
fn identify(call: &Call, namespace: &str) -> (String, Option<String>) {
    match sender_identity(namespace, |name| call.header(name)) {
        Some((id, identity)) => (id, Some(identity)),
        None => (uuid::Uuid::now_v7().to_string(), None),
    }
}

/// `Prefer: wait=N` (RFC 7240).
fn wait(call: &Call) -> Option<Duration> {
    let preferences = call.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    for p in preferences {
        let p = p.split(';').next().unwrap_or("").trim();
        if p.eq_ignore_ascii_case("wait") {
            return Some(Duration::from_secs(LONGEST_WAIT));
        }
        if let Some(n) = p.strip_prefix("wait=").and_then(|n| n.parse::<u64>().ok()) {
            return Some(Duration::from_secs(n.min(LONGEST_WAIT)));
        }
    }
    None
}

fn wants_record(call: &Call) -> bool {
    call.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok()).any(|v| v.contains("return=representation"))
}

async fn dispatched(
    state: &State,
    call: &Call,
    namespace: &str,
    accepted: &Accepted,
    (patience, receiver): (Duration, Option<tokio::sync::oneshot::Receiver<Outcome>>),
) -> Answer {
    let known = || state.bus.get(&accepted.id).ok().flatten().and_then(|r| r.outcome);
    let outcome = match known() {
        Some(o) => Some(o),
        None => match receiver {
            Some(r) => match tokio::time::timeout(patience, r).await {
                Ok(Ok(o)) => Some(o),
                _ => known(),
            },
            None => None,
        },
    };
    if let Some(message) = outcome.as_ref().and_then(Outcome::failure) {
        let mut failed = Fault::internal(message).answer();
        named(&mut failed, namespace, accepted);
        return failed;
    }
    answer(state, call, namespace, accepted, outcome.is_some().then_some(Duration::ZERO))
}

fn answer(state: &State, call: &Call, namespace: &str, accepted: &Accepted, applied: Option<Duration>) -> Answer {
    let body = if wants_record(call) {
        state.bus.get(&accepted.id).ok().flatten().map_or(json!({}), |r| super::records::record(&r))
    } else {
        Value::Object(Default::default())
    };
    let mut answer = ok(&body);
    named(&mut answer, namespace, accepted);
    if applied.is_some() {
        answer.headers_mut().insert("preference-applied", HeaderValue::from_static("wait"));
    }
    answer
}

/// Says where the event's record is.
fn named(answer: &mut Answer, namespace: &str, accepted: &Accepted) {
    if let Ok(v) = HeaderValue::from_str(&accepted.id) {
        answer.headers_mut().insert("triggerfish-event-id", v);
    }
    let place = format!(
        "/api/v1/event-records/{}/{}",
        crate::kube_api::encode(namespace),
        crate::kube_api::encode(&accepted.id)
    );
    if let Ok(v) = HeaderValue::from_str(&place) {
        answer.headers_mut().insert(http::header::LOCATION, v);
    }
}
