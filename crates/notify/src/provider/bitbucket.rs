//! Bitbucket Cloud: the build status of a commit.

use super::address::{owner_and_name, repository};
use super::{Call, Group, Kind, commit_status};
use crate::go_url::escape_segment;
use crate::http::{Answer, Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "bitbucket",
    title: "Bitbucket Cloud build status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: bitbucket\naddress: https://bitbucket.org/org/repo\nsecretRef: {name: bitbucket}\n# Secret: token, a user name and an app password with a colon between them\n",
    notes: "Errors are `FAILED`, informations `SUCCESSFUL`. The key is the status' name as SHA-1.",
};

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    place(s).map(drop)
}

/// Where the repository is, and who asks.
fn place(s: &Setup) -> Result<(String, &str, &str), String> {
    if s.token().is_empty() {
        return Err("bitbucket token cannot be empty".into());
    }
    let (user, password) = s
        .token()
        .split_once(':')
        .filter(|(_, password)| !password.contains(':'))
        .ok_or("invalid token format, expected to be <user>:<password>")?;
    let r = repository(&s.address);
    let (owner, name) = owner_and_name(&r.id).ok_or_else(|| format!("invalid repository id {:?}", r.id))?;
    let at = format!("https://api.bitbucket.org/2.0/repositories/{}/{}", escape_segment(owner), escape_segment(name));
    Ok((at, user, password))
}

async fn ask(c: &Call<'_>, r: Request, user: &str, password: &str) -> Result<Answer, Failure> {
    // Half a pair proves nothing.
    let whole = !user.is_empty() && !password.is_empty();
    c.http.send(if whole { r.basic(user, password) } else { r }).await
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if commit_status::is_progress(n) {
        return Ok(());
    }
    let (at, user, password) = place(c.setup).map_err(Failure::never)?;
    let hash = escape_segment(&commit_status::hash(n)?);
    let state = commit_status::state(n, "SUCCESSFUL", "FAILED", "bitbucket")?;
    let (key, description) = (commit_status::short_key(&c.setup.commit_status), commit_status::description(n));
    let builds = format!("{at}/commit/{hash}/statuses/build");
    let known = ask(c, Request::get(format!("{builds}/{key}")), user, password).await?;
    if known.status != 404 && !known.is_success() {
        return Err(known.failure().at("could not get commit status"));
    }
    if known.status != 404 && !known.body.is_empty() {
        let known = known.json()?;
        if known["state"] == state && known["description"] == description {
            return Ok(());
        }
    }
    let status = json!({"key": key, "state": state, "url": "https://bitbucket.org", "name": n.name(), "description": description});
    let answer = ask(c, Request::post(builds).json(&status), user, password).await?;
    if answer.is_success() { Ok(()) } else { Err(answer.failure().at("could not create commit status")) }
}
