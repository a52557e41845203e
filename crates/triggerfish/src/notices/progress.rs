//! How providers and alerts are getting on, for their status and for `/metrics`.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Namespace and name.
pub type Key = (String, String);

#[derive(Debug, Clone, PartialEq, Default)]
pub struct LastError {
    pub at: Timestamp,
    pub code: Option<u16>,
    /// Secrets are masked.
    pub message: String,
}

#[derive(Debug, Default)]
pub struct Progress {
    pub matched: AtomicU64,
    pub delivered: AtomicU64,
    /// Tries that failed.
    pub failed: AtomicU64,
    pub waiting: AtomicU64,
    pub dead: AtomicU64,
    /// Sent again because the answer was lost.
    pub unsure: AtomicU64,
    /// Milliseconds since 1970; 0: never.
    pub last_success: AtomicI64,
    pub last_error: Mutex<Option<LastError>>,
}

impl Progress {
    /// Goes on from what the status says.
    pub fn of(status: &Value) -> Self {
        let count = |k: &str| AtomicU64::new(status[k].as_u64().unwrap_or(0));
        let at = status["lastSuccess"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
        let error = status.get("lastError").filter(|e| e.is_object()).map(|e| LastError {
            at: e["time"].as_str().and_then(|t| t.parse().ok()).unwrap_or_default(),
            code: e["code"].as_u64().map(|c| c as u16),
            message: e["message"].as_str().unwrap_or("").into(),
        });
        Progress {
            matched: count("matched"),
            delivered: count("delivered"),
            failed: count("failed"),
            dead: count("dead"),
            last_success: AtomicI64::new(at.map_or(0, |t| t.as_millisecond())),
            last_error: Mutex::new(error),
            ..Progress::default()
        }
    }

    pub fn succeeded(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    pub fn went_wrong(&self, code: Option<u16>, message: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let error = LastError { at: Timestamp::now(), code, message: message.to_owned() };
        *self.last_error.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
    }

    /// What a status is made of, to see without making one that nothing has changed.
    pub fn snapshot(&self) -> [u64; 6] {
        let counts = [&self.matched, &self.delivered, &self.failed, &self.waiting, &self.dead];
        let [a, b, c, d, e] = counts.map(|n| n.load(Ordering::Relaxed));
        [a, b, c, d, e, self.last_success.load(Ordering::Relaxed) as u64]
    }

    /// What stands in the status beside the conditions.
    fn figures(&self, names: &[&str]) -> Value {
        let mut out = json!({});
        for name in names {
            let n = match *name {
                "matched" => &self.matched,
                "delivered" => &self.delivered,
                "failed" => &self.failed,
                "waiting" => &self.waiting,
                _ => &self.dead,
            };
            out[*name] = json!(n.load(Ordering::Relaxed));
        }
        let at = self.last_success.load(Ordering::Relaxed);
        if at > 0 {
            out["lastSuccess"] = Timestamp::from_millisecond(at).map_or(Value::Null, |t| json!(crate::clock::text(t)));
        }
        if let Some(e) = self.last_error.lock().unwrap_or_else(|e| e.into_inner()).as_ref() {
            out["lastError"] = json!({"time": crate::clock::text(e.at), "message": e.message});
            if let Some(code) = e.code {
                out["lastError"]["code"] = json!(code);
            }
        }
        out
    }

    /// Whether the last delivery went well, and why not; none if there was none.
    fn delivering(&self) -> Option<Result<(), String>> {
        let success = self.last_success.load(Ordering::Relaxed);
        let error = self.last_error.lock().unwrap_or_else(|e| e.into_inner()).clone();
        match error {
            None if success == 0 => None,
            None => Some(Ok(())),
            Some(e) if success > e.at.as_millisecond() => Some(Ok(())),
            Some(e) => Some(Err(e.message)),
        }
    }

    /// A status: whether it is ready, whether it delivers, and the figures. `written`: the status as it was.
    pub fn status(
        &self,
        ready: &Result<(), (String, String)>,
        generation: i64,
        names: &[&str],
        written: &Value,
    ) -> Value {
        let mut out = self.figures(names);
        out["observedGeneration"] = json!(generation);
        let ready = match ready {
            Ok(()) => condition(written, "Ready", true, "Succeeded", "Initialized", generation),
            Err((reason, why)) => condition(written, "Ready", false, reason, why, generation),
        };
        let mut conditions = vec![ready];
        match self.delivering() {
            None => {}
            Some(Ok(())) => conditions.push(condition(
                written,
                "Delivering",
                true,
                "Delivered",
                "the last delivery went well",
                generation,
            )),
            Some(Err(why)) => {
                conditions.push(condition(written, "Delivering", false, "DeliveryFailed", &why, generation))
            }
        }
        out["conditions"] = json!(conditions);
        out
    }
}

/// A condition; the time of its last turn is kept where it has not turned.
pub fn condition(written: &Value, kind: &str, holds: bool, reason: &str, message: &str, generation: i64) -> Value {
    let status = if holds { "True" } else { "False" };
    let known = written["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
    let since = known.filter(|c| c["status"] == status).and_then(|c| c["lastTransitionTime"].as_str());
    let since = since.map_or_else(crate::clock::now_text, str::to_owned);
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
        "observedGeneration": generation,
    })
}

/// The progress of every provider and alert.
#[derive(Debug, Default)]
pub struct Board {
    providers: Mutex<BTreeMap<Key, Arc<Progress>>>,
    alerts: Mutex<BTreeMap<Key, Arc<Progress>>>,
}

impl Board {
    pub fn provider(&self, namespace: &str, name: &str) -> Arc<Progress> {
        Self::entry(&self.providers, namespace, name)
    }
    pub fn alert(&self, namespace: &str, name: &str) -> Arc<Progress> {
        Self::entry(&self.alerts, namespace, name)
    }
    pub fn keep_provider(&self, namespace: &str, name: &str, status: &Value) -> Arc<Progress> {
        Self::keep(&self.providers, namespace, name, status)
    }
    pub fn keep_alert(&self, namespace: &str, name: &str, status: &Value) -> Arc<Progress> {
        Self::keep(&self.alerts, namespace, name, status)
    }
    pub fn forget_provider(&self, key: &Key) {
        self.providers.lock().unwrap_or_else(|e| e.into_inner()).remove(key);
    }
    pub fn forget_alert(&self, key: &Key) {
        self.alerts.lock().unwrap_or_else(|e| e.into_inner()).remove(key);
    }
    /// Every provider's, for `/metrics`.
    pub fn all(&self) -> Vec<(Key, Arc<Progress>)> {
        let all = self.providers.lock().unwrap_or_else(|e| e.into_inner());
        all.iter().map(|(k, p)| (k.clone(), p.clone())).collect()
    }

    fn entry(of: &Mutex<BTreeMap<Key, Arc<Progress>>>, namespace: &str, name: &str) -> Arc<Progress> {
        let mut all = of.lock().unwrap_or_else(|e| e.into_inner());
        all.entry((namespace.to_owned(), name.to_owned())).or_default().clone()
    }

    /// Begins with what a status says, where nothing is known yet.
    fn keep(of: &Mutex<BTreeMap<Key, Arc<Progress>>>, namespace: &str, name: &str, status: &Value) -> Arc<Progress> {
        let mut all = of.lock().unwrap_or_else(|e| e.into_inner());
        all.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| Arc::new(Progress::of(status))).clone()
    }
}
