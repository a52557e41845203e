//! Keeps the bindings ready for dispatch, and says in their status whether they are.

use crate::follow::{Change, Target, follow};
use crate::kube_api::{Api, Clients, path};
use crate::route::{Binding, Bindings};
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

pub const RESOURCE: &str = "workfloweventbindings.argoproj.io";

/// The newest set of bindings. Readers take a handle and never wait.
pub struct Live {
    set: ArcSwap<Bindings>,
    seen: AtomicU64,
    /// Everything that was stored before the watch began is known: before that, no event may be dispatched.
    complete: AtomicBool,
    changed: Notify,
}

/// How long a dispatch waits for bindings that were just written.
const CATCH_UP: Duration = Duration::from_secs(2);

impl Live {
    /// For the bindings of an instance; the empty one is the one without a name.
    pub fn of_instance(id: &str) -> Self {
        Self {
            set: ArcSwap::from_pointee(Bindings::of_instance(id)),
            seen: AtomicU64::new(0),
            complete: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub fn now(&self) -> Arc<Bindings> {
        self.set.load_full()
    }

    /// Waits until changes up to `version` have arrived: who applies a binding and then posts an event expects it to count.
    pub async fn at_least(&self, version: u64) -> Arc<Bindings> {
        loop {
            let changed = self.changed.notified();
            if self.complete.load(Ordering::Acquire) {
                break;
            }
            changed.await;
        }
        let deadline = tokio::time::Instant::now() + CATCH_UP;
        loop {
            let changed = self.changed.notified();
            if self.complete.load(Ordering::Acquire) && self.seen.load(Ordering::Acquire) >= version {
                break;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                tracing::warn!(version, "bindings are not up to date; dispatching with what is known");
                break;
            }
        }
        self.now()
    }
}

pub async fn run(clients: Arc<Clients>, live: Arc<Live>) {
    let api = clients.component("binding-controller");
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(conditions(api.clone(), told));
    let mut fresh: HashSet<(String, String)> = HashSet::new();
    follow(api, Target::ours("workfloweventbindings", "WorkflowEventBinding"), |change| {
        let mut set = (*live.now()).clone();
        let mut version = 0;
        let complete = matches!(change, Change::Complete);
        match change {
            Change::Restart => {
                // They are named in no order: until all are, the newest may be known before one that it came after.
                live.complete.store(false, Ordering::Release);
                fresh.clear();
            }
            Change::Applied(o) => {
                version = version_of(&o);
                match Binding::read(&o) {
                    Ok(b) => {
                        let b = Arc::new(b);
                        fresh.insert((b.namespace.clone(), b.name.clone()));
                        set.insert(&b);
                        // Bounded by the number of bindings: a small entry each until its status is written.
                        let _ = tell.send(Told::of(b, &o));
                    }
                    Err(e) => tracing::warn!(binding = text(&o, "/metadata/name"), error = %e, "a stored binding cannot be read and is left out"),
                }
            }
            Change::Deleted(o) => {
                version = version_of(&o);
                set.remove(text(&o, "/metadata/namespace"), text(&o, "/metadata/name"));
            }
            Change::Complete => {
                let gone: Vec<(String, String)> = set.iter().map(|b| (b.namespace.clone(), b.name.clone())).filter(|k| !fresh.contains(k)).collect();
                for (namespace, name) in gone {
                    set.remove(&namespace, &name);
                }
            }
        }
        live.set.store(Arc::new(set));
        live.seen.fetch_max(version, Ordering::AcqRel);
        if complete {
            live.complete.store(true, Ordering::Release);
        }
        live.changed.notify_waiters();
    })
    .await;
}

fn text<'a>(o: &'a Value, pointer: &str) -> &'a str {
    o.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn version_of(o: &Value) -> u64 {
    text(o, "/metadata/resourceVersion").parse().unwrap_or(0)
}

/// A binding that was applied, and what its status says already.
struct Told {
    binding: Arc<Binding>,
    ready: Option<Value>,
    observed: Option<i64>,
}

impl Told {
    fn of(binding: Arc<Binding>, o: &Value) -> Self {
        let ready = o
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|c| c["type"] == "Ready");
        Self {
            binding,
            ready: ready.cloned(),
            observed: o.pointer("/status/observedGeneration").and_then(Value::as_i64),
        }
    }
}

/// Writes the `Ready` condition of each binding that was applied.
async fn conditions(api: Api, mut told: mpsc::UnboundedReceiver<Told>) {
    while let Some(Told { binding: b, ready: known, observed }) = told.recv().await {
        let (status, reason, message) = ready(&api, &b).await;
        let generation = b.generation;
        let known = known.as_ref();
        let same =
            known.is_some_and(|c| c["status"] == status && c["reason"] == reason && c["message"] == message.as_str());
        if same && observed == Some(generation) {
            continue;
        }
        let since = known
            .filter(|c| c["status"] == status)
            .and_then(|c| c["lastTransitionTime"].as_str())
            .map_or_else(crate::clock::now_text, str::to_owned);
        let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": since, "observedGeneration": generation});
        let patch = json!({"status": {"observedGeneration": generation, "conditions": [condition]}});
        let place = format!("{}/status", path("workfloweventbindings", &b.namespace, &b.name));
        if let Err(e) = api.merge(&place, &patch).await
            && e.code != 404
        {
            tracing::debug!(binding = b.name, error = %e, "could not write a binding's status");
        }
    }
}

/// Whether a binding can do its work: (status, reason, message).
async fn ready(api: &Api, b: &Binding) -> (&'static str, &'static str, String) {
    if let Some((field, e)) =
        b.expressions().into_iter().find_map(|(field, p)| p.as_ref().err().map(|e| (field, e.clone())))
    {
        return ("False", "InvalidExpression", format!("{field}: {e}"));
    }
    let Some(s) = &b.submit else {
        return (
            "True",
            "NothingToSubmit",
            "the selector is valid; no template is named, so matching events start nothing".into(),
        );
    };
    let place = if s.cluster_scope {
        path("clusterworkflowtemplates", "", &s.template)
    } else {
        path("workflowtemplates", &b.namespace, &s.template)
    };
    match api.get(&place).await {
        Ok(_) => ("True", "Accepted", "expressions are valid and the template exists".into()),
        Err(e) if e.code == 404 => ("False", "TemplateNotFound", format!("{e}: create it before events arrive")),
        Err(e) => ("Unknown", "ApiUnavailable", e.to_string()),
    }
}
