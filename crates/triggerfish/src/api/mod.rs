//! The REST façade: answers as the Argo Server does, over the Kubernetes API as the caller.

mod answer;
mod bindings;
mod deliveries;
mod events;
mod fields;
pub mod hooks;
mod info;
pub mod intake;
mod metrics;
mod records;
mod routes;
mod templates;
mod webhook;
mod workflows;

pub use answer::{Answer, Fault};
pub use metrics::Counters;

use crate::bus::{Bus, Waiting};
use crate::event::Caller;
use crate::gateway::Board;
use crate::kube_api::{Api, Clients};
use apiserver::Query;
use axum::body::Body;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// What every handler needs.
pub struct State {
    pub clients: Arc<Clients>,
    pub bus: Arc<Bus>,
    pub waiting: Arc<Waiting>,
    /// Only objects with this instance id are ours; empty: those without any.
    pub instance_id: String,
    pub counters: Counters,
    /// The configurations of gateways.
    pub board: Arc<Board>,
    /// Providers and alerts.
    pub notices: Arc<crate::notices::Board>,
    pub ready: std::sync::atomic::AtomicBool,
}

/// Largest bodies, in bytes: with credentials, and without (webhooks).
const MAX_BODY: usize = 100 * 1024 * 1024;
const MAX_WEBHOOK: usize = 2 * 1024 * 1024;

/// Who is at the other end of a connection; put into a request's extensions by who accepted it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// One request, read.
pub struct Call {
    pub method: Method,
    pub uri: Uri,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: bytes::Bytes,
    pub peer: Option<SocketAddr>,
    pub certificate: Option<apiserver::ClientCertificate>,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body as JSON; an empty one is an empty object.
    pub fn json(&self) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body).map_err(|_| Fault::invalid(apiserver::gojson::error(&self.body)))
    }
}

/// Sees to it that an object in a body has the maps that this room writes into.
fn embedded(name: &str, o: &mut Value) -> Result<(), Fault> {
    let refusal = |path: &str| Fault::invalid(format!("{path}: expected an object"));
    let root = o.as_object_mut().ok_or_else(|| refusal(name))?;
    let meta = map_of(root, "metadata").ok_or_else(|| refusal(&format!("{name}.metadata")))?;
    map_of(meta, "labels").ok_or_else(|| refusal(&format!("{name}.metadata.labels")))?;
    Ok(())
}

/// A member that is a map; it is made where there is none.
fn map_of<'a>(m: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let v = m.entry(key).or_insert(Value::Null);
    if v.is_null() {
        *v = Value::Object(Map::new());
    }
    v.as_object_mut()
}

impl State {
    /// Who calls, by the rules of the Argo Server: a `Bearer` token of the Kubernetes API.
    pub fn caller(&self, call: &Call) -> Result<Caller, Fault> {
        let given = call.header("authorization").map(str::to_owned).or_else(|| cookie(&call.headers));
        let Some(given) = given else {
            // A client certificate of the Kubernetes API is as good as a token of it.
            let user = call
                .certificate
                .as_ref()
                .and_then(|c| self.clients.server().authenticate(&HeaderMap::new(), Some(c)).ok());
            return user.map(|u| Caller::of(&u)).ok_or_else(Fault::no_token);
        };
        if let Some(encoded) = given.strip_prefix("Basic ") {
            use base64::Engine;
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(encoded.trim())
                .ok()
                .and_then(|b| String::from_utf8(b).ok());
            if decoded.is_none_or(|d| !d.contains(':')) {
                return Err(Fault::new(401, 16, "failed to create REST config: error parsing basic authentication"));
            }
            return Ok(Caller {
                name: "system:anonymous".into(),
                groups: vec!["system:unauthenticated".into()],
                ..Caller::default()
            });
        }
        let Some(token) = given.strip_prefix("Bearer ") else { return Err(Fault::no_token()) };
        let mut headers = HeaderMap::new();
        let value = format!("Bearer {}", token.trim()).parse().map_err(|_| Fault::no_token())?;
        headers.insert(http::header::AUTHORIZATION, value);
        let user =
            self.clients.server().authenticate(&headers, None).map_err(|_| Fault::new(401, 16, "Unauthorized"))?;
        Ok(Caller::of(&user))
    }

    /// Whether an object is this server's, by its instance id.
    pub fn is_ours(&self, o: &Value) -> bool {
        o.pointer("/metadata/labels/workflows.argoproj.io~1controller-instanceid").and_then(Value::as_str).unwrap_or("")
            == self.instance_id
    }

    /// Marks an object as this server's.
    pub fn claim(&self, o: &mut Value) {
        if !self.instance_id.is_empty() {
            o["metadata"]["labels"]["workflows.argoproj.io/controller-instanceid"] = json!(self.instance_id);
        }
    }

    pub fn as_caller(&self, call: &Call) -> Result<Api, Fault> {
        Ok(self.clients.as_caller(&self.caller(call)?))
    }
}

/// The token in a cookie. What a browser sends because of another site's page does not count.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let from = headers.get("sec-fetch-site").map_or("none", |v| v.to_str().unwrap_or(""));
    if !matches!(from, "none" | "same-origin") {
        return None;
    }
    let all = headers.get_all(http::header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|c| c.split(';'))
        .filter_map(|c| c.trim().strip_prefix("authorization=").map(|v| v.trim_matches('"').to_owned()))
        .find(|v| v.starts_with("Bearer "))
}

/// Answers one request.
pub async fn handle<B>(state: Arc<State>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = bytes::Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let limit = if parts.headers.contains_key(http::header::AUTHORIZATION) { MAX_BODY } else { MAX_WEBHOOK };
    let body = match Limited::new(body, limit).collect().await {
        Ok(b) => b.to_bytes(),
        Err(e) => {
            return Fault::new(400, 3, format!("the body could not be read: {e} (at most {limit} bytes are taken)"))
                .answer();
        }
    };
    let call = Call {
        method: parts.method,
        query: Query::parse(parts.uri.query()),
        uri: parts.uri,
        headers: parts.headers,
        body,
        certificate: parts.extensions.get::<apiserver::ClientCertificate>().cloned(),
        peer: parts.extensions.get::<Peer>().map(|p| p.0),
    };
    let head = call.method == Method::HEAD;
    let mut answer = routes::route(state, call).await.unwrap_or_else(|f| f.answer());
    if head {
        *answer.body_mut() = Body::empty();
    }
    answer
}
