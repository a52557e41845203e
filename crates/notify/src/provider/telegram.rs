//! Telegram: a message by a bot.

use super::{Call, Group, Kind};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;
use std::time::Duration;

pub const KIND: Kind = Kind {
    name: "telegram",
    title: "Telegram",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: telegram\nchannel: \"-1557265138\"\nsecretRef: {name: telegram}\n# Secret: token, a bot's\n",
    notes: "`channel` is a chat's id or a channel's name (`@fluxtest`), with `:` and a thread's id if there is one. The address is always Telegram's. The message is cut at 4,096 characters.",
};

/// Characters of a message.
const TEXT: usize = 4096;

fn check(s: &Setup) -> Result<(), String> {
    if s.provider.channel.is_empty() {
        return Err("empty Telegram channel".into());
    }
    if s.token().is_empty() { Err("empty Telegram token".into()) } else { Ok(()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    if c.token().bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(Failure::never("failed to construct API URL: the token holds a control character"));
    }
    let (n, o) = (c.notice, &c.notice.object);
    let channel = &c.setup.provider.channel;
    let (chat, thread) =
        channel.split_once(':').map_or((channel.as_str(), None), |(chat, thread)| (chat, Some(thread)));
    let emoji = if n.is_error() { "🚨" } else { "💫" };
    let heading =
        c.title.map_or_else(|| format!("{}/{}/{}", o.kind.to_lowercase(), o.name, o.namespace), str::to_owned);
    let mut after = String::new();
    for (k, v) in &n.metadata {
        after.push_str(&format!("\\- *{}*: {}\n", escaped(k), escaped(v)));
    }
    let head = format!("*{emoji} {}*\n", escaped(&heading));
    // What is cut is cut before it is escaped, so that no escape is cut in two.
    let mut text = String::new();
    let mut room = TEXT;
    for _ in 0..32 {
        text = format!("{head}{}\n{after}", escaped(&super::text::utf16(&n.message, room)));
        let over = text.encode_utf16().count().saturating_sub(TEXT);
        if over == 0 {
            break;
        }
        room = room.min(n.message.encode_utf16().count()).saturating_sub(over.div_ceil(2).max(1));
    }
    let mut message = json!({"chat_id": chat, "text": text, "parse_mode": "MarkdownV2"});
    if let Some(thread) = thread.filter(|t| !t.is_empty()) {
        message["message_thread_id"] = json!(thread);
    }
    let url = format!("https://api.telegram.org/bot{}/sendMessage", c.token());
    let answer = c.http.send(Request::post(url).json(&message)).await?;
    if answer.is_success() {
        return Ok(());
    }
    let mut failure = answer.failure();
    // It says in the body when it may be asked again.
    let seconds = answer.json().ok().and_then(|v| v["parameters"]["retry_after"].as_u64());
    failure.after = failure.after.or(seconds.filter(|_| failure.again).map(Duration::from_secs));
    Err(failure)
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.-_[]()~>`#+=|{}!*".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
