//! GitLab: the status of a commit.

use super::address::repository;
use super::{Call, Group, Kind, commit_status};
use crate::go_url::{escape_query, escape_segment};
use crate::http::{Answer, Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "gitlab",
    title: "GitLab commit status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: gitlab\naddress: https://gitlab.com/group/project\nsecretRef: {name: gitlab}\n# Secret: token, with the scope api\n",
    notes: "Errors are `failed`, informations `success`. The address may name a project by its number. `commitStatusExpr` names the status.",
};

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    Project::of(s).map(drop)
}

/// A project, and where its API is.
pub struct Project(String);

impl Project {
    pub fn of(s: &Setup) -> Result<Self, String> {
        if s.token().is_empty() && s.password.is_empty() {
            return Err("gitlab token cannot be empty".into());
        }
        let r = repository(&s.address);
        // A dot would end the name of the project for some servers.
        let id = escape_segment(&r.id).replace('.', "%2E");
        Ok(Project(format!("{}/api/v4/projects/{id}", r.host)))
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The address of the API itself.
    pub fn api(&self, path: &str) -> String {
        let api = self.0.split_once("/projects/").map_or(self.0.as_str(), |(api, _)| api);
        format!("{api}{path}")
    }
}

/// A request as GitLab's clients make it; a success, or why not.
pub async fn ask(c: &Call<'_>, r: Request) -> Result<Answer, Failure> {
    let token = [c.token(), c.setup.password.as_str()].into_iter().find(|t| !t.is_empty()).unwrap_or("");
    let answer = c.http.send(r.header("Accept", "application/json").header("PRIVATE-TOKEN", token)).await?;
    // Of successes it says these.
    if matches!(answer.status, 200 | 201 | 202 | 204 | 304) {
        return Ok(answer);
    }
    Err(answer.failure())
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if commit_status::is_progress(n) {
        return Ok(());
    }
    let project = Project::of(c.setup).map_err(Failure::never)?;
    let hash = commit_status::hash(n)?;
    let state = commit_status::state(n, "success", "failed", "gitlab")?;
    let (name, description) = (&c.setup.commit_status, commit_status::description(n));
    let segment = escape_segment(&hash);
    let list = Request::get(project.at(&format!("/repository/commits/{segment}/statuses?name={}", escape_query(name))));
    let list = ask(c, list).await.map_err(|e| e.at("unable to list commit status"))?.json()?;
    let list = list.as_array().ok_or_else(|| Failure::never("unable to list commit status: no list came"))?;
    let same = list
        .iter()
        .any(|s| s["sha"] == hash && s["name"] == **name && s["status"] == state && s["description"] == description);
    if same {
        return Ok(());
    }
    let status =
        json!({"state": state, "name": super::text::chars(name, commit_status::NAME), "description": description});
    let r = Request::post(project.at(&format!("/statuses/{segment}"))).json(&status);
    ask(c, r).await.map(drop).map_err(|e| e.at("unable to set commit status"))
}
