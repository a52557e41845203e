//! The controller of notifications: follows providers and alerts, starts what delivers, and writes into their status how it goes.

use super::alerts::{Hand, Known, Live};
use super::deliver::Delivering;
use super::outbox::Outbox;
use super::recorder::Recorder;
use crate::bus::Bus;
use crate::bus::ledger::{State, Write};
use crate::follow::{Change, Target, follow};
use crate::kind::{FLUX_GROUP, FLUX_VERSION};
use crate::kube_api::{Api, Clients, path};
use crate::notices::{Board, Key, OWNERS, Progress, owner};
use futures_util::StreamExt;
use notify::{Alert, Network, Provider, Setup};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify as Signal, mpsc};
use tokio::task::JoinHandle;

/// How often what changed reaches the status.
const STATUS: Duration = Duration::from_millis(500);
/// Status that are written at the same time.
const STATUS_AT_ONCE: usize = 32;
/// Deliveries on their way from the one who writes them to the one who makes them; more wait in the log.
const HANDED_OVER: usize = 4096;

pub struct Controller {
    pub clients: Arc<Clients>,
    pub bus: Arc<Bus>,
    pub recorder: Arc<Recorder>,
    pub live: Arc<Live>,
    pub board: Arc<Board>,
    pub network: Network,
    /// Alerts may only ask for notices about objects of their own namespace.
    pub own_namespace_only: bool,
}

/// What was followed.
enum What {
    Provider(Change),
    Alert(Change),
    Secret(Change),
}

/// What a status was made of, and what it says.
struct Shown {
    object: Value,
    ready: Result<(), (String, String)>,
    written: Value,
    progress: Arc<Progress>,
    /// The progress that `written` was made of.
    seen: [u64; 6],
    /// Its readiness has to be looked at again.
    stale: bool,
}

impl Shown {
    /// Whether its status may have changed.
    fn moved(&self) -> bool {
        self.stale || self.written.is_null() || self.seen != self.progress.snapshot()
    }

    /// What has to be written of its status.
    fn next(&mut self, plural: &'static str, key: &Key, names: &[&str]) -> Option<Put> {
        self.seen = self.progress.snapshot();
        let generation = self.object["metadata"]["generation"].as_i64().unwrap_or(0);
        let status = self.progress.status(&self.ready, generation, names, &self.written);
        if status == self.written {
            return None;
        }
        self.written.clone_from(&status);
        Some((plural, key.clone(), status))
    }
}

