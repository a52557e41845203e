//! Webhooks: HTTP requests to endpoints, answered when the event is on disk.

use super::door::{Endpoint, Received};
use super::outlet::{Emission, Outlet};
use super::secret::Reference;
use super::{Failure, Kind, Source, cloudevents, settings};
use crate::bus::Refused;
use crate::event::sender_identity;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KIND: Kind = Kind { name: "webhook", read, example: "port: \"12000\"\nendpoint: /push\nmethod: POST\n" };

/// The largest body, in bytes, where `maxPayloadSize` does not say otherwise.
const BODY: usize = 1024 * 1024;
/// Headers that are not kept.
const HIDDEN: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    endpoint: String,
    method: String,
    port: Value,
    /// What senders know it as; it has no effect here.
    #[serde(default)]
    #[allow(dead_code)]
    url: String,
    /// Bearer token that requests must carry.
    auth_secret: Option<Reference>,
    hmac: Option<Signature>,
    max_payload_size: Option<usize>,
    server_cert_path: Option<String>,
    server_key_path: Option<String>,
    server_cert_secret: Option<Reference>,
    server_key_secret: Option<Reference>,
}

/// Requests must be signed: a header holds the body's HMAC-SHA256 in hex, with or without `sha256=` before it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    secret: Reference,
    #[serde(default = "signature_header")]
    header: String,
}

fn signature_header() -> String {
    "x-hub-signature-256".into()
}

struct Webhook {
    settings: Settings,
    port: u16,
    method: Method,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    if v.get("port").is_none() {
        return Err("port: it is missing; give one here, or to all webhooks by an entry `port: \"12000\"`".into());
    }
    let settings: Settings = settings(v)?;
    let port = settings.port.as_str().map_or_else(|| settings.port.to_string(), str::to_owned);
    let port: u16 =
        port.parse().ok().filter(|p| *p > 0).ok_or_else(|| format!("port: {port:?} is no port (1 to 65535)"))?;
    if !settings.endpoint.starts_with('/') {
        return Err(format!("endpoint: {:?} must begin with /", settings.endpoint));
    }
    const METHODS: [&str; 9] = ["HEAD", "PUT", "CONNECT", "DELETE", "GET", "OPTIONS", "PATCH", "POST", "TRACE"];
    if !METHODS.contains(&settings.method.as_str()) {
        return Err(format!("method: {:?} is none of {}", settings.method, METHODS.join(", ")));
    }
    if settings.server_cert_path.is_some() != settings.server_key_path.is_some()
        || settings.server_cert_secret.is_some() != settings.server_key_secret.is_some()
    {
        return Err("a certificate and its key are given together".into());
    }
    let method = Method::from_bytes(settings.method.as_bytes()).map_err(|e| format!("method: {e}"))?;
    Ok(Arc::new(Webhook { settings, port, method }))
}

/// What requests are checked against.
struct Checks {
    bearer: Option<Vec<u8>>,
    signature: Option<(String, hmac::Key)>,
}

impl Source for Webhook {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let s = &self.settings;
            let bearer = match &s.auth_secret {
                Some(r) => Some(r.value(out).await?.trim().as_bytes().to_vec()),
                None => None,
            };
            let signature = match &s.hmac {
                Some(h) => {
                    let secret = h.secret.value(out).await?;
                    Some((h.header.to_ascii_lowercase(), hmac::Key::new(hmac::HMAC_SHA256, secret.trim().as_bytes())))
                }
                None => None,
            };
            let checks = Arc::new(Checks { bearer, signature });
            // Requests outlive neither the endpoint nor what they are handed to.
            let shared = Arc::new(out.clone());
            let answer = move |r: Received| -> BoxFuture<'static, (StatusCode, String)> {
                let (out, checks) = (shared.clone(), checks.clone());
                Box::pin(async move { answer(&out, &checks, r).await })
            };
            let endpoint = Endpoint {
                port: self.port,
                path: s.endpoint.clone(),
                method: self.method.clone(),
                part: String::new(),
                limit: s.max_payload_size.unwrap_or(BODY),
                tls: self.certificate(out).await?,
                answer: Arc::new(answer),
            };
            let _held = (out.open)(endpoint).await.map_err(Failure::Lost)?;
            out.running();
            std::future::pending().await
        })
    }
}

impl Webhook {
    async fn certificate(&self, out: &Outlet) -> Result<Option<(String, String)>, Failure> {
        let s = &self.settings;
        if let (Some(cert), Some(key)) = (&s.server_cert_secret, &s.server_key_secret) {
            return Ok(Some((cert.value(out).await?, key.value(out).await?)));
        }
        let (Some(cert), Some(key)) = (&s.server_cert_path, &s.server_key_path) else { return Ok(None) };
        let file = |path: &str| std::fs::read_to_string(path).map_err(|e| Failure::lost(path, e));
        Ok(Some((file(cert)?, file(key)?)))
    }
}

impl Checks {
    fn pass(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).map_or(&b""[..], |v| v.as_bytes());
        if let Some(token) = &self.bearer {
            let given = header("authorization").strip_prefix(b"Bearer ").unwrap_or_default();
            // Of equal keys the tags are equal, and comparing them takes the same time whatever is in them.
            let key = hmac::Key::new(hmac::HMAC_SHA256, token);
            let expected = hmac::Key::new(hmac::HMAC_SHA256, given);
            if hmac::verify(&key, b"", hmac::sign(&expected, b"").as_ref()).is_err() || token.is_empty() {
                return false;
            }
        }
        let Some((name, key)) = &self.signature else { return true };
        let given = header(name);
        let hex = given.strip_prefix(b"sha256=").unwrap_or(given);
        let tag: Option<Vec<u8>> = (hex.len() == 64)
            .then(|| hex.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok()).collect())
            .flatten();
        tag.is_some_and(|t| hmac::verify(key, body, &t).is_ok())
    }
}

async fn answer(out: &Outlet, checks: &Checks, r: Received) -> (StatusCode, String) {
    if !checks.pass(&r.headers, &r.body) {
        return (StatusCode::UNAUTHORIZED, "Error: the token or the signature is missing or wrong".into());
    }
    let header = |name: &str| r.headers.get(name).and_then(|v| v.to_str().ok());
    let mut e = Emission {
        data: r.body.to_vec(),
        content_type: header("content-type").unwrap_or("").into(),
        metadata: metadata(&r),
        ..Emission::default()
    };
    match cloudevents::read(header, &mut e) {
        Err(why) => return (StatusCode::BAD_REQUEST, format!("Error: {why}")),
        Ok(true) => {}
        Ok(false) => {
            if let Some((id, identity)) = sender_identity("", header) {
                e.attributes.id = Some(id);
                e.identity = Some(identity);
            }
        }
    }
    match out.emit(e).await {
        Ok(_) => (StatusCode::OK, "Success".into()),
        Err(Refused::Full) => (StatusCode::SERVICE_UNAVAILABLE, "Error: operation queue full; send it again".into()),
        Err(Refused::Storage(why)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("Error: the event could not be stored ({why}); it was not accepted, send it again"),
        ),
    }
}

/// All headers but credentials, each a list; and what HTTP/2 calls `:method` and `:path`.
fn metadata(r: &Received) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &r.headers {
        if !HIDDEN.contains(&name.as_str()) {
            out.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    out.insert(":method".into(), vec![r.method.to_string()]);
    out.insert(":path".into(), vec![r.target.clone()]);
    out
}
