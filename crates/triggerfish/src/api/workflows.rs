//! Workflows over REST: create, get, list, delete, control, logs, watch.

use super::answer::{Answer, Fault, ok, shown};
use super::{Call, State, bindings, fields};
use crate::event::Caller;
use crate::kube_api::{Api, path};
use crate::lookup::stored_template;
use crate::route::Creator;
use crate::workflow;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{AsyncBufReadExt, StreamExt, TryStreamExt};
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn text<'a>(o: &'a Value, pointer: &str) -> &'a str {
    o.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// Says in labels who made an object.
pub fn sign(o: &mut Value, caller: &Caller) {
    let creator = Creator { subject: caller.name.clone(), ..Creator::default() };
    for (k, v) in creator.labels() {
        o["metadata"]["labels"][k] = v;
    }
}

pub async fn create(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    let caller = state.caller(call)?;
    let body = call.json()?;
    if !body.is_object() {
        return Err(Fault::invalid(format!(
            "json: cannot unmarshal {} into Go value of type workflow.WorkflowCreateRequest",
            apiserver::go_kind(&body)
        )));
    }
    let mut w = body
        .get("workflow")
        .cloned()
        .filter(|w| !w.is_null())
        .ok_or_else(|| Fault::invalid("workflow body not specified"))?;
    super::embedded("workflow", &mut w)?;
    let given = text(&w, "/metadata/namespace").to_owned();
    if given.is_empty() {
        w["metadata"]["namespace"] = json!(namespace);
    }
    w["apiVersion"] = json!(crate::kind::API_VERSION);
    w["kind"] = json!("Workflow");
    sign(&mut w, &caller);
    state.claim(&mut w);
    let api = state.clients.as_caller(&caller);
    let stored = stored_template(&api, &w).await.map_err(Fault::internal)?;
    if let workflow::Stored::Missing(why) = &stored {
        return Err(Fault::not_found(why.clone()));
    }
    workflow::validate(&w, &stored).map_err(Fault::invalid)?;
    if let workflow::Stored::Found(template) = &stored
        && let Some((name, entry)) = workflow::stored_entry(&w, template)
    {
        w["status"] = json!({"storedTemplates": {name: entry}});
    }
    let dry = body.pointer("/createOptions/dryRun").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    if dry {
        return Ok(ok(&shown(w)));
    }
    let query = if body.get("serverDryRun") == Some(&json!(true)) { "?dryRun=All" } else { "" };
    let made = api.create(&format!("{}{query}", path("workflows", namespace, "")), &w).await?;
    Ok(ok(&shown(made)))
}

/// A workflow by name; `@latest` is the newest.
async fn find(api: &Api, namespace: &str, name: &str) -> Result<Value, Fault> {
    if name.is_empty() {
        return Err(Fault::internal("resource name may not be empty"));
    }
    if name != "@latest" {
        return Ok(api.get(&path("workflows", namespace, name)).await?);
    }
    let list = api.get(&path("workflows", namespace, "")).await?;
    let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    // Creation times have whole seconds; the version tells apart what was made within one.
    let key = |w: &Value| {
        (
            text(w, "/metadata/creationTimestamp").to_owned(),
            text(w, "/metadata/resourceVersion").parse::<u64>().unwrap_or(0),
        )
    };
    items.into_iter().max_by_key(key).ok_or_else(|| Fault::not_found("no workflows found"))
}

pub async fn get(state: &Arc<State>, call: &Call, namespace: &str, name: &str) -> Result<Answer, Fault> {
    let w = find(&state.as_caller(call)?, namespace, name).await?;
    if !state.is_ours(&w) {
        return Err(Fault::invalid(format!("'{name}' is not managed by the current Argo Server")));
    }
    let uid = call.query.get("uid");
    if !uid.is_empty() && uid != text(&w, "/metadata/uid") {
        return Err(Fault::not_found(format!("workflows.argoproj.io {name:?} with uid {uid:?} not found")));
    }
    Ok(ok(&fields::apply(shown(w), call.query.get("fields"))))
}

pub async fn delete(state: &Arc<State>, call: &Call, namespace: &str, name: &str) -> Result<Answer, Fault> {
    let api = state.as_caller(call)?;
    let name = match name {
        "@latest" => text(&find(&api, namespace, name).await?, "/metadata/name").to_owned(),
        other => other.to_owned(),
    };
    if call.query.flag("force") {
        api.merge(&path("workflows", namespace, &name), &json!({"metadata": {"finalizers": null}})).await?;
    }
    api.delete(&path("workflows", namespace, &name), &json!({"propagationPolicy": "Background"})).await?;
    Ok(ok(&json!({})))
}

