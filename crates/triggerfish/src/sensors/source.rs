//! Where a trigger's object comes from.

use super::specification::{Mistake, strict};
use super::trigger::{Failure, Firing};
use crate::gateway::s3::{Keys, sign};
use crate::gateway::secret::Reference;
use crate::kube_api::path;
use crate::manifest;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Component, Path};
use std::time::Duration;

/// Bytes that an object may have.
const LARGEST: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Source {
    /// The object itself.
    resource: Option<Value>,
    /// The object as text.
    inline: Option<String>,
    file: Option<File>,
    url: Option<Url>,
    #[serde(alias = "configMap")]
    configmap: Option<Reference>,
    s3: Option<S3>,
}

#[derive(Deserialize)]
struct File {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Url {
    path: String,
    #[serde(default = "yes")]
    verify_cert: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3 {
    endpoint: String,
    bucket: Bucket,
    /// Of the first form, where the bucket is a name.
    #[serde(default)]
    key: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    insecure: bool,
    access_key: Reference,
    secret_key: Reference,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bucket {
    Name(String),
    Whole { name: String, key: String },
}

pub fn check(v: &Value, at: &str, mistakes: &mut Vec<Mistake>) {
    if v["git"].is_object() {
        mistakes
            .push((format!("{at}.git"), "objects are not read from git: use url, s3, configmap or resource".into()));
        return;
    }
    let Some(s) = strict::<Source>(v, at, mistakes) else { return };
    let given = [
        s.resource.is_some(),
        s.inline.is_some(),
        s.file.is_some(),
        s.url.is_some(),
        s.configmap.is_some(),
        s.s3.is_some(),
    ];
    if given.iter().filter(|g| **g).count() != 1 {
        mistakes.push((at.to_owned(), "give one of resource, inline, file, url, configmap and s3".into()));
    }
    if let Some(text) = &s.inline
        && let Err(why) = parsed(text)
    {
        mistakes.push((format!("{at}.inline"), why));
    }
    if let Some(u) = &s.url
        && !u.path.starts_with("http://")
        && !u.path.starts_with("https://")
    {
        mistakes.push((format!("{at}.url.path"), "expected an address that begins with http:// or https://".into()));
    }
}

/// The object that a trigger is about.
pub async fn object(f: &Firing<'_>, v: &Value) -> Result<Value, Failure> {
    let mut mistakes = Vec::new();
    let s: Source = strict(v, "source", &mut mistakes).unwrap_or_default();
    if let Some(o) = s.resource {
        return Ok(o);
    }
    let text = if let Some(text) = s.inline {
        text
    } else if let Some(file) = s.file {
        read(f.files, &file.path)?
    } else if let Some(url) = s.url {
        let client = client(url.verify_cert)?;
        fetched(client.get(&url.path), &url.path).await?
    } else if let Some(r) = s.configmap {
        let place = path("configmaps", &f.sensor.namespace, &r.name);
        let o = f.api.get(&place).await.map_err(Failure::again)?;
        let missing = || Failure::again(format!("the configmap {} has no key {:?}", r.name, r.key));
        o["data"][&r.key].as_str().ok_or_else(missing)?.to_owned()
    } else if let Some(s3) = s.s3 {
        bucket(f, &s3).await?
    } else {
        return Err(Failure::never(mistakes.first().map_or("no source is given", |(_, why)| why.as_str())));
    };
    parsed(&text).map_err(Failure::Never)
}

fn parsed(text: &str) -> Result<Value, String> {
    match &mut manifest::read(text)?[..] {
        [one] => Ok(std::mem::take(one)),
        other => Err(format!("expected one object, found {}", other.len())),
    }
}

/// A file below the only folder that files are read from.
fn read(folder: &Path, name: &str) -> Result<String, Failure> {
    let path = Path::new(name);
    let path = path.strip_prefix(folder).unwrap_or(path);
    if path.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(Failure::Never(format!(
            "{name:?}: files are read from {} only, by their names there",
            folder.display()
        )));
    }
    let whole = folder.join(path);
    let size = std::fs::metadata(&whole).map_err(|e| Failure::again(format!("{}: {e}", whole.display())))?.len();
    if size > LARGEST as u64 {
        return Err(Failure::Never(format!("{} has {size} bytes, {LARGEST} are possible", whole.display())));
    }
    std::fs::read_to_string(&whole).map_err(|e| Failure::again(format!("{}: {e}", whole.display())))
}

fn client(verify: bool) -> Result<reqwest::Client, Failure> {
    reqwest::Client::builder().timeout(TIMEOUT).tls_danger_accept_invalid_certs(!verify).build().map_err(Failure::never)
}

async fn bucket(f: &Firing<'_>, s: &S3) -> Result<String, Failure> {
    let (name, key) = match &s.bucket {
        Bucket::Name(name) => (name, &s.key),
        Bucket::Whole { name, key } => (name, key),
    };
    let value = |r: &Reference| {
        let r = r.clone();
        async move { r.value_in(&f.api, &f.sensor.namespace).await.map_err(Failure::from) }
    };
    let keys = Keys { access: value(&s.access_key).await?, secret: value(&s.secret_key).await? };
    let scheme = if s.insecure { "http" } else { "https" };
    let base = format!("{scheme}://{}/", s.endpoint)
        .parse()
        .map_err(|_| Failure::never(format!("endpoint {:?}", s.endpoint)))?;
    let signed = sign("GET", &base, &format!("/{name}/{key}"), Vec::new(), &s.region, &keys, jiff::Timestamp::now())
        .map_err(Failure::Never)?;
    let request = client(true)?.get(signed.uri().to_string()).headers(signed.headers().clone());
    fetched(request, &format!("{}/{name}/{key}", s.endpoint)).await
}

async fn fetched(request: reqwest::RequestBuilder, what: &str) -> Result<String, Failure> {
    let mut answer = request.send().await.map_err(|e| Failure::again(format!("{what}: {e}")))?;
    if !answer.status().is_success() {
        return Err(Failure::again(format!("{what}: {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|e| Failure::again(format!("{what}: {e}")))? {
        if body.len() + part.len() > LARGEST {
            return Err(Failure::Never(format!("{what}: an object has at most {LARGEST} bytes")));
        }
        body.extend_from_slice(&part);
    }
    String::from_utf8(body).map_err(|_| Failure::Never(format!("{what}: it is no text")))
}
