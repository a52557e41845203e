//! Sentry: an event for what went wrong, a transaction for what went well.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request, hex};
use crate::setup::Setup;
use serde_json::{Map, Value, json};

pub const KIND: Kind = Kind {
    name: "sentry",
    title: "Sentry",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: sentry\nchannel: my-cluster\nsecretRef: {name: sentry}\n# Secret: address, a DSN: https://KEY@sentry.example.com/42\n",
    notes: "`channel` is the environment. The message is cut at 8,192 characters.",
};

/// What Sentry takes the sender for: notices of Flux's own controllers are grouped with ours.
const PLATFORM: &str = "go";
/// Characters of a message.
const TEXT: usize = 8192;

/// Where events go: what a DSN says.
struct Dsn {
    url: GoUrl,
    key: String,
    /// What stands before the project in the path.
    path: String,
    project: String,
}

fn dsn(s: &Setup) -> Result<Dsn, String> {
    if s.address.is_empty() {
        return Err("DSN cannot be empty".into());
    }
    let fail = |why: &str| format!("[Sentry] DsnParseError: {why}");
    let url = GoUrl::parse(&s.address).map_err(|why| fail(&format!("invalid url: {why}")))?;
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return Err(fail("invalid scheme"));
    }
    let user = url.user.clone().unwrap_or_default();
    let key = user.split(':').next().unwrap_or("").to_owned();
    if key.is_empty() {
        return Err(fail("empty username"));
    }
    if url.host.is_empty() {
        return Err(fail("empty host"));
    }
    let whole = url.path.trim_start_matches('/');
    if whole.is_empty() {
        return Err(fail("empty project id"));
    }
    let (path, project) = match whole.rsplit_once('/') {
        Some((path, project)) => (format!("/{path}"), project.to_owned()),
        None => (String::new(), whole.to_owned()),
    };
    if project.is_empty() {
        return Err(fail("invalid project id"));
    }
    Ok(Dsn { key, path, project, url })
}

fn check(s: &Setup) -> Result<(), String> {
    dsn(s).map(drop)
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let n = c.notice;
    let dsn = dsn(c.setup).map_err(Failure::never)?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (kind, item) = if n.is_error() { ("event", error(c, &id)) } else { ("transaction", transaction(c, &id)) };
    let now = jiff::Timestamp::now().to_string();
    let head = json!({"event_id": id, "sent_at": now, "dsn": c.setup.address, "sdk": {"name": "triggerfish"}});
    let item = item.to_string();
    let envelope = format!("{head}\n{}\n{item}\n", json!({"type": kind, "length": item.len()}));
    let url = format!("{}://{}{}/api/{}/envelope/", dsn.url.scheme, dsn.url.host, dsn.path, dsn.project);
    let r = Request::post(url).text("application/x-sentry-envelope", envelope).header(
        "X-Sentry-Auth",
        format!(
            "Sentry sentry_version=7, sentry_client=triggerfish/{}, sentry_key={}",
            env!("CARGO_PKG_VERSION"),
            dsn.key
        ),
    );
    c.post(r).await.map(drop)
}

/// The environment, where one is given.
fn environment(c: &Call, v: &mut Value) {
    let channel = &c.setup.provider.channel;
    if !channel.is_empty() {
        v["environment"] = json!(channel);
    }
}

fn object(c: &Call) -> String {
    let o = &c.notice.object;
    c.title.map_or_else(|| format!("{}: {}/{}", o.kind, o.namespace, o.name), str::to_owned)
}

fn error(c: &Call, id: &str) -> Value {
    let n = c.notice;
    let mut event = json!({
        "event_id": id, "level": "error", "platform": PLATFORM, "server_name": n.controller, "transaction": object(c),
        "message": super::text::chars(&n.message, TEXT), "timestamp": n.precise_time(), "contexts": {"metadata": n.metadata},
    });
    environment(c, &mut event);
    event
}

/// The name of this machine.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

fn transaction(c: &Call, id: &str) -> Value {
    let (n, o) = (c.notice, &c.notice.object);
    let span = hex(&uuid::Uuid::new_v4().as_bytes()[..8]);
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let mut tags: Map<String, Value> = n.metadata.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    for (key, value) in [
        ("flux_involved_object_kind", &o.kind),
        ("flux_involved_object_namespace", &o.namespace),
        ("flux_involved_object_name", &o.name),
        ("flux_reporting_controller", &n.controller),
        ("flux_reporting_instance", &n.instance),
        ("flux_reason", &n.reason),
    ] {
        tags.insert(key.into(), json!(value));
    }
    let mut event = json!({
        "event_id": id, "type": "transaction", "level": "info", "platform": PLATFORM, "server_name": host(), "transaction": object(c),
        "message": super::text::chars(&n.message, TEXT), "start_timestamp": n.precise_time(), "timestamp": n.precise_time(),
        "tags": tags, "contexts": {"trace": {"trace_id": trace, "span_id": hex(&uuid::Uuid::new_v4().as_bytes()[..8]), "op": "event"}},
        "spans": [{"trace_id": trace, "span_id": span, "op": "event", "origin": "manual", "tags": tags,
            "start_timestamp": n.precise_time(), "timestamp": n.precise_time()}],
    });
    environment(c, &mut event);
    event
}
