//! Where receivers listen: a path for each, which nobody knows who does not know its token.

use notify::receiver::Receiver;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// A receiver at its path.
#[derive(Debug)]
pub struct Hook {
    pub receiver: Receiver,
    /// Why it takes nothing now.
    pub closed: Option<String>,
}

#[derive(Debug, Default)]
pub struct Hooks {
    by_path: RwLock<HashMap<String, Arc<Hook>>>,
}

impl Hooks {
    pub fn at(&self, path: &str) -> Option<Arc<Hook>> {
        self.by_path.read().unwrap_or_else(|e| e.into_inner()).get(path).cloned()
    }

    pub fn open(&self, path: String, hook: Hook) {
        self.by_path.write().unwrap_or_else(|e| e.into_inner()).insert(path, Arc::new(hook));
    }

    pub fn shut(&self, path: &str) {
        self.by_path.write().unwrap_or_else(|e| e.into_inner()).remove(path);
    }
}
