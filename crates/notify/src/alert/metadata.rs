//! What becomes of a notice's metadata: which keys are taken in, what a repeat is recognised by, and what an alert adds.

use super::Alert;
use crate::http::hex;
use crate::notice::{EVENT_GROUP, Notice};
use ring::digest;
use std::collections::BTreeMap;

/// Keys that are set by more than one, with all who set them, the weakest first.
pub type Conflicts = BTreeMap<String, String>;

/// The group of the object's kind.
fn group(n: &Notice) -> &str {
    n.object.api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A key without its group.
fn bare<'k>(key: &'k str, group: &str) -> Option<&'k str> {
    key.strip_prefix(group)?.strip_prefix('/')
}

/// What is taken in: keys of the object's group and of the events' own, but for those that would defeat what recognises repeats.
pub fn arrived(n: &mut Notice) {
    let group = group(n).to_owned();
    let kept = |key: &str| {
        if bare(key, EVENT_GROUP).is_some() {
            return true;
        }
        let Some(_) = bare(key, &group) else { return false };
        let hidden = ["checksum", "digest"];
        !hidden.iter().any(|h| key.eq_ignore_ascii_case(&format!("{group}/{h}")))
    };
    n.metadata.retain(|k, _| kept(k));
}

/// What a repeat of a notice is recognised by.
pub fn duplicate_key(n: &Notice) -> String {
    let o = &n.object;
    let group = group(n);
    let mut parts = vec![
        "event".to_owned(),
        format!("name={}", o.name),
        format!("namespace={}", o.namespace),
        format!("kind={}", o.kind),
        format!("message={}", n.message),
    ];
    for key in ["originRevision", "revision", "token"] {
        if let Some(v) = n.metadata.get(&format!("{group}/{key}")) {
            parts.push(format!("{key}={v}"));
        }
    }
    hex(digest::digest(&digest::SHA256, parts.join("/").as_bytes()).as_ref())
}

/// Takes out what is only there to tell repeats apart.
pub fn without_token(n: &mut Notice) {
    let key = format!("{}/token", group(n));
    n.metadata.remove(&key);
}

/// Whether a notice has a key of the events' own group, or is one of those that update a commit's status.
pub fn is_update(n: &Notice, key: &str) -> bool {
    match key {
        "commit_status" => n.meta(&format!("{}/commit_status", group(n))) == "update",
        other => n.metadata.contains_key(&format!("{EVENT_GROUP}/{other}")),
    }
}

/// The notice as an alert sends it on, and which keys more than one has set.
pub fn merged(n: &Notice, alert: &Alert) -> (Notice, Conflicts) {
    let group = group(n).to_owned();
    let mut out: BTreeMap<String, (String, Vec<&str>)> = BTreeMap::new();
    let mut set = |key: &str, value: &str, who: &'static str| {
        let entry = out.entry(key.to_owned()).or_default();
        entry.0 = value.to_owned();
        entry.1.push(who);
    };
    for (k, v) in &n.metadata {
        if let Some(k) = bare(k, EVENT_GROUP) {
            set(k, v, "involved object annotations");
        }
    }
    for (k, v) in &alert.metadata {
        set(k, v, "Alert object .spec.eventMetadata");
    }
    if !alert.summary.is_empty() {
        set("summary", &alert.summary, "Alert object .spec.summary");
    }
    for (k, v) in &n.metadata {
        if let Some(k) = bare(k, &group) {
            set(k, v, "involved object controller metadata");
        }
    }
    let conflicts =
        out.iter().filter(|(_, (_, who))| who.len() > 1).map(|(k, (_, who))| (k.clone(), who.join(", "))).collect();
    let mut made = n.clone();
    if !out.is_empty() {
        made.metadata = out.into_iter().map(|(k, (v, _))| (k, v)).collect();
    }
    (made, conflicts)
}
