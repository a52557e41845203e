//! Accepted events: rate, CPU, latency, memory.

use crate::http::Connection;
use crate::server::{NO_WORK, Server, cpu_of, program, scratch};
use crate::{floor, micros, percentile};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Row {
    name: String,
    rate: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
}

pub fn run(seconds: u64, connections: &[usize], bindings: usize, backlog: u64) {
    let time = Duration::from_secs(seconds);
    let dir = scratch("events");
    println!("program {}\n", program().display());
    println!("floor    fdatasync, one writer        {:>10.0} /s", floor::fdatasync(&dir, time));
    println!("floor    SQLite, 64 rows a commit     {:>10.0} rows/s\n", floor::group_commit(&dir, time));
    println!("{:<38} {:>10} {:>14} {:>10} {:>10}", "", "answers/s", "CPU/answer", "p50", "p99");
    for n in connections {
        print(&echo(*n, time));
        // Without a matching binding: what accepting alone costs.
        print(&accept(*n, time, false, 0));
    }
    println!();
    for n in connections {
        print(&accept(*n, time, true, 0));
    }
    if bindings > 0 {
        println!("\nwith {bindings} other bindings");
        for n in connections {
            print(&accept(*n, time, false, bindings));
            print(&accept(*n, time, true, bindings));
        }
    }
    if backlog > 0 {
        memory(backlog);
    }
    let _ = std::fs::remove_dir_all(dir);
}

fn print(r: &Row) {
    println!("{:<38} {:>10.0} {:>14} {:>10} {:>10}", r.name, r.rate, micros(r.cpu), micros(r.p50), micros(r.p99));
}

fn echo(connections: usize, time: Duration) -> Row {
    let (mut child, address) = floor::start_echo();
    let before = cpu_of(child.id());
    let (count, elapsed, times) = load(&address, "", connections, time, "m");
    let cpu = (cpu_of(child.id()) - before) / count as f64;
    let _ = child.kill();
    let _ = child.wait();
    Row {
        name: format!("floor    echo, {connections} connections"),
        rate: count as f64 / elapsed,
        cpu,
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
    }
}

fn accept(connections: usize, time: Duration, matching: bool, bindings: usize) -> Row {
    let dir = scratch(&format!("accept-{connections}-{matching}"));
    let mut server = Server::start(&dir, &["--without-engine"]);
    let token = server.prepare(NO_WORK);
    if bindings > 0 {
        server.bind(bindings);
    }
    let key = if matching { "message" } else { "other" };
    load(&server.http, &token, 1, Duration::from_millis(300), key);
    settle(&server, &token);
    let before = server.cpu();
    let begun = Instant::now();
    let (count, elapsed, times) = load(&server.http, &token, connections, time, key);
    settle(&server, &token);
    let cpu = (server.cpu() - before) / count as f64;
    let drained = count as f64 / begun.elapsed().as_secs_f64();
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    let name = if matching {
        format!("created, {connections} connections ({drained:.0} workflows/s)")
    } else {
        format!("accepted, {connections} connections")
    };
    Row { name, rate: count as f64 / elapsed, cpu, p50: percentile(&times, 0.5), p99: percentile(&times, 0.99) }
}

/// Waits until nothing is left to dispatch.
fn settle(server: &Server, token: &str) {
    while server.metric("triggerfish_events_waiting ", token) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Posts unique events for a while: (answered 200, seconds, sorted latencies).
fn load(address: &str, token: &str, connections: usize, time: Duration, key: &str) -> (u64, f64, Vec<f64>) {
    let done = AtomicU64::new(0);
    let begun = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|s| {
        let senders: Vec<_> = (0..connections)
            .map(|n| {
                let done = &done;
                s.spawn(move || {
                    let mut c = Connection::open(address, token, "/api/v1/events/argo/").expect("it connects");
                    let mut times = Vec::new();
                    let mut i = 0u64;
                    while begun.elapsed() < time {
                        let body = format!(
                            "{{\"{key}\":\"event {n} {i}\",\"padding\":\"0123456789012345678901234567890123456789\"}}"
                        );
                        let sent = Instant::now();
                        let (status, head) = c.post(&body).expect("it answers");
                        assert_eq!(status, 200, "{head}");
                        times.push(sent.elapsed().as_secs_f64());
                        i += 1;
                    }
                    done.fetch_add(i, Ordering::Relaxed);
                    times
                })
            })
            .collect();
        senders.into_iter().flat_map(|t| t.join().expect("the sender ends")).collect()
    });
    let elapsed = begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    (done.load(Ordering::Relaxed).max(1), elapsed, times)
}

/// Memory while a backlog builds up and drains.
fn memory(backlog: u64) {
    let dir = scratch("backlog");
    let mut server = Server::start(&dir, &["--without-engine", "--event-worker-count", "1"]);
    let token = server.prepare(NO_WORK);
    println!("\nbacklog  idle {} MiB", server.memory() >> 20);
    let mut sent = 0;
    let mut most = 0;
    while sent < backlog {
        sent += load(&server.http, &token, 64, Duration::from_secs(2), "message").0;
        most = most.max(server.memory());
        println!(
            "backlog  {sent} accepted, {} waiting, {} MiB",
            server.metric("triggerfish_events_waiting ", &token),
            server.memory() >> 20
        );
    }
    let begun = Instant::now();
    loop {
        let waiting = server.metric("triggerfish_events_waiting ", &token);
        most = most.max(server.memory());
        println!("backlog  draining, {waiting} waiting, {} MiB", server.memory() >> 20);
        if waiting == 0 || begun.elapsed() > Duration::from_secs(600) {
            break;
        }
        std::thread::sleep(Duration::from_secs(5));
    }
    println!("backlog  most memory {} MiB", most >> 20);
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}
