//! The bindings at one moment, and what they say to an event.
//!
//! A clone costs nothing and stays as it is, so every event sees one set; a change costs its own size. Selectors are
//! found by what they need to match (`expr::index`), so an event costs what its matches cost.

use super::{Binding, Decision, Facts, outcome, verdict};
use expr::Value;
use expr::index::{Index, Map};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bindings whose "no" or whose error is written down per event, each with its reason; the rest are counted.
const NAMED: usize = 20;

/// The bindings of all namespaces.
#[derive(Debug, Default, Clone)]
pub struct Bindings {
    /// Only those with this instance id are asked.
    instance: Arc<str>,
    by_namespace: Map<Arc<str>, Namespace>,
}

#[derive(Debug, Default, Clone)]
struct Namespace {
    by_name: Map<Arc<str>, Arc<Binding>>,
    /// Those that are asked, by their selectors.
    index: Index<Arc<str>>,
    /// Those that are asked and have a selector that does not parse: every event fails them.
    malformed: Map<Arc<str>, Arc<Binding>>,
}

/// What the bindings said.
#[derive(Debug, Default)]
pub struct Asked {
    /// By namespace and name.
    pub told: Vec<(Arc<Binding>, Decision)>,
    /// Bindings whose selector was false beyond those that are told.
    pub more_not_matched: usize,
    /// Reasons, and how many bindings beyond those that are told failed for each.
    pub more_failed: BTreeMap<String, usize>,
}

impl Bindings {
    /// None yet; bindings of other instances will be kept and not asked.
    pub fn of_instance(id: &str) -> Self {
        Self { instance: id.into(), by_namespace: Map::default() }
    }

    pub fn insert(&mut self, b: &Arc<Binding>) {
        let asked = *b.instance() == *self.instance;
        let name: Arc<str> = b.name.as_str().into();
        self.by_namespace.change(b.namespace.as_str().into(), |all| {
            all.take_out(&name);
            match &b.selector {
                Ok(p) if asked => all.index.insert(name.clone(), p.clone()),
                Err(_) if asked => {
                    all.malformed.insert(name.clone(), b.clone());
                }
                _ => {}
            }
            all.by_name.insert(name, b.clone());
        });
    }

    pub fn remove(&mut self, namespace: &str, name: &str) {
        let Some(mut all) = self.by_namespace.get(namespace).cloned() else { return };
        all.take_out(&name.into());
        if all.by_name.is_empty() {
            self.by_namespace.remove(namespace)
        } else {
            self.by_namespace.insert(namespace.into(), all)
        };
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.by_namespace.iter().flat_map(|(_, all)| all.by_name.iter().map(|(_, b)| b))
    }

    /// Asks the bindings of a namespace, or all where it is empty.
    pub fn ask(&self, namespace: &str, facts: &Facts) -> Asked {
        let mut out = Asked::default();
        if namespace.is_empty() {
            self.by_namespace.iter().for_each(|(_, all)| all.ask(facts, &mut out));
        } else if let Some(all) = self.by_namespace.get(namespace) {
            all.ask(facts, &mut out);
        }
        out.told.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        out
    }
}

impl Namespace {
    fn take_out(&mut self, name: &Arc<str>) {
        self.by_name.remove(name);
        self.malformed.remove(name);
        self.index.remove(name);
    }

    fn ask(&self, facts: &Facts, out: &mut Asked) {
        let variables = facts.variables();
        let before = out.told.len();
        let answer = self.index.ask(&variables);
        let mut tell = |name: &Arc<str>, said: Option<Result<Value, expr::Error>>| {
            if let Some(b) = self.by_name.get(name) {
                let decision = said.map_or_else(|| verdict(b, &variables), |said| outcome(b, said, &variables));
                out.told.push((b.clone(), decision));
            }
        };
        let mut more_failed = Vec::new();
        for s in &answer.matched {
            s.owners().for_each(|name| tell(name, Some(Ok(Value::Bool(true)))));
        }
        for (s, value) in &answer.others {
            s.owners().for_each(|name| tell(name, Some(Ok(value.clone()))));
        }
        for (error, selectors) in &answer.failed {
            let names: Vec<_> = selectors.iter().flat_map(|s| s.owners()).collect();
            // Of several selectors each has its own place in its own text.
            let said = (selectors.len() == 1).then(|| error.clone());
            names.iter().take(NAMED).for_each(|name| tell(name, said.clone().map(Err)));
            if names.len() > NAMED {
                more_failed.push((error.message.clone(), names.len() - NAMED));
            }
        }
        for (name, _) in self.malformed.iter() {
            tell(name, None);
        }
        // Few bindings tell each why not; of many the rest is counted, and explained when somebody asks.
        let counted: usize = more_failed.iter().map(|(_, n)| n).sum();
        let silent = self.index.len() + self.malformed.len() - (out.told.len() - before) - counted;
        for (reason, n) in more_failed {
            *out.more_failed.entry(reason).or_default() += n;
        }
        if self.index.len() > NAMED {
            out.more_not_matched += silent;
            return;
        }
        let heard: Vec<Arc<Binding>> = out.told[before..].iter().map(|(b, _)| b.clone()).collect();
        for name in self.index.owners().filter(|name| !heard.iter().any(|b| *b.name == ***name)) {
            out.told.extend(self.by_name.get(name).map(|b| (b.clone(), verdict(b, &variables))));
        }
    }
}
