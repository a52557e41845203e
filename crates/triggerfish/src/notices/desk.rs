//! What recognises repeats of notices that are posted: a window for each, counted from the first time that it is seen.

use notify::Notice;
use notify::alert::{arrived, duplicate_key, without_token};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Notices that are remembered; beyond it the memory is emptied, and a repeat may pass.
const REMEMBERED: usize = 500_000;

/// Repeats of a notice within its length are refused.
#[derive(Debug)]
pub struct Window {
    length: Duration,
    seen: HashMap<String, Instant>,
    swept: Instant,
}

impl Window {
    pub fn new(length: Duration) -> Self {
        Window { length, seen: HashMap::new(), swept: Instant::now() }
    }

    /// Takes what is taken in of a notice's metadata; what it is recognised by.
    pub fn key(n: &mut Notice) -> String {
        arrived(n);
        let key = duplicate_key(n);
        without_token(n);
        key
    }

    /// Until when repeats are refused, and whether this is one.
    pub fn enter(&mut self, key: &str, now: Instant) -> (Duration, bool) {
        if self.seen.len() >= REMEMBERED || now.duration_since(self.swept) > self.length {
            self.swept = now;
            let length = self.length;
            self.seen.retain(|_, since| now.duration_since(*since) < length);
            if self.seen.len() >= REMEMBERED {
                self.seen.clear();
            }
        }
        match self.seen.get(key).map(|since| now.duration_since(*since)) {
            Some(age) if age < self.length => (self.length - age, true),
            _ => {
                self.seen.insert(key.to_owned(), now);
                (self.length, false)
            }
        }
    }

    /// Forgets one that was not taken after all: its sender tries again.
    pub fn leave(&mut self, key: &str) {
        self.seen.remove(key);
    }
}
