//! Every recorded notification: what is asked of a server is the same.

use crate::suite::{Suite, lines, vectors};
use crate::world::{Asked, token_part, world};
use base64::Engine;
use prost::Message;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use triggerfish_notify::http::{Http, hex};
use triggerfish_notify::provider::{self, Call};
use triggerfish_notify::{AlertRef, Failure, Notice, Provider, Secret, Setup};

pub const ALERT: (&str, &str, &str) = ("flux-system", "on-call", "a1e27d00-0000-4000-8000-000000000001");

/// Whether a delivery went well, and what became of it.
pub enum Outcome {
    Refused(String),
    Failed(Failure),
    Sent,
}

pub fn secrets(v: &Value) -> BTreeMap<String, Secret> {
    let text = |v: &Value| {
        let text = v.as_str().unwrap_or("");
        world().secrets.get(text).map_or(text, String::as_str).as_bytes().to_vec()
    };
    let of = |o: &Value| o.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
    v.as_object().into_iter().flatten().map(|(name, o)| (name.clone(), of(o))).collect()
}

pub async fn deliver(provider: &Value, secrets: &BTreeMap<String, Secret>, n: &Notice, status: &str) -> Outcome {
    let alert = AlertRef { namespace: ALERT.0.into(), name: ALERT.1.into(), uid: ALERT.2.into() };
    let provider = Provider::read(provider);
    let mut setup = match Setup::of(&provider, secrets, &alert) {
        Ok(s) => s,
        Err(e) => return Outcome::Refused(e),
    };
    setup.commit_status = status.to_owned();
    let kind = match provider::check(&setup) {
        Ok(k) => k,
        Err(e) => return Outcome::Refused(e),
    };
    let network = &world().network;
    let http = match Http::new(network, &setup) {
        Ok(h) => h,
        Err(e) => return Outcome::Refused(e),
    };
    let call = Call { setup: &setup, notice: n, http: &http, network, title: None, body: None };
    // As an outbox would: again while it may help and something more was recorded.
    loop {
        let before = world().script.lock().unwrap().asked.len();
        match (kind.post)(&call).await {
            Ok(()) => return Outcome::Sent,
            Err(e) => {
                let s = world().script.lock().unwrap();
                if !e.again || s.answers.is_empty() || s.asked.len() == before {
                    return Outcome::Failed(e);
                }
            }
        }
    }
}

pub fn notifier() {
    let Some(dir) = vectors("notifier") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut suite = Suite::new("notifier");
    let only = std::env::var("ONLY").unwrap_or_default();
    for v in lines(&dir.join("vectors.jsonl")) {
        let (id, kind) = (v["id"].as_str().unwrap(), v["type"].as_str().unwrap());
        if !id.starts_with(&only) {
            continue;
        }
        let outcome = runtime.block_on(async { one(&v).await });
        suite.case(id, kind, outcome);
    }
    suite.finish(0.97);
}

