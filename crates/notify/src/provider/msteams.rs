//! Microsoft Teams: a card by a workflow, or by a connector of the kind that is being retired.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "msteams",
    title: "Microsoft Teams",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: msteams\nsecretRef: {name: msteams}\n# Secret: address, of a workflow that posts to a channel, or of a connector (...webhook.office.com)\n",
    notes: "Which card is sent follows from the address. The text is cut so that the message stays below 28 KB.",
};

/// Bytes of the text: the whole message may have 28 KB.
const TEXT: usize = 20_000;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "MS Teams webhook URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let url = address(c.setup, "MS Teams webhook URL").map_err(Failure::never)?;
    let card = if url.hostname().ends_with(".webhook.office.com") { connector(c) } else { adaptive(c) };
    c.post(Request::post(&c.setup.address).json(&card)).await.map(drop)
}

fn connector(c: &Call) -> Value {
    let n = c.notice;
    let facts: Vec<Value> = n.metadata.iter().map(|(k, v)| json!({"name": k, "value": v})).collect();
    json!({
        "@type": "MessageCard", "@context": "http://schema.org/extensions",
        "themeColor": if n.is_error() { "FF0000" } else { "0076D7" }, "summary": c.title(),
        "sections": [{"activityTitle": super::text::bytes(&n.message, TEXT), "activitySubtitle": c.title(), "facts": facts}],
    })
}

fn adaptive(c: &Call) -> Value {
    let n = c.notice;
    let mut message = json!({"type": "TextBlock", "wrap": true});
    if !n.message.is_empty() {
        message["text"] = json!(super::text::bytes(&n.message, TEXT));
    }
    if n.is_error() {
        message["color"] = json!("attention");
    }
    // The summary comes first.
    let mut facts: Vec<(&String, &String)> = n.metadata.iter().collect();
    facts.sort_by_key(|(k, _)| (k.as_str() != "summary", k.as_str()));
    let mut set = json!({"type": "FactSet"});
    if !facts.is_empty() {
        set["facts"] = facts.iter().map(|(k, v)| json!({"title": k, "value": v})).collect();
    }
    let title = json!({"type": "TextBlock", "text": c.title(), "size": "large", "weight": "bolder", "wrap": true});
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
            "body": [{"type": "Container", "items": [title, message, set]}],
            "msteams": {"width": "Full"},
        },
    }]})
}
