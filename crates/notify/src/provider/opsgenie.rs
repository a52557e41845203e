//! Opsgenie: an alert for each notice; those of one object and reason are one alert.

use super::{Call, Group, Kind, address};
use crate::http::{Failure, Request, hex};
use crate::setup::Setup;
use ring::digest;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "opsgenie",
    title: "Opsgenie",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: opsgenie\naddress: https://api.opsgenie.com/v2/alerts\nsecretRef: {name: opsgenie}\n# Secret: token, an API key\n",
    notes: "The title is cut at 130 characters, the description at 15,000.",
};

/// Characters of an alert's title and of its description.
const TITLE: usize = 130;
const TEXT: usize = 15_000;

fn check(s: &Setup) -> Result<(), String> {
    address(s, "Opsgenie hook URL")?;
    if s.token().is_empty() { Err("empty Opsgenie apikey/token".into()) } else { Ok(()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let (n, o) = (c.notice, &c.notice.object);
    let mut details = n.metadata.clone();
    details.insert("severity".into(), n.severity.clone());
    let same = format!("{}/{}/{}/{}/{}", c.setup.provider.uid, o.kind, o.namespace, o.name, n.reason);
    let title = c.title.map_or_else(|| format!("{}/{}", o.kind, o.name), str::to_owned);
    let alert = json!({
        "message": super::text::chars(&title, TITLE), "alias": hex(digest::digest(&digest::SHA256, same.as_bytes()).as_ref()),
        "description": super::text::chars(&n.message, TEXT), "details": details,
    });
    let r = Request::post(&c.setup.address).json(&alert).header("Authorization", format!("GenieKey {}", c.token()));
    c.post(r).await.map(drop)
}
