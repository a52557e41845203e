//! Sends a request.

use super::{Failure, Firing, Kind, Settings};
use crate::gateway::secret::{Basic, Reference, Tls};
use crate::kube_api::path;
use crate::sensors::specification::Mistake;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sensor::parameter::{Parameter, resolve};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "http", check, fire: |f| Box::pin(fire(f)) };

/// How long an answer may take if nothing else is said.
const TIMEOUT: u64 = 60;
/// Bytes of an answer that are told when it is no success.
const TOLD: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    url: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    payload: Vec<Parameter>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    secure_headers: Vec<SecureHeader>,
    /// Headers that parameters make.
    #[serde(default)]
    dynamic_headers: Vec<Parameter>,
    basic_auth: Option<Basic>,
    tls: Option<Tls>,
    /// Seconds.
    #[serde(default)]
    timeout: u64,
    /// Kept from the original, where it had no effect.
    #[serde(default, rename = "host")]
    _host: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecureHeader {
    name: String,
    value_from: ValueFrom,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom {
    secret_key_ref: Option<Reference>,
    config_map_key_ref: Option<Reference>,
}

fn check(s: &Settings, mistakes: &mut Vec<Mistake>) {
    let Some(h) = s.read::<Http>(mistakes) else { return };
    // A parameter may still make the address.
    if !h.url.is_empty() && !h.url.starts_with("http://") && !h.url.starts_with("https://") {
        mistakes.push((format!("{}.url", s.path), "expected an address that begins with http:// or https://".into()));
    }
    if !h.method.is_empty() && reqwest::Method::from_bytes(h.method.as_bytes()).is_err() {
        mistakes.push((format!("{}.method", s.path), format!("{:?} is no method", h.method)));
    }
    for name in h.headers.keys() {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            mistakes.push((format!("{}.headers", s.path), format!("{name:?} is no name of a header")));
        }
    }
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let h: Http = f.read()?;
    let namespace = &f.sensor.namespace;
    let secret = |r: &Reference| {
        let r = r.clone();
        async move { r.value_in(&f.api, namespace).await.map_err(Failure::from) }
    };
    let mut client = reqwest::Client::builder()
        .timeout(Duration::from_secs(if h.timeout == 0 { TIMEOUT } else { h.timeout }))
        .user_agent(concat!("triggerfish/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if let Some(tls) = &h.tls {
        client = client.tls_backend_preconfigured(tls.client_in(&f.api, namespace).await?);
    }
    let client = client.build().map_err(|e| Failure::never(cause(&e)))?;
    let method = if h.method.is_empty() { "POST" } else { &h.method };
    let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(Failure::never)?;
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::Never(format!("{name:?} is no name of a header")))?;
        // What is in a secret is not for the message.
        let value = HeaderValue::from_str(value)
            .map_err(|_| Failure::Never(format!("the value of the header {name} holds what no header may")))?;
        headers.insert(name, value);
        Ok::<_, Failure>(())
    };
    set("content-type", "application/json")?;
    // A receiver that looks at it takes a repeat for what it is.
    set("idempotency-key", f.id)?;
    for (name, value) in &h.headers {
        set(name, value)?;
    }
    for header in &h.secure_headers {
        let value = match (&header.value_from.secret_key_ref, &header.value_from.config_map_key_ref) {
            (Some(r), _) => secret(r).await?,
            (None, Some(r)) => {
                let o = f.api.get(&path("configmaps", namespace, &r.name)).await.map_err(Failure::again)?;
                o["data"][&r.key]
                    .as_str()
                    .ok_or_else(|| Failure::again(format!("the configmap {} has no key {:?}", r.name, r.key)))?
                    .to_owned()
            }
            (None, None) => return Err(Failure::Never(format!("the header {} names no secret", header.name))),
        };
        set(&header.name, &value)?;
    }
    for p in &h.dynamic_headers {
        if let Some((value, _)) = resolve(&p.src, f.events).map_err(Failure::Never)? {
            set(&p.dest, &value)?;
        }
    }
    let mut request = client.request(method.clone(), &h.url).headers(headers);
    if let Some(b) = &h.basic_auth {
        request = request.basic_auth(secret(&b.username).await?, Some(secret(&b.password).await?));
    }
    if method != reqwest::Method::GET && method != reqwest::Method::HEAD {
        request = request.body(f.payload(&h.payload)?);
    }
    let answer = request.send().await.map_err(|e| {
        let why = format!("{method} {}: {}", h.url, cause(&e));
        if e.is_builder() { Failure::Never(why) } else { Failure::Again(why, None) }
    })?;
    judged(f, &format!("{method} {}", h.url), answer).await
}

/// 2xx is success, unless the policy names what is.
async fn judged(f: &Firing<'_>, what: &str, answer: reqwest::Response) -> Result<String, Failure> {
    let status = answer.status();
    let allowed =
        if f.trigger.allow.is_empty() { status.is_success() } else { f.trigger.allow.contains(&status.as_u16()) };
    if allowed {
        return Ok(format!("{what}: {status}"));
    }
    let later =
        answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let mut said = answer.text().await.unwrap_or_default();
    if let Some((end, _)) = said.char_indices().nth(TOLD) {
        said.truncate(end);
    }
    let why = format!("{what}: {status}: {}", said.trim());
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        Err(Failure::Again(why, later))
    } else {
        Err(Failure::Never(why))
    }
}

/// The innermost reason, without the address: that may hold a token.
fn cause(e: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
