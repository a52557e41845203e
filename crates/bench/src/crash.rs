//! Kill -9 at random moments under concurrent load: every event that was answered with 200 has exactly one workflow.

use crate::http::Connection;
use crate::server::{NO_WORK, Server, scratch};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub fn run(kills: usize) {
    let dir = scratch("crash");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    let accepted = Mutex::new(Vec::<String>::new());
    let begun = Instant::now();
    // A small generator of our own: the moments must differ, not be secret.
    let mut seed = 0x9e37_79b9_u64 ^ u64::from(std::process::id());
    for round in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause = Duration::from_micros(500 + (seed >> 33) % 40_000);
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            for n in 0..4 {
                let (http, token, accepted, stop) = (server.http.clone(), &token, &accepted, &stop);
                s.spawn(move || {
                    let Ok(mut c) = Connection::open(&http, token, "/api/v1/events/argo/") else { return };
                    let mut i = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let Ok((200, head)) = c.post(&format!("{{\"message\":\"{round} {n} {i}\"}}")) else { return };
                        let id = head
                            .lines()
                            .find_map(|l| l.strip_prefix("triggerfish-event-id: "))
                            .unwrap_or("")
                            .to_owned();
                        accepted.lock().expect("no sender panics").push(id);
                        i += 1;
                    }
                });
            }
            std::thread::sleep(pause);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server = Server::start(&dir, &["--without-engine"]);
        if round % 20 == 19 {
            println!(
                "{} kills, {} events accepted so far",
                round + 1,
                accepted.lock().expect("no sender panics").len()
            );
        }
    }
    while server.metric("triggerfish_events_waiting ", &token) > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let accepted = accepted.into_inner().expect("no sender panics");
    let list = server.get("/api/v1/workflows/argo?fields=items.metadata.annotations", &token);
    let mut made: HashMap<String, usize> = HashMap::new();
    for w in list["items"].as_array().into_iter().flatten() {
        let id = w.pointer("/metadata/annotations/triggerfish.dev~1event-id").and_then(|v| v.as_str()).unwrap_or("");
        *made.entry(id.to_owned()).or_default() += 1;
    }
    let lost = accepted.iter().filter(|id| !made.contains_key(*id)).count();
    let doubled = made.values().filter(|n| **n > 1).count();
    println!(
        "{kills} kills in {:.0} s: {} events accepted, {} workflows, {lost} lost, {doubled} doubled",
        begun.elapsed().as_secs_f64(),
        accepted.len(),
        made.len()
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    assert_eq!((lost, doubled), (0, 0));
}