/// A status that has to be written: the plural of the kind, the object, the status.
type Put = (&'static str, Key, Value);

#[derive(Default)]
struct Desk {
    writing: Option<JoinHandle<()>>,
    unwritten: Arc<Mutex<Vec<(&'static str, Key)>>>,
    providers: HashMap<Key, Shown>,
    alerts: HashMap<Key, Shown>,
    fresh_providers: HashSet<Key>,
    fresh_alerts: HashSet<Key>,
    tasks: HashMap<Key, JoinHandle<()>>,
}

impl Controller {
    pub async fn run(self) {
        let (tell, mut told) = mpsc::unbounded_channel();
        let api = self.clients.component("notification-controller");
        let flux = |plural: &str, kind: &str| Target::of(FLUX_GROUP, FLUX_VERSION, plural, kind);
        for (target, what) in [
            (flux("providers", "Provider"), What::Provider as fn(Change) -> What),
            (flux("alerts", "Alert"), What::Alert),
            (Target::core("secrets", "Secret"), What::Secret),
        ] {
            let tell = tell.clone();
            // The receiver lives as long as the program.
            tokio::spawn(follow(api.clone(), target, move |c| drop(tell.send(what(c)))));
        }
        let outbox = Outbox {
            bus: self.bus.clone(),
            clients: self.clients.clone(),
            live: self.live.clone(),
            board: self.board.clone(),
            recorder: self.recorder.clone(),
            own_namespace_only: self.own_namespace_only,
        };
        tokio::spawn(outbox.run());
        let mut desk = Desk::default();
        let mut due = tokio::time::interval(STATUS);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(what) = told.recv() => {
                    match what {
                        What::Provider(c) => self.provider(&mut desk, c).await,
                        What::Alert(c) => self.alert(&mut desk, c).await,
                        What::Secret(c) => self.secret(&mut desk, c),
                    }
                    self.live.moved.notify_waiters();
                }
                _ = due.tick() => self.write(&api, &mut desk).await,
            }
        }
    }

    async fn provider(&self, desk: &mut Desk, change: Change) {
        match change {
            Change::Restart => {
                // They are named in no order: until all are, the newest may be known before one that it came after.
                self.live.complete[0].store(false, Ordering::Release);
                desk.fresh_providers.clear();
            }
            Change::Applied(o) => {
                let o = lean(o);
                let key = key(&o);
                desk.fresh_providers.insert(key.clone());
                let progress = self.board.keep_provider(&key.0, &key.1, &o["status"]);
                let known = Arc::new(Known { provider: Provider::read(&o), object: o.clone() });
                self.live.providers.write().unwrap_or_else(|e| e.into_inner()).insert(key.clone(), known);
                let same = desk.providers.get(&key).is_some_and(|s| {
                    s.object["spec"] == o["spec"] && s.object["metadata"]["uid"] == o["metadata"]["uid"]
                });
                if !same {
                    self.start(desk, &key);
                    // What alerts say of themselves depends on it.
                    desk.alerts.values_mut().for_each(|a| a.stale = true);
                }
                remember(&mut desk.providers, &key, o, same, progress);
                self.advance(0, desk.providers.get(&key).map(|s| &s.object));
            }
            Change::Deleted(o) => {
                self.forget_provider(desk, &key(&o)).await;
                self.advance(0, Some(&o));
            }
            Change::Complete => {
                let gone: Vec<Key> =
                    desk.providers.keys().filter(|k| !desk.fresh_providers.contains(k)).cloned().collect();
                for k in gone {
                    self.forget_provider(desk, &k).await;
                }
                // What waits for one that went while nothing ran here.
                for owner in self.bus.waiting_owners(OWNERS).unwrap_or_default() {
                    let key =
                        owner.trim_start_matches(OWNERS).split_once('/').map(|(a, b)| (a.to_owned(), b.to_owned()));
                    if let Some(key) = key.filter(|k| !desk.providers.contains_key(k)) {
                        self.abandon(&key).await;
                    }
                }
                self.live.complete[0].store(true, Ordering::Release);
            }
        }
    }

    /// Has what waits for a provider delivered; what is under way already goes on, with what the object says now.
    fn start(&self, desk: &mut Desk, key: &Key) {
        if let Some(hand) = self.live.hand(&key.0, &key.1).filter(|_| desk.tasks.contains_key(key)) {
            hand.changed.notify_one();
            return;
        }
        let (queue, inbox) = mpsc::channel(HANDED_OVER);
        let hand = Hand { queue, behind: Arc::new(AtomicBool::new(true)), changed: Arc::new(Signal::new()) };
        self.live.hands.write().unwrap_or_else(|e| e.into_inner()).insert(key.clone(), hand.clone());
        let delivering = Delivering {
            key: key.clone(),
            bus: self.bus.clone(),
            live: self.live.clone(),
            board: self.board.clone(),
            recorder: self.recorder.clone(),
            network: self.network.clone(),
            hand,
        };
        desk.tasks.insert(key.clone(), tokio::spawn(delivering.run(inbox)));
    }

    async fn forget_provider(&self, desk: &mut Desk, key: &Key) {
        desk.providers.remove(key);
        self.live.providers.write().unwrap_or_else(|e| e.into_inner()).remove(key);
        self.live.hands.write().unwrap_or_else(|e| e.into_inner()).remove(key);
        if let Some(task) = desk.tasks.remove(key) {
            task.abort();
            let _ = task.await;
        }
        self.abandon(key).await;
        self.board.forget_provider(key);
        desk.alerts.values_mut().for_each(|a| a.stale = true);
    }

    /// What waits for a provider that is gone is given up; it can be replayed when there is one again.
    async fn abandon(&self, key: &Key) {
        let owner = owner(&key.0, &key.1);
        loop {
            let waiting = self.bus.first_waiting(&owner, HANDED_OVER).unwrap_or_default();
            if waiting.is_empty() {
                return;
            }
            let lines = waiting.into_iter().map(|a| Write::Settle {
                id: a.id,
                state: State::Dead,
                attempts: a.attempts,
                result: "the provider was deleted".into(),
            });
            if let Err(e) = self.bus.write(lines.collect()).await {
                tracing::warn!(provider = key.1, ?e, "could not give up what waits for a provider that is gone");
                return;
            }
        }
    }

    async fn alert(&self, desk: &mut Desk, change: Change) {
        match change {
            Change::Restart => {
                // They are named in no order: until all are, the newest may be known before one that it came after.
                self.live.complete[1].store(false, Ordering::Release);
                desk.fresh_alerts.clear();
            }
            Change::Applied(o) => {
                let o = lean(o);
                let key = key(&o);
                desk.fresh_alerts.insert(key.clone());
                let progress = self.board.keep_alert(&key.0, &key.1, &o["status"]);
                let same = desk.alerts.get(&key).is_some_and(|s| {
                    s.object["spec"] == o["spec"] && s.object["metadata"]["uid"] == o["metadata"]["uid"]
                });
                if !same {
                    self.live.alerts.write().unwrap_or_else(|e| e.into_inner()).insert(Alert::read(&o));
                }
                remember(&mut desk.alerts, &key, o, same, progress);
                self.advance(1, desk.alerts.get(&key).map(|s| &s.object));
            }
            Change::Deleted(o) => {
                self.forget_alert(desk, &key(&o)).await;
                self.advance(1, Some(&o));
            }
            Change::Complete => {
                let gone: Vec<Key> = desk.alerts.keys().filter(|k| !desk.fresh_alerts.contains(k)).cloned().collect();
                for k in gone {
                    self.forget_alert(desk, &k).await;
                }
                self.live.complete[1].store(true, Ordering::Release);
            }
        }
    }

    async fn forget_alert(&self, desk: &mut Desk, key: &Key) {
        desk.alerts.remove(key);
        self.live.alerts.write().unwrap_or_else(|e| e.into_inner()).remove(&key.0, &key.1);
        self.board.forget_alert(key);
    }

    fn secret(&self, desk: &mut Desk, change: Change) {
        match change {
            Change::Applied(o) | Change::Deleted(o) => {
                let key = key(&o);
                self.live.secrets.lock().unwrap_or_else(|e| e.into_inner()).remove(&key);
                let users: Vec<Key> = desk
                    .providers
                    .iter()
                    .filter(|(k, _)| k.0 == key.0)
                    .filter(|(k, _)| {
                        self.live.provider(&k.0, &k.1).is_some_and(|p| p.provider.secrets().any(|n| n == key.1))
                    })
                    .map(|(k, _)| k.clone())
                    .collect();
                for user in users {
                    if let Some(s) = desk.providers.get_mut(&user) {
                        s.stale = true;
                    }
                    if let Some(hand) = self.live.hand(&user.0, &user.1) {
                        hand.changed.notify_one();
                    }
                }
            }
            // What was missed meanwhile may have changed any of them.
            Change::Restart => self.live.secrets.lock().unwrap_or_else(|e| e.into_inner()).clear(),
            Change::Complete => desk.providers.values_mut().for_each(|p| p.stale = true),
        }
    }

    /// Remembers how far changes have come.
    fn advance(&self, kind: usize, o: Option<&Value>) {
        let version = o.and_then(|o| o["metadata"]["resourceVersion"].as_str()).and_then(|v| v.parse().ok());
        self.live.seen[kind].fetch_max(version.unwrap_or(0), Ordering::AcqRel);
    }

    /// Writes what changed of all status, beside everything else: many at once share a commit.
    async fn write(&self, api: &Api, desk: &mut Desk) {
        if desk.writing.as_ref().is_some_and(|w| !w.is_finished()) {
            return;
        }
        for (plural, key) in desk.unwritten.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
            let all = if plural == "providers" { &mut desk.providers } else { &mut desk.alerts };
            if let Some(shown) = all.get_mut(&key) {
                shown.written = Value::Null;
            }
        }
        let mut puts = Vec::new();
        for (key, shown) in desk.providers.iter_mut().filter(|(_, s)| s.moved()) {
            if std::mem::take(&mut shown.stale) {
                shown.ready = self.usable(key).await;
            }
            puts.extend(shown.next("providers", key, &["delivered", "failed", "waiting", "dead"]));
        }
        for (key, shown) in desk.alerts.iter_mut().filter(|(_, s)| s.moved()) {
            if std::mem::take(&mut shown.stale) {
                shown.ready = self.sound(key);
            }
            puts.extend(shown.next("alerts", key, &["matched", "delivered", "failed", "dead"]));
        }
        if puts.is_empty() {
            return;
        }
        let (api, unwritten) = (api.clone(), desk.unwritten.clone());
        desk.writing = Some(tokio::spawn(async move {
            let written = futures_util::stream::iter(puts).for_each_concurrent(STATUS_AT_ONCE, |put| {
                let (api, unwritten) = (&api, &unwritten);
                async move {
                    let (plural, (namespace, name), status) = put;
                    let place = format!("{}/status", path(plural, &namespace, &name));
                    if let Err(e) = api.merge_blindly(&place, &json!({ "status": status })).await
                        && e.code != 404
                    {
                        tracing::debug!(name, plural, error = %e, "could not write a status; it is tried again");
                        unwritten.lock().unwrap_or_else(|e| e.into_inner()).push((plural, (namespace, name)));
                    }
                }
            });
            written.await;
        }));
    }

    /// Whether a provider could be sent with.
    async fn usable(&self, key: &Key) -> Result<(), (String, String)> {
        let fail = |why: String| ("ValidationFailed".to_owned(), why);
        let Some(known) = self.live.provider(&key.0, &key.1) else { return Ok(()) };
        if known.provider.suspend {
            return Err(("Suspended".into(), "spec.suspend is true: nothing is sent".into()));
        }
        let secrets = self.live.secrets(&known.provider).await.map_err(fail)?;
        let mut setup = Setup::of(&known.provider, &secrets, &notify::AlertRef::default()).map_err(fail)?;
        // What is called differently for every notice is checked with a name of our own.
        setup.commit_status = "status".into();
        notify::provider::check(&setup).map_err(|why| fail(setup.masked(&why)))?;
        notify::Http::new(&self.network, &setup).map_err(|why| fail(setup.masked(&why)))?;
        Ok(())
    }

    /// Whether an alert can find somebody to tell.
    fn sound(&self, key: &Key) -> Result<(), (String, String)> {
        let alerts = self.live.alerts.read().unwrap_or_else(|e| e.into_inner());
        let Some(a) = alerts.get(&key.0, &key.1) else { return Ok(()) };
        if a.suspend {
            return Err(("Suspended".into(), "spec.suspend is true: it asks for nothing".into()));
        }
        for t in a.targets() {
            if self.live.provider(&a.namespace, &t.provider).is_none() {
                let why = format!("providers.notification.toolkit.fluxcd.io {:?} not found", t.provider);
                return Err(("ProviderNotFound".into(), why));
            }
        }
        let broken = a.inclusion.iter().chain(&a.exclusion).find_map(|p| p.regex.as_ref().err().map(|why| (p, why)));
        match broken {
            Some((p, why)) => Err(("InvalidConfig".into(), format!("{:?} is no regular expression: {why}", p.text))),
            None => Ok(()),
        }
    }
}

/// Without what only those who write objects look at.
fn lean(mut o: Value) -> Value {
    if let Some(meta) = o["metadata"].as_object_mut() {
        meta.remove("managedFields");
        let last = "kubectl.kubernetes.io/last-applied-configuration";
        meta.get_mut("annotations").and_then(Value::as_object_mut).map(|a| a.remove(last));
    }
    o
}

fn remember(all: &mut HashMap<Key, Shown>, key: &Key, o: Value, same: bool, progress: Arc<Progress>) {
    match all.get_mut(key).filter(|_| same) {
        Some(shown) => shown.object = o,
        None => {
            let written = o["status"].clone();
            let seen = progress.snapshot();
            all.insert(key.clone(), Shown { object: o, ready: Ok(()), written, progress, seen, stale: true });
        }
    }
}

fn key(o: &Value) -> Key {
    let text = |k: &str| o["metadata"][k].as_str().unwrap_or("").to_owned();
    (text("namespace"), text("name"))
}
