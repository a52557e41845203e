//! The providers and alerts of now, what the Secrets of providers hold, and who tells them what happens here.

use crate::bus::Bus;
use crate::bus::ledger::Action;
use crate::kube_api::{Api, Clients, path, secret_data};
use crate::notices::{Key, event};
use notify::alert::Alerts;
use notify::{Notice, Provider, Secret};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::{Notify as Signal, mpsc};

/// How long those who read wait for what was just applied.
const CATCH_UP: Duration = Duration::from_secs(2);
const PROVIDERS: &str = "providers.notification.toolkit.fluxcd.io";
const ALERTS: &str = "alerts.notification.toolkit.fluxcd.io";

/// A provider as it is now.
pub struct Known {
    pub provider: Provider,
    pub object: Value,
}

/// Where deliveries for a provider are handed over.
#[derive(Clone)]
pub struct Hand {
    pub queue: mpsc::Sender<Action>,
    /// Some were not handed over: they are in the log.
    pub behind: Arc<AtomicBool>,
    /// Its object or one of its Secrets changed, or something was left in the log for it.
    pub changed: Arc<Signal>,
}

/// The newest providers and alerts, and what the Secrets of providers hold.
pub struct Live {
    pub alerts: RwLock<Alerts>,
    pub(super) providers: RwLock<HashMap<Key, Arc<Known>>>,
    pub(super) hands: RwLock<HashMap<Key, Hand>>,
    pub(super) secrets: Mutex<HashMap<Key, Secret>>,
    /// The newest change of each kind that is known: providers, alerts.
    pub(super) seen: [AtomicU64; 2],
    pub(super) complete: [AtomicBool; 2],
    pub(super) moved: Signal,
    api: Api,
}

impl Live {
    pub fn new(api: Api) -> Self {
        Live {
            alerts: RwLock::default(),
            providers: RwLock::default(),
            hands: RwLock::default(),
            secrets: Mutex::default(),
            seen: Default::default(),
            complete: Default::default(),
            moved: Signal::new(),
            api,
        }
    }

    pub fn provider(&self, namespace: &str, name: &str) -> Option<Arc<Known>> {
        let all = self.providers.read().unwrap_or_else(|e| e.into_inner());
        all.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub fn hand(&self, namespace: &str, name: &str) -> Option<Hand> {
        let all = self.hands.read().unwrap_or_else(|e| e.into_inner());
        all.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Whether any alert is about objects of a kind.
    pub fn mentions(&self, kind: &str) -> bool {
        self.alerts.read().unwrap_or_else(|e| e.into_inner()).mentions(kind)
    }

    /// Waits until what was written up to now is known: who applies an alert and then posts expects it to count.
    pub async fn up_to_date(&self, clients: &Clients) {
        let wanted = [PROVIDERS, ALERTS].map(|r| clients.server().last_change(r));
        let complete = || self.complete.iter().all(|c| c.load(Ordering::Acquire));
        self.until(complete).await;
        let newest =
            || complete() && self.seen.iter().zip(wanted).all(|(seen, wanted)| seen.load(Ordering::Acquire) >= wanted);
        if tokio::time::timeout(CATCH_UP, self.until(newest)).await.is_err() {
            tracing::warn!("alerts are not up to date; going on with what is known");
        }
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        loop {
            let moved = self.moved.notified();
            if holds() {
                return;
            }
            moved.await;
        }
    }

    /// What the Secrets of a provider hold now; those that are not there are left out.
    pub async fn secrets(&self, p: &Provider) -> Result<BTreeMap<String, Secret>, String> {
        let mut out = BTreeMap::new();
        for name in p.secrets() {
            let key = (p.namespace.clone(), name.to_owned());
            let kept = self.secrets.lock().unwrap_or_else(|e| e.into_inner()).get(&key).cloned();
            let secret = match kept {
                Some(s) => s,
                None => match self.api.get(&path("secrets", &p.namespace, name)).await {
                    Ok(o) => {
                        let secret = secret_data(&o);
                        self.secrets.lock().unwrap_or_else(|e| e.into_inner()).insert(key, secret.clone());
                        secret
                    }
                    Err(e) if e.code == 404 => continue,
                    Err(e) => return Err(format!("the secret {}/{name} cannot be read: {e}", p.namespace)),
                },
            };
            out.insert(name.to_owned(), secret);
        }
        Ok(out)
    }
}

/// Tells what happens here, like any controller: as notices, where alerts ask for them.
#[derive(Clone)]
pub struct Teller {
    pub bus: Arc<Bus>,
    pub live: Arc<Live>,
}

impl Teller {
    /// Whether anybody asks for notices about objects of a kind. Waits until it is known.
    pub async fn asked(&self, kind: &str) -> bool {
        self.live.until(|| self.live.complete.iter().all(|c| c.load(Ordering::Acquire))).await;
        self.live.mentions(kind)
    }

    /// Tells something once: it is on disk when this returns.
    pub async fn tell(&self, n: &Notice, cause: &str) {
        if !self.asked(&n.object.kind).await {
            return;
        }
        while let Err(e) = self.bus.append(event(n, "/notifications/own"), Some(format!("own/{cause}"))).await {
            tracing::warn!(?e, "cannot write a notice of our own; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
