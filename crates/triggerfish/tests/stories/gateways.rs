//! Gateways: seed 003's snippets against real brokers, edits while they run, and what becomes of what is wrong.

use crate::support::peers::{self, NatsClient, free_port};
use crate::support::{Output, Server, eventually, request, try_request, within};
use crate::{HELLO, admin, workflows};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// A gateway of the namespace `argo` whose events start the example's workflow.
pub fn gateway(server: &Server, name: &str, entries: &[(&str, &str)]) {
    let data: serde_json::Map<String, Value> = entries.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "argo"}, "data": data});
    let gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": name, "namespace": "argo"},
        "spec": {"configMap": name, "type": "test", "version": "1.0", "watchers": {"bindings": [{}]},
            "deploySpec": {"containers": [{"name": "events", "image": "argoproj/test-gateway"}], "serviceAccountName": "all"}}});
    server.apply(&format!("{map}\n---\n{gateway}"));
}

fn shown(server: &Server, name: &str) -> Value {
    let out = server.cli(&["get", "gateway", name, "-n", "argo", "-o", "json"]);
    serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", out.stdout, out.stderr))
}

/// Waits until a configuration is in a phase; its node.
pub fn node(server: &Server, gateway: &str, configuration: &str, phase: &str) -> Value {
    eventually(&format!("{configuration} is {phase}"), || {
        let g = shown(server, gateway);
        let nodes = g["status"]["nodes"].as_object()?.clone();
        nodes.into_iter().map(|(_, n)| n).find(|n| n["name"] == configuration && n["phase"] == phase)
    })
}

fn events(server: &Server, token: &str) -> Vec<Value> {
    server.get("/api/v1/event-records/argo?limit=500", token).json()["items"].as_array().unwrap().clone()
}

/// Waits until a configuration has brought so many events; their payloads, oldest first.
pub fn payloads(server: &Server, token: &str, configuration: &str, n: usize) -> Vec<Value> {
    let of = |e: &Value| (e["configuration"] == configuration).then(|| e["payload"].clone());
    let mut found = eventually(&format!("{n} events of {configuration}"), || {
        let all: Vec<Value> = events(server, token).iter().filter_map(of).collect();
        (all.len() >= n).then_some(all)
    });
    found.reverse();
    found
}

pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let answer = request(&format!("127.0.0.1:{port}"), method, path, headers, body.as_bytes());
    (answer.status, answer.text())
}

/// The status of an answer; none where the port is closed at this moment.
fn send_or_none(port: u16, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
    try_request(&format!("127.0.0.1:{port}"), "POST", path, headers, b"{}").ok().map(|a| a.status)
}

#[test]
fn a_webhook_of_seed_003_starts_a_workflow() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    let port = free_port();
    // The snippet of the document, with a port that is free.
    let (shared, foo) = (port.to_string(), "endpoint: \"/foo\"\nmethod: \"POST\"\n");
    gateway(
        &server,
        "hooks",
        &[
            ("port", &shared),
            ("webhook.fooConfig", foo),
            ("webhook.barConfig", "endpoint: \"/bar\"\nmethod: \"POST\"  \n"),
        ],
    );
    node(&server, "hooks", "webhook.barConfig", "Running");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-d", r#"{"message": "from a hook"}"#, &format!("http://localhost:{port}/foo")]);
    let out = Output::of(curl);
    assert_eq!((out.ok, out.stdout.as_str()), (true, "Success"), "{}", out.stderr);
    let made = eventually("a workflow", || workflows(&server, &token).first().cloned());
    assert_eq!(made["spec"]["arguments"]["parameters"][0]["value"], "from a hook");
    assert_eq!(send(port, "GET", "/foo", &[], ""), (400, "Error".into()));
    assert_eq!(send(port, "POST", "/none", &[], "").0, 404);
    assert_eq!(send(port, "POST", "/bar", &[], &"x".repeat(2 << 20)).0, 413);
    // The record says where it came from, and the headers are there for expressions.
    let record = events(&server, &token).into_iter().find(|e| e["configuration"] == "webhook.fooConfig").unwrap();
    assert_eq!(record["gateway"], "hooks");
    assert_eq!(record["metadata"][":path"], json!(["/foo"]));
    let columns = server.cli(&["get", "gateways", "-n", "argo"]).stdout;
    assert!(columns.contains("READY") && columns.contains("2/2"), "{columns}");
}

