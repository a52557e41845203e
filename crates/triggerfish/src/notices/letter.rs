//! A letter: a notice that one alert sends to one provider. It waits in the log until it is delivered or given up.

use crate::bus::ledger::{Action, State};
use notify::alert::{Shown, Target};
use notify::http::{hex, sha256};
use notify::{Alert, AlertRef, Notice, Provider};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the owners of such actions begin with: a namespace and a provider's name follow.
pub const OWNERS: &str = "notify/";

/// Who owns what is to be delivered to a provider.
pub fn owner(namespace: &str, provider: &str) -> String {
    format!("{OWNERS}{namespace}/{provider}")
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Letter {
    pub notice: Value,
    pub alert: Value,
    #[serde(default, skip_serializing_if = "is_default")]
    pub shown: Shown,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What a commit's status is called, where the provider sets one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// When it was written, in milliseconds since 1970.
    pub written: i64,
}

fn is_default(s: &Shown) -> bool {
    *s == Shown::default()
}

impl Letter {
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("a stored delivery cannot be read: {e}"))
    }

    /// The notice in the words that are sent.
    pub fn notice(&self) -> Result<Notice, String> {
        let mut n = Notice::from_value(&self.notice).map_err(|e| e.to_string())?;
        if let Some(text) = &self.shown.text {
            n.message.clone_from(text);
        }
        Ok(n)
    }

    /// The same as if it were written now: it has all its time before it again.
    pub fn again(self) -> Self {
        Letter { written: jiff::Timestamp::now().as_millisecond(), ..self }
    }

    pub fn alert(&self) -> AlertRef {
        let text = |k: &str| self.alert[k].as_str().unwrap_or("").to_owned();
        AlertRef { namespace: text("namespace"), name: text("name"), uid: text("uid") }
    }
}

/// The letters of one alert about one notice: what is done for each target, as far as it can be. `place`: the event in the
/// log; `cause`: what the same letter is recognised by when it is written again.
pub fn letters(
    alert: &Alert,
    notice: &Notice,
    to: &[(Target, Provider, String)],
    place: u64,
    cause: &str,
) -> Result<Vec<Action>, String> {
    let shown = alert.shaping.as_ref().map(|s| s.shown(notice)).transpose()?.unwrap_or_default();
    let now = jiff::Timestamp::now();
    let of = |(target, provider, status): &(Target, Provider, String)| {
        let letter = Letter {
            notice: notice.value(),
            alert: serde_json::json!({"namespace": alert.namespace, "name": alert.name, "uid": alert.uid}),
            shown: shown.clone(),
            channel: target.channel.clone(),
            status: status.clone(),
            written: now.as_millisecond(),
        };
        let channel = target.channel.as_deref().unwrap_or("");
        let path = alert.path();
        let parts = [cause, &alert.uid, &path, &provider.name, channel].map(str::as_bytes);
        Action {
            id: format!("n-{}", &hex(&sha256(&parts))[..32]),
            owner: owner(&provider.namespace, &provider.name),
            namespace: alert.namespace.clone(),
            name: alert.name.clone(),
            part: notice.path(),
            seq: place,
            events: serde_json::to_string(&letter).unwrap_or_default(),
            state: State::Waiting,
            attempts: 0,
            result: String::new(),
            changed: crate::clock::text(now),
        }
    };
    Ok(to.iter().map(of).collect())
}
