//! Prometheus Alertmanager: one alert for each notice.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Map, Value, json};

pub const KIND: Kind = Kind {
    name: "alertmanager",
    title: "Prometheus Alertmanager",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: alertmanager\naddress: https://alertmanager.example.com/api/v2/alerts\nsecretRef: {name: alertmanager}\n# Secret: token, or username and password; none if it asks for nothing\n",
    notes: "The metadata become labels, `summary` an annotation. Alerts fire for informations too, and end by Alertmanager's own time-out.",
};

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Alertmanager URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let mut labels: Map<String, Value> = n.metadata.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    let mut annotations = Map::from_iter([("message".to_owned(), json!(n.message))]);
    if let Some(summary) = labels.remove("summary") {
        annotations.insert("summary".into(), summary);
    }
    if let Some(title) = c.title {
        annotations.insert("title".into(), json!(title));
    }
    let name = format!("Flux{}{}", n.object.kind, title_case(&n.reason));
    for (key, value) in [
        ("alertname", name.as_str()),
        ("severity", &n.severity),
        ("reason", &n.reason),
        ("kind", &n.object.kind),
        ("name", &n.object.name),
        ("namespace", &n.object.namespace),
        ("reportingcontroller", &n.controller),
    ] {
        labels.insert(key.into(), json!(value));
    }
    let alert = json!([{"status": "firing", "labels": labels, "annotations": annotations,
        "startsAt": n.time(), "endsAt": "0001-01-01T00:00:00Z"}]);
    let mut r = Request::post(&c.setup.address).json(&alert);
    if let Some(token) = c.setup.token.as_ref().filter(|t| !t.is_empty()) {
        r = r.bearer(token);
    }
    if let Some((user, password)) = c.setup.basic() {
        r = r.basic(user, password);
    }
    c.post(r).await.map(drop)
}

/// The first letter of each word large, the others small.
fn title_case(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        let of_word = c.is_alphanumeric() || c == '_';
        if inside && (of_word || "'.:’·".contains(c)) {
            out.extend(c.to_lowercase());
        } else if c.is_alphabetic() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        // A figure or an underscore begins a word as well, and stays as it is.
        inside = of_word || inside && "'.:’·".contains(c);
    }
    out
}
