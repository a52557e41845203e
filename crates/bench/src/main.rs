//! Whole-system measurements. Each starts the real server on a directory of its own, puts a bounded load on it, and
//! prints a table with the floor that was measured in the same run: compare the ratios, the machine is noisy.
//!
//!     cargo build --release -p triggerfish && cargo run --release -p bench -- events

mod crash;
mod events;
mod floor;
mod footprint;
mod gateways;
mod http;
mod latency;
mod notify;
#[path = "../../triggerfish/tests/support/peers.rs"]
mod peers;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures the real server; build it first: cargo build --release -p triggerfish")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Accepted events per second, CPU per event, beside the floors.
    Events {
        /// Seconds of load per row.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Connections, one row each.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
        connections: Vec<usize>,
        /// So many bindings that look for something else beside the one that matches.
        #[arg(long, default_value_t = 0)]
        bindings: usize,
        /// Also build up and drain a backlog of so many events.
        #[arg(long, default_value_t = 0)]
        backlog: u64,
    },
    /// From POST to the job's first instruction, and jobs per second, beside a bare spawn.
    Latency {
        #[arg(long, default_value_t = 200)]
        rounds: usize,
    },
    /// Kill -9 at random moments under load: nothing lost, nothing doubled.
    Crash {
        #[arg(long, default_value_t = 200)]
        kills: usize,
    },
    /// Sources of gateways beside their clients alone; with --chaos, under fire.
    Gateways {
        /// Kill brokers and the server at random instead of measuring rates.
        #[arg(long)]
        chaos: bool,
        /// Messages for each source.
        #[arg(long, default_value_t = 10_000)]
        messages: usize,
        /// Only these, such as nats,kafka.
        #[arg(long, value_delimiter = ',')]
        sources: Vec<String>,
        /// Instead, start so many configurations in one process.
        #[arg(long)]
        configurations: Option<usize>,
    },
    /// Notices accepted and delivered; with --chaos, under fire.
    Notify {
        /// Kill the server at random while endpoints fail and vanish, instead of measuring rates.
        #[arg(long)]
        chaos: bool,
        /// Events.
        #[arg(long, default_value_t = 10_000)]
        events: usize,
        /// Alerts of which one matches.
        #[arg(long, default_value_t = 10_000)]
        alerts: usize,
    },
    /// Start to ready, idle memory, size of the program.
    Footprint,
    /// The floor for events alone: a server that answers without disk. Started by `events`.
    #[command(hide = true)]
    Echo,
}

fn main() {
    match Cli::parse().what {
        What::Events { seconds, connections, bindings, backlog } => {
            events::run(seconds, &connections, bindings, backlog)
        }
        What::Latency { rounds } => latency::run(rounds),
        What::Crash { kills } => crash::run(kills),
        What::Gateways { configurations: Some(n), .. } => gateways::many(n),
        What::Gateways { chaos: true, messages, sources, .. } => gateways::chaos(&sources, messages),
        What::Gateways { messages, sources, .. } => gateways::rates(&sources, messages),
        What::Notify { chaos: true, events, .. } => notify::chaos(events),
        What::Notify { events, alerts, .. } => notify::run(events, alerts),
        What::Footprint => footprint::run(),
        What::Echo => floor::echo(),
    }
}

/// Microseconds with one digit.
fn micros(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

/// The value at a share of a sorted list.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Waits for something that a broker does, as the tests do.
fn eventually<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(t) = f() {
            return t;
        }
        assert!(begun.elapsed().as_secs() < 120, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