#[test]
fn a_webhook_can_ask_for_a_token_or_a_signature() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: argo}\nstringData: {token: open-sesame, hmac: very-secret}\n");
    let port = free_port();
    let bearer = format!("port: {port}\nendpoint: /bearer\nmethod: POST\nauthSecret: {{name: hook, key: token}}\n");
    let signed =
        format!("port: {port}\nendpoint: /signed\nmethod: POST\nhmac: {{secret: {{name: hook, key: hmac}}}}\n");
    gateway(&server, "guarded", &[("webhook.bearer", &bearer), ("webhook.signed", &signed)]);
    node(&server, "guarded", "webhook.bearer", "Running");
    node(&server, "guarded", "webhook.signed", "Running");
    for wrong in [&[][..], &[("Authorization", "Bearer wrong")], &[("Authorization", "Bearer ")]] {
        assert_eq!(send(port, "POST", "/bearer", wrong, "{}").0, 401, "{wrong:?}");
    }
    assert_eq!(send(port, "POST", "/bearer", &[("Authorization", "Bearer open-sesame")], "{}").0, 200);
    // printf '{"a":1}' | openssl dgst -sha256 -hmac very-secret
    let good = "sha256=b80efbcce5bab92bd90da9c55297d3d4dcca08abc2c4b82a4c8b7f1d56aa5f88";
    let bad = good.replace('b', "c");
    assert_eq!(send(port, "POST", "/signed", &[("X-Hub-Signature-256", &bad)], r#"{"a":1}"#).0, 401);
    let real = Command::new("sh")
        .args(["-c", "printf '{\"a\":1}' | openssl dgst -sha256 -hmac very-secret -r | cut -d' ' -f1"])
        .output()
        .unwrap();
    let real = format!("sha256={}", String::from_utf8_lossy(&real.stdout).trim());
    assert_eq!(send(port, "POST", "/signed", &[("X-Hub-Signature-256", &real)], r#"{"a":1}"#).0, 200);
    assert_eq!(payloads(&server, &token, "webhook.signed", 1), [json!({"a": 1})]);
    assert!(!server.cli(&["get", "gateway", "guarded", "-n", "argo", "-o", "yaml"]).stdout.contains("very-secret"));
    // A changed secret counts at once.
    server.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: argo}\nstringData: {token: another, hmac: very-secret}\n");
    let bearer = |token: &str| send_or_none(port, "/bearer", &[("Authorization", &format!("Bearer {token}"))]);
    eventually("the new token counts", || (bearer("another") == Some(200)).then_some(()));
    assert_eq!(bearer("open-sesame"), Some(401));
}

#[test]
fn a_cloud_event_keeps_its_attributes_and_a_repeat_is_recognised() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port();
    gateway(&server, "ce", &[("webhook.in", &format!("port: {port}\nendpoint: /\nmethod: POST\n"))]);
    node(&server, "ce", "webhook.in", "Running");
    let structured = r#"{"specversion":"1.0","id":"e-1","source":"/shop","type":"order","data":{"n":1}}"#;
    let kind = [("Content-Type", "application/cloudevents+json")];
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "e-1"),
        ("ce-source", "/shop"),
        ("ce-type", "order"),
        ("Content-Type", "application/json"),
    ];
    assert_eq!(send(port, "POST", "/", &kind, structured).0, 200);
    assert_eq!(send(port, "POST", "/", &binary, r#"{"n":1}"#).0, 200, "the same event in the other mode");
    assert_eq!(send(port, "POST", "/", &[("Content-Type", "text/plain")], "plain words").0, 200);
    assert_eq!(send(port, "POST", "/", &kind, "{}").0, 400);
    assert_eq!(payloads(&server, &token, "webhook.in", 2), [json!({"n": 1}), json!("plain words")]);
    let first = events(&server, &token).into_iter().find(|e| e["id"] == "e-1").unwrap();
    assert_eq!(first["source"], "/shop");
}

#[test]
fn edits_take_effect_while_the_gateway_runs_and_leave_the_rest_alone() {
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let port = free_port();
    let hook = |path: &str| format!("port: {port}\nendpoint: {path}\nmethod: POST\n");
    gateway(&server, "live", &[("webhook.a", &hook("/a")), ("webhook.b", &hook("/b"))]);
    let kept = node(&server, "live", "webhook.a", "Running");
    assert_eq!(send(port, "POST", "/b", &[], "1").0, 200);
    // The same in other words, one changed, one new, one that says nothing that makes sense.
    let same = format!("# nothing but a comment\nmethod:   POST\nendpoint: \"/a\"\nport: {port}\n");
    gateway(
        &server,
        "live",
        &[
            ("webhook.a", &same),
            ("webhook.b", &hook("/moved")),
            ("webhook.c", &hook("/c")),
            ("webhook.d", "endpont: /d\n"),
        ],
    );
    let broken = node(&server, "live", "webhook.d", "Error");
    assert!(broken["message"].as_str().unwrap().contains("port"), "{broken}");
    node(&server, "live", "webhook.c", "Running");
    eventually("the new endpoint answers", || (send(port, "POST", "/moved", &[], "1").0 == 200).then_some(()));
    assert_eq!(send(port, "POST", "/b", &[], "1").0, 404);
    assert_eq!(node(&server, "live", "webhook.a", "Running")["startedAt"], kept["startedAt"], "it never stopped");
    let g = shown(&server, "live");
    assert_eq!((&g["status"]["phase"], &g["status"]["ready"]), (&json!("Error"), &json!("3/4")));
    // Without its ConfigMap the gateway is idle; with it, it is back.
    assert!(server.cli(&["delete", "configmap", "live", "-n", "argo"]).ok);
    eventually("nothing listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    gateway(&server, "live", &[("webhook.a", &hook("/a"))]);
    eventually("it answers again", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        (send(port, "POST", "/a", &[], "1").0 == 200).then_some(())
    });
    assert!(server.cli(&["delete", "gateway", "live", "-n", "argo"]).ok);
    eventually("nothing listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
}

#[test]
fn a_calendar_fires_once_for_each_instant_whatever_happens() {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    gateway(
        &server,
        "clock",
        &[
            ("calendar.fooConfig", "interval: 1s\nuserPayload: {job: nightly}\n"),
            ("calendar.barConfig", "schedule: 30 * * * *"),
        ],
    );
    let two = payloads(&server, &token, "calendar.fooConfig", 2);
    assert_eq!(two[0]["userPayload"], json!({"job": "nightly"}));
    server.kill();
    server.launch();
    let all = payloads(&server, &token, "calendar.fooConfig", 4);
    let mut instants: Vec<&str> = all.iter().map(|p| p["eventTime"].as_str().unwrap()).collect();
    let fired = instants.len();
    assert!(instants.is_sorted(), "{instants:?}");
    instants.dedup();
    assert_eq!(instants.len(), fired, "an instant fired twice");
    node(&server, "clock", "calendar.barConfig", "Running");
}

#[test]
fn objects_of_the_api_are_events_and_a_restart_tells_none_twice() {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    // The snippet of the document; its group was lost there, so every group is searched.
    let workflows = "namespace: argo\ngroup: \"\"\nversion: \"v1alpha1\"\nkind: \"Workflow\"\nfilter:\n  prefix: scripts-bash\n  labels:\n    team: one\n";
    let maps = "namespace: argo\nversion: v1\nkind: ConfigMap\nfilter: {prefix: watched}\ntype: [MODIFIED, DELETED]\n";
    // What is there before the gateway is new to it, in whatever order it is listed.
    let there = "namespace: argo\nversion: v1\nkind: ConfigMap\nfilter: {prefix: there-}\n";
    for name in ["there-z", "there-m", "there-a", "first"] {
        server.apply(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: argo}}\n"));
    }
    let entries = [("resource.fooConfig", workflows), ("resource.maps", maps), ("resource.there", there)];
    gateway(&server, "objects", &entries);
    let mut there: Vec<String> = payloads(&server, &token, "resource.there", 3)
        .iter()
        .map(|o| o["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    there.sort();
    assert_eq!(there, ["there-a", "there-m", "there-z"]);
    node(&server, "objects", "resource.fooConfig", "Running");
    node(&server, "objects", "resource.maps", "Running");
    let make = |name: &str, team: &str| {
        server.apply(&format!("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: {name}, namespace: argo, labels: {{team: {team}}}}}\nspec: {{entrypoint: m, templates: [{{name: m, container: {{image: x, command: [\"true\"]}}}}]}}\n"));
    };
    make("other", "one");
    make("scripts-bash-2", "two");
    make("scripts-bash-1", "one");
    for value in ["1", "2"] {
        server.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: watched, namespace: argo}}\ndata: {{v: \"{value}\"}}\n"
        ));
    }
    let found = payloads(&server, &token, "resource.fooConfig", 1);
    assert_eq!(found[0]["metadata"]["name"], "scripts-bash-1");
    assert_eq!(payloads(&server, &token, "resource.maps", 1)[0]["data"]["v"], "2", "the addition is not meant");
    server.kill();
    server.launch();
    node(&server, "objects", "resource.maps", "Running");
    assert!(server.cli(&["delete", "configmap", "watched", "-n", "argo"]).ok);
    let maps = payloads(&server, &token, "resource.maps", 2);
    assert_eq!(maps.len(), 2, "{maps:?}");
    let kinds: Vec<Value> = events(&server, &token)
        .iter()
        .filter(|e| e["configuration"] == "resource.maps")
        .map(|e| e["metadata"]["type"][0].clone())
        .collect();
    assert_eq!(kinds, ["DELETED", "MODIFIED"]);
    assert_eq!(payloads(&server, &token, "resource.fooConfig", 1).len(), 1);
    assert_eq!(payloads(&server, &token, "resource.there", 3).len(), 3);
}

#[test]
fn nats_messages_are_events_and_a_stream_goes_on_where_it_stopped() {
    let Some(mut broker) = peers::nats() else { return };
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let mut client = NatsClient::connect(broker.port);
    let made =
        client.request("$JS.API.STREAM.CREATE.orders", r#"{"name":"orders","subjects":["orders.>"],"storage":"file"}"#);
    assert!(!made.contains("error"), "{made}");
    // The snippet of the document: settings below `attributes`.
    let core = format!("url: nats://127.0.0.1:{}\nattributes:\n  subject: foo\n", broker.port);
    let stream = format!("url: nats://127.0.0.1:{}\nsubject: orders.>\njetstream: {{stream: orders}}\n", broker.port);
    gateway(&server, "nats", &[("nats.fooConfig", &core), ("nats.orders", &stream)]);
    node(&server, "nats", "nats.fooConfig", "Running");
    node(&server, "nats", "nats.orders", "Running");
    client.publish("foo", r#"{"n": 1}"#);
    client.publish("orders.new", r#"{"order": 1}"#);
    assert_eq!(payloads(&server, &token, "nats.fooConfig", 1), [json!({"n": 1})]);
    payloads(&server, &token, "nats.orders", 1);
    // What comes while the server is away, and after the broker was killed, is neither lost nor doubled.
    server.kill();
    client.publish("orders.new", r#"{"order": 2}"#);
    server.launch();
    payloads(&server, &token, "nats.orders", 2);
    broker.kill();
    node(&server, "nats", "nats.orders", "Error");
    broker.launch();
    NatsClient::connect(broker.port).publish("orders.new", r#"{"order": 3}"#);
    node(&server, "nats", "nats.orders", "Running");
    let orders = payloads(&server, &token, "nats.orders", 3);
    assert_eq!(orders, [json!({"order": 1}), json!({"order": 2}), json!({"order": 3})]);
}

#[test]
fn mqtt_messages_are_events_and_the_session_outlives_a_crash() {
    let Some(broker) = peers::mosquitto() else { return };
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    // The snippet of the document: no client id.
    let foo = format!("url: tcp://127.0.0.1:{}\nattributes:\n  topic: foo\n", broker.port);
    gateway(&server, "mqtt", &[("mqtt.fooConfig", &foo)]);
    node(&server, "mqtt", "mqtt.fooConfig", "Running");
    let publish = |text: &str| {
        let mut c = Command::new("mosquitto_pub");
        c.args(["-p", &broker.port.to_string(), "-t", "foo", "-q", "1", "-m", text]);
        let out = Output::of(c);
        assert!(out.ok, "{}", out.stderr);
    };
    publish("21.5 degrees");
    assert_eq!(payloads(&server, &token, "mqtt.fooConfig", 1), [json!("21.5 degrees")]);
    server.kill();
    publish(r#"{"n": 2}"#);
    server.launch();
    let all = payloads(&server, &token, "mqtt.fooConfig", 2);
    assert_eq!(all, [json!("21.5 degrees"), json!({"n": 2})]);
    assert_eq!(events(&server, &token)[0]["metadata"]["topic"], json!(["foo"]));
    // Another topic: what the session still has of the old one is nobody's.
    gateway(&server, "mqtt", &[("mqtt.fooConfig", &foo.replace("topic: foo", "topic: bar"))]);
    publish("old");
    eventually("the new topic is heard", || {
        let mut c = Command::new("mosquitto_pub");
        c.args(["-p", &broker.port.to_string(), "-t", "bar", "-q", "1", "-m", "new"]);
        assert!(Output::of(c).ok);
        events(&server, &token).iter().any(|e| e["payload"] == "new").then_some(())
    });
    assert!(events(&server, &token).iter().all(|e| e["payload"] != "old"));
}

#[test]
fn amqp_messages_are_events_and_a_durable_queue_keeps_them() {
    let Some(broker) = peers::rabbitmq() else { return };
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let url = format!("amqp://guest:guest@127.0.0.1:{}", broker.port);
    // The snippet of the document.
    let foo = format!(
        "url: {url}\nattributes:\n  exchangeName: fooExchangeName\n  exchangeType: fanout\n  routingKey: fooRoutingKey\n"
    );
    let bar = format!(
        "url: {url}\nexchangeName: barExchangeName\nexchangeType: direct\nroutingKey: barRoutingKey\nqueue: kept\n"
    );
    gateway(&server, "amqp", &[("amqp.fooConfig", &foo), ("amqp.barConfig", &bar)]);
    node(&server, "amqp", "amqp.fooConfig", "Running");
    node(&server, "amqp", "amqp.barConfig", "Running");
    publish_amqp(&url, "fooExchangeName", "anything", "{\"n\": 1}");
    publish_amqp(&url, "barExchangeName", "barRoutingKey", "{\"n\": 2}");
    assert_eq!(payloads(&server, &token, "amqp.fooConfig", 1), [json!({"n": 1})]);
    payloads(&server, &token, "amqp.barConfig", 1);
    server.kill();
    publish_amqp(&url, "barExchangeName", "barRoutingKey", "{\"n\": 3}");
    server.launch();
    assert_eq!(payloads(&server, &token, "amqp.barConfig", 2), [json!({"n": 2}), json!({"n": 3})]);
    let text = server.cli(&["get", "gateway", "amqp", "-n", "argo", "-o", "yaml"]).stdout;
    assert!(!text.contains("guest:guest"), "{text}");
}

/// Publishes a persistent message and waits for the broker's confirmation.
fn publish_amqp(url: &str, exchange: &str, key: &str, body: &str) {
    use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let properties = lapin::BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish(
            exchange.into(),
            key.into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        );
        sent.await.unwrap().await.unwrap();
    });
}

#[test]
fn what_is_wrong_with_a_gateway_is_said_in_words() {
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let port = free_port().to_string();
    gateway(
        &server,
        "wrong",
        &[
            ("calendar.a", "schedule: 30 * * *\n"),
            ("calendar.b", "schedule: 30 * * * *\ntimezone: Europe/Atlantis\n"),
            ("mystery", "x: 1\n"),
            ("mqtt.c", &format!("url: tcp://127.0.0.1:{port}\ntopic: foo\n")),
            ("amqp.d", "url: amqp://127.0.0.1:5672\nexchangeName: a\nexchangeType: fan\nroutingKey: c\n"),
            ("webhook.e", "endpoint: e\nmethod: POST\nport: 70000\n"),
            ("resource.f", "version: v9\nkind: Nothing\n"),
            ("nats.g", "url: [1, 2]\nsubject: a\n"),
        ],
    );
    for (name, expected) in [
        ("calendar.a", "schedule: expected 5 fields"),
        ("calendar.b", "unknown time zone \"Europe/Atlantis\""),
        ("mystery", "does not say what its source is"),
        ("mqtt.c", "refused"),
        ("amqp.d", "none of direct, fanout, topic, headers"),
        ("webhook.e", "port: \"70000\" is no port"),
        ("resource.f", "nothing that can be watched is served"),
        ("nats.g", "url: invalid type"),
    ] {
        let n = node(&server, "wrong", name, "Error");
        assert!(n["message"].as_str().unwrap().contains(expected), "{name}: {}", n["message"]);
    }
    let out = server.cli(&["get", "events", "-n", "argo"]).stdout;
    assert!(out.contains("ConfigurationError"), "{out}");
}

/// Examples with gateways, which have been applied: the requests of their first lines start workflows.
pub fn examples(server: &Server, token: &str) {
    let by_gateway =
        |w: &Value| w["metadata"]["labels"]["workflows.argoproj.io/workflow-event-binding"] == "hello-gateway";
    let by_sensor = |w: &Value| w["metadata"]["labels"]["events.argoproj.io/sensor"] == "large-orders";
    let made = |what: &str, by: &dyn Fn(&Value) -> bool| {
        eventually(what, || workflows(server, token).into_iter().find(|w| by(w)))
    };
    node(server, "hello-gateway", "webhook.hello", "Running");
    requested(include_str!("../../../../examples/gateway.yaml"));
    made("the gateway's workflow", &by_gateway);
    node(server, "orders", "webhook.order", "Running");
    requested(include_str!("../../../../examples/sensor.yaml"));
    let workflow = made("the sensor's workflow", &by_sensor);
    assert_eq!(workflow["spec"]["arguments"]["parameters"][0]["value"], "a large order: 120");
}

/// The request that an example names.
fn requested(example: &str) {
    let line = example.lines().find_map(|l| l.strip_prefix("# post: ")).unwrap();
    let [port, path, body] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!(send(port.parse().unwrap(), "POST", path, &[], body), (200, "Success".into()));
}

/// Every configuration of the document can be read.
#[test]
fn the_document_of_gateways_holds() {
    use triggerfish::gateway::{Entry, Gateway, configuration::entries};
    let text = include_str!("../../../../docs/gateways.md");
    let mut read = 0;
    for block in text.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        let document = triggerfish::manifest::read(block).unwrap().remove(0);
        if document.get("apiVersion").is_some() {
            continue;
        }
        if let Some(subscribers) = document.pointer("/spec/subscribers") {
            let g = json!({"spec": {"type": "t", "configMap": "c", "subscribers": subscribers}});
            let said = triggerfish::gateway::admit(&g, None);
            assert!(said.errors.is_empty(), "{:?}", said.errors);
            continue;
        }
        let data =
            document.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
        for e in entries(&Gateway::read(&json!({})), &data) {
            match e {
                Entry::Runs(_) => read += 1,
                Entry::Broken { name, why } => panic!("{name}: {why}"),
            }
        }
    }
    assert!(read >= 10, "{read}");
    // Sensors of their document are accepted as they stand there.
    let text = include_str!("../../../../docs/sensors.md");
    for block in text.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        let document = triggerfish::manifest::read(block).unwrap().remove(0);
        assert!(triggerfish::sensors::Sensor::read(&document).is_ok(), "{block}");
    }
    // So can the example that each source gives in its errors.
    for kind in triggerfish::gateway::SOURCES {
        let settings = triggerfish::manifest::read(kind.example).unwrap().remove(0);
        assert!((kind.read)(&settings).is_ok(), "{}", kind.name);
    }
}

#[test]
fn two_hundred_edits_under_load_lose_nothing_and_pause_nobody() {
    const EDITS: usize = 200;
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let port = free_port();
    let hook = |path: &str| format!("port: {port}\nendpoint: {path}\nmethod: POST\n");
    let (kept, mut other) = (hook("/kept"), hook("/other"));
    gateway(&server, "busy", &[("webhook.kept", &kept), ("webhook.other", &other)]);
    let before = node(&server, "busy", "webhook.kept", "Running");
    let done = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|s| {
        let sender = s.spawn(|| {
            let mut n = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let (status, text) =
                    send(port, "POST", "/kept", &[("Idempotency-Key", &format!("k{n}"))], &format!("{{\"n\": {n}}}"));
                assert_eq!(status, 200, "request {n}: {text}");
                n += 1;
            }
            n
        });
        let mut seed = 7u64;
        for edit in 0..EDITS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let spaces = " ".repeat(1 + edit % 3);
            // The one that stays is written anew each time; the others come, go, change and break.
            let same = format!("endpoint:{spaces}\"/kept\"\nmethod: POST\nport: {port}\n# edit {edit}\n");
            other = hook(&format!("/other{}", seed >> 60));
            let mut entries = vec![("webhook.kept", same.as_str())];
            if seed >> 33 & 1 == 1 {
                entries.push(("webhook.other", &other));
            }
            if seed >> 34 & 3 == 0 {
                entries.push(("webhook.broken", "endpoint: nowhere\n"));
            }
            let data: serde_json::Map<String, Value> =
                entries.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "busy", "namespace": "argo"}, "data": data});
            server.apply(&map.to_string());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        sender.join().unwrap()
    });
    assert_eq!(node(&server, "busy", "webhook.kept", "Running")["startedAt"], before["startedAt"], "it never stopped");
    let count = eventually("all are counted", || {
        let n = node(&server, "busy", "webhook.kept", "Running")["events"].as_u64().unwrap();
        (n == sent).then_some(n)
    });
    assert!(count > 50, "only {count} requests in {EDITS} edits");
}

