//! Sources of gateways beside their clients' own receive rates, and, with `--chaos`, under fire: numbered messages while the broker
//! and the server are killed at random.

mod fire;
mod publish;
mod receive;

use crate::peers::{self, Peer, free_port};
use crate::percentile;
use crate::server::{NO_WORK, Server, scratch};
pub use fire::chaos;
use publish::{Place, Publisher, flood, numbered};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const RATED: [&str; 7] = ["webhook", "resource", "s3", "nats", "amqp", "kafka", "mqtt"];
/// What everything is called.
const NAME: &str = "bench";

/// A broker, where the source has one, and where messages go.
struct Setup {
    peer: Option<Peer>,
    place: Place,
}

impl Setup {
    fn start(source: &'static str) -> Option<Self> {
        let peer = match source {
            "nats" | "nats-core" => Some(peers::nats()?),
            "amqp" => Some(peers::rabbitmq()?),
            "kafka" => Some(peers::kafka()?),
            "mqtt" | "mqtt-qos0" => Some(peers::mosquitto()?),
            "s3" => Some(peers::minio()?),
            _ => None,
        };
        let port = peer.as_ref().map_or_else(free_port, |p| p.port);
        Some(Setup { peer, place: Place { source, port, dir: scratch(&format!("gateways-{source}")) } })
    }

    /// What a workflow is told of a message: its number.
    fn number(&self) -> &'static str {
        match self.place.source {
            "resource" => "payload.metadata.name",
            "s3" => "payload.s3.object.key",
            _ => "payload.message",
        }
    }

    fn configuration(&self) -> (String, String) {
        let port = self.place.port;
        let (kind, text) = match self.place.source {
            "resource" => (
                "resource",
                "namespace: argo\nversion: v1\nkind: ConfigMap\nfilter: {prefix: n-}\ntype: ADDED\n".to_owned(),
            ),
            "s3" => (
                "s3",
                format!(
                    "bucket: {{name: {NAME}}}\nendpoint: 127.0.0.1:{port}\nevents: ['s3:ObjectCreated:*']\ninsecure: true\naccessKey: {{name: minio, key: key}}\nsecretKey: {{name: minio, key: key}}\n"
                ),
            ),
            "webhook" => ("webhook", format!("port: {port}\nendpoint: /in\nmethod: POST\n")),
            "nats" => ("nats", format!("url: nats://127.0.0.1:{port}\nsubject: in.>\njetstream: {{stream: {NAME}}}\n")),
            "nats-core" => ("nats", format!("url: nats://127.0.0.1:{port}\nsubject: in.>\n")),
            "amqp" => (
                "amqp",
                format!(
                    "url: amqp://127.0.0.1:{port}\nexchangeName: {NAME}\nexchangeType: fanout\nroutingKey: in\nqueue: {NAME}\n"
                ),
            ),
            "kafka" => (
                "kafka",
                format!("url: 127.0.0.1:{port}\ntopic: {NAME}\nconsumerGroup: {{groupName: {NAME}, oldest: true}}\n"),
            ),
            "mqtt" => ("mqtt", format!("url: tcp://127.0.0.1:{port}\ntopic: in/#\nqos: 1\n")),
            _ => ("mqtt", format!("url: tcp://127.0.0.1:{port}\ntopic: in/#\nqos: 0\n")),
        };
        (format!("{kind}.{NAME}"), text)
    }

    fn gateway(&self, server: &Server) {
        let (name, text) = self.configuration();
        apply_gateway(server, &json!({name: text}));
    }

    /// Streams, queues and buckets are there before anybody listens.
    fn make_ready(&self) {
        if self.peer.is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(Publisher::connect(&self.place)).map(drop).expect("the broker takes messages");
        }
    }
}

fn apply(server: &Server, text: &str) {
    let file = server.dir.join("gateway.yaml");
    std::fs::write(&file, text).expect("the directory can be written");
    server.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
}

fn apply_gateway(server: &Server, configurations: &Value) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "argo"}, "data": configurations});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "minio", "namespace": "argo"}, "stringData": {"key": "minioadmin"}});
    let gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": NAME, "namespace": "argo"},
        "spec": {"type": NAME, "version": "1.0", "configMap": NAME, "watchers": {"bindings": [{}]}, "deploySpec": {"serviceAccountName": NAME}}});
    apply(server, &format!("{map}\n---\n{secret}\n---\n{gateway}\n"));
}

