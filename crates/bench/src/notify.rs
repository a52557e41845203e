//! Notifications: accepted and delivered per second beside bare posts, what alerts that do not match cost, what a dead provider does
//! to the others; with --chaos, kill -9 while endpoints fail and vanish.

use crate::http::Connection;
use crate::server::{Server, program, scratch};
use crate::{eventually, percentile};
use axum::extract::State;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An endpoint on loopback: it counts, and keeps when each message came first.
#[derive(Clone, Default)]
struct Endpoint {
    count: Arc<AtomicU64>,
    /// Message to how often it was taken, and when first.
    taken: Arc<Mutex<HashMap<String, (u64, Instant)>>>,
    /// Of --chaos: fails every other time, or always.
    flaky: Arc<AtomicBool>,
    away: Arc<AtomicBool>,
}

impl Endpoint {
    fn start(&self) -> String {
        let (tell, told) = std::sync::mpsc::channel();
        let me = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
                let router = axum::Router::new().fallback(take).with_state(me);
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        format!("http://{}/", told.recv().expect("it starts"))
    }

    fn distinct(&self) -> usize {
        self.taken.lock().expect("no panic").len()
    }
}

async fn take(State(e): State<Endpoint>, body: String) -> StatusCode {
    let n = e.count.fetch_add(1, Ordering::Relaxed);
    if e.away.load(Ordering::Relaxed) || e.flaky.load(Ordering::Relaxed) && n % 2 == 0 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let message = body.split("\"message\":\"").nth(1).and_then(|m| m.split('"').next()).unwrap_or("").to_owned();
    e.taken.lock().expect("no panic").entry(message).or_insert((0, Instant::now())).0 += 1;
    StatusCode::OK
}

fn provider(name: &str, address: &str) -> String {
    format!(
        "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata: {{name: {name}, namespace: flux-system}}\nspec: {{type: generic, address: '{address}', triggerfish: {{concurrency: 64}}}}\n---\n"
    )
}

fn alert(name: &str, provider: &str, object: &str) -> String {
    format!(
        "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\nmetadata: {{name: {name}, namespace: flux-system}}\nspec: {{providerRef: {{name: {provider}}}, eventSeverity: info, eventSources: [{{kind: Kustomization, name: '{object}'}}]}}\n---\n"
    )
}

fn apply(server: &Server, text: &str) {
    let file = server.dir.join("notify.yaml");
    std::fs::write(&file, text).expect("the directory can be written");
    server.cli(&["apply", "-f", file.to_str().expect("a plain path")]);
}

fn event(object: usize, message: &str) -> String {
    format!(
        "{{\"involvedObject\":{{\"apiVersion\":\"kustomize.toolkit.fluxcd.io/v1\",\"kind\":\"Kustomization\",\"name\":\"app-{object}\",\"namespace\":\"flux-system\"}},\"severity\":\"info\",\"timestamp\":\"2026-01-02T15:04:05Z\",\"reason\":\"Benchmark\",\"message\":\"{message}\",\"reportingController\":\"kustomize-controller\"}}"
    )
}

/// Posts events from many connections; when each was sent, and how long that took.
fn post(address: &str, connections: usize, events: usize, name: &str, wanted: u16) -> (HashMap<String, Instant>, f64) {
    let begun = Instant::now();
    let sent = std::thread::scope(|s| {
        let senders: Vec<_> = (0..connections)
            .map(|c| {
                s.spawn(move || {
                    let mut connection = Connection::open(address, "", "/").expect("it connects");
                    let mut sent = Vec::new();
                    for i in (c..events).step_by(connections) {
                        let message = format!("{name} {i}");
                        sent.push((message.clone(), Instant::now()));
                        let (status, head) = connection.post(&event(i % 1000, &message)).expect("it answers");
                        assert_eq!(status, wanted, "{head}");
                    }
                    sent
                })
            })
            .collect();
        senders.into_iter().flat_map(|t| t.join().expect("the sender ends")).collect()
    });
    (sent, begun.elapsed().as_secs_f64())
}

fn intake(server: &Server) -> String {
    std::fs::read_to_string(server.dir.join("notification-address")).expect("it has one").trim().to_owned()
}

/// From post to arrival, sorted.
fn latencies(endpoint: &Endpoint, sent: &HashMap<String, Instant>) -> Vec<f64> {
    let taken = endpoint.taken.lock().expect("no panic");
    let mut out: Vec<f64> = sent.iter().filter_map(|(m, at)| Some((taken.get(m)?.1 - *at).as_secs_f64())).collect();
    out.sort_by(f64::total_cmp);
    out
}

fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

pub fn run(events: usize, alerts: usize) {
    println!("program {}\n", program().display());
    let endpoint = Endpoint::default();
    let address = endpoint.start();
    let plain = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
    println!("{:<46} {:>12} {:>14} {:>10} {:>10} {:>9}", "", "accepted/s", "deliveries/s", "p50", "p99", "memory");
    let (_, elapsed) = post(&plain, 64, events, "floor", 200);
    println!("{:<46} {:>12} {:>14.0}", "floor    bare posts, 64 connections", "", events as f64 / elapsed);
    for count in [1, alerts] {
        row(&format!("{count} alerts, 1 matches, 64 connections"), &endpoint, &address, events, count, 64);
    }
    row("1 alert, 1 connection", &endpoint, &address, events / 10, 1, 1);
    println!();
    for dead in [false, true] {
        fifty(dead, events / 50);
    }
}

