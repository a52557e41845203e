//! Zoom: a message in a channel, by its Incoming Webhook app.

use super::{Call, Group, Kind, address};
use crate::go_url::{escape_query, unescaped};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "zoom",
    title: "Zoom",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: zoom\naddress: https://integrations.zoom.us/chat/webhooks/incomingwebhook/...\nsecretRef: {name: zoom}\n# Secret: token, the webhook's verification token\n",
    notes: "The text is cut at 4,000 characters.",
};

/// Characters of the text.
const TEXT: usize = 4000;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Zoom incoming webhook URL")?;
    if s.token().is_empty() { Err("empty Zoom verification token".into()) } else { Ok(()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let mut url = address(c.setup, "Zoom incoming webhook URL").map_err(Failure::never)?;
    let given = url.query.clone().unwrap_or_default();
    let mut query: Vec<(String, String)> = given
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(k, v)| (unescaped(&k.replace('+', " ")), unescaped(&v.replace('+', " "))))
        .collect();
    if !query.iter().any(|(k, v)| k == "format" && !v.is_empty()) {
        query.retain(|(k, _)| k != "format");
        query.push(("format".into(), "full".into()));
        query.sort();
        let pairs: Vec<String> =
            query.iter().map(|(k, v)| format!("{}={}", escape_query(k), escape_query(v))).collect();
        url.query = Some(pairs.join("&"));
    }
    let mut body = vec![json!({"type": "message"})];
    if !n.message.is_empty() {
        body[0]["text"] = json!(super::text::chars(&n.message, TEXT));
    }
    if !n.metadata.is_empty() {
        let items: Vec<Value> = n.metadata.iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
        body.push(json!({"type": "fields", "items": items}));
    }
    let message = json!({"content": {"head": {"text": c.title(), "sub_head": {"text": n.severity}}, "body": body}});
    c.post(Request::post(url.text()).json(&message).header("Authorization", c.token())).await.map(drop)
}