async fn one(v: &Value) -> Result<(), String> {
    let w = world();
    let mut provider = v["provider"].clone();
    // What is tried again is tried here without a pause, and what does not answer is not waited for.
    provider["spec"]["timeout"] = json!("2s");
    let kind = v["type"].as_str().unwrap();
    let requests = v["requests"].as_array().unwrap().clone();
    {
        let mut s = w.script.lock().unwrap();
        *s = Default::default();
        let mut answers: Vec<Value> = requests.iter().filter_map(|r| r.get("response").cloned()).collect();
        match kind {
            "googlepubsub" => {
                for a in &mut answers {
                    let status = match a["grpc_status"].as_str() {
                        Some("OK") => 200,
                        Some("NotFound") => 404,
                        _ => 400,
                    };
                    *a = json!({"status": status, "body": "{}"});
                }
            }
            "azureeventhub" if requests.len() == 2 => answers = vec![json!({"status": 201})],
            "azureeventhub" if requests.len() == 1 => answers = vec![json!({"status": 401})],
            "nats" => s.nats_refuses = v["name"] == "auth failure",
            _ => {}
        }
        // Repeats are left out of the record; their answers were the same.
        if v["requests_identical"].as_bool().unwrap_or(false) || v.get("requests_identical").is_some() {
            let n = v["attempts"].as_u64().unwrap_or(1) as usize;
            if let Some(last) = answers.last().cloned() {
                answers.resize(n.max(answers.len()), last);
            }
        }
        s.answers = answers.into();
    }
    if kind == "azuredevops" && requests.first().is_none_or(|r| r["method"] != "OPTIONS") {
        // The recording asked each organisation once in all.
        let address = v["secrets"]["auth"]["address"].as_str().or(provider["spec"]["address"].as_str()).unwrap_or("");
        let asked = requests.first().and_then(|r| r["url"].as_str()).unwrap_or(address);
        let parts: Vec<&str> = asked.splitn(5, '/').collect();
        if parts.len() > 3 {
            w.network.learn(&parts[..4].join("/").to_lowercase());
        }
    }
    let n = Notice::from_value(&v["event"]).map_err(|e| e.to_string())?;
    let status = v["commit_status"].as_str().unwrap_or("");
    let secrets = secrets(&v["secrets"]);
    let status = match status {
        "" if v["provider"]["spec"]["commitStatusExpr"].is_string() => {
            let alert = json!({"metadata": {"namespace": ALERT.0, "name": ALERT.1, "uid": ALERT.2}});
            match triggerfish_notify::provider::commit_status::id(&n, &v["provider"], &alert) {
                Ok(s) => s,
                Err(e) => return refused(v, &format!("failed to create commit status: {e}")),
            }
        }
        s => s.to_owned(),
    };
    let outcome = tokio::time::timeout(Duration::from_secs(60), deliver(&provider, &secrets, &n, &status)).await;
    let outcome = outcome.map_err(|_| "it did not end".to_owned())?;
    let (asked, nats) = {
        let s = w.script.lock().unwrap();
        (s.asked.clone(), s.nats.clone())
    };
    let wanted_ok = v["outcome"] == "ok";
    let got = match &outcome {
        Outcome::Sent => "sent".to_owned(),
        Outcome::Refused(e) => format!("refused: {e}"),
        Outcome::Failed(e) => format!("failed: {}", e.why),
    };
    // These two never hear of a failure in the original; what they ask is the same.
    let deaf = matches!(kind, "otel" | "sentry") && wanted_ok;
    if wanted_ok != matches!(outcome, Outcome::Sent) && !deaf {
        return Err(format!("expected {} ({}), got {got}", v["outcome"], v["error"]));
    }
    if v["outcome"] == "create_error"
        && requests.is_empty()
        && let Outcome::Refused(e) = &outcome
    {
        return refused(v, e);
    }
    match kind {
        "nats" => same_nats(&requests, &nats),
        "azureeventhub" => same_hub(&requests, &asked),
        "googlepubsub" => same_topic(&requests, &asked),
        _ => same_requests(kind, &requests, &asked, &provider),
    }
}

/// The text of a refusal, up to what another program's parser says.
fn refused(v: &Value, got: &str) -> Result<(), String> {
    let wanted = v["error"].as_str().unwrap_or("");
    let cut = |t: &str| {
        let end =
            ["parse \"", "'parse", ": ERROR", "ManagedIdentity", "managed identi", "failed to get token", "unmarshal"]
                .iter()
                .filter_map(|m| t.find(m))
                .min();
        t[..end.unwrap_or(t.len())].to_owned()
    };
    if cut(wanted) == cut(got) { Ok(()) } else { Err(format!("expected {wanted:?}, got {got:?}")) }
}

