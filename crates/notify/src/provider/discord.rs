//! Discord, by its form of Slack's webhooks.

use super::slack::{Look, message};
use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request};
use crate::setup::Setup;

pub const KIND: Kind = Kind {
    name: "discord",
    title: "Discord",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: discord\nusername: flux\nsecretRef: {name: discord}\n# Secret: address, https://discord.com/api/webhooks/...\n",
    notes: "The webhook belongs to one channel; `channel` is not heeded. The text is cut at 4,096 characters.",
};

/// Characters of a message's text.
const TEXT: usize = 4096;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Discord hook URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let mut url = address(c.setup, "Discord hook URL").map_err(Failure::never)?;
    if !url.path.ends_with("/slack") {
        url.path = format!("{}/slack", url.path.trim_end_matches('/'));
    }
    let color = if c.notice.is_error() { "danger" } else { "good" };
    let look = Look { channel: "", username: c.sender(), color, most: TEXT };
    c.post(Request::post(url.text()).json(&message(c, &look, ""))).await.map(drop)
}
