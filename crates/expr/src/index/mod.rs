//! Many selectors at the price of those that match.
//!
//! Equal selectors are one. Each is entered under a condition that it needs, so that only those are evaluated whose
//! condition an event fulfils; the outcome of each is as if all had been evaluated (see `tests/index.rs`), but for the bounds
//! of an evaluation: a selector that is false by its condition is not found to take too long. A clone is cheap and stays
//! as it is while the original changes: readers take one and never wait.
//!
//! ```
//! use expr::{Program, Variables, index::Index};
//! use std::sync::Arc;
//! let mut index = Index::default();
//! for n in 0..1000 {
//!     index.insert(n, Arc::new(Program::parse(&format!("payload.repo == 'r{n}'")).unwrap()));
//! }
//! let payload = serde_json::json!({"repo": "r7"});
//! let found = index.ask(&Variables::new().with("payload", &payload));
//! let matched: Vec<_> = found.matched.iter().flat_map(|s| s.owners()).collect();
//! assert_eq!((matched, found.evaluated), (vec![&7], 1));
//! ```

mod conditions;
mod map;
mod trie;

pub use map::{Map, Set};

use crate::types::Kinds;
use crate::{Error, Functions, Program, Value, Variables};
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use trie::{Ids, Trie};

/// Kinds of variables for which the selectors are arranged apart: there are few, and further ones are not kept.
const SHAPES: usize = 8;

/// Selectors with their owners.
#[derive(Debug, Clone)]
pub struct Index<K> {
    selectors: Map<u64, Selector<K>>,
    by_source: Map<(Functions, Arc<str>), u64>,
    by_owner: Map<K, u64>,
    next: u64,
    shapes: Vec<Shape>,
}

/// One selector and all that have it.
#[derive(Debug, Clone)]
pub struct Selector<K> {
    program: Arc<Program>,
    owners: Set<K>,
}

impl<K> Selector<K> {
    /// The parsed selector.
    pub fn program(&self) -> &Program {
        &self.program
    }
    /// Who has it, in no order.
    pub fn owners(&self) -> impl Iterator<Item = &K> {
        self.owners.keys()
    }
    /// How many have it.
    pub fn len(&self) -> usize {
        self.owners.len()
    }
    /// Whether nobody has it any more.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

/// The selectors arranged for variables of certain kinds. Made when the first event of such kinds comes.
#[derive(Debug, Clone, Default)]
struct Shape {
    arranged: OnceLock<(u64, Arranged)>,
}

#[derive(Debug, Clone, Default)]
struct Arranged {
    kinds: Kinds,
    trie: Trie,
    /// Selectors that no condition finds.
    always: Ids,
    /// Selectors that the check refuses for these kinds, by what it says.
    refused: Map<Arc<str>, Ids>,
    /// Where each selector was put, for when it goes.
    places: Map<u64, Place>,
}

#[derive(Debug, Clone)]
enum Place {
    Always,
    Refused(Arc<str>),
    /// Under the condition with this place among those it needs; they are derived again when it leaves.
    Under(usize),
}

/// What the selectors say to one event. Those that are not named are false.
#[derive(Debug)]
pub struct Answer<'i, 'a, K> {
    /// Those that are true.
    pub matched: Vec<&'i Selector<K>>,
    /// Neither true nor false: what they gave instead.
    pub others: Vec<(&'i Selector<K>, Value<'a>)>,
    /// The reason, with all that fail for it.
    pub failed: Vec<(Error, Vec<&'i Selector<K>>)>,
    /// How many were evaluated.
    pub evaluated: usize,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            selectors: Map::default(),
            by_source: Map::default(),
            by_owner: Map::default(),
            next: 0,
            shapes: vec![Shape::default(); SHAPES],
        }
    }
}

impl<K: Hash + Eq + Clone> Index<K> {
    /// How many owners there are.
    pub fn len(&self) -> usize {
        self.by_owner.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_owner.is_empty()
    }

    /// All owners, in no order.
    pub fn owners(&self) -> impl Iterator<Item = &K> {
        self.by_owner.keys()
    }

    /// Enters an owner's selector, in place of the one it had.
    pub fn insert(&mut self, owner: K, program: Arc<Program>) {
        self.remove(&owner);
        let source = source(&program);
        let id = match self.by_source.get(&source) {
            Some(id) => *id,
            None => {
                let id = self.next;
                self.next += 1;
                self.by_source.insert(source, id);
                for (_, arranged) in self.shapes.iter_mut().filter_map(|s| s.arranged.get_mut()) {
                    arranged.enter(id, &program);
                }
                self.selectors.insert(id, Selector { program, owners: Set::default() });
                id
            }
        };
        if let Some(mut s) = self.selectors.get(&id).cloned() {
            s.owners.insert(owner.clone(), ());
            self.selectors.insert(id, s);
        }
        self.by_owner.insert(owner, id);
    }

