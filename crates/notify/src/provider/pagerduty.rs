//! PagerDuty: an incident that resolves when the object is well again, and a change event for what is no error.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "pagerduty",
    title: "PagerDuty",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: pagerduty\naddress: https://events.pagerduty.com\nchannel: ROUTING-KEY\n",
    notes: "One incident for each object, by its uid. `channel` is an integration's routing key. The summary is cut at 1,024 characters. `Progressing` is not sent.",
};

/// Characters of an incident's summary.
const SUMMARY: usize = 1024;
/// Bytes of the message: a whole event may have 512 KB.
const TEXT: usize = 400_000;

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::for_request(&s.address)
        .map(drop)
        .map_err(|why| format!("invalid PagerDuty endpoint URL {:?}: '{why}'", s.address))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if n.reason == "Progressing" {
        return Ok(());
    }
    let url = GoUrl::for_request(&c.setup.address).map_err(Failure::never)?;
    let at = |path: &str| format!("{}://{}{path}", url.scheme, url.host);
    let key = &c.setup.provider.channel;
    let mut incident = if n.is_error() {
        let mut payload = payload(c);
        payload["severity"] = json!("error");
        payload["component"] = json!(n.object.name);
        payload["group"] = json!(n.object.kind);
        json!({"routing_key": key, "event_action": "trigger", "dedup_key": n.object.uid, "payload": payload})
    } else {
        json!({"routing_key": key, "event_action": "resolve", "dedup_key": n.object.uid})
    };
    if n.object.uid.is_empty() {
        // Without a key each is an incident of its own.
        incident.as_object_mut().map(|o| o.remove("dedup_key"));
    }
    c.post(Request::post(at("/v2/enqueue")).json(&incident)).await.map_err(|e| e.at("failed sending event"))?;
    if !n.is_info() {
        return Ok(());
    }
    let change = json!({"routing_key": key, "payload": payload(c)});
    let sent = c.post(Request::post(at("/v2/change/enqueue")).json(&change)).await;
    sent.map(drop).map_err(|e| e.at("failed sending change event"))
}

fn payload(c: &Call) -> Value {
    let n = c.notice;
    let summary = c.title.map_or_else(|| format!("{}: {}", n.words(), n.name()), str::to_owned);
    let metadata = if n.metadata.is_empty() { Value::Null } else { json!(n.metadata) };
    json!({
        "summary": super::text::chars(&summary, SUMMARY), "source": format!("Flux {}", n.controller), "timestamp": n.time(),
        "custom_details": {"message": super::text::bytes(&n.message, TEXT), "metadata": metadata},
    })
}
