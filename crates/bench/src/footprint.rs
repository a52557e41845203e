//! What the program takes when it does nothing.

use crate::server::{Server, program, scratch};
use std::time::Duration;

pub fn run() {
    let dir = scratch("footprint");
    let mut first = Server::start(&dir, &[]);
    println!("start to ready, first    {:.0} ms", first.ready_after.as_secs_f64() * 1e3);
    first.kill();
    let mut again: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let mut s = Server::start(&dir, &[]);
        again.push(s.ready_after.as_secs_f64() * 1e3);
        s.kill();
    }
    again.sort_by(f64::total_cmp);
    println!("start to ready, again    {:.0} ms (median of {})", again[again.len() / 2], again.len());
    let mut server = Server::start(&dir, &[]);
    std::thread::sleep(Duration::from_secs(3));
    println!("idle memory              {:.1} MiB", server.memory() as f64 / (1 << 20) as f64);
    let before = server.cpu();
    std::thread::sleep(Duration::from_secs(5));
    println!("idle CPU                 {:.2} %", (server.cpu() - before) / 5.0 * 100.0);
    println!(
        "program                  {:.1} MiB",
        std::fs::metadata(program()).map_or(0, |m| m.len()) as f64 / (1 << 20) as f64
    );
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
}
