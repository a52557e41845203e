//! GitHub: a comment on a pull request.

use super::change_request::{comment, found, number};
use super::github::{Repo, ask, sign_in};
use super::{Call, Group, Kind, change_request};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use http::Method;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "githubpullrequestcomment",
    title: "GitHub pull request comment",
    group: Group::ChangeRequest,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: githubpullrequestcomment\naddress: https://github.com/org/repo\nsecretRef: {name: github}\n# Secret: as that of github\n",
    notes: "The number comes from `event.toolkit.fluxcd.io/change_request` of the object. One comment for each object, written anew each time.",
};

fn check(s: &Setup) -> Result<(), String> {
    change_request::check(s)?;
    Repo::of(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let repo = Repo::of(c.setup).map_err(Failure::never)?;
    let signed = sign_in(c, &repo.api, true).await?;
    let n = number(c)?;
    let (marker, body) = comment(c, "flux-pr-comment-key");
    let base = format!("{}{}/issues", repo.api, repo.path);
    let list = Request::get(format!("{base}/{n}/comments?direction=asc&per_page=100&sort=created"));
    // With the reactions to each, as its clients ask for them.
    let list = list.header("Accept", "application/vnd.github.squirrel-girl-preview");
    let list = ask(c, list, &signed.token).await.map_err(|e| e.at("could not list comments"))?.json()?;
    let body = json!({"body": body});
    let r = match found(&list, &marker, signed.login.as_deref().unwrap_or(""), "/user/login")? {
        Some(id) => Request::new(Method::PATCH, format!("{base}/comments/{id}")),
        None => Request::post(format!("{base}/{n}/comments")),
    };
    ask(c, r.json(&body), &signed.token).await.map(drop)
}
