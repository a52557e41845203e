//! Zulip: a message in a topic of a channel.

use super::change_request::markdown;
use super::{Call, Group, Kind};
use crate::go_url::{GoUrl, escape_query};
use crate::http::{Failure, Request};
use crate::setup::Setup;

pub const KIND: Kind = Kind {
    name: "zulip",
    title: "Zulip",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: zulip\naddress: https://org.zulipchat.com\nchannel: general/alerts\nsecretRef: {name: zulip}\n# Secret: username, the bot's email; password, its API key\n",
    notes: "`channel` is a channel and a topic with `/` between them. The message is cut at 10,000 characters.",
};

/// Characters of a message.
const TEXT: usize = 10_000;

fn topic(s: &Setup) -> Result<(&str, &str), String> {
    let channel = s.provider.channel.as_str();
    channel
        .split_once('/')
        .filter(|(stream, topic)| !stream.is_empty() && !topic.is_empty())
        .ok_or_else(|| format!("invalid Zulip channel format, expected <channel>/<topic>, got '{channel}'"))
}

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::parse(&s.address).map_err(|why| format!("invalid Zulip endpoint URL: {why}"))?;
    topic(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let mut url = GoUrl::parse(&c.setup.address).map_err(Failure::never)?;
    let (stream, topic) = topic(c.setup).map_err(Failure::never)?;
    url.path = "/api/v1/messages".into();
    let content = super::text::chars(&markdown(c), TEXT);
    let form = [("content", content.as_str()), ("to", stream), ("topic", topic), ("type", "stream")];
    let form: Vec<String> = form.iter().map(|(k, v)| format!("{k}={}", escape_query(v))).collect();
    let mut r = Request::post(url.text()).text("application/x-www-form-urlencoded", form.join("&"));
    if let Some((user, password)) = c.setup.basic() {
        r = r.basic(user, password);
    }
    c.post(r).await.map(drop)
}
