//! Which alerts ask for a notice.

mod collection;
mod metadata;
mod shaping;

pub use collection::Alerts;
pub use metadata::{Conflicts, arrived, duplicate_key, is_update, merged, without_token};
pub use shaping::{On, Shaping, Shown, State, Step, Target, combined};

use crate::notice::Notice;
use re2::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// An Alert object, its patterns compiled once.
#[derive(Debug)]
pub struct Alert {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub provider: String,
    pub severity: String,
    pub sources: Vec<Source>,
    pub inclusion: Vec<Pattern>,
    pub exclusion: Vec<Pattern>,
    pub metadata: BTreeMap<String, String>,
    pub summary: String,
    pub suspend: bool,
    /// What goes beyond the original.
    pub shaping: Option<Shaping>,
    /// The object as its owner wrote it, for expressions.
    pub object: Value,
}

/// A pattern, and why it is none.
#[derive(Debug)]
pub struct Pattern {
    pub text: String,
    pub regex: Result<Regex, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub kind: String,
    /// `*`: any.
    pub name: String,
    pub namespace: String,
    pub labels: Option<BTreeMap<String, String>>,
}

/// What an alert says to a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Asks,
    /// Why not, in words; and what its owner should be told.
    Passes {
        because: String,
        warning: Option<(&'static str, String)>,
    },
}

impl Alert {
    pub fn read(o: &Value) -> Self {
        let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let namespace = text("/metadata/namespace");
        let strings = |p: &str| -> Vec<String> {
            let list = o.pointer(p).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let patterns = |p: &str| strings(p).into_iter().map(Pattern::new).collect();
        let sources = o.pointer("/spec/eventSources").and_then(Value::as_array).into_iter().flatten();
        Alert {
            sources: sources.map(|s| Source::read(s, &namespace)).collect(),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            provider: text("/spec/providerRef/name"),
            severity: text("/spec/eventSeverity"),
            inclusion: patterns("/spec/inclusionList"),
            exclusion: patterns("/spec/exclusionList"),
            metadata: map(o.pointer("/spec/eventMetadata")).unwrap_or_default(),
            summary: text("/spec/summary"),
            suspend: o.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
            // What cannot be read was refused when it was applied.
            shaping: o.pointer("/spec/triggerfish").and_then(|s| Shaping::read(s).ok()),
            object: o.clone(),
            namespace,
        }
    }

    /// `flux-system/on-call`
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Whether a notice is asked for. `labels`: those of the object that it is about, or why they cannot be read; asked only
    /// where a source needs them.
    pub fn verdict<'l>(
        &self,
        n: &Notice,
        labels: impl Fn() -> Result<&'l BTreeMap<String, String>, String>,
    ) -> Verdict {
        let passes = |because: String| Verdict::Passes { because, warning: None };
        if self.suspend {
            return passes("it is suspended".into());
        }
        if self.severity != n.severity && self.severity != "info" {
            return passes(format!("eventSeverity: {:?} is asked for, this is {:?}", self.severity, n.severity));
        }
        let mut because = "eventSources: none names this object".to_owned();
        let mut warning = None;
        let mut found = false;
        for s in self.sources.iter().filter(|s| s.names(n)) {
            match s.has_labels(n, &labels) {
                Ok(true) => {
                    found = true;
                    break;
                }
                Ok(false) => because = format!("eventSources: {}: the object has not these labels", s.path()),
                Err((reason, why)) => {
                    because = why.clone();
                    warning = warning.or(Some((reason, why)));
                }
            }
        }
        if !found {
            return Verdict::Passes { because, warning };
        }
        self.by_message(&n.message)
    }

    fn by_message(&self, message: &str) -> Verdict {
        let (asks, because, met) = self.asked_by_message(message);
        if asks {
            return Verdict::Asks;
        }
        Verdict::Passes { because, warning: met.into_iter().next().map(|why| ("InvalidConfig", why)) }
    }

    /// The patterns that are none and were met on the way to what was decided of a message.
    pub fn met(&self, message: &str) -> Vec<String> {
        self.asked_by_message(message).2
    }

    fn asked_by_message(&self, message: &str) -> (bool, String, Vec<String>) {
        let mut met = Vec::new();
        let mut matched = |list: &[Pattern], what: &str| {
            list.iter()
                .find(|p| match &p.regex {
                    Ok(r) => r.is_match(message),
                    Err(_) => {
                        met.push(format!("failed to compile {what} regex: {}", p.text));
                        false
                    }
                })
                .map(|p| p.text.clone())
        };
        if !self.inclusion.is_empty() && matched(&self.inclusion, "inclusion").is_none() {
            return (false, "inclusionList: nothing in it matches the message".into(), met);
        }
        match matched(&self.exclusion, "exclusion") {
            Some(pattern) => (false, format!("exclusionList: {pattern:?} matches the message"), met),
            None => (true, String::new(), met),
        }
    }

    /// The providers that it sends to, each with the channel that it asks for there.
    pub fn targets(&self) -> Vec<Target> {
        let shaping = self.shaping.as_ref();
        let channel = shaping.and_then(|s| s.channel.clone());
        let own = Some(Target { provider: self.provider.clone(), channel }).filter(|t| !t.provider.is_empty());
        own.into_iter().chain(shaping.into_iter().flat_map(|s| s.providers.clone())).collect()
    }
}

impl Pattern {
    fn new(text: String) -> Self {
        let regex = re2::compile(&text);
        Pattern { text, regex }
    }
}

impl Source {
    fn read(v: &Value, namespace: &str) -> Self {
        let text = |k: &str| v[k].as_str().unwrap_or("").to_owned();
        let given = text("namespace");
        Source {
            kind: text("kind"),
            name: text("name"),
            namespace: if given.is_empty() { namespace.to_owned() } else { given },
            labels: map(v.get("matchLabels")),
        }
    }

    fn path(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    fn names(&self, n: &Notice) -> bool {
        let o = &n.object;
        self.kind == o.kind && self.namespace == o.namespace && (self.name == "*" || self.name == o.name)
    }

    fn has_labels<'l>(
        &self,
        n: &Notice,
        labels: impl Fn() -> Result<&'l BTreeMap<String, String>, String>,
    ) -> Result<bool, (&'static str, String)> {
        let Some(wanted) = &self.labels else { return Ok(true) };
        let found = labels().map_err(|_| ("SourceFetchFailed", format!("error getting source object {}", n.path())))?;
        if !wanted.iter().all(|(k, v)| label_key(k) && label_value(v)) {
            return Err(("InvalidConfig", format!("error using matchLabels from event source {}", self.path())));
        }
        Ok(wanted.iter().all(|(k, v)| found.get(k) == Some(v)))
    }
}

fn map(v: Option<&Value>) -> Option<BTreeMap<String, String>> {
    let o = v?.as_object()?;
    Some(o.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
}

/// A label's value: empty, or letters, digits, `-`, `_` and `.` between two of the first two.
fn label_value(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.is_empty()
        || text.len() <= 63 && text.chars().all(inside) && ends(text.chars().next()) && ends(text.chars().last())
}

fn label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(p, n)| (Some(p), n));
    let domain = |p: &str| {
        !p.is_empty()
            && p.len() <= 253
            && p.split('.').all(|part| {
                let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                !part.is_empty() && part.chars().all(inside) && !part.starts_with('-') && !part.ends_with('-')
            })
    };
    !name.is_empty() && label_value(name) && prefix.is_none_or(domain)
}
