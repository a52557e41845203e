//! Requests that wait for the dispatch of their event.

use crate::event::Outcome;
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// Who waits for which event.
#[derive(Default)]
pub struct Waiting(Mutex<HashMap<u64, Vec<oneshot::Sender<Outcome>>>>);

impl Waiting {
    pub fn on(&self, seq: u64) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(|e| e.into_inner()).entry(seq).or_default().push(sender);
        receiver
    }
    pub fn tell(&self, seq: u64, outcome: &Outcome) {
        for w in self.0.lock().unwrap_or_else(|e| e.into_inner()).remove(&seq).into_iter().flatten() {
            // A client that went away is not told.
            let _ = w.send(outcome.clone());
        }
    }
}
