//! An event as it moves through the house: a CloudEvent 1.0 with what routing needs beside it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Who sent an event; workflows are created as this caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Caller {
    pub fn of(user: &apiserver::User) -> Self {
        Caller { name: user.name.clone(), uid: user.uid.clone(), groups: user.groups.clone() }
    }

    /// A service account.
    pub fn account(namespace: &str, name: &str) -> Self {
        Caller {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: String::new(),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".into(),
            ],
        }
    }

    /// Namespace and name, when this is a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// RFC 3339, when it was received.
    pub time: String,
    pub datacontenttype: String,
    /// The data as the bytes that came; none when there was no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Empty: for bindings of every namespace.
    pub namespace: String,
    pub discriminator: String,
    /// `x-` headers, each a list.
    pub metadata: BTreeMap<String, Vec<String>>,
    pub caller: Caller,
    /// The gateway that it came through, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The data is a text that holds bytes in base64.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base64: bool,
}

/// The part of a gateway that an event came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub gateway: String,
    pub configuration: String,
    /// Whether bindings are among the gateway's watchers.
    pub bindings: bool,
    /// The kind of the source, such as `webhook`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The same event again, for another discriminator: only bindings look at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
}

/// What a sender calls its event: the id, and what a repeat is recognised by. `scope` keeps senders apart.
pub fn sender_identity<'h>(scope: &str, header: impl Fn(&str) -> Option<&'h str>) -> Option<(String, String)> {
    const KEYS: [&str; 4] = ["idempotency-key", "x-github-delivery", "x-gitlab-event-uuid", "x-request-uuid"];
    if let Some(id) = header("ce-id") {
        let source = header("ce-source").unwrap_or("");
        return Some((id.to_owned(), format!("ce\0{scope}\0{source}\0{id}")));
    }
    KEYS.iter().find_map(|key| {
        let id = header(key).filter(|v| !v.is_empty())?;
        Some((id.to_owned(), format!("{key}\0{scope}\0{id}")))
    })
}

impl Event {
    /// The data as a value; `null` when there is none. Fails on numbers that no float can hold.
    pub fn payload(&self) -> Result<serde_json::Value, String> {
        match &self.data {
            None => Ok(serde_json::Value::Null),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| "failed to create workflow template expression environment: the payload holds a number that is out of range".into()),
        }
    }
}

/// What became of an event for one binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BindingOutcome {
    pub namespace: String,
    pub name: String,
    #[serde(flatten)]
    pub result: BindingResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum BindingResult {
    /// Started a workflow, or would have if the binding submitted any.
    Matched {
        #[serde(default, skip_serializing_if = "String::is_empty")]
        workflow: String,
    },
    /// The selector was false; the part that made it so.
    NotMatched {
        because: String,
    },
    Error {
        message: String,
    },
}

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// RFC 3339.
    pub dispatched: String,
    pub bindings: Vec<BindingOutcome>,
    /// Bindings whose selector was false beyond those that are named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_not_matched: usize,
    /// Reasons, and how many bindings beyond those that are named failed for each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more_failed: BTreeMap<String, usize>,
    /// Why nothing could be dispatched at all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Outcome {
    /// The original's sentence when something failed.
    pub fn failure(&self) -> Option<String> {
        if !self.error.is_empty() {
            return Some(self.error.clone());
        }
        let failed: Vec<&str> = self
            .bindings
            .iter()
            .filter_map(|b| match &b.result {
                BindingResult::Error { message } => Some(message.as_str()),
                _ => None,
            })
            .collect();
        if failed.is_empty() { None } else { Some(format!("failed to dispatch event: [{}]", failed.join(" "))) }
    }
}
