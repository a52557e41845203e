//! Sources of gateways beside their clients' own receive rates, and, with `--chaos`, under fire: numbered messages while the broker
//! and the server are killed at random.

use crate::http::Connection;
use crate::peers::{self, Peer, free_port};
use crate::percentile;
use crate::server::{NO_WORK, Server, scratch};
use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, ConnectionProperties, ExchangeKind};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use triggerfish::gateway::kafka::client::Cluster;
use triggerfish::gateway::kafka::produce::{Outgoing, produce};

/// Sources with brokers that keep what nobody has read; plain NATS and MQTT at QoS 0 lose by nature.
const SOURCES: [&str; 7] = ["webhook", "nats", "amqp", "kafka", "mqtt", "nats-core", "mqtt-qos0"];
const NAME: &str = "bench";
/// Nothing has come for so long: nothing more will.
const QUIET: Duration = Duration::from_secs(60);

/// A broker, where the source has one, and the port of the source.
struct Setup {
    source: &'static str,
    peer: Option<Peer>,
    port: u16,
}

impl Setup {
    fn start(source: &'static str) -> Option<Self> {
        let peer = match source {
            "nats" | "nats-core" => Some(peers::nats()?),
            "amqp" => Some(peers::rabbitmq()?),
            "kafka" => Some(peers::kafka()?),
            "mqtt" | "mqtt-qos0" => Some(peers::mosquitto()?),
            _ => None,
        };
        let port = peer.as_ref().map_or_else(free_port, |p| p.port);
        Some(Setup { source, peer, port })
    }