/// Something that listens, and answers whatever it is sent with these bytes, or not at all.
fn nonsense(answer: &'static [u8]) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut heard = [0; 512];
                loop {
                    if (!answer.is_empty() && stream.write_all(answer).is_err())
                        || !matches!(stream.read(&mut heard), Ok(1..))
                    {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn brokers_that_say_nonsense_or_nothing_are_told_of_and_hold_up_nobody() {
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let garbage: &[u8] = b"\x00\xff\xfe HTTP/1.1 200 OK\r\n\r\n{\"a\": [1, 2\r\nINFO nothing\r\n";
    let mut entries = Vec::new();
    for (word, port) in [("garbage", nonsense(garbage)), ("silence", nonsense(b""))] {
        entries.push((format!("nats.{word}"), format!("url: nats://127.0.0.1:{port}\nsubject: a\n")));
        entries.push((format!("mqtt.{word}"), format!("url: tcp://127.0.0.1:{port}\ntopic: a\n")));
        entries.push((
            format!("amqp.{word}"),
            format!("url: amqp://127.0.0.1:{port}\nexchangeName: a\nexchangeType: fanout\nroutingKey: a\n"),
        ));
    }
    let hook = free_port();
    entries.push(("webhook.fine".into(), format!("port: {hook}\nendpoint: /\nmethod: POST\n")));
    let entries: Vec<(&str, &str)> = entries.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    gateway(&server, "odd", &entries);
    node(&server, "odd", "webhook.fine", "Running");
    for (name, _) in entries.iter().filter(|(n, _)| !n.starts_with("webhook")) {
        let n = node(&server, "odd", name, "Error");
        assert!(!n["message"].as_str().unwrap().is_empty(), "{n}");
    }
    assert_eq!(send(hook, "POST", "/", &[], "1").0, 200);
    assert!(!server.has_panicked());
}

#[test]
fn a_gateway_can_be_tried_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.yaml");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tried"}, "data": {
        "calendar.soon": "interval: 1s\nuserPayload: tick\n",
        "calendar.morning": "schedule: 0 9 * * 1-5\ntimezone: Europe/Berlin\n",
        "calendar.bad": "schedule: 61 * * * *\n",
        "mqtt.nobody": format!("url: tcp://127.0.0.1:{}\ntopic: a\n", free_port()),
        "webhook.free": format!("port: {}\nendpoint: /\nmethod: POST\n", free_port()),
    }});
    std::fs::write(&file, map.to_string()).unwrap();
    let mut c = Command::new(env!("CARGO_BIN_EXE_triggerfish"));
    c.args(["gateway", "test", file.to_str().unwrap(), "--seconds", "3", "--data-dir", dir.path().to_str().unwrap()]);
    c.env_remove("KUBECONFIG");
    let out = Output::of(c);
    assert!(!out.ok, "two of them do not work");
    for expected in [
        "calendar.soon: connected",
        "\"userPayload\":\"tick\"",
        "09:00:00 CE",
        "calendar.bad: schedule: minute \"61\": must be within 0 and 59",
        "refused",
        "webhook.free: connected",
    ] {
        assert!(out.stdout.contains(expected), "{expected:?} is missing:\n{}{}", out.stdout, out.stderr);
    }
    assert!(out.stderr.contains("2 configurations do not work"), "{}", out.stderr);
}

