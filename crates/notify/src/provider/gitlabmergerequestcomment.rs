//! GitLab: a note on a merge request.

use super::change_request::{comment, found, number};
use super::gitlab::{Project, ask};
use super::{Call, Group, Kind, change_request};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use http::Method;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "gitlabmergerequestcomment",
    title: "GitLab merge request comment",
    group: Group::ChangeRequest,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: gitlabmergerequestcomment\naddress: https://gitlab.com/group/project\nsecretRef: {name: gitlab}\n# Secret: token, with the scope api\n",
    notes: "The number comes from `event.toolkit.fluxcd.io/change_request` of the object. One note for each object, written anew each time.",
};

fn check(s: &Setup) -> Result<(), String> {
    change_request::check(s)?;
    Project::of(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let project = Project::of(c.setup).map_err(Failure::never)?;
    let user = ask(c, Request::get(project.api("/user"))).await;
    let user = user.map_err(|e| e.at("failed to get authenticated user info"))?.json()?;
    let login = user["username"].as_str().unwrap_or("");
    let n = number(c)?;
    let (marker, body) = comment(c, "flux-mr-comment-key");
    let base = format!("/merge_requests/{n}/notes");
    let list = Request::get(project.at(&format!("{base}?order_by=created_at&per_page=100&sort=asc")));
    let list = ask(c, list).await.map_err(|e| e.at("could not list notes"))?.json()?;
    let r = match found(&list, &marker, login, "/author/username")? {
        Some(id) => Request::new(Method::PUT, project.at(&format!("{base}/{id}"))),
        None => Request::post(project.at(&base)),
    };
    ask(c, r.json(&json!({"body": body}))).await.map(drop)
}