fn same_requests(kind: &str, wanted: &[Value], asked: &[Asked], provider: &Value) -> Result<(), String> {
    let proxied = wanted.iter().any(|r| r["method"] == "CONNECT" || r.get("proxy").is_some());
    let has_proxy = provider["spec"]["proxy"].is_string()
        || provider["spec"]["proxySecretRef"].is_object()
        || asked.iter().any(|a| a.proxied);
    // Every provider goes through the proxy that it is given here; the original forgets some.
    let keep_connect = proxied || !has_proxy;
    let asked: Vec<&Asked> = asked.iter().filter(|a| keep_connect || a.method != "CONNECT").collect();
    // A connection that is used again needs no second tunnel.
    let tunnels = |m: &str| m == "CONNECT";
    let (mut w, mut a) = (wanted.iter().collect::<Vec<_>>(), asked);
    if proxied && w.iter().any(|r| tunnels(r["method"].as_str().unwrap_or(""))) {
        if !a.iter().any(|a| tunnels(&a.method)) && !world().script.lock().unwrap().asked.iter().any(|a| a.proxied) {
            return Err("it did not go through the proxy".into());
        }
        w.retain(|r| r["method"] != "CONNECT");
        a.retain(|a| a.method != "CONNECT");
    }
    // What is sent again is the same: more of it, or less, is a matter of patience.
    let distinct = |n: usize| n;
    if a.len() < distinct(w.len()) {
        let shown: Vec<String> = a.iter().map(|a| format!("{} {}", a.method, a.url)).collect();
        return Err(format!("{} requests expected, {} came: {shown:?}", w.len(), a.len()));
    }
    for (i, (w, a)) in w.iter().zip(&a).enumerate() {
        same_request(kind, w, a).map_err(|e| format!("request {i}: {e}"))?;
    }
    for extra in &a[w.len()..] {
        let repeat = a[..w.len()].iter().any(|x| x.method == extra.method && x.url == extra.url);
        if !repeat {
            return Err(format!("a request too many: {} {}", extra.method, extra.url));
        }
    }
    Ok(())
}

fn same_request(kind: &str, w: &Value, a: &Asked) -> Result<(), String> {
    let method = w["method"].as_str().unwrap_or("");
    if method != a.method {
        return Err(format!("method {method} expected, {} came", a.method));
    }
    let url = |t: &str| {
        let u = reqwest::Url::parse(t).map(|u| u.to_string()).unwrap_or_else(|_| t.to_owned());
        // What may be escaped or not is the same.
        u.replace("%21", "!").replace("%3A", ":").replace("%7E", "~").replace("%2F", "/")
    };
    let wanted_url = w["url"].as_str().unwrap_or("");
    if url(wanted_url) != url(&a.url) {
        return Err(format!("url {wanted_url} expected, {} came", a.url));
    }
    let ignored =
        ["user-agent", "accept-encoding", "content-length", "connection", "host", "referer", "proxy-authorization"];
    let mut got: BTreeMap<String, String> = BTreeMap::new();
    for (k, v) in &a.headers {
        let k = k.to_lowercase();
        if !(ignored.contains(&k.as_str()) || k == "accept" && v == "*/*") {
            got.insert(k, v.clone());
        }
    }
    for (k, v) in w["headers"].as_object().into_iter().flatten() {
        let k = k.to_lowercase();
        if ignored.contains(&k.as_str()) {
            continue;
        }
        let v = v.as_str().unwrap_or("");
        let Some(found) = got.remove(&k) else {
            // What proves who we are is not told to another host.
            if wanted_url.contains("elsewhere.example.com") {
                continue;
            }
            return Err(format!("header {k}: {v} is missing"));
        };
        if !header_matches(&k, v, &found) {
            return Err(format!("header {k}: {v:?} expected, {found:?} came"));
        }
    }
    if !got.is_empty() {
        return Err(format!("headers that are not expected: {got:?}"));
    }
    same_body(kind, w, &a.body)
}

