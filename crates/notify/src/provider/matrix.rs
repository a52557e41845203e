//! Matrix: a text message in a room. The transaction is named after the notice, so that a repeat is recognised by the homeserver.

use super::{Call, Group, Kind, address};
use crate::go_url::escaped;
use crate::http::{Failure, Request, hex};
use crate::setup::Setup;
use http::Method;
use ring::digest;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "matrix",
    title: "Matrix",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: matrix\nchannel: \"!jezptmDwEeLapMLjOc:matrix.org\"\naddress: https://matrix.org\nsecretRef: {name: matrix}\n# Secret: token, an access token\n",
    notes: "`channel` is the id of a room, or an alias. The text is cut at 60,000 bytes.",
};

/// Bytes of the text: a whole event may have 64 KiB.
const TEXT: usize = 60_000;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Matrix homeserver URL").map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let mut url = address(c.setup, "Matrix homeserver URL").map_err(Failure::never)?;
    let transaction = hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, n.json().as_bytes()).as_ref());
    // The `#` of an alias would end the path.
    let room = escaped(&c.setup.provider.channel).replace('#', "%23");
    let base = url.path.trim_end_matches('/').to_owned();
    url.path = format!("{base}/_matrix/client/r0/rooms/{room}/send/m.room.message/{transaction}");
    let emoji = if n.is_error() { "🚨" } else { "💫" };
    let mut text = format!("{emoji} {}\n{}\n", c.title(), super::text::bytes(&n.message, TEXT));
    for (k, v) in &n.metadata {
        text.push_str(&format!("- {k}: {v}\n"));
    }
    let message = json!({"msgtype": "m.text", "body": text});
    let r =
        Request::new(Method::PUT, url.text()).json(&message).header("Authorization", format!("Bearer {}", c.token()));
    c.post(r).await.map(drop)
}
