//! The tests and guards of selectors by the place they look at, so that an event is walked once.

use super::conditions::{Condition, Constant, GUARDS, Guard, Key, Path, Scalar, Step, Test};
use super::map::{Map, Set};
use crate::eval;
use crate::value::{Dict, List, Text, Value};
use crate::variables::Variables;
use std::sync::Arc;

/// Selectors by number.
pub type Ids = Set<u64>;

/// Selectors by the constant that they look up.
#[derive(Debug, Clone, Default)]
struct Values {
    texts: Map<Arc<str>, Ids>,
    scalars: Map<Scalar, Ids>,
    lists: Map<Vec<Constant>, Ids>,
    /// How many of the lists have a length: no other is looked up.
    lengths: Map<usize, usize>,
}

/// One place.
#[derive(Debug, Clone, Default)]
pub struct Node {
    children: Map<Step, Node>,
    /// Children that have something to say when the event has not got them.
    restless: Set<Step>,
    equal: Values,
    contains: Values,
    prefixes: Map<Arc<str>, Ids>,
    prefix_lengths: Map<usize, usize>,
    guards: [Ids; GUARDS.len()],
    /// Selectors that read this place before anything else.
    leading: Ids,
}

#[derive(Debug, Clone, Default)]
pub struct Trie {
    roots: Map<Arc<str>, Node>,
}

/// What a walk found: selectors to evaluate, and places that all of their leading selectors fail at.
#[derive(Debug, Default)]
pub struct Walk<'t> {
    pub candidates: Vec<u64>,
    pub failing: Vec<&'t Ids>,
}

/// Adds to or takes from a set that is dropped when it is empty.
pub fn enter<K: std::hash::Hash + Eq + Clone>(map: &mut Map<K, Ids>, key: K, id: u64, add: bool) {
    if add {
        map.change(key, |ids| ids.insert(id, ()));
    } else if let Some(mut ids) = map.get(&key).cloned() {
        ids.remove(&id);
        if ids.is_empty() {
            map.remove(&key)
        } else {
            map.insert(key, ids)
        };
    }
}

fn count(map: &mut Map<usize, usize>, length: usize, add: bool) {
    let now = map.get(&length).copied().unwrap_or(0);
    match if add { now + 1 } else { now.saturating_sub(1) } {
        0 => map.remove(&length),
        n => map.insert(length, n),
    };
}

impl Values {
    fn enter(&mut self, c: &Constant, id: u64, add: bool) {
        match c {
            Constant::Text(s) => enter(&mut self.texts, s.clone(), id, add),
            Constant::Scalar(s) => enter(&mut self.scalars, *s, id, add),
            Constant::List(l) => {
                count(&mut self.lengths, l.len(), add);
                enter(&mut self.lists, l.clone(), id, add);
            }
        }
    }
    fn population(&self, c: &Constant) -> usize {
        let found = match c {
            Constant::Text(s) => self.texts.get(s),
            Constant::Scalar(s) => self.scalars.get(s),
            Constant::List(l) => self.lists.get(l),
        };
        found.map_or(0, Map::len)
    }
    fn find(&self, v: &Value) -> Option<&Ids> {
        match v {
            Value::Text(s) => self.texts.get(&**s),
            Value::List(l) if self.lengths.contains(&l.len()) => self.lists.get(&constants(l)?),
            other => self.scalars.get(&scalar(other)?),
        }
    }
}

fn scalar(v: &Value) -> Option<Scalar> {
    match v {
        Value::Bool(b) => Some(Scalar::Bool(*b)),
        other => other.as_number().map(Scalar::number),
    }
}

fn constants(l: &List) -> Option<Vec<Constant>> {
    l.iter()
        .map(|v| match &v {
            Value::Text(s) => Some(Constant::Text((&**s).into())),
            Value::List(inner) => constants(inner).map(Constant::List),
            other => scalar(other).map(Constant::Scalar),
        })
        .collect()
}

impl Trie {
    /// Enters a selector, or takes it out again.
    pub fn place(&mut self, id: u64, condition: &Condition, leading: Option<&Path>, add: bool) {
        self.at(&condition.path, |node| match &condition.test {
            Test::AnyOf(all) => all.iter().for_each(|c| node.equal.enter(c, id, add)),
            Test::Contains(c) => node.contains.enter(c, id, add),
            Test::Prefix(p) => {
                count(&mut node.prefix_lengths, p.len(), add);
                enter(&mut node.prefixes, p.clone(), id, add);
            }
        });
        for (path, guard) in &condition.guards {
            let first = leading == Some(path);
            self.at(path, |node| {
                let set = |ids: &mut Ids| if add { ids.insert(id, ()) } else { ids.remove(&id) };
                set(&mut node.guards[*guard as usize]);
                if first {
                    set(&mut node.leading);
                }
            });
        }
    }

    /// How many selectors a condition would share its place with.
    pub fn population(&self, condition: &Condition) -> usize {
        let Some(node) = self.find(&condition.path) else { return 0 };
        match &condition.test {
            Test::AnyOf(all) => all.iter().map(|c| node.equal.population(c)).sum(),
            Test::Contains(c) => node.contains.population(c),
            Test::Prefix(p) => node.prefixes.get(p).map_or(0, Map::len),
        }
    }

    fn find(&self, path: &Path) -> Option<&Node> {
        path.steps.iter().try_fold(self.roots.get(&path.root)?, |node, step| node.children.get(step))
    }

