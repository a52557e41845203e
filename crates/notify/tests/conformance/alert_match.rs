//! Which alerts fire for an event, and what they forward.

use crate::notifier::{Outcome, deliver, secrets};
use crate::suite::{Suite, lines, vectors};
use crate::world::world;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use triggerfish_notify::alert::{Alerts, Verdict, arrived, duplicate_key, is_update, merged, without_token};
use triggerfish_notify::{Alert, Notice, Provider, provider};

pub fn alert_match() {
    let Some(dir) = vectors("alert-match") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut suite = Suite::new("alert-match");
    for v in lines(&dir.join("vectors.jsonl")) {
        let (id, group) = (v["id"].as_str().unwrap(), v["group"].as_str().unwrap());
        suite.case(id, group, runtime.block_on(one(&v)));
    }
    suite.finish(0.97);
}

async fn one(v: &Value) -> Result<(), String> {
    let mut alerts = Alerts::default();
    for a in v["alerts"].as_array().into_iter().flatten() {
        alerts.insert(Alert::read(a));
    }
    let mut seen: HashMap<String, f64> = HashMap::new();
    let window = v["rate_limit_interval_seconds"].as_f64().unwrap_or(300.0);
    let mut clock = 0.0;
    for (i, step) in v["steps"].as_array().into_iter().flatten().enumerate() {
        clock += step["after_seconds"].as_f64().unwrap_or(0.0);
        let step_failed = |e: String| format!("step {i}: {e}");
        let mut n = Notice::from_value(&step["event"]).map_err(|e| step_failed(e.to_string()))?;
        arrived(&mut n);
        let key = duplicate_key(&n);
        if step["dedup_key"].as_str().is_some_and(|k| k != key) {
            return Err(step_failed(format!("key {} expected, {key} came", step["dedup_key"])));
        }
        let status = match seen.get(&key) {
            Some(first) if clock - first < window => 429,
            _ => {
                seen.insert(key, clock);
                202
            }
        };
        if step["status"] != status {
            return Err(step_failed(format!("status {} expected, {status} came", step["status"])));
        }
        if status == 429 {
            continue;
        }
        without_token(&mut n);
        let (deliveries, told) = dispatched(v, &alerts, &n, step).await.map_err(step_failed)?;
        let wanted: Vec<Value> = step["deliveries"].as_array().cloned().unwrap_or_default();
        let set = |l: &[Value]| l.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let plain: Vec<Value> = wanted
            .iter()
            // What a server of NATS is told is seen where providers are.
            .filter(|d| d.get("nats").is_none())
            .map(|d| match d["url"].as_str() {
                Some(url) => json!([d["method"], url.replace(":443/", "/")]),
                None => json!({"alert": d["alert"], "json": d["json"]}),
            })
            .collect();
        if set(&plain) != set(&deliveries) {
            return Err(step_failed(format!("deliveries {plain:?} expected, {deliveries:?} came")));
        }
        let events = |l: &[Value]| -> BTreeSet<String> {
            l.iter()
                .map(|e| {
                    let message = e["message"].as_str().unwrap_or("");
                    let end =
                        ["context deadline", "parse \"", "access denied"].iter().filter_map(|m| message.find(m)).min();
                    let annotations = e.get("annotations").filter(|a| !a.is_null()).cloned().unwrap_or(json!({}));
                    format!("{} {} {annotations}", e["reason"], &message[..end.unwrap_or(message.len())])
                })
                .collect()
        };
        let wanted = step["k8s_events"].as_array().cloned().unwrap_or_default();
        if events(&wanted) != events(&told) {
            return Err(step_failed(format!("events {:?} expected, {:?} came", events(&wanted), events(&told))));
        }
    }
    Ok(())
}

