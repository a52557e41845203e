//! What is told: an event as Flux's controllers send it, and the forms in which its parts are shown.

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The group of metadata keys that belong to no controller.
pub const EVENT_GROUP: &str = "event.toolkit.fluxcd.io";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notice {
    pub object: Object,
    /// `trace`, `info` or `error`; whatever a sender says.
    pub severity: String,
    /// None: the sender did not say when.
    pub timestamp: Option<Timestamp>,
    pub message: String,
    pub reason: String,
    pub metadata: BTreeMap<String, String>,
    pub controller: String,
    pub instance: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Object {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub api_version: String,
    pub resource_version: String,
    pub field_path: String,
}

/// Why a body is no notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Notice {
    /// Reads a body as a Go program does: names in any case, what is unknown left alone, bad bytes replaced.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let text = whole_escapes(lossy(body));
        let v: Value = serde_json::from_str(&text).map_err(|e| Unreadable(format!("the body is no JSON: {e}")))?;
        Self::from_value(&v)
    }

    pub fn from_value(v: &Value) -> Result<Self, Unreadable> {
        let o = match v {
            Value::Null => return Ok(Notice::default()),
            Value::Object(o) => o,
            _ => return Err(Unreadable("expected an object".into())),
        };
        let mut n = Notice {
            severity: text(o, "severity")?,
            message: text(o, "message")?,
            reason: text(o, "reason")?,
            controller: text(o, "reportingController")?,
            instance: text(o, "reportingInstance")?,
            ..Notice::default()
        };
        match member(o, "involvedObject") {
            None | Some(Value::Null) => {}
            Some(Value::Object(i)) => {
                n.object = Object {
                    kind: text(i, "kind")?,
                    namespace: text(i, "namespace")?,
                    name: text(i, "name")?,
                    uid: text(i, "uid")?,
                    api_version: text(i, "apiVersion")?,
                    resource_version: text(i, "resourceVersion")?,
                    field_path: text(i, "fieldPath")?,
                }
            }
            Some(_) => return Err(Unreadable("involvedObject: expected an object".into())),
        }
        match member(o, "metadata") {
            None | Some(Value::Null) => {}
            Some(Value::Object(m)) => {
                for (k, v) in m {
                    let v = match v {
                        Value::String(s) => s.clone(),
                        Value::Null => String::new(),
                        _ => return Err(Unreadable(format!("metadata.{k}: expected a string"))),
                    };
                    n.metadata.insert(k.clone(), v);
                }
            }
            Some(_) => return Err(Unreadable("metadata: expected an object".into())),
        }
        let when = text(o, "timestamp")?;
        if !when.is_empty() {
            let wrong = || Unreadable(format!("timestamp: {when:?} is no time of RFC 3339"));
            // Small letters are allowed by the RFC, and not by Go.
            if when.contains(['t', 'z', ' ']) {
                return Err(wrong());
            }
            let at: Timestamp = when.parse().map_err(|_| wrong())?;
            // The first second of all is what Go calls no time.
            n.timestamp = Some(at).filter(|t| t.as_second() != GO_ZERO);
        } else if member(o, "timestamp").is_some_and(Value::is_string) {
            return Err(Unreadable("timestamp: \"\" is no time of RFC 3339".into()));
        }
        Ok(n)
    }

    /// As Go writes it: the order of members and the escapes count where the bytes are signed or hashed.
    pub fn json(&self) -> String {
        go_json(self)
    }

    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Seconds, with Go's zero time where there is none.
    pub fn unix(&self) -> i64 {
        self.timestamp.map_or(GO_ZERO, |t| t.as_second())
    }

    /// RFC 3339 in UTC, in whole seconds.
    pub fn time(&self) -> String {
        self.timestamp.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), seconds)
    }

    /// The same as precisely as it is known.
    pub fn precise_time(&self) -> String {
        self.timestamp.map_or_else(|| self.time(), |t| t.to_string())
    }

    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    pub fn is_info(&self) -> bool {
        self.severity == "info"
    }

    /// `kustomization/webapp.apps`
    pub fn title(&self) -> String {
        let o = &self.object;
        format!("{}/{}.{}", o.kind.to_lowercase(), o.name, o.namespace)
    }

    /// `Kustomization/apps/webapp`
    pub fn path(&self) -> String {
        let o = &self.object;
        format!("{}/{}/{}", o.kind, o.namespace, o.name)
    }

    /// `kustomization/webapp`
    pub fn name(&self) -> String {
        format!("{}/{}", self.object.kind, self.object.name).to_lowercase()
    }

    /// The reason in words: `ValidationFailed` is `validation failed`.
    pub fn words(&self) -> String {
        words(&self.reason).join(" ").to_lowercase()
    }

    pub fn meta(&self, key: &str) -> &str {
        self.metadata.get(key).map_or("", String::as_str)
    }
}

