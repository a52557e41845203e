//! Objects that were written or read lately, so that most reads ask no table.
//!
//! Two generations: what is used moves to the young one, and when that is full the old one is forgotten. The writer enters
//! what it committed before it tells anybody; what a reader found is entered only if nothing was committed meanwhile.

use super::Stored;
use crate::object::Key;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// Bytes of a generation, keys and JSON.
const GENERATION: usize = 2 << 20;
/// What an entry takes beside its JSON, about.
const ENTRY: usize = 256;

#[derive(Default)]
pub struct Recent {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Stored>,
    old: HashMap<Key, Stored>,
    /// Of the young one.
    bytes: usize,
    /// Commits that were entered.
    commits: u64,
}

/// Until when a reader's find may be entered: as long as nothing more was committed.
pub struct Moment(u64);

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The object, or the moment at which it was not known.
    pub fn get(&self, key: &Key) -> Result<Stored, Moment> {
        let mut g = self.lock();
        if let Some(found) = g.young.get(key) {
            return Ok(found.clone());
        }
        match g.old.remove_entry(key) {
            Some((key, found)) => {
                g.enter(key, found.clone());
                Ok(found)
            }
            None => Err(Moment(g.commits)),
        }
    }

    /// Enters what a reader found.
    pub fn found(&self, key: &Key, stored: &Stored, since: Moment) {
        let mut g = self.lock();
        if g.commits == since.0 {
            g.enter(key.clone(), stored.clone());
        }
    }

    /// Enters what was committed; none is an object that was removed.
    pub fn committed(&self, writes: impl Iterator<Item = (Key, Option<Stored>)>) {
        let mut g = self.lock();
        g.commits += 1;
        for (key, stored) in writes {
            g.old.remove(&key);
            if let Some(before) = g.young.remove(&key) {
                g.bytes -= before.json.len() + ENTRY;
            }
            if let Some(stored) = stored {
                g.enter(key, stored);
            }
        }
    }
}

impl Generations {
    fn enter(&mut self, key: Key, stored: Stored) {
        let size = stored.json.len() + ENTRY;
        // One that would push out everything else is not worth it.
        if size > GENERATION / 4 {
            return;
        }
        if self.bytes + size > GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if let Some(before) = self.young.insert(key, stored) {
            self.bytes -= before.json.len() + ENTRY;
        }
        self.bytes += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(rv: u64) -> Stored {
        Stored { rv, json: vec![b'x'; 100_000].into() }
    }

    #[test]
    fn what_is_committed_counts_and_what_was_read_before_it_does_not() {
        let (recent, key) = (Recent::default(), Key::new("pods", "argo", "a"));
        let Err(before) = recent.get(&key) else { panic!("nothing is known yet") };
        recent.committed([(key.clone(), Some(stored(2)))].into_iter());
        recent.found(&key, &stored(1), before);
        assert_eq!(recent.get(&key).map(|s| s.rv).ok(), Some(2));
        let Err(before) = recent.get(&Key::new("pods", "argo", "b")) else { panic!("unknown") };
        recent.committed([(key.clone(), None)].into_iter());
        assert!(recent.get(&key).is_err());
        recent.found(&key, &stored(2), before);
        assert!(recent.get(&key).is_err(), "what was removed does not come back");
    }

    #[test]
    fn it_keeps_what_is_used_within_its_bound() {
        let recent = Recent::default();
        let key = |n: usize| Key::new("pods", "argo", &n.to_string());
        for n in 0..200 {
            recent.committed([(key(n), Some(stored(n as u64)))].into_iter());
            assert!(recent.get(&key(0)).is_ok(), "what is used stays");
        }
        let kept = (0..200).filter(|n| recent.get(&key(*n)).is_ok()).count();
        assert!((2..=42).contains(&kept), "{kept} objects of 100 kB");
    }
}
