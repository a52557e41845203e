//! Gitea and Forgejo: the status of a commit.

use super::address::{owner_and_name, repository};
use super::{Call, Group, Kind, commit_status};
use crate::go_url::escape_segment;
use crate::http::{Answer, Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "gitea",
    title: "Gitea commit status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: gitea\naddress: https://gitea.example.com/org/repo\nsecretRef: {name: gitea}\n# Secret: token\n",
    notes: "Errors are `failure`, informations `success`, `Progressing` is `pending`. `commitStatusExpr` names the status.",
};

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    Repo::of(s).map(drop)
}

/// A repository, and where its host's API is.
pub struct Repo {
    api: String,
    path: String,
}

impl Repo {
    pub fn of(s: &Setup) -> Result<Self, String> {
        if s.token().is_empty() && s.password.is_empty() {
            return Err("gitea token cannot be empty".into());
        }
        let r = repository(&s.address);
        let (owner, name) = owner_and_name(&r.id).ok_or_else(|| format!("invalid repository id {:?}", r.id))?;
        Ok(Repo {
            path: format!("/repos/{}/{}", escape_segment(owner), escape_segment(name)),
            api: format!("{}/api/v1", r.host),
        })
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{}{path}", self.api, self.path)
    }

    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }
}

/// A request as Gitea's clients make it; a success, or why not.
pub async fn ask(c: &Call<'_>, r: Request) -> Result<Answer, Failure> {
    let token = [c.token(), c.setup.password.as_str()].into_iter().find(|t| !t.is_empty()).unwrap_or("");
    c.post(r.header("Authorization", format!("token {token}"))).await
}

/// Sees that the server is one of Gitea's, as its clients do first.
pub async fn greet(c: &Call<'_>, repo: &Repo) -> Result<(), Failure> {
    let about = ask(c, Request::get(repo.api("/version"))).await;
    let about = about.and_then(|a| a.json()).map_err(|e| e.at("failed creating Gitea client"))?;
    let version = about["version"].as_str().unwrap_or("");
    let known = version.chars().next().is_some_and(|c| c.is_ascii_digit());
    let wrong = || Failure::never(format!("failed creating Gitea client: {version:?} is no version of Gitea"));
    if known { Ok(()) } else { Err(wrong()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let repo = Repo::of(c.setup).map_err(Failure::never)?;
    greet(c, &repo).await?;
    let hash = escape_segment(&commit_status::hash(n)?);
    let state =
        if commit_status::is_progress(n) { "pending" } else { commit_status::state(n, "success", "failure", "gitea")? };
    let (name, description) = (&c.setup.commit_status, commit_status::description(n));
    let list = Request::get(repo.at(&format!("/commits/{hash}/statuses?limit=50&page=1")));
    let list = list.header("Content-Type", "application/json");
    let list = ask(c, list).await.map_err(|e| e.at("could not list commit statuses"))?.json()?;
    let list = list.as_array().ok_or_else(|| Failure::never("could not list commit statuses: no list came"))?;
    let latest = list.iter().find(|s| s["context"] == **name);
    if latest.is_some_and(|s| s["status"] == state && s["description"] == description) {
        return Ok(());
    }
    let status = json!({"state": state, "target_url": "", "description": description, "context": name});
    let r = Request::post(repo.at(&format!("/statuses/{hash}"))).json(&status);
    ask(c, r).await.map(drop).map_err(|e| e.at("could not create commit status"))
}