/// Workflows are started with what an expression says of the event.
fn bind(server: &Server, expression: &str) {
    let binding = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowEventBinding", "metadata": {"name": NAME, "namespace": "argo"},
        "spec": {"event": {"selector": format!("{expression} != nil")}, "submit": {"workflowTemplateRef": {"name": NAME},
            "arguments": {"parameters": [{"name": "message", "valueFrom": {"event": expression}}]}}}});
    apply(server, &binding.to_string());
}

fn wait_running(server: &Server) {
    let begun = Instant::now();
    loop {
        let shown: Value = serde_json::from_str(&server.cli(&["get", "gateway", NAME, "-n", "argo", "-o", "json"]))
            .unwrap_or_default();
        let ready = shown["status"]["ready"].as_str().and_then(|r| r.split_once('/'));
        if ready.is_some_and(|(now, all)| now == all && all != "0") {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", shown["status"]);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn chosen(sources: &[String], source: &str) -> bool {
    sources.is_empty() || sources.iter().any(|s| s == source)
}

pub fn rates(sources: &[String], messages: usize) {
    println!(
        "{messages} messages of {} bytes each; the client's rate is that of its library, acknowledging every message\n",
        numbered(1000).len()
    );
    println!(
        "| source | client alone /s | events on disk /s | share | source to workflow p50 | p99 |\n|---|---|---|---|---|---|"
    );
    for source in RATED.into_iter().filter(|s| chosen(sources, s)) {
        let Some(setup) = Setup::start(source) else { continue };
        let bare = receive::bare(&setup.place, messages);
        drop(setup);
        let Some(setup) = Setup::start(source) else { continue };
        let (rate, latencies) = ours(&setup, messages);
        let share = rate / bare * 100.0;
        println!("| {source} | {bare:.0} | {rate:.0} | {share:.0} % | {}", times(latencies));
    }
    if chosen(sources, "calendar") {
        println!("| calendar, after the instant | | | | {}", times(calendar()));
        println!("| a timer alone, after the instant | | | | {}", times(timer()));
    }
}

fn times(mut seconds: Vec<f64>) -> String {
    seconds.sort_by(f64::total_cmp);
    format!("{:.1} ms | {:.1} ms |", percentile(&seconds, 0.5) * 1e3, percentile(&seconds, 0.99) * 1e3)
}

/// The rate at which the server has messages on disk, and how long each of a few takes to its workflow.
fn ours(setup: &Setup, messages: usize) -> (f64, Vec<f64>) {
    let place = &setup.place;
    let mut server = Server::start(&place.dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    setup.make_ready();
    // The binding waits: only what is stored is measured first.
    server.cli(&["delete", "workfloweventbinding", NAME, "-n", "argo"]);
    let rate = match place.source {
        "webhook" | "s3" => {
            setup.gateway(&server);
            wait_running(&server);
            let begun = Instant::now();
            std::thread::scope(|s| {
                s.spawn(|| flood(place, messages));
                stored(&server, &token, messages);
            });
            messages as f64 / begun.elapsed().as_secs_f64()
        }
        "resource" => {
            flood(place, messages);
            setup.gateway(&server);
            stored(&server, &token, messages)
        }
        _ => {
            setup.gateway(&server);
            wait_running(&server);
            server.kill();
            flood(place, messages);
            server = Server::start(&place.dir, &["--without-engine"]);
            stored(&server, &token, messages)
        }
    };
    wait_running(&server);
    bind(&server, setup.number());
    let latencies = latencies(place, &server, &token, messages);
    server.kill();
    let _ = std::fs::remove_dir_all(&place.dir);
    (rate, latencies)
}

/// Waits until so many events are on disk; how many came in a second since the first was seen.
fn stored(server: &Server, token: &str, messages: usize) -> f64 {
    let (mut first, begun) = (None, Instant::now());
    loop {
        let stored = server.metric("triggerfish_events_stored ", token) as usize;
        let (at, since) = *first.get_or_insert((stored, Instant::now()));
        if stored >= messages {
            return (messages - at.min(messages)) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        }
        if stored == 0 {
            first = None;
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "{stored} of {messages}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The workflows of a namespace as they are made, by their message.
struct Watch {
    curl: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn begin(server: &Server, token: &str) -> Self {
        let url = format!("http://{}/api/v1/workflow-events/argo", server.http);
        let mut curl = Command::new("curl")
            .args(["-sN", &url, "-H", &format!("Authorization: {token}")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl runs");
        let lines = BufReader::new(curl.stdout.take().expect("stdout is piped")).lines();
        Watch { curl, lines }
    }

    fn next(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("the watch goes on").expect("a line");
            let v: Value = serde_json::from_str(&line).unwrap_or_default();
            let message = v.pointer("/result/object/spec/arguments/parameters/0/value").and_then(Value::as_str);
            if let Some(m) = message.filter(|_| v["result"]["type"] == "ADDED") {
                return m.to_owned();
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

const ROUNDS: usize = 200;

fn latencies(place: &Place, server: &Server, token: &str, after: usize) -> Vec<f64> {
    let mut watch = Watch::begin(server, token);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut publisher = runtime.block_on(Publisher::connect(place)).expect("a connection");
    let mut one = |n: usize| {
        let begun = Instant::now();
        runtime.block_on(publisher.publish(place.source, n..n + 1)).expect("it is published");
        while watch.next() != format!("n-{n}") {}
        begun.elapsed().as_secs_f64()
    };
    // The first goes through before anything is measured.
    one(after);
    (after + 1..=after + ROUNDS).map(one).collect()
}

/// From the instant that a calendar names to the workflow.
fn calendar() -> Vec<f64> {
    const CALENDARS: usize = 20;
    let dir = scratch("calendar");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    bind(&server, "payload.eventTime");
    let one = |n| (format!("calendar.c{n}"), json!("schedule: '* * * * * *'\ncatchUp: none\n"));
    let all: serde_json::Map<String, Value> = (0..CALENDARS).map(one).collect();
    let mut watch = Watch::begin(&server, &token);
    apply_gateway(&server, &all.into());
    wait_running(&server);
    let late = |due: String| {
        let due: jiff::Timestamp = due.parse().expect("an instant");
        jiff::Timestamp::now().duration_since(due).as_secs_f64()
    };
    // Those that came while the others were started are not measured.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        watch.next();
    }
    let out = (0..ROUNDS).map(|_| late(watch.next())).collect();
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    out
}

/// From a whole second to the end of a sleep until then.
fn timer() -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let fraction = || jiff::Timestamp::now().subsec_nanosecond();
    let one = |_| {
        let rest = Duration::from_nanos(1_000_000_000 - fraction() as u64);
        runtime.block_on(async { tokio::time::sleep(rest).await });
        f64::from(fraction()) / 1e9
    };
    (0..10).map(one).collect()
}

/// Many configurations in one process: memory for each, and how long until all run.
pub fn many(configurations: usize) {
    let Some(peer) = peers::nats() else { return };
    let dir = scratch("many");
    let mut server = Server::start(&dir, &["--without-engine"]);
    server.prepare(NO_WORK);
    std::thread::sleep(Duration::from_secs(2));
    let before = server.memory();
    let entries: serde_json::Map<String, Value> = (0..configurations)
        .map(|n| (format!("nats.c{n}"), json!(format!("url: nats://127.0.0.1:{}\nsubject: in.{n}\n", peer.port))))
        .collect();
    let begun = Instant::now();
    apply_gateway(&server, &entries.into());
    let all = format!("{configurations}/{configurations}");
    while !server.cli(&["get", "gateways", "-n", "argo"]).contains(&all) {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "not all run: {}",
            server.cli(&["get", "gateways", "-n", "argo"])
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let started = begun.elapsed();
    std::thread::sleep(Duration::from_secs(2));
    let each = server.memory().saturating_sub(before) as f64 / configurations as f64 / 1024.0;
    println!(
        "{configurations} NATS configurations, a connection each: all run after {:.2} s, {each:.1} KiB each",
        started.as_secs_f64()
    );
    let restarted = Instant::now();
    server.kill();
    server = Server::start(&dir, &["--without-engine"]);
    while !server.cli(&["get", "gateways", "-n", "argo"]).contains(&all) {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("after a restart all run again {:.2} s later", restarted.elapsed().as_secs_f64());
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}
