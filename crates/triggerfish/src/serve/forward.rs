//! Sends the events of a gateway on, to another one that watches it or to a subscriber outside: each at least once and in order, for
//! as long as that takes.
//!
//! An event keeps its id and source, by which its receiver recognises a repeat: a crash in between doubles nothing, and
//! gateways that watch each other come to an end.

use super::doors::Doors;
use crate::bus::Bus;
use crate::event::Event;
use crate::gateway::configuration::Watcher;
use crate::gateway::door::Received;
use crate::gateway::subscriber::{BATCH, Connection, Subscriber};
use crate::gateway::{Failure, Gateway};
use crate::kube_api::Api;
use http::Method;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two tries to deliver.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who gets the events.
#[derive(Clone)]
pub enum Target {
    /// A gateway of this program, at a webhook of its own.
    Gateway(Watcher, Arc<Doors>),
    /// Somebody outside, reached with what Secrets hold that the gateway may read.
    Subscriber(Arc<dyn Subscriber>, Api),
}

impl Target {
    /// What people know it by.
    pub fn label(&self) -> String {
        match self {
            Target::Gateway(w, _) => format!("watchers.gateways {}", w.name),
            Target::Subscriber(s, _) => format!("subscribers: {}", s.label()),
        }
    }
}

pub struct Forward {
    pub bus: Arc<Bus>,
    pub gateway: Arc<Gateway>,
    pub target: Target,
    /// The name of its place in the log.
    pub cursor: String,
    /// Why the next event is not delivered yet; empty while all goes well.
    pub held_up: Arc<Mutex<String>>,
    pub changed: Arc<Notify>,
}

/// What the names of all such cursors begin with.
pub const CURSORS: &str = "gateway/";

impl Forward {
    pub async fn run(self) {
        let mut after = match self.bus.cursor_of(&self.cursor) {
            Ok(Some(seq)) => seq,
            // A new one gets what comes from now on.
            _ => self.bus.accepted(),
        };
        self.keep(after).await;
        let mut open = None;
        loop {
            let arrived = self.bus.arrived.notified();
            match self.bus.of_gateway(&self.gateway.namespace, &self.gateway.name, after, BATCH) {
                Ok((events, end)) => {
                    let events: Vec<Arc<Event>> = events.into_iter().map(|r| r.event).collect();
                    if !events.is_empty() {
                        self.deliver_all(&events, &mut open).await;
                    }
                    if end == after {
                        arrived.await;
                        continue;
                    }
                    after = end;
                    self.keep(after).await;
                }
                Err(e) => {
                    self.tell(format!("cannot read the event log: {e}"));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Remembers how far it has come.
    async fn keep(&self, seq: u64) {
        if let Err(e) = self.bus.watch(&self.cursor, Some(seq)).await {
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

    async fn deliver_all<'a>(&'a self, events: &[Arc<Event>], open: &mut Option<Box<dyn Connection + 'a>>) {
        match &self.target {
            Target::Gateway(w, doors) => {
                for e in events {
                    self.deliver(w, doors, e).await;
                }
            }
            Target::Subscriber(s, api) => self.send(s.as_ref(), api, events, open).await,
        }
    }

    async fn deliver(&self, w: &Watcher, doors: &Doors, event: &Event) {
        let g = &self.gateway;
        let (headers, body) = g.envelope.request(event, &g.version);
        let mut pause = PAUSE;
        loop {
            let (headers, body) = (headers.clone(), body.clone().into());
            let request = Received { method: Method::POST, target: w.endpoint.clone(), headers, body };
            let why = match doors.deliver(w.port, &w.endpoint, request).await {
                Ok((status, _)) if status.is_success() => return self.tell(String::new()),
                Ok((status, text)) => format!("{status}: {text}"),
                Err(why) => why,
            };
            self.tell(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends over one connection for as long as it holds.
    async fn send<'a>(
        &'a self,
        s: &'a dyn Subscriber,
        api: &'a Api,
        events: &[Arc<Event>],
        open: &mut Option<Box<dyn Connection + 'a>>,
    ) {
        let mut pause = PAUSE;
        loop {
            let sent = async {
                let mut connection = match open.take() {
                    Some(c) => c,
                    None => s.connect(api, &self.gateway.namespace).await?,
                };
                connection.send(events).await?;
                *open = Some(connection);
                Ok::<_, Failure>(())
            };
            let (Failure::Lost(why) | Failure::Wrong(why)) = match sent.await {
                Ok(()) => return self.tell(String::new()),
                Err(e) => e,
            };
            self.tell(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
