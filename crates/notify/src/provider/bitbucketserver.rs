//! Bitbucket Server and Data Center: the build status of a commit.

use super::address::owner_and_name;
use super::{Call, Group, Kind, commit_status};
use crate::go_url::{GoUrl, escape_path, escape_query, unescaped};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "bitbucketserver",
    title: "Bitbucket Server build status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: bitbucketserver\naddress: https://bitbucket.example.com/scm/project/repo.git\nsecretRef: {name: bitbucket}\n# Secret: token; or username and password\n",
    notes: "The address is that of cloning over HTTP. Errors are `FAILED`, informations `SUCCESSFUL`. The key is the status' name as SHA-1.",
};

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    commits(&s.address)?;
    if s.token().is_empty() && s.basic().is_none() {
        return Err("invalid credentials, expected to be one of username/password or API Token".into());
    }
    Ok(())
}

/// Where the commits of a repository are, by the address that it is cloned from.
pub fn commits(address: &str) -> Result<GoUrl, String> {
    let fail = |why: String| format!("could not parse git address: {why}");
    let mut url = GoUrl::parse(address).map_err(fail)?;
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return Err(fail(format!("unsupported scheme type in address: {}. Must be http or https", url.scheme)));
    }
    let path = unescaped(&url.path);
    let (context, id) = path
        .rsplit_once("/scm/")
        .ok_or_else(|| fail("supplied provider address is not http(s) git clone url".into()))?;
    let id = id.strip_suffix(".git").unwrap_or(id);
    let (project, name) = owner_and_name(id).ok_or_else(|| fail(format!("invalid repository id {id:?}")))?;
    url.path = escape_path(&format!("{context}/rest/api/latest/projects/{project}/repos/{name}/commits"));
    Ok(url)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if commit_status::is_progress(n) {
        return Ok(());
    }
    let hash = commit_status::hash(n)?;
    let state = commit_status::state(n, "SUCCESSFUL", "FAILED", "bitbucket server")?;
    let (key, description) = (commit_status::short_key(&c.setup.commit_status), commit_status::description(n));
    let name = format!("{} [{description}]", n.name());
    let mut builds = commits(&c.setup.address).map_err(Failure::never)?;
    // The address may hold somebody's password; the Secret says who asks.
    builds.user = None;
    builds.path = format!("{}/{}/builds", builds.path, escape_path(&hash));
    let post_to = builds.text();
    let query = format!("key={}", escape_query(&key));
    builds.query = Some(builds.query.map_or(query.clone(), |q| format!("{q}&{query}")));
    let ask = |r: Request| {
        let r = r.header("x-atlassian-token", "no-check").header("x-requested-with", "XMLHttpRequest");
        let r = if c.token().is_empty() {
            let (user, password) = c.setup.basic().unwrap_or_default();
            r.basic(user, password)
        } else {
            r.bearer(c.token())
        };
        c.http.send(r)
    };
    let known = ask(Request::get(builds.text())).await;
    let known = known.map_err(|e| e.at("could not get existing commit status"))?;
    if known.status == 200 && !known.body.is_empty() {
        let known = known.json().map_err(|e| e.at("could not get existing commit status"))?;
        let same = known["key"] == key && known["state"] == state;
        if same && known["description"] == description && known["name"] == name {
            return Ok(());
        }
    } else if !known.is_success() && known.status != 404 {
        return Err(known.failure().at("could not get existing commit status"));
    }
    let mut status = json!({"key": key, "state": state, "url": c.setup.address, "name": name});
    if !description.is_empty() {
        status["description"] = json!(description);
    }
    let answer = ask(Request::post(post_to).json(&status)).await?;
    if answer.is_success() { Ok(()) } else { Err(answer.failure().at("could not update build status")) }
}