    fn at(&mut self, path: &Path, with: impl FnOnce(&mut Node)) {
        let mut root = self.roots.get(&path.root).cloned().unwrap_or_default();
        root.at(&path.steps, with);
        if root.is_empty() {
            self.roots.remove(&path.root)
        } else {
            self.roots.insert(path.root.clone(), root)
        };
    }

    /// What an event's variables lead to.
    pub fn walk(&self, variables: &Variables) -> Walk<'_> {
        let mut out = Walk::default();
        // The few roots are looked at one by one: every selector has at least one of them.
        for (name, node) in self.roots.iter() {
            match variables.get(name) {
                Some(v) => node.walk(v, &mut out),
                None => node.fails(&mut out),
            }
        }
        let Walk { candidates, failing } = &mut out;
        candidates.sort_unstable();
        candidates.dedup();
        // Who fails at its first step need not be asked for another reason.
        candidates.retain(|id| !failing.iter().any(|ids| ids.contains(id)));
        out
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.equal_is_empty()
            && self.prefixes.is_empty()
            && self.guards.iter().all(Map::is_empty)
            && self.leading.is_empty()
    }
    fn equal_is_empty(&self) -> bool {
        [&self.equal, &self.contains].iter().all(|v| v.texts.is_empty() && v.scalars.is_empty() && v.lists.is_empty())
    }
    /// Whether nil here can make a selector fail.
    fn is_restless(&self) -> bool {
        !self.children.is_empty() || [Guard::Bool, Guard::Number].iter().any(|g| !self.guards[*g as usize].is_empty())
    }

    fn at(&mut self, steps: &[Step], with: impl FnOnce(&mut Node)) {
        let [step, rest @ ..] = steps else { return with(self) };
        let mut child = self.children.get(step).cloned().unwrap_or_default();
        child.at(rest, with);
        // A place in a list is looked at whatever is there.
        if child.is_restless() || matches!(step.key, Key::Place(_)) && !child.is_empty() {
            self.restless.insert(step.clone(), ());
        } else {
            self.restless.remove(step);
        }
        if child.is_empty() {
            self.children.remove(step)
        } else {
            self.children.insert(step.clone(), child)
        };
    }

    fn walk<'t>(&'t self, v: &Value, out: &mut Walk<'t>) {
        self.check(v, out);
        self.look_up(v, out);
        if self.children.is_empty() {
            return;
        }
        match v {
            Value::Map(m @ (Dict::Json(_) | Dict::Own(..))) if m.len() < self.children.len() => {
                for (name, member) in m.iter() {
                    for optional in [false, true] {
                        let step = Step { key: Key::Name((&*name).into()), optional };
                        if let Some(child) = self.children.get(&step) {
                            child.walk(&member, out);
                        }
                    }
                }
                let missing = |step: &&Step| !matches!(&step.key, Key::Name(k) if m.get(k).is_some());
                for step in self.restless.keys().filter(missing) {
                    self.step(step, v, out);
                }
            }
            _ => self.children.keys().for_each(|step| self.step(step, v, out)),
        }
    }

    fn step<'t>(&'t self, step: &Step, v: &Value, out: &mut Walk<'t>) {
        let Some(child) = self.children.get(step) else { return };
        if step.optional && v.is_nil() {
            return child.cut(out);
        }
        let key = match &step.key {
            Key::Name(k) => Value::Text(Text::Borrowed(k)),
            Key::Place(i) => Value::Int(*i),
        };
        match eval::fetch(v, &key, 0) {
            Ok(found) => child.walk(&found, out),
            Err(_) => child.fails(out),
        }
    }

    /// Guards that a value breaks.
    fn check(&self, v: &Value, out: &mut Walk) {
        for guard in GUARDS {
            let holds = match guard {
                Guard::Reachable => true,
                Guard::TextOrNil => v.is_nil() || matches!(v, Value::Text(_)),
                Guard::ContainerOrNil => v.is_nil() || matches!(v, Value::List(_) | Value::Map(_)),
                Guard::Number => v.as_number().is_some(),
                Guard::Bool => matches!(v, Value::Bool(_)),
            };
            if !holds {
                out.candidates.extend(self.guards[guard as usize].keys());
            }
        }
    }

    fn look_up(&self, v: &Value, out: &mut Walk) {
        out.candidates.extend(self.equal.find(v).into_iter().flat_map(Map::keys));
        match v {
            Value::Text(s) => {
                for length in self.prefix_lengths.keys() {
                    let ids = s.get(..*length).and_then(|prefix| self.prefixes.get(prefix));
                    out.candidates.extend(ids.into_iter().flat_map(Map::keys));
                }
            }
            Value::List(l) if !self.contains.texts.is_empty() => {
                for item in l.iter() {
                    out.candidates.extend(self.contains.find(&item).into_iter().flat_map(Map::keys));
                }
            }
            Value::Map(m) if !self.contains.texts.is_empty() => {
                for (name, _) in m.iter() {
                    out.candidates.extend(self.contains.texts.get(&*name).into_iter().flat_map(Map::keys));
                }
            }
            _ => {}
        }
    }

    /// `?.` met nil: this place and all behind it are nil.
    fn cut(&self, out: &mut Walk) {
        self.check(&Value::Nil, out);
        self.children.iter().for_each(|(_, child)| child.cut(out));
    }

    /// The place cannot be reached: who reads it first fails, who reads it at all is evaluated.
    fn fails<'t>(&'t self, out: &mut Walk<'t>) {
        if !self.leading.is_empty() {
            out.failing.push(&self.leading);
        }
        for ids in &self.guards {
            out.candidates.extend(ids.keys().filter(|id| !self.leading.contains(*id)));
        }
        self.children.iter().for_each(|(_, child)| child.fails(out));
    }
}
