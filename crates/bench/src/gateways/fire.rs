//! Under fire: numbered messages while the broker and the server are killed at random.

use super::publish::publish_all;
use super::{Setup, chosen, wait_running};
use crate::server::{NO_WORK, Server};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Sources that keep what nobody has confirmed; plain NATS and MQTT at QoS 0 lose by nature.
const UNDER_FIRE: [&str; 7] = ["webhook", "nats", "amqp", "kafka", "mqtt", "nats-core", "mqtt-qos0"];
/// Nothing has come for so long: nothing more will.
const QUIET: Duration = Duration::from_secs(60);
/// Messages that are confirmed together under fire.
const BATCH: usize = 20;
/// Between two of them: there has to be time for the killing.
const PACE: Duration = Duration::from_millis(40);

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
    for source in UNDER_FIRE.into_iter().filter(|s| chosen(sources, s)) {
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

fn under_fire(source: &'static str, messages: usize) -> Option<(usize, usize, HashMap<String, usize>)> {
    let mut setup = Setup::start(source)?;
    let place = setup.place.clone();
    let mut server = Server::start(&place.dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    setup.make_ready();
    setup.gateway(&server);
    wait_running(&server);
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
        let (done, over, place) = (&done, &over, &place);
        s.spawn(move || {
            publish_all(place, 0..messages, BATCH, PACE, done);
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
                server = Server::start(&place.dir, &["--without-engine"]);
            }
        }
    });
    wait_running(&server);
    let made = settled(&server, &token, messages);
    server.kill();
    let _ = std::fs::remove_dir_all(&place.dir);
    Some((kills, broker_kills, made))
}
