//! Google Pub/Sub: the notice as a message of a topic, by the service's REST interface.

use super::github::jwt;
use super::{Call, Group, Kind};
use crate::go_url::escape_segment;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use base64::Engine;
use ring::signature::RsaKeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

pub const KIND: Kind = Kind {
    name: "googlepubsub",
    title: "Google Pub/Sub",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: googlepubsub\naddress: PROJECT-ID\nchannel: TOPIC-ID\nsecretRef: {name: pubsub}\n# Secret: token, the JSON key of a service account; headers, attributes of the message as YAML\n",
    notes: "Sent over HTTPS, not over gRPC. The identity of a workload is not there: give a key.",
};

/// How long a signature counts, in seconds.
const SIGNED: i64 = 3600;
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/pubsub";

fn check(s: &Setup) -> Result<(), String> {
    if s.address.is_empty() {
        return Err("GCP project ID cannot be empty".into());
    }
    if s.provider.channel.is_empty() { Err("GCP Pub/Sub topic ID cannot be empty".into()) } else { Ok(()) }
}

/// A token that a service account signs itself.
fn token(s: &Setup) -> Result<String, Failure> {
    if s.token().is_empty() {
        return Err(Failure::never(
            "the identity of a workload is not there: give the key of a service account as token",
        ));
    }
    let key: Value =
        serde_json::from_str(s.token()).map_err(|_| Failure::never("token: it is no JSON key of a service account"))?;
    let text = |name: &str| key[name].as_str().unwrap_or("");
    let wrong = || Failure::never("token: its private_key is no RSA key in PEM");
    let pem = PrivatePkcs8KeyDer::from_pem_slice(text("private_key").as_bytes()).map_err(|_| wrong())?;
    let pair = RsaKeyPair::from_pkcs8(pem.secret_pkcs8_der()).map_err(|_| wrong())?;
    let now = jiff::Timestamp::now().as_second();
    let who = text("client_email");
    jwt(&pair, &json!({"iss": who, "sub": who, "aud": "", "scope": SCOPE, "iat": now, "exp": now + SIGNED}))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let (project, topic) = (escape_segment(&c.setup.address), escape_segment(&c.setup.provider.channel));
    let mut message = json!({"data": base64::engine::general_purpose::STANDARD.encode(c.notice.json())});
    if !c.setup.headers.is_empty() {
        message["attributes"] = json!(c.setup.headers);
    }
    let url = format!("https://pubsub.googleapis.com/v1/projects/{project}/topics/{topic}:publish");
    let r = Request::post(url).json(&json!({"messages": [message]})).bearer(&token(c.setup)?);
    let sent = c.post(r).await;
    sent.map(drop).map_err(|e| {
        e.at(&format!(
            "error publishing to GCP Pub/Sub topic projects/{}/topics/{}",
            c.setup.address, c.setup.provider.channel
        ))
    })
}
