//! Gateways whose events come from somebody's own program: the examples, as they are in the repository.

use crate::admin;
use crate::gateways::{node, payloads, send};
use crate::support::peers::free_port;
use crate::support::{Server, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/custom-gateways").join(name).canonicalize().unwrap()
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str], environment: &[(&str, String)]) -> Self {
        let mut c = Command::new(program);
        c.args(arguments).envs(environment.iter().map(|(k, v)| (*k, v.as_str())));
        Running(c.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Python of `scripts/get-sdk`, which has gRPC.
fn python() -> Option<String> {
    crate::support::peers::sdk("python").map(|p| p.to_str().unwrap().to_owned())
}

fn gateway(server: &Server, name: &str, spec: Value, entries: &[(&str, &str)]) {
    let data: serde_json::Map<String, Value> = entries.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "argo"}, "data": data});
    let mut gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": name, "namespace": "argo"},
        "spec": {"configMap": name, "type": "own", "version": "1.0"}});
    gateway["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    server.apply(&format!("{map}\n---\n{gateway}"));
}

fn three() -> Vec<Value> {
    (0..3).map(|n| json!({"tick": n})).collect()
}

#[test]
fn a_processor_in_python_is_spoken_to_over_grpc() {
    let Some(python) = python() else { return };
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port().to_string();
    let script = example("ticker.py");
    let _ticker = Running::start(&python, &[script.to_str().unwrap()], &[("GATEWAY_SERVER_PORT", port.clone())]);
    let entries = [("fast", r#"{"every": 0.05, "count": 3}"#), ("wrong", r#"{"evry": 1}"#)];
    gateway(&server, "ticker", json!({"processorPort": port}), &entries);
    assert_eq!(payloads(&server, &token, "fast", 3), three());
    // It may have been asked for before the processor was there: then it is asked for again.
    eventually("the processor's refusal is told", || {
        let wrong = node(&server, "ticker", "wrong", "Error");
        let expected = r#"the processor refuses it: expected {"every": seconds}"#;
        wrong["message"].as_str().unwrap().contains(expected).then_some(())
    });
    node(&server, "ticker", "fast", "Running");
}

#[test]
fn a_processor_is_run_as_a_pod_and_run_again() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let port = free_port().to_string();
    // It tells what it is by the environment that it finds.
    let script = r#"payload=$(printf '{"of": "%s"}' "$GATEWAY_NAME" | base64)
curl -sS --retry 20 --retry-connrefused --retry-delay 1 -d "{\"src\": \"start\", \"payload\": \"$payload\"}" "http://127.0.0.1:$TRANSFORMER_PORT/"
sleep 600"#;
    let container = json!({"name": "starts", "image": "example/starts", "command": ["sh", "-c", script]});
    gateway(&server, "starts", json!({"transformerPort": port, "deploySpec": {"containers": [container]}}), &[]);
    assert_eq!(payloads(&server, &token, "start", 1), [json!({"of": "starts"})]);
    let pod = || server.cli(&["get", "pod", "starts-gateway", "-n", "argo", "-o", "json"]).stdout;
    let uid = |text: &str| {
        let pod = serde_json::from_str::<Value>(text).ok()?;
        pod["metadata"]["uid"].as_str().map(str::to_owned)
    };
    let first = uid(&pod()).unwrap();
    server.cli(&["delete", "pod", "starts-gateway", "-n", "argo"]);
    eventually("another Pod", || uid(&pod()).filter(|u| *u != first));
    payloads(&server, &token, "start", 2);
    // With the gateway its processor goes.
    server.cli(&["delete", "gateway", "starts", "-n", "argo"]);
    eventually("no Pod", || uid(&pod()).is_none().then_some(()));
}

#[test]
fn a_processor_of_the_first_protocol_is_dialled() {
    let Some(python) = python() else { return };
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port().to_string();
    gateway(&server, "old", json!({"rpcPort": port}), &[("one", r#"{"every": 0.05, "count": 3}"#)]);
    let waits = node(&server, "old", "one", "Error");
    assert!(waits["message"].as_str().unwrap().contains("no gRPC server answers on port"), "{waits}");
    let script = example("ticker.py");
    let _ticker = Running::start(&python, &[script.to_str().unwrap()], &[("GATEWAY_PROCESSOR_GRPC_SERVER_PORT", port)]);
    assert_eq!(payloads(&server, &token, "one", 3), three());
}

#[test]
fn a_processor_over_http_is_told_to_start_and_to_stop() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let (its, ours) = (free_port().to_string(), free_port().to_string());
    let script = example("web.py");
    let environment = [
        ("GATEWAY_PROCESSOR_SERVER_HTTP_PORT", its.clone()),
        ("GATEWAY_PROCESSOR_CLIENT_HTTP_PORT", ours.clone()),
        ("GATEWAY_HTTP_CONFIG_START", "/start".into()),
        ("GATEWAY_HTTP_CONFIG_EVENT", "/event".into()),
        ("GATEWAY_HTTP_CONFIG_RUNNING", "/activated".into()),
    ];
    let _web = Running::start("python3", &[script.to_str().unwrap()], &environment);
    let spec = json!({"httpServerPort": its, "httpClientPort": ours});
    let entries = [("a", r#"{"every": 0.05, "count": 3}"#), ("endless", r#"{"every": 0.05, "count": 1000000}"#)];
    gateway(&server, "web", spec.clone(), &entries);
    assert_eq!(payloads(&server, &token, "a", 3), three());
    payloads(&server, &token, "endless", 5);
    // What is taken out is stopped, and answered so.
    gateway(&server, "web", spec, &entries[..1]);
    let refused = || send(ours.parse().unwrap(), "POST", "/event", &[], r#"{"src":"endless","payload":"e30="}"#);
    eventually("it is stopped", || (refused().0 == 400).then_some(()));
    assert!(refused().1.contains("no configuration \"endless\" runs here"), "{:?}", refused());
}

#[test]
fn anything_that_can_post_is_a_gateway() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port();
    gateway(&server, "folder", json!({"transformerPort": port.to_string()}), &[]);
    node(&server, "folder", "transformer", "Running");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("report.json"), r#"{"rows": 2}"#).unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let script = example("folder.sh");
    let _watch =
        Running::start("sh", &[script.to_str().unwrap()], &[("TRANSFORMER_PORT", port.to_string()), ("FOLDER", path)]);
    assert_eq!(payloads(&server, &token, "report.json", 1), [json!({"rows": 2})]);
    std::fs::write(folder.path().join("notes.txt"), "plain words").unwrap();
    assert_eq!(payloads(&server, &token, "notes.txt", 1), [json!("plain words")]);
    eventually("the folder is empty", || folder.path().read_dir().unwrap().next().is_none().then_some(()));
    for (body, why) in [
        ("{}", "src"),
        (r#"{"src":"","payload":""}"#, "name the configuration"),
        (r#"{"src":"a","payload":"§"}"#, "no base64"),
    ] {
        let (status, text) = send(port, "POST", "/", &[], body);
        assert!(status == 400 && text.contains(why), "{status} {text}");
    }
}
