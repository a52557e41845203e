//! Floors: what the machine gives without us.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A router that answers without disk, on a port that it prints.
pub fn echo() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let router = axum::Router::new().fallback(|| async { "{}" });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        println!("{}", listener.local_addr().expect("it is bound"));
        axum::serve(listener, router).await.expect("it serves");
    });
}

/// That router in a process of its own, and its address.
pub fn start_echo() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("echo")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the floor starts");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut address).expect("it says its port");
    (child, address.trim().to_owned())
}

/// Appends with fdatasync, one writer: syncs per second.
pub fn fdatasync(dir: &Path, time: Duration) -> f64 {
    let mut file =
        OpenOptions::new().create(true).append(true).open(dir.join("sync")).expect("the directory can be written");
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < time {
        file.write_all(&[0; 512]).and_then(|()| file.sync_data()).expect("the disk takes it");
        n += 1;
    }
    f64::from(n) / begun.elapsed().as_secs_f64()
}

/// SQLite with one commit for each 64 rows of 512 bytes: rows per second.
pub fn group_commit(dir: &Path, time: Duration) -> f64 {
    let mut c = rusqlite::Connection::open(dir.join("floor.db")).expect("SQLite opens");
    c.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB);",
    )
    .expect("SQLite is set up");
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < time {
        let tx = c.transaction().expect("a transaction begins");
        for _ in 0..64 {
            tx.prepare_cached("INSERT INTO t(data) VALUES(?1)")
                .and_then(|mut s| s.execute([&[0u8; 512][..]]))
                .expect("a row is stored");
            n += 1;
        }
        tx.commit().expect("the disk takes it");
    }
    f64::from(n) / begun.elapsed().as_secs_f64()
}

/// Starts and waits for a job, one at a time: (seconds each, sorted; CPU seconds per job).
pub fn spawn(rounds: usize, command: &[&str]) -> (Vec<f64>, f64) {
    let before = crate::server::cpu_of(std::process::id());
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).status().expect("the job runs");
        times.push(begun.elapsed().as_secs_f64());
    }
    let cpu = (crate::server::cpu_of(std::process::id()) - before) / rounds as f64;
    times.sort_by(f64::total_cmp);
    (times, cpu)
}

/// Jobs per second with two at a time, each from a thread of its own; in views as Pods have them, or without.
pub fn spawn_rate(time: Duration, command: &[&str], views: Option<&Path>) -> f64 {
    let job = || {
        if let Some(dir) = views {
            triggerfish::runtime::view::enter(&dir.join("view"), dir).expect("the kernel allows views");
        }
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).status().expect("the job runs");
    };
    let begun = Instant::now();
    let worker = || {
        let mut n = 0;
        while begun.elapsed() < time {
            std::thread::scope(|s| s.spawn(job).join()).expect("the job's thread ends");
            n += 1;
        }
        n
    };
    let count: usize = std::thread::scope(|s| {
        let workers = [s.spawn(worker), s.spawn(worker)];
        workers.map(|w| w.join().expect("the worker ends")).iter().sum()
    });
    count as f64 / begun.elapsed().as_secs_f64()
}