fn header_matches(name: &str, wanted: &str, got: &str) -> bool {
    if name == "x-sentry-auth" {
        // Each client calls itself by its own name.
        let plain = |t: &str| t.split(", ").filter(|p| !p.contains("sentry_client=")).collect::<Vec<_>>().join(", ");
        return plain(wanted) == plain(got);
    }
    matches(wanted, got)
}

/// Text with placeholders.
fn matches(wanted: &str, got: &str) -> bool {
    if let Some((before, rest)) = wanted.split_once("@jwt(") {
        return got.strip_prefix(before).is_some_and(|token| token_matches(rest, token));
    }
    match wanted {
        "@id" | "@uuid" | "@now" | "@time" | "@milliseconds" | "@hmac" | "@unix" | "@hostname" | "@port"
        | "@duration" => !got.is_empty(),
        _ => wanted == got,
    }
}

fn token_matches(wanted: &str, token: &str) -> bool {
    let Some((_, claims)) = wanted.split_once("}{") else { return false };
    let claims: Value = serde_json::from_str(&format!("{{{}", claims.trim_end_matches(')'))).unwrap_or_default();
    let parts: Vec<&str> = token.split('.').collect();
    let Some(got) = parts.get(1).and_then(|p| token_part(p)) else { return false };
    claims.as_object().into_iter().flatten().all(|(k, v)| match k.as_str() {
        "exp_minus_iat" => {
            let spent = got["exp"].as_i64().unwrap_or(0) - got["iat"].as_i64().unwrap_or(0);
            (spent - v.as_i64().unwrap_or(0)).abs() <= 120
        }
        _ => got.get(k).unwrap_or(&Value::Null) == v,
    })
}

fn same_body(kind: &str, w: &Value, got: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(got).into_owned();
    let parsed = || serde_json::from_str::<Value>(&text).map_err(|e| format!("the body is no JSON: {e}: {text}"));
    if let Some(raw) = w["raw"].as_str()
        && raw != text
    {
        return Err(format!("bytes {raw:?} expected, {text:?} came"));
    }
    if let Some(wanted) = w.get("json") {
        return same_json(&sorted(kind, wanted.clone()), &sorted(kind, parsed()?));
    }
    if let Some(form) = w.get("form") {
        let url = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
        let pairs: Map<String, Value> =
            url.query_pairs().map(|(k, v)| (k.into_owned(), json!(v.into_owned()))).collect();
        let wanted: Map<String, Value> = form
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.as_array().and_then(|a| a.first()).cloned().unwrap_or_else(|| v.clone())))
            .collect();
        return same_json(&Value::Object(wanted), &Value::Object(pairs));
    }
    if let Some(envelope) = w["envelope"].as_array() {
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap_or_default()).collect();
        for (i, wanted) in envelope.iter().enumerate() {
            contains(wanted, lines.get(i).unwrap_or(&Value::Null)).map_err(|e| format!("line {i}: {e}"))?;
        }
        return Ok(());
    }
    if let Some(otlp) = w.get("otlp") {
        let traces = otel::Traces::decode(got).map_err(|e| e.to_string())?;
        return same_json(&sorted(kind, otlp.clone()), &sorted(kind, otel::shown(&traces)));
    }
    if let Some(body) = w["body"].as_str()
        && body != text
    {
        return Err(format!("body {body:?} expected, {text:?} came"));
    }
    Ok(())
}

/// The traces of OTLP, as JSON has them.
mod otel {
    use serde_json::{Value, json};
    pub use traces::Traces;
    pub use triggerfish_notify::provider::otel_traces as traces;

    fn attributes(list: &[traces::KeyValue]) -> Vec<Value> {
        let value = |kv: &traces::KeyValue| kv.value.as_ref().and_then(|v| v.string_value.clone()).unwrap_or_default();
        list.iter().map(|kv| json!({"key": kv.key, "value": {"stringValue": value(kv)}})).collect()
    }