fn seconds(t: Timestamp) -> String {
    t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The seconds of Go's zero time.
const GO_ZERO: i64 = -62_135_596_800;

impl Serialize for Notice {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("Event", 8)?;
        out.serialize_field("involvedObject", &self.object)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("timestamp", &self.timestamp.map(seconds))?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("reason", &self.reason)?;
        if !self.metadata.is_empty() {
            out.serialize_field("metadata", &self.metadata)?;
        }
        out.serialize_field("reportingController", &self.controller)?;
        if !self.instance.is_empty() {
            out.serialize_field("reportingInstance", &self.instance)?;
        }
        out.end()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("ObjectReference", 7)?;
        for (name, value) in [
            ("kind", &self.kind),
            ("namespace", &self.namespace),
            ("name", &self.name),
            ("uid", &self.uid),
            ("apiVersion", &self.api_version),
            ("resourceVersion", &self.resource_version),
            ("fieldPath", &self.field_path),
        ] {
            if !value.is_empty() {
                out.serialize_field(name, value)?;
            }
        }
        out.end()
    }
}

/// JSON with the escapes of Go's encoder, which keep it safe inside HTML.
pub fn go_json<T: Serialize>(v: &T) -> String {
    let plain = serde_json::to_string(v).unwrap_or_default();
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 32);
    for c in plain.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Bytes as text; each byte that belongs to none is one replacement, as Go has it.
fn lossy(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|_| out.push('\u{FFFD}'));
    }
    out
}

/// A half of a pair of surrogates that is alone is a replacement, as Go has it.
fn whole_escapes(text: String) -> String {
    if !text.contains("\\u") && !text.contains("\\U") {
        return text;
    }
    let unit = |at: usize| -> Option<u32> {
        let escape = text.get(at..at + 6)?;
        u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        out.push_str(&text[at..at + found]);
        at += found;
        let low = |u: u32| (0xDC00..0xE000).contains(&u);
        let (taken, alone) = match unit(at) {
            Some(u) if (0xD800..0xDC00).contains(&u) => match unit(at + 6) {
                Some(next) if low(next) => (12, false),
                _ => (6, true),
            },
            Some(u) if low(u) => (6, true),
            // What follows a backslash may be one, or more than one byte.
            _ => (1 + text[at + 1..].chars().next().map_or(0, char::len_utf8), false),
        };
        out.push_str(if alone { "\\ufffd" } else { &text[at..at + taken] });
        at += taken;
    }
    out.push_str(&text[at..]);
    out
}

fn member<'o>(o: &'o Map<String, Value>, name: &str) -> Option<&'o Value> {
    o.get(name).or_else(|| o.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn text(o: &Map<String, Value>, name: &str) -> Result<String, Unreadable> {
    match member(o, name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(s)) => Ok(s.clone()),
        Some(_) => Err(Unreadable(format!("{name}: expected a string"))),
    }
}

/// The words of a name in camel case.
fn words(name: &str) -> Vec<String> {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Lower,
        Upper,
        Digit,
        Other,
    }
    let class = |c: char| match c {
        c if c.is_lowercase() => Class::Lower,
        c if c.is_uppercase() => Class::Upper,
        c if c.is_numeric() => Class::Digit,
        _ => Class::Other,
    };
    let mut runs: Vec<(Class, Vec<char>)> = Vec::new();
    for c in name.chars() {
        match runs.last_mut() {
            Some((k, run)) if *k == class(c) => run.push(c),
            _ => runs.push((class(c), vec![c])),
        }
    }
    // The last of several capitals begins the word that follows.
    for i in 1..runs.len() {
        if runs[i - 1].0 == Class::Upper && runs[i].0 == Class::Lower {
            let last = runs[i - 1].1.pop();
            runs[i].1.splice(0..0, last);
        }
    }
    runs.into_iter().filter(|(_, run)| !run.is_empty()).map(|(_, run)| run.into_iter().collect()).collect()
}
