//! Azure DevOps: the status of a commit.

use super::address::repository;
use super::{Call, Group, Kind, commit_status};
use crate::go_url::escape_segment;
use crate::http::{Answer, Failure, Request};
use crate::setup::Setup;
use http::Method;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "azuredevops",
    title: "Azure DevOps commit status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: azuredevops\naddress: https://dev.azure.com/org/project/_git/repo\nsecretRef: {name: azuredevops}\n# Secret: token, a personal access token\n",
    notes: "Errors are `error`, informations `succeeded`. The genre is `fluxcd`, with the summary if there is one. Managed identities are not there: give a token.",
};

/// The version of the API.
const VERSION: &str = "application/json;api-version=6.0";

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    let place = Place::of(s)?;
    drop(place);
    if s.token().is_empty() {
        return Err("failed to acquire azure devops token: managed identities are not there: give a token".into());
    }
    Ok(())
}

struct Place {
    base: String,
    project: String,
    repository: String,
}

impl Place {
    fn of(s: &Setup) -> Result<Self, String> {
        let r = repository(&s.address);
        let parts: Vec<&str> = r.id.split('/').collect();
        let [organisation, project, _, repository] = parts[..] else {
            return Err(format!("invalid repository id {:?}", r.id));
        };
        Ok(Place {
            base: format!("{}/{organisation}", r.host).to_lowercase(),
            project: escape_segment(project),
            repository: escape_segment(repository),
        })
    }
}

async fn ask(c: &Call<'_>, r: Request, session: &str) -> Result<Answer, Failure> {
    // What is asked first is which versions there are.
    let version = if r.method == Method::OPTIONS { "application/json" } else { VERSION };
    let r = r
        .basic("", c.token())
        .header("Accept", version)
        .header("X-TFS-FedAuthRedirect", "Suppress")
        .header("X-TFS-Session", session);
    c.post(r).await
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if commit_status::is_progress(n) {
        return Ok(());
    }
    let place = Place::of(c.setup).map_err(Failure::never)?;
    let hash = escape_segment(&commit_status::hash(n)?);
    let state = commit_status::state(n, "succeeded", "error", "azure devops")?;
    let genre = n.metadata.get("summary").map_or("fluxcd".to_owned(), |s| format!("fluxcd:{s}"));
    let (name, description) = (&c.setup.commit_status, commit_status::description(n));
    let session = uuid::Uuid::new_v4().to_string();
    let list_failed = |e: Failure| e.at("could not list commit statuses");
    if !c.network.knows(&place.base) {
        // An organisation is asked once for what it offers.
        let r = Request::new(Method::OPTIONS, format!("{}/_apis", place.base));
        ask(c, r, &session).await.map_err(list_failed)?.json().map_err(list_failed)?;
        c.network.learn(&place.base);
    }
    let url =
        format!("{}/{}/_apis/git/repositories/{}/commits/{hash}/statuses", place.base, place.project, place.repository);
    let list = ask(c, Request::get(&url), &session).await.map_err(list_failed)?.json().map_err(list_failed)?;
    let own = |s: &&serde_json::Value| s["context"]["name"] == **name && s["context"]["genre"] == genre;
    let latest = list["value"].as_array().into_iter().flatten().find(own);
    if latest.is_some_and(|s| s["state"] == state && s["description"] == description) {
        return Ok(());
    }
    let status = json!({"state": state, "description": description, "context": {"genre": genre, "name": name}});
    let r = Request::post(&url).json(&status).set("Content-Type", "application/json;charset=utf-8");
    ask(c, r, &session).await.map(drop).map_err(|e| e.at("could not create commit status"))
}
