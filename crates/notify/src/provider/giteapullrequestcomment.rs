//! Gitea and Forgejo: a comment on a pull request.

use super::change_request::{comment, found, number};
use super::gitea::{Repo, ask, greet};
use super::{Call, Group, Kind, change_request};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use http::Method;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "giteapullrequestcomment",
    title: "Gitea pull request comment",
    group: Group::ChangeRequest,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: giteapullrequestcomment\naddress: https://gitea.example.com/org/repo\nsecretRef: {name: gitea}\n# Secret: token\n",
    notes: "The number comes from `event.toolkit.fluxcd.io/change_request` of the object. One comment for each object, written anew each time.",
};

fn check(s: &Setup) -> Result<(), String> {
    change_request::check(s)?;
    Repo::of(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let repo = Repo::of(c.setup).map_err(Failure::never)?;
    greet(c, &repo).await?;
    let user = ask(c, Request::get(repo.api("/user"))).await;
    let user = user.map_err(|e| e.at("failed to get authenticated user info"))?.json()?;
    let login = user["login"].as_str().unwrap_or("");
    let n = number(c)?;
    let (marker, body) = comment(c, "flux-pr-comment-key");
    let list = Request::get(repo.at(&format!("/issues/{n}/comments?limit=100&page=1")));
    let list = ask(c, list).await.map_err(|e| e.at("could not list comments"))?.json()?;
    let r = match found(&list, &marker, login, "/user/login")? {
        Some(id) => Request::new(Method::PATCH, repo.at(&format!("/issues/comments/{id}"))),
        None => Request::post(repo.at(&format!("/issues/{n}/comments"))),
    };
    ask(c, r.json(&json!({"body": body}))).await.map(drop)
}
