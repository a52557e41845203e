//! Google Chat: a card in a space.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "googlechat",
    title: "Google Chat",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: googlechat\nsecretRef: {name: googlechat}\n# Secret: address, https://chat.googleapis.com/v1/spaces/.../messages?key=...&token=...\n",
    notes: "The text is cut so that the card stays below 32 KB.",
};

/// Bytes of the text: the whole card may have 32,000.
const TEXT: usize = 24_000;

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::for_request(&s.address).map(drop).map_err(|_| format!("invalid Google Chat hook URL {}", s.address))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let mut text = super::text::bytes(&n.message, TEXT);
    if n.is_error() {
        text = format!("<font color=\"#ff0000\">{text}</font>");
    }
    let mut sections = vec![json!({"header": "", "widgets": [{"textParagraph": {"text": text}, "keyValue": null}]})];
    let widget = |(k, v): (&String, &String)| {
        json!({"textParagraph": null,
            "keyValue": {"topLabel": k, "content": v, "contentMultiline": false, "bottomLabel": null, "icon": null}})
    };
    if !n.metadata.is_empty() {
        sections.push(json!({"header": "", "widgets": n.metadata.iter().map(widget).collect::<Vec<Value>>()}));
    }
    let header = json!({"title": c.title(), "subtitle": n.controller, "imageUrl": null, "imageStyle": null});
    let card = json!({"cards": [{"header": header, "sections": sections}]});
    c.post(Request::post(&c.setup.address).json(&card)).await.map(drop)
}