    pub fn shown(t: &Traces) -> Value {
        use base64::Engine;
        let r = &t.resource_spans[0];
        let s = &r.scope_spans[0].spans[0];
        let status = s.status.clone().unwrap_or_default();
        let code = if status.code == 2 { "STATUS_CODE_ERROR" } else { "STATUS_CODE_OK" };
        let mut status = json!({"code": code, "message": status.message});
        if status["message"] == "" {
            status.as_object_mut().unwrap().remove("message");
        }
        let mut span = json!({"attributes": attributes(&s.attributes), "flags": s.flags, "kind": "SPAN_KIND_INTERNAL", "name": s.name,
            "startTimeUnixNano": s.start_time_unix_nano.to_string(), "status": status,
            "traceId": base64::engine::general_purpose::STANDARD.encode(&s.trace_id)});
        if s.start_time_unix_nano == 0 {
            span.as_object_mut().unwrap().remove("startTimeUnixNano");
        }
        json!({"resourceSpans": [{
            "resource": {"attributes": attributes(&r.resource.as_ref().unwrap().attributes)}, "schemaUrl": r.schema_url,
            "scopeSpans": [{"scope": {"name": r.scope_spans[0].scope.as_ref().unwrap().name}, "spans": [span]}]}]})
    }
}

/// Puts parts in order that come in any.
fn sorted(kind: &str, mut v: Value) -> Value {
    let places: &[&str] = match kind {
        "slack" | "discord" | "rocket" => &["/attachments/0/fields"],
        "msteams" => &["/sections/0/facts"],
        "googlechat" => &["/cards/0/sections/1/widgets"],
        "grafana" | "datadog" => &["/tags"],
        "zoom" => &["/content/body/1/items"],
        "otel" => &["/resourceSpans/0/scopeSpans/0/spans/0/attributes"],
        _ => &[],
    };
    for p in places {
        if let Some(Value::Array(list)) = v.pointer_mut(p) {
            list.sort_by_key(|x| x.to_string());
        }
    }
    let text = match kind {
        "lark" => "/card/elements/0/text/content",
        "matrix" => "/body",
        "telegram" => "/text",
        "webex" => "/markdown",
        _ => return v,
    };
    if let Some(Value::String(s)) = v.pointer_mut(text) {
        let mut lines: Vec<&str> = s.split('\n').collect();
        lines.sort_unstable();
        *s = lines.join("\n");
    }
    v
}

fn same_json(wanted: &Value, got: &Value) -> Result<(), String> {
    fn same(w: &Value, g: &Value) -> bool {
        match (w, g) {
            (Value::String(w), Value::String(g)) => matches(w, g),
            (Value::String(w), _) if w.starts_with('@') => true,
            (Value::Array(w), Value::Array(g)) => w.len() == g.len() && w.iter().zip(g).all(|(w, g)| same(w, g)),
            (Value::Object(w), Value::Object(g)) => {
                w.len() == g.len() && w.iter().all(|(k, w)| g.get(k).is_some_and(|g| same(w, g)))
            }
            (Value::Number(w), Value::Number(g)) => w.as_f64() == g.as_f64(),
            _ => w == g,
        }
    }
    if same(wanted, got) { Ok(()) } else { Err(format!("expected {wanted}, got {got}")) }
}

/// Everything that is wanted is there; more may be.
fn contains(wanted: &Value, got: &Value) -> Result<(), String> {
    match (wanted, got) {
        (Value::Object(w), Value::Object(g)) => {
            for (k, w) in w {
                contains(w, g.get(k).unwrap_or(&Value::Null)).map_err(|e| format!("{k}: {e}"))?;
            }
            Ok(())
        }
        (Value::Array(w), Value::Array(g)) if w.len() == g.len() => {
            w.iter().zip(g).try_for_each(|(w, g)| contains(w, g))
        }
        _ => same_json(wanted, got),
    }
}

