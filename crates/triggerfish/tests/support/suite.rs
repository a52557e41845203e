//! Counts a conformance suite and knows its reasoned list of differences.
//!
//! Prints `suite: N passed, N failed, N skipped (why)`. What is knowingly different stands in `tests/differences/SUITE.txt` of the
//! crate, one `id: reason` a line; a suite fails when something else differs, and when an entry no longer does.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is knowingly different in a suite, with the reasons.
#[allow(dead_code, reason = "a suite with a runner of its own asks for it")]
pub fn listed(suite: &str) -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/differences/{suite}.txt"));
    std::fs::read_to_string(&file)
        .unwrap_or_default()
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .map(|l| {
            l.split_once(": ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap_or_else(|| panic!("{}: write `id: reason`, not {l:?}", file.display()))
        })
        .collect()
}

/// Outcomes of a suite, by case.
#[derive(Default)]
pub struct Suite {
    name: &'static str,
    passed: BTreeSet<String>,
    failed: BTreeMap<String, String>,
    skipped: BTreeMap<String, usize>,
    groups: BTreeMap<String, (usize, usize)>,
}

impl Suite {
    pub fn new(name: &'static str) -> Self {
        Suite { name, ..Suite::default() }
    }
    pub fn case(&mut self, id: &str, group: &str, outcome: Result<(), String>) {
        let g = self.groups.entry(group.to_owned()).or_default();
        match outcome {
            Ok(()) => {
                g.0 += 1;
                self.passed.insert(id.to_owned());
            }
            Err(why) => {
                g.1 += 1;
                self.failed.insert(id.to_owned(), why);
            }
        }
    }
    #[allow(dead_code, reason = "not every suite has cases to skip")]
    pub fn skip(&mut self, why: &str) {
        *self.skipped.entry(why.to_owned()).or_default() += 1;
    }

    /// Prints the figures; fails on unlisted differences and on listed ones that are gone.
    pub fn finish(self, at_least: f64) {
        let listed = listed(self.name);
        for (group, (good, bad)) in &self.groups {
            println!("  {group}: {good} passed, {bad} differ");
        }
        let skipped: Vec<String> = self.skipped.iter().map(|(why, n)| format!("{n}: {why}")).collect();
        let decided =
            self.failed.keys().filter(|id| listed.get(*id).is_some_and(|why| why.starts_with("decided: "))).count();
        println!(
            "{}: {} passed, {} failed ({decided} by decision), {} skipped ({})",
            self.name,
            self.passed.len(),
            self.failed.len(),
            self.skipped.values().sum::<usize>(),
            skipped.join("; ")
        );
        if let Some(out) = std::env::var_os("TRIGGERFISH_DIFFERENCES") {
            let text: String =
                self.failed.iter().map(|(id, why)| format!("{id}: {}\n", why.replace('\n', " ⏎ "))).collect();
            std::fs::write(Path::new(&out).join(format!("{}.txt", self.name)), text).unwrap();
        }
        // Another folder of vectors has other cases: only the share counts there.
        let total = (self.passed.len() + self.failed.len()).max(1) as f64;
        let share = self.passed.len() as f64 / total;
        assert!(share >= at_least, "{}: only {:.1} % agree", self.name, share * 100.0);
        if std::env::var_os("TRIGGERFISH_CONFORMANCE").is_some() {
            return;
        }
        let unlisted: Vec<String> = self
            .failed
            .iter()
            .filter(|(id, _)| !listed.contains_key(*id))
            .map(|(id, why)| format!("{id}: {why}"))
            .collect();
        assert!(unlisted.is_empty(), "{} differences are not on the list:\n{}", unlisted.len(), unlisted.join("\n"));
        let stale: Vec<&String> = listed.keys().filter(|id| self.passed.contains(*id)).collect();
        assert!(stale.is_empty(), "these agree now and can be taken off differences/{}.txt: {stale:?}", self.name);
    }
}

/// The folder of vectors, if there is one: `TRIGGERFISH_CONFORMANCE`, else the one beside the project.
pub fn vectors(suite: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRIGGERFISH_CONFORMANCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"));
    let dir = root.join(suite);
    if dir.is_dir() {
        return Some(dir);
    }
    println!("{suite}: skipped, no vectors in {}", root.display());
    None
}

pub fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}
