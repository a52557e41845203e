//! Rounds: events gather until a trigger's condition holds, then it fires with all of them and a new round begins.

use crate::condition::Condition;
use std::collections::BTreeMap;

/// What has come in the present round of one trigger: the newest event of each dependency.
#[derive(Debug, Clone, PartialEq)]
pub struct Round<E> {
    held: BTreeMap<String, E>,
}

impl<E> Default for Round<E> {
    fn default() -> Self {
        Round { held: BTreeMap::new() }
    }
}

impl<E> Round<E> {
    /// A round as it was left.
    pub fn of(held: BTreeMap<String, E>) -> Self {
        Round { held }
    }

    /// What it holds.
    pub fn held(&self) -> &BTreeMap<String, E> {
        &self.held
    }

    /// An event of a dependency came; it takes the place of an earlier one. If the condition holds now, the trigger fires
    /// with what is answered, and the next round is empty.
    pub fn arrive(&mut self, condition: &Condition, dependency: &str, event: E) -> Option<BTreeMap<String, E>> {
        self.held.insert(dependency.to_owned(), event);
        condition.holds(&|name| self.held.contains_key(name)).then(|| std::mem::take(&mut self.held))
    }

    /// Forgets what has come: a reset is due, or the condition is another one now.
    pub fn reset(&mut self) {
        self.held.clear();
    }
}