fn row(name: &str, endpoint: &Endpoint, address: &str, events: usize, alerts: usize, connections: usize) {
    let dir = scratch("notify");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let others: String = (1..alerts).map(|i| alert(&format!("other-{i}"), "sink", &format!("other-{i}"))).collect();
    apply(&server, &(provider("sink", address) + &alert("all", "sink", "*") + &others));
    let before = endpoint.distinct();
    post(&intake(&server), connections, 100, &format!("warm {name}"), 202);
    eventually("what warms up arrives", || (endpoint.distinct() == before + 100).then_some(()));
    let begun = Instant::now();
    let (sent, elapsed) = post(&intake(&server), connections, events, name, 202);
    eventually("all arrive", || (endpoint.distinct() == before + 100 + events).then_some(()));
    let all = begun.elapsed().as_secs_f64();
    let times = latencies(endpoint, &sent);
    println!(
        "{name:<46} {:>12.0} {:>14.0} {:>10} {:>10} {:>5} MiB",
        events as f64 / elapsed,
        events as f64 / all,
        ms(percentile(&times, 0.5)),
        ms(percentile(&times, 0.99)),
        server.memory() >> 20
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}

/// Every event goes to 50 providers; one of them may be dead.
fn fifty(dead: bool, events: usize) {
    let dir = scratch("fifty");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let endpoint = Endpoint::default();
    let address = endpoint.start();
    let mut text = String::new();
    for i in 0..50 {
        // Only one of those that live is looked at: all take part.
        let to = if i == 0 && dead { "http://127.0.0.1:9/".to_owned() } else { address.clone() };
        text.push_str(&provider(&format!("p{i}"), &to));
        text.push_str(&alert(&format!("a{i}"), &format!("p{i}"), "*"));
    }
    apply(&server, &text);
    let mut sent = HashMap::new();
    let mut connection = Connection::open(&intake(&server), "", "/").expect("it connects");
    for i in 0..events {
        let message = format!("fifty {dead} {i}");
        sent.insert(message.clone(), Instant::now());
        connection.post(&event(i, &message)).expect("it answers");
        std::thread::sleep(Duration::from_millis(10));
    }
    let lives = if dead { 49 } else { 50 };
    eventually("all arrive", || (endpoint.count.load(Ordering::Relaxed) >= (events * lives) as u64).then_some(()));
    let times = latencies(&endpoint, &sent);
    println!(
        "{:<46} {:>12} {:>14} {:>10} {:>10}",
        if dead { "50 providers, 1 of them dead: first arrival" } else { "50 providers: first arrival" },
        "",
        "",
        ms(percentile(&times, 0.5)),
        ms(percentile(&times, 0.99))
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}

/// Kill -9 at random moments while endpoints fail half the time and vanish for a while.
pub fn chaos(events: usize) {
    let dir = scratch("notify-chaos");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let endpoint = Endpoint::default();
    endpoint.flaky.store(true, Ordering::Relaxed);
    let address = endpoint.start();
    apply(&server, &(provider("sink", &address) + &alert("all", "sink", "*")));
    let begun = Instant::now();
    let (mut accepted, mut kills, mut again) = (0, 0, 0);
    let mut connection = Connection::open(&intake(&server), "", "/").expect("it connects");
    let mut next_kill = Duration::from_millis(500);
    let mut i = 0;
    while i < events {
        // A third of the way through the endpoint is away for a minute.
        let away = begun.elapsed() > Duration::from_secs(10) && begun.elapsed() < Duration::from_secs(70);
        endpoint.away.store(away, Ordering::Relaxed);
        if begun.elapsed() > next_kill {
            kills += 1;
            server.kill();
            server = Server::start(&dir, &["--without-engine"]);
            connection = Connection::open(&intake(&server), "", "/").expect("it connects");
            // Somewhere between half a second and two and a half.
            next_kill = begun.elapsed()
                + Duration::from_millis(500 + u64::from(std::process::id().wrapping_mul(kills * 2_654_435) % 2000));
        }
        match connection.post(&event(i % 1000, &format!("chaos {i}"))) {
            Ok((202, _)) => {
                accepted += 1;
                i += 1;
            }
            // It was taken, and the answer was lost.
            Ok((429, _)) => i += 1,
            _ => again += 1,
        }
        std::thread::sleep(Duration::from_millis(8));
    }
    endpoint.away.store(false, Ordering::Relaxed);
    let patience = Instant::now();
    // Longer than the longest pause of a delivery.
    while endpoint.distinct() < events && patience.elapsed() < Duration::from_secs(420) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let taken = endpoint.taken.lock().expect("no panic");
    let doubled = taken.values().filter(|(n, _)| *n > 1).count();
    println!(
        "{accepted} accepted, {kills} kills, {again} posts again, {} requests: {} lost, {doubled} twice, {:.0} s until all had arrived",
        endpoint.count.load(Ordering::Relaxed),
        events - taken.len().min(events),
        patience.elapsed().as_secs_f64()
    );
    if taken.len() < events {
        println!("{}", server.cli(&["notify", "list", "--state", "waiting", "-n", "flux-system"]));
    }
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}
