//! Slack: an incoming webhook, or a bot that posts to any channel it is in. Its message is also that of other services.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "slack",
    title: "Slack",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: slack\nchannel: general\naddress: https://slack.com/api/chat.postMessage\nsecretRef: {name: slack}\n# Secret: token, a bot's (xoxb-...); without one the address is a webhook's, best kept in the Secret as well\n",
    notes: "With a token the answer is read, and its error told. A webhook ignores `channel` and `username`. The text is cut at 40,000 characters.",
};

/// Characters of a message's text.
const TEXT: usize = 40_000;
/// Where a bot posts: the only place that answers in JSON.
const API: &str = "https://slack.com/api/chat.postMessage";

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Slack hook URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let color = if n.is_error() { "danger" } else { "good" };
    let first = n.message.split('\n').next().unwrap_or("");
    let look = Look { channel: &c.setup.provider.channel, username: c.sender(), color, most: TEXT };
    let message = message(c, &look, &format!("{}: {first}", c.title()));
    let mut r = Request::post(&c.setup.address).json(&message);
    if let Some(token) = c.setup.token.as_ref().filter(|t| !t.is_empty()) {
        r = r.bearer(token);
    }
    if c.setup.address != API {
        return c.post(r).await.map(drop);
    }
    let answer = c.http.send(r).await?;
    if answer.status == 429 || answer.status >= 500 {
        return Err(answer.failure());
    }
    let said = answer.json()?;
    if said["ok"] == true {
        return Ok(());
    }
    let why = said["error"].as_str().unwrap_or("unknown").to_owned();
    let again = matches!(
        why.as_str(),
        "ratelimited" | "rate_limited" | "internal_error" | "fatal_error" | "service_unavailable"
    );
    let after = if again { answer.after() } else { None };
    Err(Failure {
        why: format!("Slack responded with error: {why}"),
        again,
        after,
        status: Some(answer.status),
        unsure: false,
    })
}

/// How a message of this form looks.
pub struct Look<'a> {
    pub channel: &'a str,
    pub username: &'a str,
    pub color: &'a str,
    /// Characters of its text.
    pub most: usize,
}

/// A message with one attachment, as Slack, Discord and Rocket.Chat take it.
pub fn message(c: &Call, look: &Look, fallback: &str) -> Value {
    let n = c.notice;
    let fields: Vec<Value> = n.metadata.iter().map(|(k, v)| json!({"title": k, "value": v, "short": false})).collect();
    json!({
        "channel": look.channel, "username": look.username, "icon_url": "", "icon_emoji": "",
        "attachments": [{
            "fallback": fallback, "color": look.color, "author_name": c.title(), "text": super::text::chars(&n.message, look.most),
            "mrkdwn_in": ["text"], "fields": fields,
        }],
    })
}
