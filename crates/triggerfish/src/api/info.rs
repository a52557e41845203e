//! Who and what this server is.

use super::answer::{ARGO, Answer, Fault, ok, respond};
use super::{Call, State};
use http::HeaderValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// Any token will do here: what is told is no secret.
fn some_token(call: &Call) -> Result<(), Fault> {
    let given = call.header("authorization").map(|v| v.starts_with("Bearer ") || v.starts_with("Basic "));
    if given == Some(true) || super::cookie(&call.headers).is_some() { Ok(()) } else { Err(Fault::no_token()) }
}

pub fn info(_: &Arc<State>, call: &Call) -> Result<Answer, Fault> {
    some_token(call)?;
    Ok(ok(&json!({"modals": {"feedback": true, "firstTimeUser": true, "newVersion": true}})))
}

pub fn version(_: &Arc<State>, call: &Call) -> Result<Answer, Fault> {
    some_token(call)?;
    Ok(ok(&json!({
        "version": format!("{ARGO}+triggerfish-{}", env!("CARGO_PKG_VERSION")), "buildDate": "1970-01-01T00:00:00Z", "gitCommit": "", "gitTag": "", "gitTreeState": "clean",
        "goVersion": "", "compiler": "rustc", "platform": format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }),
    })))
}

pub fn userinfo(state: &Arc<State>, call: &Call) -> Result<Answer, Fault> {
    some_token(call)?;
    // A token that is not good says nothing about anybody.
    let Ok(c) = state.caller(call) else { return Ok(ok(&json!({}))) };
    if c.name == "system:anonymous" {
        return Ok(ok(&json!({})));
    }
    let mut out = json!({"subject": c.name});
    if let Some((namespace, name)) = c.service_account() {
        out = json!({"issuer": "https://kubernetes.default.svc", "subject": c.name, "serviceAccountName": name, "serviceAccountNamespace": namespace});
    }
    Ok(ok(&out))
}

pub fn tracking(state: &Arc<State>, call: &Call) -> Result<Answer, Fault> {
    state.caller(call)?;
    let body: Value = call.json()?;
    tracing::debug!(name = body["name"].as_str().unwrap_or(""), "a client reports use of a page");
    Ok(ok(&json!({})))
}

/// The front page, until there are real ones.
pub fn page() -> Answer {
    const PAGE: &str = concat!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Triggerfish</title><meta name=viewport content='width=device-width'>",
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#1c2733}code{background:#eef2f6;padding:.1em .3em;border-radius:3px}</style></head>",
        "<body><h1>Triggerfish</h1><p>Events become workflows here. The REST interface is under <code>/api/v1/</code>, health under <code>/healthz</code> and <code>/readyz</code>, ",
        "metrics under <code>/metrics</code>.</p><p>Post an event: <code>curl http://localhost:2746/api/v1/events/argo/ -H \"Authorization: $ARGO_TOKEN\" -d '{\"message\": \"hello\"}'</code></p></body></html>\n",
    );
    let mut r = respond(200, "text/html; charset=utf-8", PAGE);
    r.headers_mut().insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'self' 'unsafe-inline'; img-src 'self' data:"),
    );
    r.headers_mut().insert("x-frame-options", HeaderValue::from_static("DENY"));
    r
}