    /// Takes an owner's selector out.
    pub fn remove(&mut self, owner: &K) {
        let Some(id) = self.by_owner.remove(owner) else { return };
        let Some(mut s) = self.selectors.remove(&id) else { return };
        s.owners.remove(owner);
        if !s.owners.is_empty() {
            self.selectors.insert(id, s);
            return;
        }
        self.by_source.remove(&source(&s.program));
        for (_, arranged) in self.shapes.iter_mut().filter_map(|s| s.arranged.get_mut()) {
            arranged.leave(id, &s.program);
        }
    }

    /// Asks all selectors about one event.
    pub fn ask<'i, 'a>(&'i self, variables: &Variables<'a>) -> Answer<'i, 'a, K>
    where
        'i: 'a,
    {
        let mut answer = Answer { matched: Vec::new(), others: Vec::new(), failed: Vec::new(), evaluated: 0 };
        let Some(arranged) = self.arranged(variables) else {
            self.evaluate(self.selectors.keys(), variables, &mut answer);
            return answer;
        };
        let walk = arranged.trie.walk(variables);
        self.evaluate(arranged.always.keys(), variables, &mut answer);
        self.evaluate(walk.candidates.iter(), variables, &mut answer);
        // All of a set fail alike: one of them says how.
        let sets = walk.failing.into_iter().chain(arranged.refused.iter().map(|(_, ids)| ids));
        for ids in sets {
            let all: Vec<_> = ids.keys().filter_map(|id| self.selectors.get(id)).collect();
            answer.evaluated += 1;
            match all.first().map(|s| s.program.run(variables)) {
                Some(Err(e)) => answer.failed.push((e, all)),
                _ => self.evaluate(ids.keys(), variables, &mut answer),
            }
        }
        answer
    }

    fn evaluate<'i: 'a, 'a, 'k>(
        &'i self,
        ids: impl Iterator<Item = &'k u64>,
        variables: &Variables<'a>,
        answer: &mut Answer<'i, 'a, K>,
    ) {
        for s in ids.filter_map(|id| self.selectors.get(id)) {
            answer.evaluated += 1;
            match s.program.run(variables) {
                Ok(Value::Bool(true)) => answer.matched.push(s),
                Ok(Value::Bool(false)) => {}
                Ok(other) => answer.others.push((s, other)),
                Err(e) => answer.failed.push((e, vec![s])),
            }
        }
    }

    /// The arrangement for the kinds of these variables; none when too many kinds have been seen.
    fn arranged(&self, variables: &Variables) -> Option<&Arranged> {
        let shape = variables.shape();
        for slot in &self.shapes {
            let (known, arranged) = slot.arranged.get_or_init(|| {
                let mut arranged = Arranged::with(variables);
                for (id, s) in self.selectors.iter() {
                    arranged.enter(*id, &s.program);
                }
                (shape, arranged)
            });
            if *known == shape {
                return Some(arranged);
            }
        }
        None
    }
}

/// What makes two selectors the same.
fn source(program: &Program) -> (Functions, Arc<str>) {
    (program.functions(), program.source().into())
}

impl Arranged {
    fn with(variables: &Variables) -> Self {
        Self { kinds: variables.kinds(), ..Self::default() }
    }

    fn enter(&mut self, id: u64, program: &Program) {
        let place = match program.check_kinds(&self.kinds) {
            Err(e) => Place::Refused(e.message.as_str().into()),
            Ok(()) => {
                // The least populated place is the one that tells most.
                let best = conditions::conditions(program.root())
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, c)| self.trie.population(c))
                    .map(|(n, _)| n);
                best.map_or(Place::Always, Place::Under)
            }
        };
        self.put(id, program, &place, true);
        self.places.insert(id, place);
    }

    fn leave(&mut self, id: u64, program: &Program) {
        if let Some(place) = self.places.remove(&id) {
            self.put(id, program, &place, false);
        }
    }

    fn put(&mut self, id: u64, program: &Program, place: &Place, add: bool) {
        match place {
            Place::Always if add => {
                self.always.insert(id, ());
            }
            Place::Always => {
                self.always.remove(&id);
            }
            Place::Refused(message) => trie::enter(&mut self.refused, message.clone(), id, add),
            Place::Under(n) => {
                if let Some(c) = conditions::conditions(program.root()).get(*n) {
                    self.trie.place(id, c, conditions::leading(program.root()).as_ref(), add);
                }
            }
        }
    }
}