/// Makes a gateway send its events on to others.
fn watch(server: &Server, gateway: &str, watchers: &Value) {
    let mut g = shown(server, gateway);
    g["spec"]["watchers"]["gateways"] = watchers.clone();
    g["metadata"] = json!({"name": gateway, "namespace": "argo"});
    g.as_object_mut().unwrap().remove("status");
    server.apply(&g.to_string());
}

#[test]
fn gateways_watch_gateways_and_nothing_goes_round_for_ever() {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let (a, b) = (free_port(), free_port());
    let hook = |port: u16| format!("port: {port}\nendpoint: /\nmethod: POST\n");
    gateway(&server, "first", &[("webhook.a", &hook(a))]);
    gateway(&server, "second", &[("webhook.b", &hook(b))]);
    node(&server, "first", "webhook.a", "Running");
    node(&server, "second", "webhook.b", "Running");
    // Each watches the other.
    watch(&server, "first", &json!([{"name": "second", "port": b.to_string(), "endpoint": "/"}]));
    watch(&server, "second", &json!([{"name": "first", "port": a.to_string(), "endpoint": "/"}]));
    eventually("both watch", || {
        let seen =
            |g: &str| shown(&server, g)["status"]["observedGeneration"] == shown(&server, g)["metadata"]["generation"];
        (seen("first") && seen("second")).then_some(())
    });
    node(&server, "first", "webhook.a", "Running");
    node(&server, "second", "webhook.b", "Running");
    eventually("it answers", || std::net::TcpStream::connect(("127.0.0.1", a)).ok());
    assert_eq!(send(a, "POST", "/", &[("Idempotency-Key", "one")], r#"{"n": 1}"#).0, 200);
    assert_eq!(payloads(&server, &token, "webhook.b", 1), [json!({"n": 1})]);
    // It comes back once, keeps its id, and is known when it comes again.
    payloads(&server, &token, "webhook.a", 2);
    // The watcher goes away; what happens meanwhile waits, also when the server is killed.
    assert!(server.cli(&["delete", "configmap", "second", "-n", "argo"]).ok);
    eventually("nothing listens", || std::net::TcpStream::connect(("127.0.0.1", b)).is_err().then_some(()));
    assert_eq!(send(a, "POST", "/", &[("Idempotency-Key", "two")], r#"{"n": 2}"#).0, 200);
    eventually("it is said", || {
        shown(&server, "first")["status"]["message"].as_str().is_some_and(|m| m.contains("events wait")).then_some(())
    });
    server.kill();
    server.launch();
    gateway(&server, "second", &[("webhook.b", &hook(b))]);
    assert_eq!(payloads(&server, &token, "webhook.b", 2), [json!({"n": 1}), json!({"n": 2})]);
    let mut ids: Vec<String> = events(&server, &token)
        .iter()
        .filter(|e| e["configuration"] == "webhook.b")
        .map(|e| e["id"].to_string())
        .collect();
    ids.dedup();
    assert_eq!(ids, ["\"two\"", "\"one\""]);
}

/// A signed request to a store, without a body.
fn store(port: u16, method: &str, path: &str) -> u16 {
    use triggerfish::gateway::s3::{Keys, sign};
    let base = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let keys = Keys { access: "minioadmin".into(), secret: "minioadmin".into() };
    let signed = sign(method, &base, path, Vec::new(), "", &keys, jiff::Timestamp::now()).unwrap();
    let headers: Vec<(&str, &str)> = signed.headers().iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
    request(&format!("127.0.0.1:{port}"), method, signed.uri().path(), &headers, b"").status
}

#[test]
fn objects_of_a_bucket_are_events_and_prefix_and_suffix_are_heeded() {
    let Some(mut minio) = peers::minio() else { return };
    eventually("the store is ready", || (store(minio.port, "PUT", "/input") == 200).then_some(()));
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: minio, namespace: argo}\nstringData: {accesskey: minioadmin, secretkey: minioadmin, wrong: nonsense}\n");
    // The snippet of the document, restored, and the later form.
    let of = |secret: &str| {
        format!(
            "  endpoint: 127.0.0.1:{}\n  event: s3:ObjectCreated:Put\n  filter:\n    prefix: in/\n    suffix: .csv\ninsecure: true\naccessKey:\n  key: accesskey\n  name: minio\nsecretKey:\n  key: {secret}\n  name: minio\n",
            minio.port
        )
    };
    let first = format!("s3EventConfig:\n  bucket: input\n{}", of("secretkey"));
    let later = format!(
        "bucket: {{name: input}}\nendpoint: 127.0.0.1:{}\nevents: [s3:ObjectRemoved:*]\ninsecure: true\naccessKey: {{key: accesskey, name: minio}}\nsecretKey: {{key: secretkey, name: minio}}\n",
        minio.port
    );
    let wrong = format!("s3EventConfig:\n  bucket: input\n{}", of("wrong"));
    gateway(&server, "files", &[("s3.fooConfig", &first), ("s3.removed", &later), ("s3.wrong", &wrong)]);
    node(&server, "files", "s3.fooConfig", "Running");
    node(&server, "files", "s3.removed", "Running");
    let refused = node(&server, "files", "s3.wrong", "Error");
    assert!(refused["message"].as_str().unwrap().contains("403"), "{refused}");
    assert!(!refused.to_string().contains("nonsense"));
    for path in ["/input/out/a.csv", "/input/in/a.txt", "/input/in/a b.csv"] {
        assert_eq!(store(minio.port, "PUT", path), 200, "{path}");
    }
    assert_eq!(store(minio.port, "DELETE", "/input/in/a.txt"), 204);
    let put = payloads(&server, &token, "s3.fooConfig", 1);
    assert_eq!((put.len(), &put[0]["eventName"]), (1, &json!("s3:ObjectCreated:Put")));
    payloads(&server, &token, "s3.removed", 1);
    let metadata =
        events(&server, &token).iter().find(|e| e["configuration"] == "s3.fooConfig").unwrap()["metadata"].clone();
    assert_eq!(metadata["key"], json!(["in/a b.csv"]));
    // The store goes and comes back.
    minio.kill();
    node(&server, "files", "s3.fooConfig", "Error");
    minio.launch();
    node(&server, "files", "s3.fooConfig", "Running");
    eventually("an event after the restart", || {
        store(minio.port, "PUT", "/input/in/b.csv");
        (events(&server, &token).iter().filter(|e| e["configuration"] == "s3.fooConfig").count() > 1).then_some(())
    });
}

#[test]
fn kafka_records_come_once_by_partition_and_by_group_over_a_crash() {
    let Some(mut broker) = peers::kafka() else { return };
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let url = format!("127.0.0.1:{}", broker.port);
    // The snippet of the document, on one line there, and a group.
    let foo = format!("url: {url}\nattributes:\n  topic: foo\n  partition: \"0\"\n");
    let all = format!(
        "url: {url}\ntopic: foo\nconsumerGroup: {{groupName: triggerfish, oldest: true, rebalanceStrategy: roundrobin}}\n"
    );
    gateway(&server, "streams", &[("kafka.fooConfig", &foo), ("kafka.all", &all)]);
    node(&server, "streams", "kafka.fooConfig", "Running");
    node(&server, "streams", "kafka.all", "Running");
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("key-{n}:{{\"n\":{n}}}")).collect::<Vec<_>>();
    let numbers = |payloads: Vec<Value>| {
        let mut n: Vec<u64> = payloads.iter().map(|p| p["n"].as_u64().unwrap()).collect();
        n.sort_unstable();
        n
    };
    peers::kafka_produce(broker.port, "foo", &lines(0, 30));
    assert_eq!(numbers(payloads(&server, &token, "kafka.all", 30)), (0..30).collect::<Vec<_>>());
    let first = events(&server, &token).into_iter().find(|e| e["configuration"] == "kafka.fooConfig").unwrap();
    assert_eq!((&first["metadata"]["partition"], &first["metadata"]["topic"]), (&json!(["0"]), &json!(["foo"])));
    let key = format!("key-{}", first["payload"]["n"]);
    assert_eq!(first["metadata"]["key"], json!([key]));
    let mine = events(&server, &token).iter().filter(|e| e["configuration"] == "kafka.fooConfig").count();
    assert!(mine > 0 && mine < 30, "{mine} of 30 are in partition 0");
    // What comes while nothing runs here waits at the broker; nothing is told twice.
    server.kill();
    peers::kafka_produce(broker.port, "foo", &lines(30, 50));
    server.launch();
    assert_eq!(numbers(payloads(&server, &token, "kafka.all", 50)), (0..50).collect::<Vec<_>>());
    // Neither does a broker that dies lose or double anything.
    broker.kill();
    node(&server, "streams", "kafka.all", "Error");
    broker.launch();
    eventually("the broker takes records", || {
        node(&server, "streams", "kafka.fooConfig", "Running");
        Some(())
    });
    peers::kafka_produce(broker.port, "foo", &lines(50, 60));
    assert_eq!(numbers(payloads(&server, &token, "kafka.all", 60)), (0..60).collect::<Vec<_>>());
    let by_partition: Vec<Value> =
        events(&server, &token).into_iter().filter(|e| e["configuration"] == "kafka.fooConfig").collect();
    let in_group = |e: &Value| e["configuration"] == "kafka.all" && e["metadata"]["partition"] == json!(["0"]);
    assert_eq!(by_partition.len(), events(&server, &token).iter().filter(|e| in_group(e)).count());
    // A backlog of several answers, whose last batches are cut off, comes whole.
    let backlog: Vec<String> =
        (0..40_000).map(|n| format!("k{}:{{\"n\":{n},\"padding\":\"{}\"}}", n % 7, "x".repeat(100))).collect();
    peers::kafka_produce(broker.port, "backlog", &backlog);
    let old = format!("url: {url}\ntopic: backlog\nconsumerGroup: {{groupName: backlog, oldest: true}}\n");
    gateway(&server, "old", &[("kafka.old", &old)]);
    within(Duration::from_secs(60), "the backlog is read", || {
        let n = node(&server, "old", "kafka.old", "Running");
        (n["events"] == 40_000).then_some(())
    });
    server.cli(&["delete", "gateway", "old", "-n", "argo"]);
    // A sensor produces what another configuration reads.
    let bar = format!("url: {url}\ntopic: bar\n");
    gateway(&server, "answers", &[("kafka.bar", &bar)]);
    node(&server, "answers", "kafka.bar", "Running");
    server.apply(&json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "metadata": {"name": "echo", "namespace": "argo"}, "spec": {
        "dependencies": [{"name": "in", "eventSourceName": "streams", "eventName": "kafka.fooConfig"}],
        "triggers": [{"template": {"name": "out", "kafka": {"url": url, "topic": "bar", "compress": true, "headers": {"from": "sensor"},
            "payload": [{"src": {"dependencyName": "in", "dataKey": "body.n", "useRawData": true}, "dest": "twice"}]}}}]}}).to_string());
    eventually("the sensor runs", || {
        server.cli(&["get", "sensors", "-n", "argo"]).stdout.contains("Running").then_some(())
    });
    peers::kafka_produce(broker.port, "foo", &lines(60, 90));
    let echoed = payloads(&server, &token, "kafka.bar", 1);
    assert!(echoed[0]["twice"].as_u64().unwrap() >= 60, "{echoed:?}");
    assert!(!server.has_panicked());
}
