//! Webex: a message in a room.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "webex",
    title: "Webex",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: webex\naddress: https://webexapis.com/v1/messages\nchannel: ROOM-ID\nsecretRef: {name: webex}\n# Secret: token, a bot's\n",
    notes: "The bot has to be in the room. The text is cut so that the message stays below 7,439 bytes.",
};

/// Bytes of a whole message.
const MESSAGE: usize = 7439;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Webex hook URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let emoji = if n.is_error() { "💣" } else { "✅" };
    let mut after = String::new();
    for (k, v) in &n.metadata {
        after.push_str(&format!(">**{k}**: {v}\n"));
    }
    let head = format!("{emoji} **{}**\n", c.title());
    let room = MESSAGE.saturating_sub(head.len() + after.len() + 1);
    let text = format!("{head}{}\n{after}", super::text::bytes(&n.message, room));
    let message = json!({"roomId": c.setup.provider.channel, "markdown": text});
    let r = Request::post(&c.setup.address).json(&message).header("Authorization", format!("Bearer {}", c.token()));
    c.post(r).await.map(drop)
}
