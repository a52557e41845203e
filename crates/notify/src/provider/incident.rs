//! incident.io: an alert that resolves when the object is well again.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "incident.io",
    title: "incident.io",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: incident.io\naddress: https://api.incident.io/v2/alert_events/http/ALERT-SOURCE\nsecretRef: {name: incident}\n# Secret: token\n",
    notes: "One alert for each object, by its uid: errors fire it, everything else resolves it. `Progressing` is not sent.",
};

fn check(s: &Setup) -> Result<(), String> {
    address(s, "incident.io alert source URL")?;
    if s.token().is_empty() { Err("empty incident.io API token".into()) } else { Ok(()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if n.reason == "Progressing" {
        return Ok(());
    }
    let mut metadata = n.metadata.clone();
    metadata.insert("severity".into(), n.severity.clone());
    metadata.insert("reason".into(), n.reason.clone());
    if !n.controller.is_empty() {
        metadata.insert("reportingController".into(), n.controller.clone());
    }
    let mut alert = json!({
        "title": c.title.map_or_else(|| format!("{}: {}", n.title(), n.reason), str::to_owned),
        "status": if n.is_error() { "firing" } else { "resolved" },
        "deduplication_key": n.object.uid, "metadata": metadata,
    });
    if !n.message.is_empty() {
        alert["description"] = json!(n.message);
    }
    c.post(Request::post(&c.setup.address).json(&alert).bearer(c.token())).await.map(drop)
}
