//! Sends the events of a gateway on to another one that watches it: each once and in order, for as long as that takes.
//!
//! An event keeps its id and source, by which its watcher recognises a repeat: a crash in between doubles nothing, and
//! gateways that watch each other come to an end.

use super::doors::Doors;
use crate::bus::Bus;
use crate::event::Event;
use crate::gateway::Gateway;
use crate::gateway::configuration::Watcher;
use crate::gateway::door::Received;
use http::Method;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Events looked at in one go.
const BATCH: usize = 256;
/// Between two tries to deliver.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub struct Forward {
    pub bus: Arc<Bus>,
    pub doors: Arc<Doors>,
    pub gateway: Arc<Gateway>,
    pub watcher: Watcher,
    /// Why the next event is not delivered yet; empty while all goes well.
    pub held_up: Arc<Mutex<String>>,
    pub changed: Arc<Notify>,
}

/// What the names of all watchers' cursors begin with.
pub const CURSORS: &str = "gateway/";

/// The name of a watcher's cursor.
pub fn cursor(gateway: &Gateway, w: &Watcher) -> String {
    format!("{CURSORS}{}/{}:{}{}", gateway.uid, w.name, w.port, w.endpoint)
}

impl Forward {
    pub async fn run(self) {
        let name = cursor(&self.gateway, &self.watcher);
        let mut after = match self.bus.cursor_of(&name) {
            Ok(Some(seq)) => seq,
            // A new watcher gets what comes from now on.
            _ => self.bus.accepted(),
        };
        self.keep(&name, after).await;
        loop {
            let arrived = self.bus.arrived.notified();
            match self.bus.of_gateway(&self.gateway.namespace, &self.gateway.name, after, BATCH) {
                Ok((events, end)) => {
                    for r in &events {
                        self.deliver(&r.event).await;
                    }
                    if end == after {
                        arrived.await;
                        continue;
                    }
                    after = end;
                    self.keep(&name, after).await;
                }
                Err(e) => {
                    self.tell(format!("cannot read the event log: {e}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Remembers how far it has come.
    async fn keep(&self, name: &str, seq: u64) {
        if let Err(e) = self.bus.watch(name, Some(seq)).await {
            tracing::debug!(?e, "could not keep a watcher's place; what was sent is sent again and recognised");
        }
    }

    fn tell(&self, why: String) {
        let mut held_up = self.held_up.lock().unwrap_or_else(|e| e.into_inner());
        if *held_up != why {
            *held_up = why;
            self.changed.notify_one();
        }
    }

    async fn deliver(&self, event: &Event) {
        let w = &self.watcher;
        let g = &self.gateway;
        let (headers, body) = g.envelope.request(event, &g.version);
        let mut pause = PAUSE;
        loop {
            let (headers, body) = (headers.clone(), body.clone().into());
            let request = Received { method: Method::POST, target: w.endpoint.clone(), headers, body };
            let why = match self.doors.deliver(w.port, &w.endpoint, request).await {
                Ok((status, _)) if status.is_success() => return self.tell(String::new()),
                Ok((status, text)) => format!("{status}: {text}"),
                Err(why) => why,
            };
            self.tell(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