/// Filters that the façade has beyond those of the Kubernetes API.
struct Filter {
    name: Option<(String, bool)>,
    namespace: Option<(String, bool)>,
    how: String,
    started_after: String,
    started_before: String,
    created_after: String,
    finished_before: String,
}

impl Filter {
    fn read(call: &Call) -> Result<Self, Fault> {
        let mut f = Filter {
            name: None,
            namespace: None,
            how: call.query.get("nameFilter").to_owned(),
            started_after: String::new(),
            started_before: String::new(),
            created_after: call.query.get("createdAfter").to_owned(),
            finished_before: call.query.get("finishedBefore").to_owned(),
        };
        for (name, value) in [("createdAfter", &f.created_after), ("finishedBefore", &f.finished_before)] {
            if !value.is_empty() && value.parse::<jiff::Timestamp>().is_err() {
                return Err(Fault::invalid(format!(
                    "{name}: {value:?} is no time in RFC 3339, such as 2026-01-31T12:00:00Z"
                )));
            }
        }
        for part in call.query.get("listOptions.fieldSelector").split(',').filter(|p| !p.is_empty()) {
            if let Some(v) = part.strip_prefix("spec.startedAt>") {
                f.started_after = v.to_owned();
            } else if let Some(v) = part.strip_prefix("spec.startedAt<") {
                f.started_before = v.to_owned();
            } else if part.starts_with("ext.showRemainingItemCount") {
            } else {
                let (k, v, equal) = match part.split_once("!=") {
                    Some((k, v)) => (k, v, false),
                    None => match part.split_once("==").or_else(|| part.split_once('=')) {
                        Some((k, v)) => (k, v, true),
                        None => return Err(Fault::invalid(format!("unsupported requirement {part}"))),
                    },
                };
                match k {
                    "metadata.name" => f.name = Some((v.to_owned(), equal)),
                    "metadata.namespace" => f.namespace = Some((v.to_owned(), equal)),
                    _ => return Err(Fault::invalid(format!("unsupported requirement {part}"))),
                }
            }
        }
        Ok(f)
    }

    fn fits(&self, w: &Value) -> bool {
        let name = text(w, "/metadata/name");
        let named = self.name.as_ref().is_none_or(|(want, equal)| match (self.how.as_str(), equal) {
            ("Contains", true) => name.contains(want.as_str()),
            ("Prefix", true) => name.starts_with(want.as_str()),
            ("NotEquals", true) => name != want,
            (_, equal) => (name == want) == *equal,
        });
        let after = |value: &str, bound: &str| bound.is_empty() || value > bound;
        let before = |value: &str, bound: &str| bound.is_empty() || (!value.is_empty() && value < bound);
        named
            && self.namespace.as_ref().is_none_or(|(want, equal)| (text(w, "/metadata/namespace") == want) == *equal)
            && after(text(w, "/status/startedAt"), &self.started_after)
            && before(text(w, "/status/startedAt"), &self.started_before)
            && after(text(w, "/metadata/creationTimestamp"), &self.created_after)
            && before(text(w, "/status/finishedAt"), &self.finished_before)
    }
}

