//! Incoming webhooks of receivers: what proves itself becomes an event, and has objects looked at again.

use super::answer::{Answer, respond};
use super::intake::{empty, read};
use crate::bus::Bus;
use crate::event::{Caller, Event, Origin, sender_identity};
use crate::kube_api::{Api, encode, path, secret_data};
use crate::notices::{Hook, Hooks, RECEIVED};
use bytes::Bytes;
use http::{HeaderMap, Request};
use notify::receiver::{Incoming, Proved, Receiver, Resource};
use notify::{Network, Secret};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an object is annotated with.
const REQUESTED: &str = "reconcile.fluxcd.io/requestedAt";

pub struct Receivers {
    pub hooks: Arc<Hooks>,
    pub bus: Arc<Bus>,
    pub api: Api,
    pub network: Network,
    /// Receivers may only name objects of their own namespace.
    pub own_namespace_only: bool,
}

/// Answers one request.
pub async fn handle<B>(receivers: Arc<Receivers>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    if let Some(place) = super::routes::elsewhere(&parts.uri) {
        return place;
    }
    let place = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    if place == "/hook" || place.starts_with("/hook?") {
        return super::routes::moved("/hook/");
    }
    if !place.starts_with("/hook/") {
        return respond(404, "text/plain; charset=utf-8", "404 page not found\n");
    }
    let body = match read(body).await {
        Ok(b) => b,
        Err(status) => return empty(status),
    };
    match receivers.hooks.at(place) {
        None => empty(404),
        Some(hook) => empty(receivers.take(&hook, &parts.headers, &body).await),
    }
}

impl Receivers {
    /// Takes a request; the status that it is answered with.
    async fn take(&self, hook: &Hook, headers: &HeaderMap, body: &[u8]) -> u16 {
        let r = &hook.receiver;
        let log = |status: u16, why: &str| {
            tracing::warn!(receiver = r.name, namespace = r.namespace, status, why, "a webhook was not taken")
        };
        if let Some(why) = &hook.closed {
            log(503, why);
            return 503;
        }
        let incoming = Incoming { headers, body };
        let proved = match self.secret(r).await {
            Ok(secret) => r.prove(&secret, &incoming, &self.network).await,
            Err(why) => Err(why),
        };
        let proved = match proved {
            Ok(p) => p,
            Err(why) => {
                log(400, &why);
                return 400;
            }
        };
        let (event, identity) = event(r, &incoming, &proved);
        if let Err(e) = self.bus.append(event, identity).await {
            log(503, &format!("it could not be stored: {e:?}"));
            return 503;
        }
        match self.annotate(r, &incoming, &proved).await {
            Ok(()) => 200,
            Err(why) => {
                log(500, &why);
                500
            }
        }
    }

    async fn secret(&self, r: &Receiver) -> Result<Secret, String> {
        if r.secret.is_empty() {
            return Ok(Secret::new());
        }
        let found = self.api.get(&path("secrets", &r.namespace, &r.secret)).await;
        let found = found.map_err(|e| format!("the secret {}/{} cannot be read: {e}", r.namespace, r.secret))?;
        Ok(secret_data(&found))
    }

    /// Annotates what a receiver names; what fails does not keep the others from it.
    async fn annotate(&self, r: &Receiver, incoming: &Incoming<'_>, proved: &Proved) -> Result<(), String> {
        let filtered = r.filter.is_some() || r.resources.iter().any(|x| x.filter.is_some());
        let body = if filtered { Receiver::body(incoming, proved)? } else { Value::Null };
        let claims = proved.claims.clone().unwrap_or_default();
        let mut wrong = Vec::new();
        for resource in &r.resources {
            if let Err(why) = self.resource(r, resource, &body, &claims).await {
                wrong.push(format!("{} {}: {why}", resource.kind, resource.name));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    async fn resource(&self, r: &Receiver, x: &Resource, body: &Value, claims: &Value) -> Result<(), String> {
        let version = x.group_version()?;
        if self.own_namespace_only && x.namespace != r.namespace {
            return Err(format!("access denied to {}: cross-namespace references are not allowed", x.namespace));
        }
        let place = self.api.collection(&version, &x.kind, &x.namespace).await.map_err(|e| e.message)?;
        let place = place.ok_or_else(|| format!("{version} {} is not served", x.kind))?;
        let found = if x.name == "*" {
            let labels = x.labels.as_ref().ok_or("matchLabels field not set when using wildcard '*' as name")?;
            let selector: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let list = self.api.get(&format!("{place}?labelSelector={}", encode(&selector.join(",")))).await;
            list.map_err(|e| e.message)?["items"].as_array().cloned().unwrap_or_default()
        } else {
            vec![self.api.get(&format!("{place}/{}", encode(&x.name))).await.map_err(|e| e.message)?]
        };
        for o in found {
            let seen = json!({"apiVersion": version, "kind": x.kind, "metadata": o["metadata"]});
            if !r.lets(x, &seen, body, claims)? {
                continue;
            }
            let name = o["metadata"]["name"].as_str().unwrap_or("");
            let now = crate::clock::precise(jiff::Timestamp::now());
            let patch = json!({"metadata": {"annotations": {REQUESTED: now}}});
            self.api.merge_blindly(&format!("{place}/{}", encode(name)), &patch).await.map_err(|e| e.message)?;
        }
        Ok(())
    }
}

/// A webhook as an event, and what a repeat is recognised by.
fn event(r: &Receiver, incoming: &Incoming, proved: &Proved) -> (Event, Option<String>) {
    let header = |name: &str| incoming.header(name);
    let (id, identity) = match sender_identity(&format!("receiver/{}", r.uid), header) {
        Some((id, identity)) => (id, Some(identity)),
        None => (uuid::Uuid::now_v7().to_string(), None),
    };
    let data = match &proved.body {
        Some(v) => RawValue::from_string(v.to_string()).ok(),
        None => serde_json::from_slice::<Box<RawValue>>(incoming.body).ok().or_else(|| text(incoming.body)),
    };
    let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in incoming.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-")) {
        // What proves the sender is for the receiver alone.
        if ["token", "signature"].iter().any(|secret| name.as_str().contains(secret)) {
            continue;
        }
        metadata
            .entry(name.as_str().to_owned())
            .or_default()
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let event = Event {
        id,
        source: format!("/receivers/{}/{}", r.namespace, r.name),
        kind: RECEIVED.into(),
        subject: header("x-github-event")
            .or(header("x-gitlab-event"))
            .or(header("x-event-key"))
            .unwrap_or("")
            .to_owned(),
        time: crate::clock::precise(jiff::Timestamp::now()),
        datacontenttype: "application/json".into(),
        data,
        namespace: r.namespace.clone(),
        discriminator: r.name.clone(),
        metadata,
        caller: Caller::account(&r.namespace, "default"),
        origin: Some(Origin {
            gateway: "/receivers".into(),
            configuration: r.name.clone(),
            bindings: true,
            source: "receiver".into(),
            copy: false,
        }),
        base64: false,
    };
    (event, identity)
}

/// A body that is no JSON, as text.
fn text(body: &[u8]) -> Option<Box<RawValue>> {
    if body.is_empty() {
        return None;
    }
    RawValue::from_string(json!(String::from_utf8_lossy(body)).to_string()).ok()
}
