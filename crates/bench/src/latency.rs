//! From the event to the job: latency, CPU, jobs per second.

use crate::http::Connection;
use crate::server::{NO_WORK, Server, scratch};
use crate::{floor, micros, percentile};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The job: writes down when its first instruction ran.
const JOB: &str = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: bench, namespace: argo}\nspec:\n  entrypoint: main\n  arguments: {parameters: [{name: message}]}\n  templates: [{name: main, container: {image: busybox, command: [date, +%s%N]}}]";

pub fn run(rounds: usize) {
    let job = ["date", "+%s%N"];
    let (bare, bare_cpu) = floor::spawn(rounds, &job);
    println!(
        "floor    bare spawn of the job   p50 {}  p99 {}  CPU {}",
        micros(percentile(&bare, 0.5)),
        micros(percentile(&bare, 0.99)),
        micros(bare_cpu)
    );

    let dir = scratch("latency");
    let mut server = Server::start(&dir, &[]);
    let token = server.prepare(JOB);
    let mut c = Connection::open(&server.http, &token, "/api/v1/events/argo/").expect("it connects");
    let (mut times, mut cpu) = (Vec::new(), 0.0);
    for n in 0..rounds + 10 {
        let sent = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_nanos();
        let before = server.cpu();
        let (status, head) = c.post(&format!("{{\"message\":\"{n}\"}}")).expect("it answers");
        assert_eq!(status, 200, "{head}");
        let ran = wait_for_job(&server, n + 1);
        if n >= 10 {
            times.push((ran.saturating_sub(sent)) as f64 / 1e9);
            cpu += server.cpu() - before;
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "post to process started          p50 {}  p99 {}",
        micros(percentile(&times, 0.5)),
        micros(percentile(&times, 0.99))
    );
    println!("over the bare spawn              p50 {}", micros(percentile(&times, 0.5) - percentile(&bare, 0.5)));
    println!(
        "CPU per event and job            {} ({} over the bare job; ticks of 10 ms: a rough figure)",
        micros(cpu / rounds as f64),
        micros(cpu / rounds as f64 - bare_cpu)
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    sustained();
}

/// The time that the n-th job wrote, in nanoseconds since 1970.
fn wait_for_job(server: &Server, n: usize) -> u128 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let entries: Vec<_> = std::fs::read_dir(server.dir.join("logs")).into_iter().flatten().flatten().collect();
        if entries.len() >= n {
            let newest = entries.iter().max_by_key(|e| e.metadata().and_then(|m| m.created()).ok());
            if let Some(text) = newest.and_then(|e| std::fs::read_to_string(e.path()).ok())
                && let Some(t) = text.trim().rsplit(' ').next().and_then(|t| t.parse().ok())
            {
                return t;
            }
        }
        assert!(Instant::now() < deadline, "the job did not run");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Jobs per second while a backlog lasts, and the CPU that each costs.
fn sustained() {
    const JOBS: u64 = 2000;
    let rate = floor::spawn_rate(Duration::from_secs(3), &["true"], None);
    let (_, bare_cpu) = floor::spawn(500, &["true"]);
    println!("\nfloor    bare spawns of `true`, two at a time   {rate:.0} /s, CPU {}", micros(bare_cpu));
    let dir = scratch("sustained");
    std::fs::create_dir_all(dir.join("view")).expect("the directory can be written");
    let isolated = floor::spawn_rate(Duration::from_secs(3), &["true"], Some(&dir));
    println!("floor    the same, each in a view of its own    {isolated:.0} /s ({:.0} %)", isolated / rate * 100.0);
    let mut server = Server::start(&dir, &[]);
    let token = server.prepare(NO_WORK);
    let before = server.cpu();
    let begun = Instant::now();
    std::thread::scope(|s| {
        for n in 0..8u64 {
            let (http, token) = (&server.http, &token);
            s.spawn(move || {
                let mut c = Connection::open(http, token, "/api/v1/events/argo/").expect("it connects");
                for i in 0..JOBS / 8 {
                    let (status, head) = c.post(&format!("{{\"message\":\"{n} {i}\"}}")).expect("it answers");
                    assert_eq!(status, 200, "{head}");
                }
            });
        }
    });
    let count = || std::fs::read_dir(server.dir.join("logs")).map_or(0, Iterator::count) as u64;
    while count() < JOBS {
        assert!(begun.elapsed() < Duration::from_secs(120), "only {} jobs started", count());
        std::thread::sleep(Duration::from_millis(5));
    }
    let elapsed = begun.elapsed().as_secs_f64();
    // What is still to be written about the last jobs belongs to their price.
    std::thread::sleep(Duration::from_secs(1));
    let cpu = (server.cpu() - before) / JOBS as f64;
    println!(
        "events to jobs                   {:.0} /s ({:.0} % of the bare spawn rate), CPU {} per event and job ({} over the bare job)",
        JOBS as f64 / elapsed,
        JOBS as f64 / elapsed / rate * 100.0,
        micros(cpu),
        micros(cpu - bare_cpu)
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}