pub async fn list(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    bindings::check(call)?;
    let api = state.as_caller(call)?;
    let filter = Filter::read(call)?;
    let offset = match call.query.get("listOptions.continue") {
        "" => 0,
        t => {
            let n: i64 = t.parse().map_err(|_| Fault::invalid("listOptions.continue must be int"))?;
            usize::try_from(n).map_err(|_| Fault::invalid("listOptions.continue must >= 0"))?
        }
    };
    let limit = call.query.get("listOptions.limit").parse::<usize>().unwrap_or(0);
    if let Some((other, true)) = &filter.namespace
        && !namespace.is_empty()
        && other != namespace
    {
        return Err(Fault::invalid(format!(
            "'namespace' query param ({namespace:?}) and fieldselector 'metadata.namespace' ({other:?}) are both specified and contradict each other"
        )));
    }
    let labels = crate::kube_api::encode(call.query.get("listOptions.labelSelector"));
    let found = api.get(&format!("{}?labelSelector={labels}", path("workflows", namespace, ""))).await.map_err(|e| match e.code {
        403 if namespace.is_empty() => Fault::new(403, 7, "Permission denied, you are not allowed to list workflows in namespace \"\". Maybe you want to specify a namespace with query parameter `.namespace=`?"),
        _ => e.into(),
    })?;
    let mut items: Vec<Value> = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    items.retain(|w| filter.fits(w) && state.is_ours(w));
    // Unfinished first, newest first; then finished ones by their end.
    items.sort_by(|a, b| {
        let end = |w: &Value| text(w, "/status/finishedAt").to_owned();
        match (end(a).is_empty(), end(b).is_empty()) {
            (true, false) => std::cmp::Ordering::Less,
            (false, true) => std::cmp::Ordering::Greater,
            (false, false) => end(b).cmp(&end(a)),
            (true, true) => text(b, "/metadata/creationTimestamp").cmp(text(a, "/metadata/creationTimestamp")),
        }
    });
    let total = items.len();
    let page: Vec<Value> =
        items.into_iter().skip(offset).take(if limit == 0 { usize::MAX } else { limit }).map(shown).collect();
    let mut meta = json!({"resourceVersion": text(&found, "/metadata/resourceVersion")});
    let end = offset + page.len();
    if limit > 0 && end < total {
        meta["continue"] = json!(end.to_string());
        if call.query.get("listOptions.fieldSelector").contains("ext.showRemainingItemCount=true") {
            meta["remainingItemCount"] = json!(total - end);
        }
    }
    Ok(ok(&fields::apply(json!({"metadata": meta, "items": page}), call.query.get("fields"))))
}

/// stop, terminate, suspend, resume.
pub async fn control(
    state: &Arc<State>,
    call: &Call,
    namespace: &str,
    name: &str,
    action: &str,
) -> Result<Answer, Fault> {
    let api = state.as_caller(call)?;
    let w = find(&api, namespace, name).await?;
    let name = text(&w, "/metadata/name");
    if workflow::is_complete(&w) {
        return match action {
            "suspend" => Err(Fault::invalid("timed out waiting for the condition: cannot suspend completed workflows")),
            "resume" => Ok(ok(&shown(w))),
            _ => Err(Fault::internal(format!("cannot {action} a workflow that has already completed"))),
        };
    }
    let patch = match action {
        "stop" => json!({"spec": {"shutdown": "Stop"}}),
        "terminate" => json!({"spec": {"shutdown": "Terminate"}}),
        "suspend" => json!({"spec": {"suspend": true}}),
        _ => json!({"spec": {"suspend": null}}),
    };
    Ok(ok(&shown(api.merge(&path("workflows", namespace, name), &patch).await?)))
}

pub async fn watch(state: &Arc<State>, call: &Call, namespace: &str) -> Result<Answer, Fault> {
    stream(state, call, "workflows", namespace).await
}

/// How often a silent stream says that it lives.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A watch as a stream of `{"result": {"type", "object"}}`, one a line, or as server-sent events.
pub async fn stream(state: &Arc<State>, call: &Call, plural: &str, namespace: &str) -> Result<Answer, Fault> {
    let api = state.as_caller(call)?;
    let sse = call.header("accept") == Some("text/event-stream");
    let options = bindings::options(call);
    let target = format!("{}?watch=true&{options}", path(plural, namespace, ""));
    let request = Request::builder().uri(target).body(Vec::new()).map_err(|e| Fault::internal(e.to_string()))?;
    let lines = api.client().request_stream(request).await.map_err(|e| match e {
        kube::Error::Api(s) => {
            Fault::from(crate::kube_api::Refusal { code: s.code, reason: s.reason.clone(), message: s.message.clone() })
        }
        other => Fault::internal(other.to_string()),
    })?;
    let selection = call.query.get("fields").to_owned();
    let frames = lines.lines().map_ok(move |line| frame(&line, &selection, sse));
    Ok(streaming(frames, sse))
}

fn frame(line: &str, selection: &str, sse: bool) -> String {
    let mut v: Value = serde_json::from_str(line).unwrap_or_default();
    let body = if v["type"] == "ERROR" {
        let code = v.pointer("/object/code").and_then(Value::as_u64).unwrap_or(500);
        json!({"error": {"grpc_code": if code == 410 { 11 } else { 13 }, "http_code": code, "message": text(&v, "/object/message")}})
    } else {
        let object = shown(v["object"].take());
        fields::apply(json!({"result": {"type": v["type"], "object": object}}), selection)
    };
    if sse { format!("data: {body}\n\n") } else { format!("{body}\n") }
}

