//! Events that were just stored and wait for dispatch, in memory: dispatching them asks no disk.

use super::Record;
use crate::event::Event;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What is held, at most: events, and bytes of their stored form. Older ones are read from the log instead.
const EVENTS: usize = 4096;
const BYTES: usize = 8 * 1024 * 1024;

#[derive(Default)]
pub struct Recent(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// Consecutive, oldest first, with their sizes.
    events: VecDeque<(u64, Arc<Event>, usize)>,
    bytes: usize,
}

impl Held {
    fn drop_oldest(&mut self) {
        if let Some((_, _, size)) = self.events.pop_front() {
            self.bytes -= size;
        }
    }
}

impl Recent {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn push(&self, seq: u64, event: Arc<Event>, size: usize) {
        let mut held = self.held();
        if held.events.back().is_some_and(|(last, _, _)| last + 1 != seq) {
            *held = Held::default();
        }
        held.events.push_back((seq, event, size));
        held.bytes += size;
        while held.events.len() > EVENTS || held.bytes > BYTES {
            held.drop_oldest();
        }
    }

    /// Those up to a place were dispatched.
    pub fn finished(&self, cursor: u64) {
        let mut held = self.held();
        while held.events.front().is_some_and(|(seq, _, _)| *seq <= cursor) {
            held.drop_oldest();
        }
    }

    /// The events after a place, if the first of them is here.
    pub fn after(&self, seq: u64, limit: usize) -> Option<Vec<Record>> {
        let held = self.held();
        let (first, _, _) = held.events.front()?;
        let skip = usize::try_from((seq + 1).checked_sub(*first)?).ok()?;
        let found: Vec<Record> = held
            .events
            .iter()
            .skip(skip)
            .take(limit)
            .map(|(seq, event, _)| Record { seq: *seq, event: event.clone(), outcome: None })
            .collect();
        (!found.is_empty()).then_some(found)
    }
}
