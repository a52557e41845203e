//! All alerts, by what they are about: a notice meets only those that name its kind and namespace, and its name or any.

use super::Alert;
use crate::notice::Notice;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Kind, namespace and name; `*` is any name.
type About = (String, String, String);

#[derive(Debug, Default)]
pub struct Alerts {
    all: HashMap<(String, String), Arc<Alert>>,
    about: HashMap<About, BTreeSet<(String, String)>>,
}

impl Alerts {
    /// Takes an alert in, in place of an earlier one of its name.
    pub fn insert(&mut self, alert: Alert) {
        let key = (alert.namespace.clone(), alert.name.clone());
        self.remove(&key.0, &key.1);
        for s in &alert.sources {
            let about = (s.kind.clone(), s.namespace.clone(), s.name.clone());
            self.about.entry(about).or_default().insert(key.clone());
        }
        self.all.insert(key, Arc::new(alert));
    }

    pub fn remove(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(alert) = self.all.remove(&key) else { return };
        for s in &alert.sources {
            let about = (s.kind.clone(), s.namespace.clone(), s.name.clone());
            if let Some(keys) = self.about.get_mut(&about) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.about.remove(&about);
                }
            }
        }
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Alert>> {
        self.all.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.all.values()
    }

    /// Those that name what a notice is about, in the order of their names.
    pub fn about(&self, n: &Notice) -> Vec<Arc<Alert>> {
        let mut keys: BTreeSet<&(String, String)> = BTreeSet::new();
        for name in [n.object.name.as_str(), "*"] {
            let about = (n.object.kind.clone(), n.object.namespace.clone(), name.to_owned());
            keys.extend(self.about.get(&about).into_iter().flatten());
        }
        keys.into_iter().filter_map(|k| self.all.get(k).cloned()).collect()
    }

    /// Whether any alert is about objects of a kind.
    pub fn mentions(&self, kind: &str) -> bool {
        self.about.keys().any(|(k, ..)| k == kind)
    }
}