/// A body of frames; server-sent events are kept alive by comments.
fn streaming<S, E>(frames: S, sse: bool) -> Answer
where
    S: futures_util::Stream<Item = Result<String, E>> + Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let (out, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(64);
    tokio::spawn(async move {
        let mut frames = std::pin::pin!(frames);
        loop {
            let next = tokio::select! {
                f = tokio::time::timeout(KEEPALIVE, frames.next()) => f,
                () = out.closed() => return,
            };
            let text = match next {
                Ok(Some(Ok(f))) => f,
                Ok(Some(Err(_)) | None) => return,
                Err(_) if sse => ":\n".to_owned(),
                Err(_) => continue,
            };
            if out.send(Ok(text.into())).await.is_err() {
                return;
            }
        }
    });
    let body = futures_util::stream::unfold(body, |mut b| async move { b.recv().await.map(|x| (x, b)) });
    let mut r = Response::new(Body::from_stream(body));
    let kind = if sse { "text/event-stream" } else { "application/json" };
    r.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    r.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    r
}

/// Logs of a workflow's Pods, merged by time: `{"result": {"content", "podName"}}`.
pub async fn log(state: &Arc<State>, call: &Call, namespace: &str, name: &str, pod: &str) -> Result<Answer, Fault> {
    let api = state.as_caller(call)?;
    let w = find(&api, namespace, name).await?;
    let name = text(&w, "/metadata/name").to_owned();
    let q = &call.query;
    let grep = match q.get("grep") {
        "" => None,
        g => Some(regex::Regex::new(g).map_err(|e| Fault::invalid(format!("grep: {e}")))?),
    };
    let follow = q.flag("logOptions.follow");
    let mut wanted = vec![
        "timestamps=true".to_owned(),
        format!(
            "container={}",
            crate::kube_api::encode(if q.get("logOptions.container").is_empty() {
                "main"
            } else {
                q.get("logOptions.container")
            })
        ),
    ];
    for option in ["tailLines", "sinceSeconds", "limitBytes"] {
        let v = q.get(&format!("logOptions.{option}"));
        if !v.is_empty() {
            wanted.push(format!("{option}={v}"));
        }
    }
    if follow {
        wanted.push("follow=true".into());
    }
    let mut names = if pod.is_empty() { pods(&api, namespace, &name).await? } else { vec![pod.to_owned()] };
    if names.is_empty() && follow && !workflow::is_complete(&w) {
        names = appearing(&api, namespace, &name).await?;
    }
    let query = wanted.join("&");
    let timestamps = q.flag("logOptions.timestamps");
    let mut all = futures_util::stream::SelectAll::new();
    for pod in names {
        let request = Request::builder()
            .uri(format!("{}/log?{query}", path("pods", namespace, &pod)))
            .body(Vec::new())
            .map_err(|e| Fault::internal(e.to_string()))?;
        let lines = match api.client().request_stream(request).await {
            Ok(s) => s.lines(),
            // A Pod that is gone has no log any more; it must not hide those of others.
            Err(kube::Error::Api(s)) if s.code == 404 => continue,
            Err(e) => return Err(Fault::internal(e.to_string())),
        };
        let grep = grep.clone();
        all.push(
            lines
                .try_filter_map(move |line| {
                    let (content, pod, grep) = (
                        if timestamps {
                            line.clone()
                        } else {
                            line.split_once(' ').map_or(line.as_str(), |(_, t)| t).to_owned()
                        },
                        pod.clone(),
                        grep.clone(),
                    );
                    async move {
                        Ok(grep
                            .is_none_or(|g| g.is_match(&content))
                            .then(|| json!({"result": {"content": content, "podName": pod}})))
                    }
                })
                .boxed(),
        );
    }
    let sse = call.header("accept") == Some("text/event-stream");
    Ok(streaming(all.map_ok(move |v| if sse { format!("data: {v}\n\n") } else { format!("{v}\n") }), sse))
}

async fn pods(api: &Api, namespace: &str, workflow: &str) -> Result<Vec<String>, Fault> {
    let label = crate::kube_api::encode(&format!("{}={workflow}", workflow::POD_LABEL));
    let found = api.get(&format!("{}?labelSelector={label}", path("pods", namespace, ""))).await?;
    Ok(found["items"].as_array().into_iter().flatten().map(|p| text(p, "/metadata/name").to_owned()).collect())
}

/// Waits for the first Pod of a workflow that has just begun.
async fn appearing(api: &Api, namespace: &str, workflow: &str) -> Result<Vec<String>, Fault> {
    for _ in 0..100 {
        let found = pods(api, namespace, workflow).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Vec::new())
}