fn same_nats(wanted: &[Value], got: &[Value]) -> Result<(), String> {
    if wanted.len() != got.len() {
        return Err(format!("{} messages expected, {} came: {got:?}", wanted.len(), got.len()));
    }
    for (w, g) in wanted.iter().zip(got) {
        if w["nats"] == "CONNECT" {
            for k in ["name", "user", "pass", "nkey", "sig", "jwt"] {
                let plain = |v: &Value| v.as_str().unwrap_or("").trim_end_matches('=').to_owned();
                if plain(&w["json"][k]) != plain(&g["json"][k]) {
                    return Err(format!("CONNECT {k}: {} expected, {} came", w["json"][k], g["json"][k]));
                }
            }
            continue;
        }
        same_json(&json!([w["subject"], w["json"]]), &json!([g["subject"], g["json"]]))?;
    }
    Ok(())
}

/// Recorded over AMQP, sent over HTTPS: the same hub, the same proof, the same event.
fn same_hub(wanted: &[Value], asked: &[Asked]) -> Result<(), String> {
    let asked: Vec<&Asked> = asked.iter().filter(|a| a.method != "CONNECT").collect();
    let Some(put) = wanted.first() else {
        return if asked.is_empty() { Ok(()) } else { Err("nothing was expected".into()) };
    };
    let a = asked.first().ok_or("nothing was sent")?;
    let hub = put["application_properties"]["name"].as_str().unwrap_or("").replace("amqps://", "https://");
    if !a.url.starts_with(&format!("{hub}/messages?")) {
        return Err(format!("{hub} expected, {} came", a.url));
    }
    let token = put["token"].as_str().unwrap_or("");
    let header = a.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case("authorization")).map(|(_, v)| v.clone());
    let header = header.unwrap_or_default();
    let right = match token.split_once("&sig=") {
        Some((resource, rest)) => {
            let name = rest.split_once("&skn=").map_or("", |(_, n)| n);
            header.starts_with(resource) && header.ends_with(&format!("&skn={name}"))
        }
        None => header == format!("Bearer {token}"),
    };
    if !right {
        return Err(format!("{token:?} expected, {header:?} came"));
    }
    match wanted.get(1) {
        Some(transfer) => {
            let got: Value = serde_json::from_slice(&a.body).unwrap_or_default();
            same_json(&transfer["messages"][0]["json"], &got)
        }
        None => Ok(()),
    }
}

/// Recorded over gRPC, sent over HTTPS: the same topic, the same proof, the same message.
fn same_topic(wanted: &[Value], asked: &[Asked]) -> Result<(), String> {
    let asked: Vec<&Asked> = asked.iter().filter(|a| a.method != "CONNECT").collect();
    let Some(w) = wanted.first() else {
        return if asked.is_empty() { Ok(()) } else { Err("nothing was expected".into()) };
    };
    let a = asked.first().ok_or("nothing was sent")?;
    let topic = w["topic"].as_str().unwrap_or("");
    let path = a.url.split_once("/v1/").map_or("", |(_, p)| p).trim_end_matches(":publish");
    if triggerfish_notify::go_url::unescaped(path) != topic {
        return Err(format!("{topic} expected, {} came", a.url));
    }
    let header = |n: &str| a.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(n)).map_or("", |(_, v)| v.as_str());
    if !matches(w["headers"]["authorization"].as_str().unwrap_or(""), header("authorization")) {
        return Err(format!("{} expected, {} came", w["headers"]["authorization"], header("authorization")));
    }
    let got: Value = serde_json::from_slice(&a.body).unwrap_or_default();
    let got = &got["messages"][0];
    let data = base64::engine::general_purpose::STANDARD.decode(got["data"].as_str().unwrap_or("")).unwrap_or_default();
    let message = &w["messages"][0];
    let empty = json!({});
    let attributes = |v: &Value| v.get("attributes").filter(|a| !a.is_null()).unwrap_or(&empty).clone();
    same_json(
        &json!([message["json"], attributes(message)]),
        &json!([serde_json::from_slice::<Value>(&data).unwrap_or_default(), attributes(got)]),
    )
}

