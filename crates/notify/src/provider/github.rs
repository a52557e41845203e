//! GitHub: the status of a commit. The other providers of GitHub's are signed in the same way.

use super::address::{owner_and_name, repository};
use super::{Call, Group, Kind, commit_status};
use crate::go_url::escape_segment;
use crate::http::{Answer, Failure, Request};
use crate::setup::Setup;
use base64::Engine;
use http::Method;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::time::Duration;

pub const KIND: Kind = Kind {
    name: "github",
    title: "GitHub commit status",
    group: Group::CommitStatus,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: github\naddress: https://github.com/org/repo\nsecretRef: {name: github}\n# Secret: token; or of a GitHub App githubAppID, githubAppPrivateKey, and githubAppInstallationID or githubAppInstallationOwner\n",
    notes: "Errors are `failure`, informations `success`. A status that says the same already is not set again. `commitStatusExpr` names it.",
};

/// Statuses that are looked through.
const PAGE: usize = 50;
/// How long a signature of an App counts, in seconds; it began a minute ago, for clocks that differ.
const SIGNED: i64 = 120;

fn check(s: &Setup) -> Result<(), String> {
    commit_status::check(s)?;
    Repo::of(s).map(drop)
}

/// A repository, and where its host's API is.
pub struct Repo {
    pub api: String,
    pub path: String,
}

impl Repo {
    /// Reads the address, and sees that there is something to sign in with.
    pub fn of(s: &Setup) -> Result<Self, String> {
        if s.token().is_empty() && s.password.is_empty() {
            App::of(s)?;
        }
        let r = repository(&s.address);
        let (owner, name) = owner_and_name(&r.id).ok_or_else(|| format!("invalid repository id: '{}'", r.id))?;
        let host = r.host.split_once("://").map_or("", |(_, host)| host);
        let api = if host == "github.com" { "https://api.github.com".to_owned() } else { format!("{}/api/v3", r.host) };
        Ok(Repo { path: format!("/repos/{}/{}", escape_segment(owner), escape_segment(name)), api })
    }
}

/// What an App of GitHub's signs in with.
pub struct App {
    id: String,
    installation: Option<String>,
    owner: Option<String>,
    key: Vec<u8>,
    api: String,
}

impl App {
    fn of(s: &Setup) -> Result<Self, String> {
        let value = |key: &str| s.value(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let id = value("githubAppID").ok_or("github token or github app details must be specified")?;
        let (installation, owner) = (value("githubAppInstallationID"), value("githubAppInstallationOwner"));
        if installation.is_none() && owner.is_none() {
            return Err("app installation owner or ID must be provided to use github app authentication".into());
        }
        let key = s
            .data
            .get("githubAppPrivateKey")
            .filter(|k| !k.is_empty())
            .ok_or("private key must be provided to use github app authentication")?;
        let api = value("githubAppBaseURL").unwrap_or_else(|| "https://api.github.com".into());
        Ok(App { id, installation, owner, key: key.clone(), api: api.trim_end_matches('/').to_owned() })
    }

    /// A token that says who the App is.
    fn signed(&self) -> Result<String, Failure> {
        let wrong = |_| Failure::never("githubAppPrivateKey: it is no RSA key in PEM");
        let key = match PrivatePkcs1KeyDer::from_pem_slice(&self.key) {
            Ok(k) => RsaKeyPair::from_der(k.secret_pkcs1_der()),
            Err(_) => {
                let k = PrivatePkcs8KeyDer::from_pem_slice(&self.key)
                    .map_err(|_| Failure::never("githubAppPrivateKey: it is no RSA key in PEM"))?;
                RsaKeyPair::from_pkcs8(k.secret_pkcs8_der())
            }
        }
        .map_err(wrong)?;
        let now = jiff::Timestamp::now().as_second();
        jwt(&key, &json!({"iat": now - SIGNED / 2, "exp": now + SIGNED / 2, "iss": self.id}))
    }
}

/// A token signed with a key of RSA.
pub fn jwt(key: &RsaKeyPair, claims: &Value) -> Result<String, Failure> {
    let encode = |b: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(b);
    let head = encode(json!({"alg": "RS256", "typ": "JWT"}).to_string().as_bytes());
    let text = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| Failure::never("the key does not sign"))?;
    Ok(format!("{text}.{}", encode(&signature)))
}

