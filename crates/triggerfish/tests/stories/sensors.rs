//! Sensors: both forms, filters that say why, rounds over a crash, triggers that fail, programs that never end.

use crate::gateways::{gateway, node, payloads, send};
use crate::support::peers::free_port;
use crate::support::{Server, eventually};
use crate::{HELLO, admin, workflows};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A webhook gateway with these configurations; its port.
fn hooks(server: &Server, names: &[&str]) -> u16 {
    let port = free_port();
    let settings: Vec<(String, String)> = names
        .iter()
        .map(|n| (format!("webhook.{n}"), format!("port: {port}\nendpoint: /{n}\nmethod: POST\n")))
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    gateway(server, "hooks", &settings);
    for (name, _) in &settings {
        node(server, "hooks", name, "Running");
    }
    port
}

fn sensor(server: &Server, name: &str, spec: Value) {
    server.apply(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "metadata": {"name": name, "namespace": "argo"}, "spec": spec,
    }).to_string());
    eventually("the sensor runs", || (status(server, name)["phase"] == "Running").then_some(()));
}

fn status(server: &Server, name: &str) -> Value {
    let out = server.cli(&["get", "sensor", name, "-n", "argo", "-o", "json"]);
    serde_json::from_str::<Value>(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", out.stdout, out.stderr))["status"]
        .clone()
}

fn event(server: &Server, token: &str, payload: &str) -> String {
    let records = server.get("/api/v1/event-records/argo?limit=100", token).json();
    let found =
        records["items"].as_array().unwrap().iter().find(|r| r["payload"].to_string().contains(payload)).cloned();
    found.unwrap_or_else(|| panic!("no event with {payload}: {records}"))["id"].as_str().unwrap().to_owned()
}

/// The workflow that the present form of trigger submits.
fn workflow(parameters: Value) -> Value {
    json!({"template": {"name": "build", "argoWorkflow": {
        "operation": "submit",
        "source": {"resource": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "built-"},
            "spec": {"arguments": {"parameters": [{"name": "message", "value": "none"}]}, "workflowTemplateRef": {"name": "hello"}}}},
        "parameters": parameters,
    }}})
}

/// Heads and bodies of requests.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// An HTTP endpoint that answers with these statuses in turn, the last one for ever; what it was sent.
fn endpoint(statuses: &'static [u16]) -> (u16, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Requests::default();
    let told = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                head.push_str(&line);
                line.clear();
            }
            let length = head
                .to_lowercase()
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            let mut all = told.lock().unwrap();
            let status = statuses[all.len().min(statuses.len() - 1)];
            all.push((head, String::from_utf8_lossy(&body).into_owned()));
            drop(all);
            write!(&stream, "HTTP/1.1 {status} Told\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone").unwrap();
        }
    });
    (port, seen)
}

#[test]
fn a_sensor_filters_events_and_submits_a_workflow() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    let port = hooks(&server, &["push"]);
    sensor(
        &server,
        "builds",
        json!({
            "template": {"serviceAccountName": "all"},
            "dependencies": [{"name": "push", "eventSourceName": "hooks", "eventName": "webhook.push", "filters": {
                "data": [{"path": "body.ref", "type": "string", "value": ["^refs/heads/main$"]}],
                "exprs": [{"expr": "size > 2", "fields": [{"name": "size", "path": "body.commits.#"}]}],
            }}],
            "triggers": [workflow(json!([
                {"src": {"dependencyName": "push", "dataTemplate": "{{ .Input.body.name | upper }} {{ len .Input.body.commits }}"}, "dest": "spec.arguments.parameters.0.value"},
                {"src": {"dependencyName": "push", "dataKey": "header.X-Github-Event.0"}, "dest": "metadata.labels.kind"},
            ]))],
        }),
    );
    let headers = [("X-GitHub-Event", "push")];
    for (branch, commits) in [("dev", "[1,2,3]"), ("main", "[1]"), ("main", "[1,2,3]")] {
        let body = format!(r#"{{"ref":"refs/heads/{branch}","commits":{commits},"name":"shop"}}"#);
        assert_eq!(send(port, "POST", "/push", &headers, &body).0, 200);
    }
    let built = |w: &Value| w["metadata"]["labels"]["events.argoproj.io/sensor"] == "builds";
    let made = eventually("a workflow", || workflows(&server, &token).into_iter().find(built));
    assert_eq!(made["spec"]["arguments"]["parameters"][0]["value"], "SHOP 3");
    assert_eq!(made["metadata"]["labels"]["kind"], "push");
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("built-"));
    let s = eventually("the counts", || Some(status(&server, "builds")).filter(|s| s["done"] == 1));
    assert_eq!(
        (&s["events"], &s["filtered"], &s["fired"], &s["dead"]),
        (&json!(1), &json!(2), &json!(1), &json!(0)),
        "{s}"
    );
    // Who asks why nothing happened hears which filter said no, and to what.
    let shown = |what: &str| server.cli(&["event", "show", &event(&server, &token, what), "-n", "argo"]).stdout;
    let dev = shown("heads/dev");
    assert!(
        dev.contains(r#"sensor builds  push: rejected: data body.ref is "refs/heads/dev", not = ^refs/heads/main$"#),
        "{dev}"
    );
    assert!(shown("[1],").contains("rejected: expr \"size > 2\" is false with size = 1"), "{}", shown("[1],"));
    let columns = server.cli(&["get", "sensors", "-n", "argo"]).stdout;
    assert!(columns.contains("FIRED") && columns.contains("builds"), "{columns}");
}