    fn configuration(&self) -> (String, String) {
        let port = self.port;
        let (kind, text) = match self.source {
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
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "argo"}, "data": {name: text}});
        let gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": NAME, "namespace": "argo"},
            "spec": {"type": NAME, "version": "1.0", "configMap": NAME, "watchers": {"bindings": [{}]}, "deploySpec": {"serviceAccountName": NAME}}});
        let file = server.dir.join("gateway.yaml");
        std::fs::write(&file, format!("{map}\n---\n{gateway}\n")).expect("the directory can be written");
        server.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
    }

    fn wait_running(&self, server: &Server) {
        let begun = Instant::now();
        loop {
            let shown: Value = serde_json::from_str(&server.cli(&["get", "gateway", NAME, "-n", "argo", "-o", "json"]))
                .unwrap_or_default();
            if shown["status"]["ready"] == "1/1" {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{}: {}", self.source, shown["status"]);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A CloudEvent that says its number: a publisher that heard no answer sends it again, and it is still the same event.
fn numbered(n: usize) -> String {
    json!({"specversion": "1.0", "id": format!("n-{n}"), "source": "/bench", "type": "number", "datacontenttype": "application/json",
        "data": {"message": format!("n-{n}")}}).to_string()
}

/// Publishes with confirmation, one after the other; the connection is made anew when it is lost.
enum Publisher {
    Webhook(Connection),
    Nats(async_nats::Client),
    /// The connection is held for its channel.
    Amqp {
        channel: lapin::Channel,
        _connection: Box<lapin::Connection>,
    },
    Kafka(Cluster),
    Mqtt(AsyncClient, Box<rumqttc::EventLoop>, QoS),
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn amqp(port: u16) -> Outcome<(lapin::Channel, Box<lapin::Connection>)> {
    let connection =
        lapin::Connection::connect(&format!("amqp://127.0.0.1:{port}"), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(NAME.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(NAME.into(), options, FieldTable::default()).await?;
    channel
        .queue_bind(NAME.into(), NAME.into(), "in".into(), QueueBindOptions::default(), FieldTable::default())
        .await?;
    Ok((channel, Box::new(connection)))
}

async fn jetstream(port: u16) -> Outcome<async_nats::Client> {
    let client =
        async_nats::ConnectOptions::new().max_reconnects(1).connect(format!("nats://127.0.0.1:{port}")).await?;
    let config = async_nats::jetstream::stream::Config {
        name: NAME.into(),
        subjects: vec!["in.>".into()],
        ..Default::default()
    };
    async_nats::jetstream::new(client.clone()).get_or_create_stream(config).await?;
    Ok(client)
}

fn mqtt(port: u16, id: &str) -> (AsyncClient, rumqttc::EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_inflight(100).set_clean_session(false);
    AsyncClient::new(options, 1000)
}

fn cluster(port: u16) -> Cluster {
    Cluster { seeds: vec![format!("127.0.0.1:{port}")], tls: None, sasl: None }
}

impl Publisher {
    async fn connect(source: &str, port: u16) -> Outcome<Self> {
        Ok(match source {
            "webhook" => {
                let connection = Connection::open(&format!("127.0.0.1:{port}"), "none", "/in")?;
                Publisher::Webhook(connection.saying("application/cloudevents+json"))
            }
            "nats" => Publisher::Nats(jetstream(port).await?),
            "nats-core" => Publisher::Nats(
                async_nats::ConnectOptions::new().max_reconnects(1).connect(format!("nats://127.0.0.1:{port}")).await?,
            ),
            "amqp" => {
                let (channel, connection) = amqp(port).await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Publisher::Amqp { channel, _connection: connection }
            }
            "kafka" => Publisher::Kafka(cluster(port)),
            other => {
                let (client, events) = mqtt(port, "bench-publisher");
                Publisher::Mqtt(
                    client,
                    Box::new(events),
                    if other == "mqtt" { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                )
            }
        })
    }

    async fn publish(&mut self, source: &str, from: usize, to: usize) -> Outcome<()> {
        match self {
            Publisher::Webhook(c) => {
                for n in from..to {
                    let (status, head) = c.post(&numbered(n))?;
                    if status != 200 {
                        return Err(head.into());
                    }
                }
            }
            Publisher::Nats(client) if source == "nats-core" => {
                for n in from..to {
                    client.publish(format!("in.{n}"), numbered(n).into()).await?;
                }
                client.flush().await?;
            }
            Publisher::Nats(client) => {
                let js = async_nats::jetstream::new(client.clone());
                let mut acks = Vec::new();
                for n in from..to {
                    acks.push(js.publish(format!("in.{n}"), numbered(n).into()).await?);
                }
                for ack in acks {
                    ack.await?;
                }
            }
            Publisher::Amqp { channel, .. } => {
                let mut confirms = Vec::new();
                for n in from..to {
                    let p = BasicProperties::default()
                        .with_delivery_mode(2)
                        .with_content_type("application/cloudevents+json".into());
                    confirms.push(
                        channel
                            .basic_publish(
                                NAME.into(),
                                "in".into(),
                                BasicPublishOptions::default(),
                                numbered(n).as_bytes(),
                                p,
                            )
                            .await?,
                    );
                }
                for c in confirms {
                    c.await?;
                }
            }
            Publisher::Kafka(cluster) => {
                let records: Vec<Outgoing> =
                    (from..to).map(|n| Outgoing { value: numbered(n).into(), ..Outgoing::default() }).collect();
                produce(cluster, NAME, None, &format!("{from}"), &records, false)
                    .await
                    .map_err(|e| format!("{e:?}"))?;
            }
            Publisher::Mqtt(client, events, qos) => {
                for n in from..to {
                    client.try_publish(format!("in/{n}"), *qos, false, numbered(n))?;
                }
                let mut answered = 0;
                while answered < to - from {
                    match tokio::time::timeout(Duration::from_secs(10), events.poll()).await?? {
                        Event::Incoming(Packet::PubAck(_)) => answered += 1,
                        Event::Outgoing(rumqttc::Outgoing::Publish(_)) if *qos == QoS::AtMostOnce => answered += 1,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// Messages that are confirmed together.
const BATCH: usize = 20;
/// Between two of them: there has to be time for the killing.
const PACE: Duration = Duration::from_millis(40);

/// Publishes all, however often it has to begin anew; `done` counts.
fn publish_all(source: &str, port: u16, messages: usize, batch: usize, pause: Duration, done: &AtomicUsize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut publisher = None;
        let mut n = 0;
        let mut failures = 0;
        while n < messages {
            let to = (n + batch).min(messages);
            let outcome = async {
                if publisher.is_none() {
                    publisher = Some(Publisher::connect(source, port).await?);
                }
                match publisher.as_mut() {
                    Some(p) => p.publish(source, n, to).await,
                    None => Ok(()),
                }
            };
            match tokio::time::timeout(Duration::from_secs(20), outcome).await {
                Ok(Ok(())) => {
                    n = to;
                    failures = 0;
                    done.store(n, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
                other => {
                    failures += 1;
                    assert!(
                        failures < 2000,
                        "{source}: cannot publish: {:?}",
                        other.map(|o| o.map_err(|e| e.to_string()))
                    );
                    publisher = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
}

/// Which numbers have workflows, and how many each.
fn made(server: &Server, token: &str) -> HashMap<String, usize> {
    let list = server.get("/api/v1/workflows/argo?fields=items.spec.arguments.parameters", token);
    let mut made = HashMap::new();
    for w in list["items"].as_array().into_iter().flatten() {
        let text = w.pointer("/spec/arguments/parameters/0/value").and_then(Value::as_str).unwrap_or("");
        *made.entry(text.to_owned()).or_default() += 1;
    }
    made
}

fn settled(server: &Server, token: &str, wanted: usize) -> HashMap<String, usize> {
    let (mut best, mut since) = (0, Instant::now());
    loop {
        let now = made(server, token);
        if now.len() >= wanted || since.elapsed() > QUIET {
            // What comes twice would come a moment later.
            std::thread::sleep(Duration::from_secs(2));
            return made(server, token);
        }
        if now.len() > best {
            (best, since) = (now.len(), Instant::now());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

pub fn chaos(sources: &[String], messages: usize) {
    println!("{messages} numbered messages each, while broker and server are killed (-9) at random\n");
    println!(
        "| source | server killed | broker killed | published | workflows | lost | twice |\n|---|---|---|---|---|---|---|"
    );
    let mut failed = Vec::new();
    for source in SOURCES.into_iter().filter(|s| chosen(sources, s)) {
        let Some(row) = under_fire(source, messages) else { continue };
        let (kills, broker_kills, made) = row;
        let lost = (0..messages).filter(|n| !made.contains_key(&format!("n-{n}"))).count();
        let twice = made.values().filter(|n| **n > 1).count();
        let by_nature = matches!(source, "nats-core" | "mqtt-qos0");
        let note = if by_nature { " (by nature)" } else { "" };
        println!("| {source} | {kills} | {broker_kills} | {messages} | {} | {lost}{note} | {twice} |", made.len());
        if !by_nature && (lost, twice) != (0, 0) {
            failed.push(source);
        }
    }
    assert!(failed.is_empty(), "{failed:?} lost or doubled something");
}

fn chosen(sources: &[String], source: &str) -> bool {
    sources.is_empty() || sources.iter().any(|s| s == source)
}

fn under_fire(source: &'static str, messages: usize) -> Option<(usize, usize, HashMap<String, usize>)> {
    let mut setup = Setup::start(source)?;
    let dir = scratch(&format!("chaos-{source}"));
    let mut server = Server::start(&dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    let prepared = AtomicUsize::new(0);
    // Streams and queues are there before anybody listens.
    if setup.peer.is_some() {
        publish_all(source, setup.port, 0, 1, Duration::ZERO, &prepared);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = runtime.block_on(Publisher::connect(source, setup.port));
    }
    setup.gateway(&server);
    setup.wait_running(&server);
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (mut kills, mut broker_kills) = (0, 0);
    // A broker that was killed has done something before it is killed again: some take long to come back.
    let mut killed_at = 0;
    let mut seed = 0x9e37_79b9_u64 ^ u64::from(std::process::id());
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    std::thread::scope(|s| {
        let (done, over, port) = (&done, &over, setup.port);
        s.spawn(move || {
            publish_all(source, port, messages, BATCH, PACE, done);
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100 + random(700)));
            let published = done.load(Ordering::Relaxed);
            let worked = published >= killed_at + messages / 25;
            if let Some(peer) = setup.peer.as_mut().filter(|_| worked && random(2) == 0) {
                killed_at = published;
                peer.kill();
                broker_kills += 1;
                std::thread::sleep(Duration::from_millis(random(300)));
                peer.launch();
            } else {
                server.kill();
                kills += 1;
                server = Server::start(&dir, &["--without-engine"]);
            }
        }
    });
    setup.wait_running(&server);
    let made = settled(&server, &token, messages);
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    Some((kills, broker_kills, made))
}

pub fn rates(sources: &[String], messages: usize) {
    println!(
        "{messages} messages of {} bytes each; the client's rate is that of its library, acknowledging every message\n",
        numbered(1000).len()
    );
    println!(
        "| source | client alone /s | events on disk /s | share | source to workflow p50 | p99 |\n|---|---|---|---|---|---|"
    );
    for source in ["nats", "amqp", "kafka", "mqtt"].into_iter().filter(|s| chosen(sources, s)) {
        let Some(setup) = Setup::start(source) else { continue };
        let bare = bare(&setup, messages);
        drop(setup);
        let Some(setup) = Setup::start(source) else { continue };
        let (rate, mut latencies) = ours(&setup, messages);
        latencies.sort_by(f64::total_cmp);
        let share = rate / bare * 100.0;
        let ms = |share| percentile(&latencies, share) * 1e3;
        println!("| {source} | {bare:.0} | {rate:.0} | {share:.0} % | {:.1} ms | {:.1} ms |", ms(0.5), ms(0.99));
    }
}

/// The rate at which the client's library takes messages that wait at the broker.
fn bare(setup: &Setup, messages: usize) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (source, port) = (setup.source, setup.port);
    if source == "mqtt" {
        // The session has to be there before the messages.
        runtime.block_on(async { subscribe(port).await.expect("a session") });
    }
    publish_all(source, port, messages, 200, Duration::ZERO, &AtomicUsize::new(0));
    let seconds = runtime.block_on(async { receive(source, port, messages).await.expect("messages") });
    messages as f64 / seconds
}

async fn subscribe(port: u16) -> Outcome<()> {
    let (client, mut events) = mqtt(port, "bench-bare");
    client.subscribe("in/#", QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    client.disconnect().await?;
    while events.poll().await.is_ok() {}
    Ok(())
}

async fn receive(source: &str, port: u16, messages: usize) -> Outcome<f64> {
    let mut begun = Instant::now();
    match source {
        "nats" => {
            let client = jetstream(port).await?;
            let stream = async_nats::jetstream::new(client).get_stream(NAME).await?;
            let config = async_nats::jetstream::consumer::pull::Config {
                durable_name: Some("bare".into()),
                ..Default::default()
            };
            let mut all = stream.create_consumer(config).await?.messages().await?;
            begun = Instant::now();
            for _ in 0..messages {
                all.next().await.ok_or("the stream ended")??.ack().await?;
            }
        }
        "amqp" => {
            let (channel, _connection) = amqp(port).await?;
            channel.basic_qos(256, BasicQosOptions::default()).await?;
            let mut all = channel
                .basic_consume(NAME.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
                .await?;
            begun = Instant::now();
            for _ in 0..messages {
                all.next().await.ok_or("the queue ended")??.acker.ack(BasicAckOptions::default()).await?;
            }
        }
        "kafka" => {
            let cluster = cluster(port);
            let topic = cluster.topic(NAME).await.map_err(|e| format!("{e:?}"))?;
            let from = topic.leaders.keys().map(|p| (*p, 0)).collect();
            begun = Instant::now();
            let all = triggerfish::gateway::kafka::fetch::messages(&cluster, &topic, NAME, from)
                .await
                .map_err(|e| format!("{e:?}"))?;
            let got = all.take(messages).count().await;
            assert_eq!(got, messages);
        }
        _ => {
            let (client, mut events) = mqtt(port, "bench-bare");
            client.subscribe("in/#", QoS::AtLeastOnce).await?;
            let mut got = 0;
            while got < messages {
                if let Event::Incoming(Packet::Publish(_)) = events.poll().await? {
                    got += 1;
                }
            }
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The rate at which the server has messages on disk, and how long each of a few takes to its workflow.
fn ours(setup: &Setup, messages: usize) -> (f64, Vec<f64>) {
    let dir = scratch(&format!("rate-{}", setup.source));
    let mut server = Server::start(&dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = runtime.block_on(Publisher::connect(setup.source, setup.port));
    // The binding waits: only what is stored is measured first.
    server.cli(&["delete", "workfloweventbinding", NAME, "-n", "argo"]);
    setup.gateway(&server);
    setup.wait_running(&server);
    server.kill();
    publish_all(setup.source, setup.port, messages, 200, Duration::ZERO, &AtomicUsize::new(0));
    server = Server::start(&dir, &["--without-engine"]);
    let (mut first, begun) = (None, Instant::now());
    let rate = loop {
        let stored = server.metric("triggerfish_events_stored ", &token) as usize;
        if stored > 0 && first.is_none() {
            first = Some((stored, Instant::now()));
        }
        if stored >= messages {
            let (at, since) = first.unwrap_or((0, begun));
            break (messages - at) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "{}: {stored} of {messages}", setup.source);
        std::thread::sleep(Duration::from_millis(5));
    };
    let token = server.prepare(NO_WORK);
    let latencies = latencies(setup, &server, &token, messages);
    server.kill();
    let _ = std::fs::remove_dir_all(Path::new(&dir));
    (rate, latencies)
}

fn latencies(setup: &Setup, server: &Server, token: &str, after: usize) -> Vec<f64> {
    const ROUNDS: usize = 200;
    setup.wait_running(server);
    let url = format!("http://{}/api/v1/workflow-events/argo", server.http);
    let mut watch = Command::new("curl")
        .args(["-sN", &url, "-H", &format!("Authorization: {token}")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("stdout is piped")).lines();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut publisher = runtime.block_on(Publisher::connect(setup.source, setup.port)).expect("a connection");
    let (mut out, mut seen) = (Vec::new(), HashSet::new());
    for n in after..after + ROUNDS {
        let begun = Instant::now();
        runtime.block_on(publisher.publish(setup.source, n, n + 1)).expect("it is published");
        let wanted = format!("n-{n}");
        for line in lines.by_ref().map_while(Result::ok) {
            let v: Value = serde_json::from_str(&line).unwrap_or_default();
            let text =
                v.pointer("/result/object/spec/arguments/parameters/0/value").and_then(Value::as_str).unwrap_or("");
            if text == wanted && seen.insert(text.to_owned()) {
                out.push(begun.elapsed().as_secs_f64());
                break;
            }
        }
    }
    let _ = watch.kill();
    let _ = watch.wait();
    out
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
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "argo"}, "data": entries});
    let gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": NAME, "namespace": "argo"},
        "spec": {"type": NAME, "version": "1.0", "configMap": NAME, "deploySpec": {"serviceAccountName": NAME}}});
    let file = server.dir.join("gateway.yaml");
    std::fs::write(&file, format!("{map}\n---\n{gateway}\n")).expect("the directory can be written");
    let begun = Instant::now();
    server.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
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
