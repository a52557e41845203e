//! Envelopes: what gateways of v0.5 sent on, and what webhooks answer.

use crate::Suite;
use crate::suite::{lines, vectors};
use crate::support::peers::free_port;
use crate::support::{Server, eventually, request};
use base64::Engine;
use serde_json::{Value, json};

#[test]
fn cloudevents() {
    let Some(dir) = vectors("cloudevents") else { return };
    let mut suite = Suite::new("cloudevents");
    let server = Server::start(&["--without-engine"]);
    server.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: sec, namespace: argo}\nstringData: {bearer: right}\n");
    for v in lines(&dir.join("vectors.jsonl")) {
        let id = v["id"].as_str().unwrap();
        match (v["kind"].as_str().unwrap(), v["sourceType"].as_str()) {
            ("gateway-v0.5", _) => suite.case(id, "gateway-v0.5", transformed(&server, &v)),
            ("http", Some("webhook")) if v["spec"]["filter"].is_object() => {
                suite.skip("webhooks have no filter: sensors do")
            }
            ("http", Some("webhook")) => suite.case(id, "http webhook", answered(&server, &v)),
            ("http", _) => suite.skip("a source that there is none of here"),
            _ => suite.skip("an EventSource's data, which sensors see by its name; docs/sensors.md"),
        }
    }
    suite.finish(0.7);
}

fn token(server: &Server) -> String {
    server.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: all, namespace: argo}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: all}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: all, namespace: argo}]\n",
    );
    server.token("all")
}

fn gateway(server: &Server, name: &str, spec: Value, data: Value) {
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "argo"}, "data": data});
    let mut gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": name, "namespace": "argo"},
        "spec": {"configMap": name, "version": "1.0", "deploySpec": {"serviceAccountName": "all"}}});
    gateway["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    server.apply(&format!("{map}\n---\n{gateway}"));
    eventually("it runs", || {
        let shown: Value =
            serde_json::from_str(&server.cli(&["get", "gateway", name, "-n", "argo", "-o", "json"]).stdout).ok()?;
        (shown["status"]["ready"] == "1/1").then_some(())
    });
}

/// A post to a gateway's transformer, its answer, and what a gateway that watches receives.
fn transformed(server: &Server, v: &Value) -> Result<(), String> {
    let token = token(server);
    let name = v["gateway"].as_str().unwrap_or("nobody-watches");
    let (ours, sink) = (free_port(), free_port());
    let sink_name = format!("sink-of-{name}");
    let endpoint = format!("port: \"{sink}\"\nendpoint: /\nmethod: POST\n");
    gateway(server, &sink_name, json!({"type": "webhook"}), json!({"webhook.sink": endpoint}));
    let watchers = json!({"gateways": [{"name": sink_name, "port": sink.to_string(), "endpoint": "/"}]});
    let spec = json!({"type": v["type"].as_str().unwrap_or("none"), "transformerPort": ours.to_string(), "cloudEvents": "0.1", "watchers": watchers});
    gateway(server, name, spec, json!({}));
    let to = &v["toTransformer"];
    let headers = [("Content-Type", to["contentType"].as_str().unwrap_or("text/plain"))];
    let answer = request(&format!("127.0.0.1:{ours}"), "POST", "/", &headers, to["body"].as_str().unwrap().as_bytes());
    let outcome = if v["transformerReply"]["status"] != answer.status {
        Err(format!("recorded {}, ours {} {}", v["transformerReply"], answer.status, answer.text()))
    } else {
        received(server, &token, &sink_name, v)
    };
    for name in [name, &sink_name] {
        server.cli(&["delete", "gateway", name, "-n", "argo"]);
    }
    outcome
}

fn received(server: &Server, token: &str, sink: &str, v: &Value) -> Result<(), String> {
    let Some(theirs) = v["watchersReceived"][0].get("event") else { return Ok(()) };
    let got = eventually("the watcher has it", || {
        let all = server.get("/api/v1/event-records/argo?limit=100", token).json();
        all["items"].as_array()?.iter().find(|e| e["gateway"] == sink).map(|e| e["payload"].clone())
    });
    let stable = |v: &Value| {
        let mut v = v.clone();
        v["context"]["eventID"] = json!(null);
        v["context"]["eventTime"] = json!(null);
        // White space of JSON is nobody's: the payload is compared by what it says.
        let decoded = v["payload"]
            .as_str()
            .and_then(|p| base64::engine::general_purpose::STANDARD.decode(p).ok())
            .unwrap_or_default();
        v["payload"] = serde_json::from_slice(&decoded).unwrap_or_else(|_| v["payload"].clone());
        v
    };
    if stable(&got) == stable(theirs) { Ok(()) } else { Err(format!("recorded {theirs}, ours {got}")) }
}

/// A request to a webhook, and the status of its answer.
fn answered(server: &Server, v: &Value) -> Result<(), String> {
    token(server);
    let port = free_port();
    let mut settings =
        if v["spec"].is_object() { v["spec"].clone() } else { json!({"endpoint": "/other", "method": "POST"}) };
    settings["port"] = json!(port.to_string());
    settings.as_object_mut().unwrap().remove("url");
    gateway(server, "hook", json!({"type": "webhook"}), json!({"webhook.one": settings.to_string()}));
    let r = &v["request"];
    let headers: Vec<(&str, &str)> =
        r["headers"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
    let answer = request(
        &format!("127.0.0.1:{port}"),
        r["method"].as_str().unwrap(),
        r["path"].as_str().unwrap(),
        &headers,
        r["body"].as_str().unwrap_or("").as_bytes(),
    );
    if v["response"]["status"] == answer.status {
        Ok(())
    } else {
        Err(format!("recorded {}, ours {} {}", v["response"], answer.status, answer.text()))
    }
}