/// What is delivered, and what the owners of alerts are told.
async fn dispatched(v: &Value, alerts: &Alerts, n: &Notice, step: &Value) -> Result<(Vec<Value>, Vec<Value>), String> {
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let o = &n.object;
    let found = v["objects"].as_array().into_iter().flatten().find(|x| {
        x["kind"] == *o.kind && x["metadata"]["name"] == *o.name && x["metadata"]["namespace"] == *o.namespace
    });
    let labels: Option<BTreeMap<String, String>> =
        found.map(|x| serde_json::from_value(x["metadata"]["labels"].clone()).unwrap_or_default());
    for a in alerts.about(n) {
        match a.verdict(n, || labels.as_ref().ok_or_else(|| "it is not there".to_owned())) {
            Verdict::Passes { warning, .. } => {
                if let Some((reason, message)) = warning {
                    told.push(json!({"reason": reason, "message": message}));
                }
                continue;
            }
            Verdict::Asks => {
                // Patterns that are none are told of where they are met.
                for message in a.met(&n.message) {
                    told.push(json!({"reason": "InvalidConfig", "message": message}));
                }
            }
        }
        let what = n.path();
        let mut failed = |why: String| {
            told.push(json!({"reason": "NotificationDispatchFailed", "message": format!("failed to dispatch notification for {}/{}/{}: {why}", o.kind, o.namespace, o.name)}));
        };
        let _ = &what;
        if v["no_cross_namespace_refs"] == true && a.namespace != o.namespace {
            failed(format!(
                "discarding event, access denied to cross-namespace sources: alert '{}' can't process event from '{what}'",
                a.path()
            ));
            continue;
        }
        let providers = v["providers"].as_array().into_iter().flatten();
        let named = providers
            .clone()
            .find(|p| p["metadata"]["name"] == *a.provider && p["metadata"]["namespace"] == *a.namespace);
        let Some(p) = named else {
            failed(format!(
                "failed to read provider: providers.notification.toolkit.fluxcd.io \"{}\" not found",
                a.provider
            ));
            continue;
        };
        let read = Provider::read(p);
        if read.suspend {
            continue;
        }
        let group = provider::named(&read.kind).map_or(provider::Group::Message, |k| k.group);
        if group.takes(n, |key| is_update(n, key)).is_err() {
            continue;
        }
        if !read.service_account.is_empty() {
            failed("to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity feature gate in the controller".into());
            continue;
        }
        let (made, conflicts) = merged(n, &a);
        if !conflicts.is_empty() {
            let message = "metadata key conflicts detected (please refer to the Alert API docs and Flux RFC 0008 for more information)";
            told.push(json!({"reason": "MetadataAppendFailed", "message": message, "annotations": conflicts}));
        }
        let generic = format!("http://hooks.example.com/{}/{}", a.namespace, a.name);
        if read.kind == "generic" && read.address == generic {
            out.push(json!({"alert": a.path(), "json": made.value()}));
            continue;
        }
        {
            let mut s = world().script.lock().unwrap();
            *s = Default::default();
            s.answers = step["deliveries"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|d| d.get("response").cloned())
                .collect();
        }
        let mut p = p.clone();
        p["spec"]["timeout"] = json!("1s");
        world().network.learn("https://dev.azure.com/org");
        let status = provider::commit_status::id(&made, &p, &a.object).unwrap_or_default();
        let named = v["secrets"].as_array().into_iter().flatten();
        let named: Map<String, Value> =
            named.filter_map(|s| Some((s["metadata"]["name"].as_str()?.to_owned(), s["stringData"].clone()))).collect();
        match deliver(&p, &secrets(&named.into()), &made, &status).await {
            Outcome::Sent => {}
            Outcome::Refused(e) => {
                told.push(json!({"reason": "NotificationDispatchFailed", "message": format!("failed to dispatch notification for {}/{}/{}: failed to initialize notifier for provider '{}': {e}", o.kind, o.namespace, o.name, read.name)}));
            }
            Outcome::Failed(_) => {
                told.push(json!({"reason": "NotificationDispatchFailed", "message": format!("failed to send notification for {}/{}/{}: postMessage failed: failed to execute request: context deadline exceeded", o.kind, o.namespace, o.name)}));
            }
        }
        let asked = world().script.lock().unwrap().asked.clone();
        out.extend(asked.iter().filter(|a| a.method != "CONNECT").map(|a| json!([a.method, a.url])));
    }
    Ok((out, told))
}
