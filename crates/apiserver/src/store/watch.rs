//! Tells watchers what was committed. Each has a bounded buffer; one that does not keep up is dropped, never waited for.

use super::Change;
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use tokio::sync::mpsc;

/// One committed change of one object.
#[derive(Debug)]
pub struct Event {
    pub rv: u64,
    pub change: Change,
    pub namespace: String,
    pub name: String,
    /// The object after the change; for a deletion its last state.
    pub json: Bytes,
    /// The object before the change, where it is still known.
    pub previous: Option<Bytes>,
    parsed: OnceLock<Value>,
    parsed_before: OnceLock<Value>,
}

impl Event {
    pub fn new(rv: u64, change: Change, namespace: String, name: String, json: Bytes, previous: Option<Bytes>) -> Self {
        Self { rv, change, namespace, name, json, previous, parsed: OnceLock::new(), parsed_before: OnceLock::new() }
    }
    /// The object, parsed once for all who look into it.
    pub fn object(&self) -> &Value {
        self.parsed.get_or_init(|| serde_json::from_slice(&self.json).unwrap_or_default())
    }
    pub fn before(&self) -> Option<&Value> {
        self.previous.as_ref().map(|p| self.parsed_before.get_or_init(|| serde_json::from_slice(p).unwrap_or_default()))
    }
}

pub struct Hub {
    buffer: usize,
    watchers: Mutex<HashMap<String, Vec<mpsc::Sender<Arc<Event>>>>>,
    /// The newest version of each resource that was written since the start.
    changed: RwLock<HashMap<String, u64>>,
}

impl Hub {
    pub fn new(buffer: usize) -> Self {
        Self { buffer, watchers: Mutex::default(), changed: RwLock::default() }
    }

    /// Changes of a resource from now on. The channel closes when the watcher has fallen behind.
    pub fn subscribe(&self, resource: &str) -> mpsc::Receiver<Arc<Event>> {
        let (sender, receiver) = mpsc::channel(self.buffer);
        let mut watchers = self.watchers.lock().unwrap_or_else(|e| e.into_inner());
        let list = watchers.entry(resource.to_owned()).or_default();
        list.retain(|w| !w.is_closed());
        list.push(sender);
        receiver
    }

    /// The version of the last write to a resource since the start; 0 if there was none.
    pub fn last_change(&self, resource: &str) -> u64 {
        self.changed.read().unwrap_or_else(|e| e.into_inner()).get(resource).copied().unwrap_or(0)
    }

    pub(super) fn publish(&self, resource: &str, event: &Arc<Event>) {
        let mut changed = self.changed.write().unwrap_or_else(|e| e.into_inner());
        match changed.get_mut(resource) {
            Some(rv) => *rv = event.rv,
            None => {
                changed.insert(resource.to_owned(), event.rv);
            }
        }
        drop(changed);
        let mut watchers = self.watchers.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(list) = watchers.get_mut(resource) {
            list.retain(|w| w.try_send(event.clone()).is_ok());
        }
    }

    /// Ends every watch of a resource: its definition has changed.
    pub fn close(&self, resource: &str) {
        self.watchers.lock().unwrap_or_else(|e| e.into_inner()).remove(resource);
    }
}
