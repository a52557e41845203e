//! Every path of the façade, in one table.

use super::answer::{Answer, Fault, respond};
use super::{Call, State, bindings, deliveries, events, info, metrics, records, templates, webhook, workflows};
use http::Method;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub async fn route(state: Arc<State>, call: Call) -> Result<Answer, Fault> {
    let path = call.uri.path().to_owned();
    match path.as_str() {
        "/healthz" | "/livez" => return Ok(respond(200, "text/plain; charset=utf-8", "ok")),
        "/readyz" => {
            let ready = state.ready.load(Ordering::Relaxed);
            return Ok(if ready {
                respond(200, "text/plain; charset=utf-8", "ok")
            } else {
                respond(503, "text/plain; charset=utf-8", "starting or stopping")
            });
        }
        "/metrics" => return metrics::metrics(&state, &call),
        _ => {}
    }
    if path.starts_with("/oauth2/") {
        return Err(Fault::not_implemented());
    }
    if !path.starts_with("/api") {
        return Ok(if path == "/index.html" { redirect(&call, "./") } else { info::page() });
    }
    // A path that is not written plainly is cleaned by a redirect, as the original does.
    let clean = cleaned(&path);
    if clean != path && !empty_namespace(&path) {
        let target = call.uri.query().map_or(clean.clone(), |q| format!("{clean}?{q}"));
        return Ok(redirect(&call, &target));
    }
    let decoded: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|p| percent_encoding::percent_decode_str(p).decode_utf8_lossy().into_owned())
        .collect();
    let joined = decoded.join("/");
    let mut parts: Vec<&str> = joined.split('/').collect();
    // What follows the last colon of the last segment is a verb, and no route has one.
    if let Some(last) = parts.pop() {
        match last.rsplit_once(':') {
            Some((before, "")) => parts.push(before),
            Some(_) => return Err(Fault::not_implemented()),
            None => parts.push(last),
        }
    }
    let method = call.method.clone();
    let m = method.as_str();
    match (m, parts.as_slice()) {
        ("POST", ["api", "v1", "events", ns, discriminator]) => events::receive(&state, call, ns, discriminator).await,
        // Who does not say who they are learns nothing about paths.
        ("POST", ["api", "v1", "events", ns, ..])
            if call.header("authorization").is_none() && call.certificate.is_none() =>
        {
            Err(webhook::caller(&state, &call, ns).await.err().unwrap_or_else(Fault::not_implemented))
        }
        ("GET", ["api", "v1", "event-records", ns]) => records::list(&state, &call, ns),
        ("GET", ["api", "v1", "event-records", ns, id]) => records::show(&state, &call, ns, id),
        ("GET", ["api", "v1", "dead-letters", ns]) => records::dead_letters(&state, &call, ns),
        ("POST", ["api", "v1", "dead-letters", ns, id, "retry"]) => records::retry(&state, &call, ns, id).await,
        ("GET", ["api", "v1", "deliveries", ns]) => deliveries::list(&state, &call, ns),
        ("GET", ["api", "v1", "deliveries", ns, id]) => deliveries::show(&state, &call, ns, id),
        ("POST", ["api", "v1", "deliveries", ns, id, "replay"]) => deliveries::replay(&state, &call, ns, id).await,
        ("GET", ["api", "v1", "workflow-event-bindings", ns]) => bindings::list(&state, &call, ns).await,
        ("GET", ["api", "v1", "info"]) => info::info(&state, &call),
        ("GET", ["api", "v1", "version"]) => info::version(&state, &call),
        ("GET", ["api", "v1", "userinfo"]) => info::userinfo(&state, &call),
        ("POST", ["api", "v1", "tracking", "event"]) => info::tracking(&state, &call),
        ("GET", ["api", "v1", "workflows", ns]) => workflows::list(&state, &call, ns).await,
        ("POST", ["api", "v1", "workflows", ns]) => workflows::create(&state, &call, ns).await,
        ("GET", ["api", "v1", "workflows", ns, name]) => workflows::get(&state, &call, ns, name).await,
        ("DELETE", ["api", "v1", "workflows", ns, name]) => workflows::delete(&state, &call, ns, name).await,
        ("GET", ["api", "v1", "workflows", ns, name, "log"]) => {
            workflows::log(&state, &call, ns, name, call.query.get("podName")).await
        }
        ("GET", ["api", "v1", "workflows", ns, name, pod, "log"]) => workflows::log(&state, &call, ns, name, pod).await,
        ("PUT", ["api", "v1", "workflows", ns, name, action @ ("stop" | "terminate" | "suspend" | "resume")]) => {
            workflows::control(&state, &call, ns, name, action).await
        }
        ("GET", ["api", "v1", "workflow-events", ns]) => workflows::watch(&state, &call, ns).await,
        ("GET", ["api", "v1", "workflow-templates", ns]) => {
            templates::list(&state, &call, "workflowtemplates", ns).await
        }
        ("POST", ["api", "v1", "workflow-templates", ns, "lint"]) => {
            templates::lint(&state, &call, "workflowtemplates", ns)
        }
        ("POST", ["api", "v1", "workflow-templates", ns]) => {
            templates::create(&state, &call, "workflowtemplates", ns).await
        }
        ("GET", ["api", "v1", "workflow-templates", ns, name]) => {
            templates::get(&state, &call, "workflowtemplates", ns, name).await
        }
        ("PUT", ["api", "v1", "workflow-templates", ns, name]) => {
            templates::update(&state, &call, "workflowtemplates", ns, name).await
        }
        ("DELETE", ["api", "v1", "workflow-templates", ns, name]) => {
            templates::delete(&state, &call, "workflowtemplates", ns, name).await
        }
        ("GET", ["api", "v1", "cluster-workflow-templates"]) => {
            templates::list(&state, &call, "clusterworkflowtemplates", "").await
        }
        ("POST", ["api", "v1", "cluster-workflow-templates", "lint"]) => {
            templates::lint(&state, &call, "clusterworkflowtemplates", "")
        }
        ("POST", ["api", "v1", "cluster-workflow-templates"]) => {
            templates::create(&state, &call, "clusterworkflowtemplates", "").await
        }
        ("GET", ["api", "v1", "cluster-workflow-templates", name]) => {
            templates::get(&state, &call, "clusterworkflowtemplates", "", name).await
        }
        ("PUT", ["api", "v1", "cluster-workflow-templates", name]) => {
            templates::update(&state, &call, "clusterworkflowtemplates", "", name).await
        }
        ("DELETE", ["api", "v1", "cluster-workflow-templates", name]) => {
            templates::delete(&state, &call, "clusterworkflowtemplates", "", name).await
        }
        _ => Err(Fault::not_implemented()),
    }
}

/// `/api/v1/events//…`: the empty namespace of seed 002 means every namespace.
fn empty_namespace(path: &str) -> bool {
    path.strip_prefix("/api/v1/events//").is_some_and(|rest| !rest.contains("//"))
}

/// Without empty segments, `.` and `..`; what ends with a slash still does.
fn cleaned(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// Where a path that is not written plainly leads, for ports that have no other routes.
pub fn elsewhere(uri: &http::Uri) -> Option<Answer> {
    let clean = cleaned(uri.path());
    if clean == uri.path() {
        return None;
    }
    Some(moved(&uri.query().map_or(clean.clone(), |q| format!("{clean}?{q}"))))
}

pub fn moved(to: &str) -> Answer {
    let mut r = super::intake::empty(307);
    if let Ok(v) = to.parse() {
        r.headers_mut().insert(http::header::LOCATION, v);
    }
    r
}

fn redirect(call: &Call, target: &str) -> Answer {
    let code = if call.method == Method::GET || call.method == Method::HEAD { 301 } else { 307 };
    let mut r = respond(code, "text/html; charset=utf-8", String::new());
    if let Ok(v) = target.parse() {
        r.headers_mut().insert(http::header::LOCATION, v);
    }
    r
}