/// The parts of a commit's status.
pub fn commit_status() {
    let Some(dir) = vectors("commit-status") else { return };
    let mut suite = Suite::new("commit-status");
    for v in lines(&dir.join("vectors.jsonl")) {
        let (id, function) = (v["id"].as_str().unwrap(), v["function"].as_str().unwrap());
        suite.case(id, function, part(function, &v["input"], &v["output"]));
    }
    suite.finish(0.98);
}

fn part(function: &str, input: &Value, output: &Value) -> Result<(), String> {
    use triggerfish_notify::provider::{bitbucketserver_commits, commit_status as c, repository};
    let text = |k: &str| input[k].as_str().unwrap_or("");
    let says = |got: Result<Value, String>| {
        let got = got.unwrap_or_else(|e| json!({"error": e}));
        let class = |v: &Value| {
            let mut v = v.clone();
            if let Some(e) = v["error"].as_str() {
                let ends =
                    ["parse \"", "ERROR", "'parse", "failed to create CEL", "failed to evaluate the CEL expression '"];
                let end = ends.iter().filter_map(|m| e.find(m)).min().unwrap_or(e.len());
                v["error"] = json!(e[..end].replace("failed to parse the CEL expression", "").split(" '").next());
            }
            v
        };
        same_json(&class(output), &class(&got))
    };
    let n = |severity: &str, reason: &str| Notice {
        severity: severity.into(),
        reason: reason.into(),
        object: triggerfish_notify::Object {
            kind: "Kustomization".into(),
            name: "webapp".into(),
            ..Default::default()
        },
        ..Notice::default()
    };
    match function {
        "revision_to_hash" => says(c::revision_to_hash(text("revision")).map(|h| json!({"hash": h}))),
        "git_address" => {
            let r = repository(text("address"));
            says(Ok(json!({"base_url": r.host, "repository_id": r.id})))
        }
        "bitbucketserver_address" => {
            says(bitbucketserver_commits(text("address")).map(|u| json!({"commits_url": u.text()})))
        }
        "reason_to_description" => {
            let n = n("info", text("reason"));
            same_json(&json!([output["description"], output["name"]]), &json!([n.words(), n.name()]))
        }
        "state" => {
            for (service, good, bad, said) in [
                ("azuredevops", "succeeded", "error", "azure devops"),
                ("bitbucket", "SUCCESSFUL", "FAILED", "bitbucket"),
                ("github", "success", "failure", "github"),
                ("gitlab", "success", "failed", "gitlab"),
                ("gitea", "success", "failure", "gitea"),
            ] {
                let n = n(text("severity"), text("reason"));
                let got = if service == "gitea" && c::is_progress(&n) {
                    "pending".to_owned()
                } else {
                    c::state(&n, good, bad, said).map_or_else(|e| format!("error: {}", e.why), str::to_owned)
                };
                if output[service] != got {
                    return Err(format!("{service}: {} expected, {got} came", output[service]));
                }
            }
            Ok(())
        }
        "azure_genre" => {
            let genre = input["metadata"]["summary"].as_str().map_or("fluxcd".to_owned(), |s| format!("fluxcd:{s}"));
            says(Ok(json!({"genre": genre})))
        }
        "status_id" => {
            let n = Notice::from_value(&input["event"]).map_err(|e| e.to_string())?;
            let id = c::id(&n, &input["provider"], &input["alert"]);
            says(id.map(|id| json!({"status_id": id, "bitbucket_key": hex(&sha1(&id))})))
        }
        other => Err(format!("unknown function {other}")),
    }
}

fn sha1(text: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref().to_vec()
}
