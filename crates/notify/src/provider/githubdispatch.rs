//! GitHub: an event that starts workflows of a repository.

use super::github::{Repo, ask, sign_in};
use super::{Call, Group, Kind};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "githubdispatch",
    title: "GitHub repository dispatch",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: githubdispatch\naddress: https://github.com/org/repo\nsecretRef: {name: github}\n# Secret: as that of github\n",
    notes: "The event's type is `Kind/name.namespace`, its payload the event.",
};

fn check(s: &Setup) -> Result<(), String> {
    Repo::of(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let o = &c.notice.object;
    let repo = Repo::of(c.setup).map_err(Failure::never)?;
    let signed = sign_in(c, &repo.api, false).await?;
    let event = json!({"event_type": format!("{}/{}.{}", o.kind, o.name, o.namespace), "client_payload": c.notice});
    let r = Request::post(format!("{}{}/dispatches", repo.api, repo.path)).json(&event);
    ask(c, r, &signed.token).await.map(drop)
}