/// Whom GitHub takes requests for.
pub struct Signed {
    pub token: String,
    /// The name that comments appear under; asked for where it is needed.
    pub login: Option<String>,
}

/// Signs in: with a token, or as an App.
pub async fn sign_in(c: &Call<'_>, api: &str, who: bool) -> Result<Signed, Failure> {
    let given = [c.token(), c.setup.password.as_str()].into_iter().find(|t| !t.is_empty());
    if let Some(token) = given {
        let mut login = None;
        if who {
            let user = ask(c, Request::get(format!("{api}/user")), token).await;
            let user = user.map_err(|e| e.at("failed to get authenticated user info"))?;
            login = user.json()?["login"].as_str().map(str::to_owned);
        }
        return Ok(Signed { token: token.to_owned(), login });
    }
    let app = App::of(c.setup).map_err(Failure::never)?;
    let proof = app.signed()?;
    let mut login = None;
    if who {
        let about = ask(c, Request::get(format!("{}/app", app.api)), &proof).await?.json()?;
        login = about["slug"].as_str().map(|slug| format!("{slug}[bot]"));
    }
    let installation = match (&app.installation, &app.owner) {
        (Some(id), _) => id.clone(),
        (None, owner) => {
            let owner = escape_segment(owner.as_deref().unwrap_or(""));
            let at = Request::get(format!("{}/orgs/{owner}/installation", app.api));
            ask(c, at, &proof).await?.json()?["id"].to_string()
        }
    };
    let at = Request::post(format!("{}/app/installations/{installation}/access_tokens", app.api)).json(&Value::Null);
    let made = ask(c, at, &proof).await?.json()?;
    let token = made["token"].as_str().ok_or_else(|| Failure::never("GitHub gives the App no token"))?;
    Ok(Signed { token: token.to_owned(), login })
}

/// A request as GitHub's own clients make it; a success, or why not.
pub async fn ask(c: &Call<'_>, r: Request, token: &str) -> Result<Answer, Failure> {
    let accepts = r.headers.iter().any(|(name, _)| name == "Accept");
    let r = if accepts { r } else { r.header("Accept", "application/vnd.github.v3+json") };
    let r = r.header("X-GitHub-Api-Version", "2022-11-28").bearer(token);
    let answer = c.http.send(r).await?;
    if answer.is_success() && answer.status != 202 {
        return Ok(answer);
    }
    let mut failure = answer.failure();
    if answer.status == 202 {
        failure = Failure { status: Some(202), ..Failure::again("GitHub is still at it; try again later") };
    }
    // Who asked too often is told when it may again.
    if matches!(answer.status, 403 | 429) && answer.header("x-ratelimit-remaining") == "0" {
        let reset: i64 = answer.header("x-ratelimit-reset").parse().unwrap_or(0);
        let wait = reset - jiff::Timestamp::now().as_second();
        failure.again = true;
        failure.after = Some(Duration::from_secs(wait.clamp(1, 3600) as u64));
    }
    Err(failure)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    if commit_status::is_progress(n) {
        return Ok(());
    }
    let repo = Repo::of(c.setup).map_err(Failure::never)?;
    let state = commit_status::state(n, "success", "failure", "github")?;
    let hash = escape_segment(&commit_status::hash(n)?);
    let signed = sign_in(c, &repo.api, false).await?;
    let (name, description) = (&c.setup.commit_status, commit_status::description(n));
    let list = Request::get(format!("{}{}/commits/{hash}/statuses?per_page={PAGE}", repo.api, repo.path));
    let list = ask(c, list, &signed.token).await.map_err(|e| e.at("could not list commit statuses"))?.json()?;
    let list = list.as_array().ok_or_else(|| Failure::never("could not list commit statuses: no list came"))?;
    let latest = list.iter().find(|s| s["context"] == **name);
    if latest.is_some_and(|s| s["state"] == state && s["description"] == description) {
        return Ok(());
    }
    let status =
        json!({"state": state, "context": super::text::chars(name, commit_status::NAME), "description": description});
    let r = Request::new(Method::POST, format!("{}{}/statuses/{hash}", repo.api, repo.path)).json(&status);
    ask(c, r, &signed.token).await.map(drop).map_err(|e| e.at("could not create commit status"))
}
