//! Where events come from: one file per source, and what they have in common.
//!
//! One more source is a file and a line in `SOURCES`. A source reads its configuration, and runs until it is stopped: it
//! connects, says that it runs, and emits; an event is on disk when `emit` returns, and only then its broker hears of it.
//! Restarts, pauses between them, status and counters are not its business (`serve/gateways.rs`).

pub mod admission;
pub mod amqp;
pub mod calendar;
pub mod cloudevents;
pub mod configuration;
pub mod custom;
pub mod door;
pub mod kafka;
pub mod mqtt;
pub mod nats;
pub mod outlet;
pub mod resource;
pub mod s3;
pub mod secret;
pub mod subscriber;
pub mod webhook;

pub use admission::admit;
pub use configuration::{Configuration, Entry, Gateway};
pub use outlet::{Board, Destination, Emission, Outlet, Progress};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Every source.
pub const SOURCES: &[Kind] =
    &[calendar::KIND, webhook::KIND, resource::KIND, nats::KIND, mqtt::KIND, amqp::KIND, kafka::KIND, s3::KIND];

/// One kind of source.
#[derive(Debug)]
pub struct Kind {
    /// The prefix of its configurations' names (`calendar.barConfig`), or the `type` of a gateway.
    pub name: &'static str,
    /// Reads a configuration; the error says which field is wrong and what is expected.
    pub read: fn(&Value) -> Result<Arc<dyn Source>, String>,
    /// A configuration as people write it.
    pub example: &'static str,
}

/// One configuration that can run.
pub trait Source: Send + Sync {
    /// What will come, in words, where that is known beforehand.
    fn outlook(&self, _now: Timestamp) -> Vec<String> {
        Vec::new()
    }
    /// What it was told and does not heed, in words; shown while it runs.
    fn doubts(&self) -> Vec<String> {
        Vec::new()
    }
    /// Runs until it is dropped. Ending without an error means that nothing more will come.
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Why a source ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The other side is away, or not as it should be yet: it is tried again.
    Lost(String),
    /// It can never work as it is configured.
    Wrong(String),
}

impl Failure {
    pub fn lost(what: &str, e: impl std::fmt::Display) -> Self {
        Failure::Lost(format!("{what}: {e}"))
    }
}

/// Reads settings strictly: an unknown or misspelt key is an error that names it.
fn settings<T: serde::de::DeserializeOwned>(v: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(v).map_err(|e| {
        let path = e.path().to_string();
        if path == "." { e.inner().to_string() } else { format!("{path}: {}", e.inner()) }
    })
}
