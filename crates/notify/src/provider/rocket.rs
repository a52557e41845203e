//! Rocket.Chat: an incoming webhook that takes Slack's messages.

use super::slack::{Look, message};
use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;

pub const KIND: Kind = Kind {
    name: "rocket",
    title: "Rocket.Chat",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: rocket\nchannel: \"#general\"\nusername: flux\nsecretRef: {name: rocket}\n# Secret: address, https://chat.example.com/hooks/...\n",
    notes: "The text is cut at 5,000 characters, which is what a server allows unless it is told otherwise.",
};

/// Characters of a message's text.
const TEXT: usize = 5000;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Rocket hook URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let color = if c.notice.is_error() { "#FF0000" } else { "#0076D7" };
    let look = Look { channel: &c.setup.provider.channel, username: &c.setup.username, color, most: TEXT };
    c.post(Request::post(&c.setup.address).json(&message(c, &look, ""))).await.map(drop)
}
