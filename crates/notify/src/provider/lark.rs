//! Lark and Feishu: a card by a group's bot.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "lark",
    title: "Lark",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: lark\nsecretRef: {name: lark}\n# Secret: address, https://open.larksuite.com/open-apis/bot/v2/hook/...\n",
    notes: "The text is cut so that the card stays below 30 KB.",
};

/// Bytes of the text: the whole card may have 30 KB.
const TEXT: usize = 24_000;

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::for_request(&s.address).map(drop).map_err(|_| format!("invalid Slack hook URL {}", s.address))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let (emoji, color) = if n.is_error() { ("🚨", "red") } else { ("💫", "turquoise") };
    let mut text = format!("**{}**\n\n", super::text::bytes(&n.message, TEXT));
    for (k, v) in &n.metadata {
        text.push_str(&format!("{k}: {v}\n"));
    }
    let card = json!({"msg_type": "interactive", "card": {
        "config": {"wide_screen_mode": true},
        "header": {"title": {"tag": "plain_text", "content": format!("{emoji} {}", c.title())}, "template": color},
        "elements": [{"tag": "div", "text": {"tag": "lark_md", "content": text}}],
    }});
    c.post(Request::post(&c.setup.address).json(&card)).await.map(drop)
}