#[test]
fn a_sensor_of_the_first_form_gathers_its_signals_over_a_crash_and_fires_once() {
    let mut server = Server::start(&[]);
    admin(&server);
    server.apply(HELLO);
    let port = hooks(&server, &["fooConfig", "barConfig"]);
    let inline = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: made-, labels: {by: sensor}}\ndata: {foo: none, whole: none}\n";
    sensor(
        &server,
        "both",
        json!({
            "serviceAccountName": "all",
            "signals": [{"name": "hooks/webhook.fooConfig", "filters": {
                    "data": {"filters": [{"path": "kind", "type": "string", "value": "wanted"}], "escalationPolicy": {"name": "odd", "level": "Alert", "message": "an odd one came"}}}},
                {"name": "hooks/webhook.barConfig"}],
            "repeat": true,
            "triggers": [{"name": "make", "resource": {"group": "", "version": "v1", "kind": "ConfigMap", "namespace": "argo",
                "source": {"inline": inline},
                "parameters": [{"src": {"signal": "hooks/webhook.fooConfig", "path": "n"}, "dest": "data.foo"},
                    {"src": {"signal": "hooks/webhook.barConfig"}, "dest": "data.whole"}]}}],
        }),
    );
    let made = |server: &Server| {
        let out = server.cli(&["get", "configmaps", "-n", "argo", "-o", "json"]).stdout;
        let all: Value = serde_json::from_str(&out).unwrap();
        let made: Vec<Value> = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["metadata"]["labels"]["by"] == "sensor")
            .map(|m| m["data"].clone())
            .collect();
        made
    };
    assert_eq!(send(port, "POST", "/fooConfig", &[], r#"{"kind":"other","n":1}"#).0, 200);
    assert_eq!(send(port, "POST", "/fooConfig", &[], r#"{"kind":"wanted","n":7}"#).0, 200);
    eventually("the first signal", || (status(&server, "both")["events"] == 1).then_some(()));
    server.kill();
    server.launch();
    node(&server, "hooks", "webhook.barConfig", "Running");
    assert_eq!(made(&server), [] as [Value; 0]);
    assert_eq!(send(port, "POST", "/barConfig", &[], r#"{"any":"thing"}"#).0, 200);
    eventually("the round is complete", || (status(&server, "both")["done"] == 1).then_some(()));
    server.kill();
    server.launch();
    node(&server, "hooks", "webhook.barConfig", "Running");
    // The next round needs both again.
    assert_eq!(send(port, "POST", "/barConfig", &[], r#"{"another":1}"#).0, 200);
    eventually("the next round has begun", || (status(&server, "both")["events"] == 3).then_some(()));
    assert_eq!(made(&server), [json!({"foo": "7", "whole": r#"{"any":"thing"}"#})]);
    let told = server.cli(&["get", "events", "-n", "argo", "-o", "json"]).stdout;
    assert!(told.contains("an odd one came"), "{told}");
}

#[test]
fn a_trigger_is_tried_again_given_up_and_brought_back() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = hooks(&server, &["in"]);
    let (flaky, seen) = endpoint(&[503, 429, 200]);
    let (wrong, refused) = endpoint(&[400, 400, 200]);
    let http = |name: &str, port: u16| {
        json!({"template": {"name": name, "http": {"url": format!("http://127.0.0.1:{port}/{name}"), "headers": {"X-From": "sensor"},
                "payload": [{"src": {"dependencyName": "in", "dataKey": "n", "useRawData": true}, "dest": "number"}]}},
            "retryStrategy": {"steps": 5, "duration": "20ms", "factor": "1.5"}})
    };
    sensor(
        &server,
        "calls",
        json!({
            "dependencies": [{"name": "in", "gatewayName": "hooks", "eventName": "webhook.in"}],
            "triggers": [http("flaky", flaky), http("wrong", wrong)],
        }),
    );
    assert_eq!(send(port, "POST", "/in", &[], r#"{"n":1}"#).0, 200);
    let s = eventually("one is done and one given up", || {
        Some(status(&server, "calls")).filter(|s| s["done"] == 1 && s["dead"] == 1)
    });
    assert_eq!((&s["phase"], s["message"].as_str().is_some()), (&json!("Error"), true), "{s}");
    let calls = seen.lock().unwrap().clone();
    assert_eq!(calls.len(), 3, "a 503 and a 429 are tried again");
    let key = |head: &str| head.lines().find(|l| l.to_lowercase().starts_with("idempotency-key")).map(str::to_owned);
    assert!(key(&calls[0].0).is_some() && key(&calls[0].0) == key(&calls[2].0), "{calls:?}");
    assert!(calls.iter().all(|(head, body)| body == r#"{"number":1}"# && head.contains("x-from: sensor")), "{calls:?}");
    assert_eq!(refused.lock().unwrap().len(), 1, "a 400 is not tried again");
    // What was given up is seen, and comes back when somebody says so.
    let letters = server.cli(&["event", "dead-letters", "-n", "argo"]).stdout;
    assert!(letters.contains("wrong") && letters.contains("400") && letters.contains("done"), "{letters}");
    let shown = server.cli(&["event", "show", &event(&server, &token, "\"n\":1"), "-n", "argo"]).stdout;
    assert!(shown.contains("given up after 1 tries") && shown.contains("200 OK"), "{shown}");
    let again = server.cli(&["event", "retry", "all", "-n", "argo"]);
    assert!(again.ok && again.stdout.contains('1'), "{}{}", again.stdout, again.stderr);
    eventually("the second try", || (refused.lock().unwrap().len() == 2).then_some(()));
    eventually("given up again", || (status(&server, "calls")["dead"] == 1).then_some(()));
    assert!(server.cli(&["event", "retry", "all", "-n", "argo"]).ok);
    let s = eventually("it works", || Some(status(&server, "calls")).filter(|s| s["done"] == 2 && s["dead"] == 0));
    assert_eq!(s["phase"], "Running");
}

#[test]
fn programs_of_a_sensor_transform_events_and_cannot_run_for_ever() {
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let port = hooks(&server, &["in"]);
    let (sink, seen) = endpoint(&[200]);
    let (lost, given_up) = endpoint(&[200]);
    let dependency = |name: &str, transform: Value| json!({"name": name, "gatewayName": "hooks", "eventName": "webhook.in", "transform": transform});
    let http = |name: &str, dependency: &str, port: u16| {
        json!({"template": {"name": name, "conditions": dependency, "http": {"url": format!("http://127.0.0.1:{port}/"),
            "payload": [{"src": {"dependencyName": dependency, "dataKey": "@this", "useRawData": true}, "dest": "it"}]}}})
    };
    sensor(
        &server,
        "shapes",
        json!({
            "dependencies": [
                dependency("jq", json!({"jq": "{sum: (.list | add), first: .list[0]}"})),
                dependency("lua", json!({"script": "return {n = #event.list, name = string.upper(event.name)}"})),
                dependency("endless", json!({"jq": "def f: f; f"})),
                dependency("huge", json!({"script": "local s = 'x' while true do s = s .. s end"})),
            ],
            "triggers": [http("one", "jq", sink), http("two", "lua", sink), http("three", "endless || huge", lost)],
        }),
    );
    assert_eq!(send(port, "POST", "/in", &[], r#"{"list":[1,2,3],"name":"x"}"#).0, 200);
    eventually("two were rejected", || (status(&server, "shapes")["filtered"] == 2).then_some(()));
    let mut bodies: Vec<String> = eventually("both", || {
        Some(seen.lock().unwrap().iter().map(|(_, b)| b.clone()).collect::<Vec<_>>()).filter(|b| b.len() == 2)
    });
    bodies.sort();
    assert_eq!(bodies, [r#"{"it":{"first":1,"sum":6}}"#, r#"{"it":{"n":3,"name":"X"}}"#]);
    assert!(given_up.lock().unwrap().is_empty());
    assert!(!server.has_panicked());
}

#[test]
fn a_sensor_that_makes_no_sense_is_refused_with_the_path_of_every_mistake() {
    let server = Server::start(&["--without-engine"]);
    let bad = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "metadata": {"name": "bad", "namespace": "argo"}, "spec": {
        "dependencies": [{"name": "a", "gatewayName": "g", "eventName": "e", "filters": {
            "data": [{"path": "x", "type": "string", "value": ["("]}, {"path": "y", "type": "numbr", "value": ["1"]}],
            "exprs": [{"expr": "n ==", "fields": [{"name": "n", "path": "n"}]}], "time": {"start": "25:00:00", "stop": "26:00:00"}},
            "transform": {"jq": ".a |"}}],
        "triggers": [{"template": {"name": "t", "conditions": "a && c", "log": {}}},
            {"template": {"name": "u", "slack": {}}},
            {"template": {"name": "v", "http": {"url": "ftp://x", "methd": "GET"}}},
            {"template": {"name": "w", "k8s": {"source": {"git": {}}}}}],
    }});
    let file = server.data().join("bad.json");
    std::fs::write(&file, bad.to_string()).unwrap();
    let out = server.cli(&["apply", "-f", file.to_str().unwrap()]);
    assert!(!out.ok);
    for expected in [
        "spec.dependencies[0].filters.data[0].value",
        "missing closing )",
        "spec.dependencies[0].filters.data[1].type",
        "expected bool, number or string",
        "spec.dependencies[0].filters.exprs[0].expr",
        "Unexpected end of expression",
        "spec.dependencies[0].filters.time",
        "spec.dependencies[0].transform.jq",
        "spec.triggers[0].template.conditions",
        "\"c\" at position 6 is no dependency",
        "spec.triggers[1].template.slack",
        "are not supported: there is k8s, argoWorkflow, http",
        "spec.triggers[2].template.http.methd",
        "spec.triggers[2].template.http.url",
        "spec.triggers[3].template.k8s.source.git",
    ] {
        assert!(out.stderr.contains(expected), "{expected}: {}", out.stderr);
    }
}

#[test]
fn a_reset_begins_a_round_anew() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port();
    let hook = |name: &str| format!("port: {port}\nendpoint: /{name}\nmethod: POST\n");
    let (a, b) = (hook("a"), hook("b"));
    gateway(&server, "hooks", &[("webhook.a", &a), ("webhook.b", &b), ("calendar.tick", "interval: 1s\n")]);
    node(&server, "hooks", "webhook.b", "Running");
    let (sink, seen) = endpoint(&[200]);
    let dependency = |name: &str| json!({"name": name, "gatewayName": "hooks", "eventName": format!("webhook.{name}")});
    sensor(
        &server,
        "both",
        json!({"dependencies": [dependency("a"), dependency("b")], "triggers": [{"template": {"name": "call",
            "conditionsReset": [{"byTime": {"cron": "@every 2s"}}],
            "http": {"url": format!("http://127.0.0.1:{sink}/"), "payload": [{"src": {"dependencyName": "a", "dataKey": "n", "useRawData": true}, "dest": "n"}]}}}]}),
    );
    assert_eq!(send(port, "POST", "/a", &[], r#"{"n":1}"#).0, 200);
    eventually("it is held", || (status(&server, "both")["events"] == 1).then_some(()));
    // The gateway's own clock says when enough time has passed.
    let ticks = payloads(&server, &token, "calendar.tick", 1).len();
    payloads(&server, &token, "calendar.tick", ticks + 4);
    // Alone it is not enough any more; together with what comes in the same round it is.
    assert_eq!(send(port, "POST", "/b", &[], "{}").0, 200);
    eventually("the second is held", || (status(&server, "both")["events"] == 2).then_some(()));
    assert!(seen.lock().unwrap().is_empty(), "the first was forgotten");
    let called = eventually("both in one round", || {
        assert_eq!(send(port, "POST", "/b", &[], "{}").0, 200);
        assert_eq!(send(port, "POST", "/a", &[], r#"{"n":2}"#).0, 200);
        seen.lock().unwrap().first().cloned()
    });
    assert_eq!(called.1, r#"{"n":2}"#);
}
