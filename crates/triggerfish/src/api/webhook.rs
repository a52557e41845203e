//! Events without a token: signed by a client that the namespace's secret `argo-workflows-webhook-clients` names.

use super::answer::Fault;
use super::{Call, State};
use crate::event::Caller;
use crate::kube_api::path;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

const SECRET: &str = "argo-workflows-webhook-clients";

/// One entry of the secret; its key is the service account that the client acts as.
#[derive(Deserialize)]
struct Client {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    secret: String,
}

fn refused() -> Fault {
    Fault { bare: true, ..Fault::new(403, 7, "failed to process webhook request") }
}

/// The account of the client whose signature fits.
pub async fn caller(state: &State, call: &Call, namespace: &str) -> Result<Caller, Fault> {
    let api = state.clients.component("webhooks");
    let secret = api.get(&path("secrets", namespace, SECRET)).await.map_err(|e| {
        tracing::info!(namespace, error = %e, "a request without a token came, and there is no secret {SECRET} that names webhook clients");
        refused()
    })?;
    let entries = secret.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    for (account, encoded) in entries {
        let text = encoded.as_str().and_then(|e| STANDARD.decode(e).ok()).ok_or_else(refused)?;
        let client: Client = serde_saphyr::from_slice(&text).map_err(|e| {
            tracing::warn!(namespace, account, error = %e, "an entry of {SECRET} cannot be read");
            refused()
        })?;
        if !fits(&client, call) {
            continue;
        }
        let found = api.get(&path("serviceaccounts", namespace, &account)).await.map_err(|_| refused())?;
        let uid = found.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("");
        return Ok(Caller::of(&apiserver::User::service_account(namespace, &account, uid)));
    }
    Err(Fault::no_token())
}

/// Whether the request is signed as this client signs. An empty secret never fits: it would let everybody in.
fn fits(client: &Client, call: &Call) -> bool {
    if client.secret.is_empty() || call.body.is_empty() {
        return false;
    }
    match client.kind.as_str() {
        "github" => {
            call.header("x-github-event").is_some()
                && signed(
                    client,
                    call,
                    call.header("x-hub-signature-256").map(|s| s.strip_prefix("sha256=").unwrap_or(s)),
                )
        }
        "gitlab" => {
            call.header("x-gitlab-event").is_some()
                && call.header("x-gitlab-token").is_some_and(|t| same(t, &client.secret))
        }
        "bitbucket" => {
            call.header("x-event-key").is_some() && call.header("x-hook-uuid").is_some_and(|t| same(t, &client.secret))
        }
        "bitbucketserver" => {
            call.header("x-event-key").is_some()
                && signed(client, call, call.header("x-hub-signature").and_then(|s| s.strip_prefix("sha256=")))
        }
        other => {
            tracing::warn!(
                kind = other,
                "{SECRET} names a client type that is not known; use github, gitlab, bitbucket or bitbucketserver"
            );
            false
        }
    }
}

/// HMAC-SHA256 of the body in lower-case hex.
fn signed(client: &Client, call: &Call, signature: Option<&str>) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, client.secret.as_bytes());
    signature.and_then(unhex).is_some_and(|s| hmac::verify(&key, &call.body, &s).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Compares without telling by time where two texts differ.
fn same(a: &str, b: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    hmac::verify(&key, a.as_bytes(), hmac::sign(&key, b.as_bytes()).as_ref()).is_ok()
}
