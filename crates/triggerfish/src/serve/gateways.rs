//! The gateway controller: follows gateways and their ConfigMaps, runs every configuration, starts again what was lost, and
//! writes what became of each into the gateway's status.

use super::doors::Doors;
use super::forward::{self, Forward, Target as To};
use super::processors::{self, Processor};
use super::recorder::Recorder;
use crate::bus::Bus;
use crate::follow::{Change, Target, follow};
use crate::gateway::configuration::{entries, node_id};
use crate::gateway::{Board, Configuration, Destination, Entry, Failure, Gateway, Outlet, Progress, Source};
use crate::kube_api::{Api, Clients, path};
use jiff::Timestamp;
use ring::digest;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Between two starts of a source that was lost: from, and at most. Half of it is left to chance.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a source may take to connect: a port may be open and nobody there.
const CONNECT: Duration = Duration::from_secs(20);
/// A source that ran for so long starts again at once.
const STEADY: Duration = Duration::from_secs(60);
/// How often counters reach the status.
const COUNTERS: Duration = Duration::from_secs(5);

type Key = (String, String);

pub struct Controller {
    pub api: Api,
    pub clients: Arc<Clients>,
    pub bus: Arc<Bus>,
    pub doors: Arc<Doors>,
    pub recorder: Arc<Recorder>,
    pub board: Arc<Board>,
}

/// What the followers tell the controller.
enum Told {
    Gateway(Change),
    ConfigMap(Change),
    Secret(Change),
}

/// A gateway that is known, and its configurations.
struct Known {
    gateway: Arc<Gateway>,
    started: String,
    nodes: BTreeMap<String, Node>,
    forwards: Vec<Forwarding>,
    /// Its own program, and why that does not run.
    processor: Option<(Arc<Mutex<String>>, JoinHandle<()>)>,
    /// The status as it was last written.
    written: Value,
}

/// Somebody that events are sent on to.
struct Forwarding {
    label: String,
    cursor: String,
    held_up: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

/// One configuration.
struct Node {
    id: String,
    settings: Value,
    state: Arc<Mutex<State>>,
    progress: Arc<Progress>,
    started: String,
    /// What the source says of itself while it runs.
    doubts: String,
    /// None where it is broken.
    task: Option<JoinHandle<()>>,
}

/// How a configuration is, beside whether it is connected.
#[derive(Debug, Clone, PartialEq)]
struct State {
    phase: &'static str,
    message: String,
    since: String,
}

impl State {
    fn now(phase: &'static str, message: impl Into<String>) -> Self {
        State { phase, message: message.into(), since: crate::clock::now_text() }
    }
}

impl Controller {
    pub async fn run(self) {
        // Bounded by the number of objects: one entry for each change until it is taken up.
        let (tell, mut told) = mpsc::unbounded_channel();
        type Of = fn(Change) -> Told;
        let followed: [(Target, Of); 3] = [
            (Target::ours("gateways", "Gateway"), Told::Gateway),
            (Target::core("configmaps", "ConfigMap"), Told::ConfigMap),
            (Target::core("secrets", "Secret"), Told::Secret),
        ];
        for (target, of) in followed {
            let tell = tell.clone();
            // The receiver lives as long as the program.
            tokio::spawn(follow(self.api.clone(), target, move |change| drop(tell.send(of(change)))));
        }
        let changed = Arc::new(Notify::new());
        let mut secrets: HashMap<Key, Digest> = HashMap::new();
        let mut known: HashMap<Key, Known> = HashMap::new();
        let mut fresh = HashSet::new();
        let mut counters = tokio::time::interval(COUNTERS);
        loop {
            tokio::select! {
                Some(t) = told.recv() => match t {
                    Told::Gateway(Change::Restart) => fresh.clear(),
                    Told::Gateway(Change::Applied(o)) => {
                        fresh.insert(key(&o));
                        self.gateway(&mut known, &o, &changed).await;
                    }
                    Told::Gateway(Change::Deleted(o)) => self.forget(known.remove(&key(&o)), &[]).await,
                    Told::Gateway(Change::Complete) => {
                        let gone: Vec<Key> = known.keys().filter(|k| !fresh.contains(k)).cloned().collect();
                        for k in gone {
                            self.forget(known.remove(&k), &[]).await;
                        }
                        self.drop_stale_cursors(&known).await;
                    }
                    Told::ConfigMap(Change::Applied(o)) => self.config_map(&mut known, &o, data(&o), &changed).await,
                    Told::ConfigMap(Change::Deleted(o)) => self.config_map(&mut known, &o, BTreeMap::new(), &changed).await,
                    Told::Secret(Change::Applied(o)) => self.secret(&mut known, &mut secrets, &o, &changed).await,
                    Told::Secret(_) => {}
                    Told::ConfigMap(Change::Restart) => {}
                    // What was deleted while the watch was interrupted is not told.
                    Told::ConfigMap(Change::Complete) => {
                        for k in known.values_mut() {
                            self.look_up(k, &changed).await;
                        }
                    }
                },
                () = changed.notified() => {}
                _ = counters.tick() => {}
            }
            // Statuses are written when nothing is waiting to change them again.
            if told.is_empty() {
                for k in known.values_mut() {
                    self.write(k).await;
                }
            }
        }
    }

    async fn gateway(&self, known: &mut HashMap<Key, Known>, o: &Value, changed: &Arc<Notify>) {
        let gateway = Gateway::read(o);
        let key = key(o);
        let before = known.get(&key).map(|k| k.gateway.clone());
        if before.as_deref().is_some_and(|b| *b == gateway) {
            return;
        }
        let same_meaning = before.is_some_and(|b| b.means_the_same(&gateway));
        if !same_meaning {
            self.forget(known.remove(&key), &cursors(&gateway)).await;
        }
        let entry = known.entry(key).or_insert_with(|| Known {
            gateway: Arc::new(gateway.clone()),
            started: crate::clock::now_text(),
            nodes: BTreeMap::new(),
            forwards: Vec::new(),
            processor: None,
            written: o["status"].clone(),
        });
        entry.gateway = Arc::new(gateway);
        if entry.forwards.is_empty() {
            entry.forwards = self.forward(&entry.gateway, changed);
        }
        if entry.processor.is_none() {
            entry.processor = self.process(&entry.gateway, changed);
        }
        self.look_up(entry, changed).await;
    }

    fn process(&self, gateway: &Arc<Gateway>, changed: &Arc<Notify>) -> Option<(Arc<Mutex<String>>, JoinHandle<()>)> {
        let pod = processors::pod(gateway)?;
        let why: Arc<Mutex<String>> = Arc::default();
        let processor =
            Processor { api: self.api.clone(), gateway: gateway.clone(), why: why.clone(), changed: changed.clone() };
        Some((why, tokio::spawn(processor.run(pod))))
    }

    fn forward(&self, gateway: &Arc<Gateway>, changed: &Arc<Notify>) -> Vec<Forwarding> {
        let start = |cursor: String, target: To| {
            let held_up = Arc::new(Mutex::new(String::new()));
            let label = target.label();
            let forward = Forward {
                bus: self.bus.clone(),
                gateway: gateway.clone(),
                target,
                cursor: cursor.clone(),
                held_up: held_up.clone(),
                changed: changed.clone(),
            };
            Forwarding { label, cursor, held_up, task: tokio::spawn(forward.run()) }
        };
        let gateways =
            gateway.gateways.iter().map(|w| (w.cursor(&gateway.uid), To::Gateway(w.clone(), self.doors.clone())));
        let api = self.clients.as_caller(&gateway.caller());
        let subscribers = gateway.subscribers.iter().filter_map(|s| {
            // One that cannot be read was refused when it was applied.
            Some((s.cursor(&gateway.uid), To::Subscriber(s.open()?, api.clone())))
        });
        gateways.chain(subscribers).map(|(cursor, target)| start(cursor, target)).collect()
    }

    /// Forgets the places of watchers that went while nothing ran here: the log would keep everything for them.
    async fn drop_stale_cursors(&self, known: &HashMap<Key, Known>) {
        let wanted: Vec<String> = known.values().flat_map(|k| cursors(&k.gateway)).collect();
        let names = self.bus.watchers(forward::CURSORS).unwrap_or_default();
        for name in names.iter().filter(|n| !wanted.contains(n)) {
            // It is tried again at the next start.
            let _ = self.bus.watch(name, None).await;
        }
    }

    /// Stops all of a gateway. The log keeps nothing more for watchers but those that stay.
    async fn forget(&self, k: Option<Known>, staying: &[String]) {
        let Some(k) = k else { return };
        for f in k.forwards {
            f.task.abort();
            let _ = f.task.await;
            if !staying.contains(&f.cursor)
                && let Err(e) = self.bus.watch(&f.cursor, None).await
            {
                tracing::debug!(?e, "could not forget a watcher's place");
            }
        }
        for (_, n) in k.nodes {
            halt(n).await;
        }
        if let Some((_, task)) = k.processor {
            task.abort();
            let _ = task.await;
            processors::end(&self.api, &k.gateway).await;
        }
    }

    /// Makes what runs what the ConfigMap says now; without one the gateway is idle.
    async fn look_up(&self, k: &mut Known, changed: &Arc<Notify>) {
        let g = &k.gateway;
        let found = match g.config_map.as_str() {
            "" => Ok(Value::Null),
            name => self.api.get(&path("configmaps", &g.namespace, name)).await,
        };
        match found {
            Ok(o) => self.reconcile(k, &data(&o), changed).await,
            Err(e) if e.code == 404 => self.reconcile(k, &BTreeMap::new(), changed).await,
            // What runs goes on until it is known better.
            Err(e) => tracing::warn!(gateway = g.name, error = %e, "the ConfigMap of a gateway cannot be read"),
        }
    }

    async fn config_map(
        &self,
        known: &mut HashMap<Key, Known>,
        o: &Value,
        data: BTreeMap<String, String>,
        changed: &Arc<Notify>,
    ) {
        let (namespace, name) = key(o);
        for k in known.values_mut().filter(|k| k.gateway.namespace == namespace && k.gateway.config_map == name) {
            self.reconcile(k, &data, changed).await;
        }
    }

    /// Starts configurations anew that read a Secret which says something else now.
    async fn secret(
        &self,
        known: &mut HashMap<Key, Known>,
        secrets: &mut HashMap<Key, Digest>,
        o: &Value,
        changed: &Arc<Notify>,
    ) {
        let (key, now) = (key(o), Digest::of(o));
        let before = secrets.insert(key.clone(), now);
        // What is new is found by those that were waiting for it.
        if before.is_none_or(|before| before == now) {
            return;
        }
        for k in known.values_mut().filter(|k| k.gateway.namespace == key.0) {
            let concerned = |(_, n): &(&String, &Node)| mentions(&n.settings, &key.1);
            let names: Vec<String> = k.nodes.iter().filter(concerned).map(|(name, _)| name.clone()).collect();
            for name in &names {
                if let Some(n) = k.nodes.remove(name) {
                    halt(n).await;
                }
            }
            if !names.is_empty() {
                self.look_up(k, changed).await;
            }
        }
    }

    /// Makes what runs what the ConfigMap says: what is stale stops first, what means the same goes on.
    async fn reconcile(&self, k: &mut Known, data: &BTreeMap<String, String>, changed: &Arc<Notify>) {
        let mut wanted = BTreeMap::new();
        for e in entries(&k.gateway, data) {
            let name = match &e {
                Entry::Runs(c) => c.name.clone(),
                Entry::Broken { name, .. } => name.clone(),
            };
            wanted.insert(name, e);
        }
        let stale: Vec<String> = k
            .nodes
            .iter()
            .filter(|(name, n)| !matches!(wanted.get(*name), Some(Entry::Runs(c)) if n.task.is_some() && c.settings == n.settings))
            .map(|(name, _)| name.clone())
            .collect();
        for name in stale {
            if let Some(n) = k.nodes.remove(&name) {
                halt(n).await;
            }
        }
        for (name, e) in wanted {
            let id = node_id(&name, data.get(&name).map_or("", String::as_str));
            if let Some(n) = k.nodes.get_mut(&name) {
                n.id = id;
                continue;
            }
            let node = match e {
                Entry::Runs(c) => self.start(&k.gateway, id, c, changed),
                Entry::Broken { why, .. } => {
                    report(&self.recorder, &k.gateway, &name, &why);
                    Node {
                        id,
                        settings: Value::Null,
                        state: Arc::new(Mutex::new(State::now("Error", why))),
                        progress: Arc::default(),
                        started: crate::clock::now_text(),
                        doubts: String::new(),
                        task: None,
                    }
                }
            };
            k.nodes.insert(name, node);
        }
    }

    fn start(&self, gateway: &Arc<Gateway>, id: String, c: Configuration, changed: &Arc<Notify>) -> Node {
        let progress = Arc::new(Progress::default());
        let state = Arc::new(Mutex::new(State::now("Initialized", "")));
        self.board.add(gateway, &c.name, &progress);
        let outlet = Outlet {
            gateway: gateway.clone(),
            configuration: c.name,
            source: c.kind.name,
            destination: Destination::Log(self.bus.clone()),
            api: self.clients.as_caller(&gateway.caller()),
            open: self.doors.opener(),
            progress: progress.clone(),
            changed: changed.clone(),
        };
        let doubts = c.source.doubts().join("; ");
        let task = tokio::spawn(supervise(c.source, outlet, state.clone(), self.recorder.clone()));
        Node { id, settings: c.settings, state, progress, started: crate::clock::now_text(), doubts, task: Some(task) }
    }

    /// Writes a gateway's status if it is not what was written before.
    async fn write(&self, k: &mut Known) {
        let status = status(k);
        if status == k.written {
            return;
        }
        let mut patch = status.clone();
        // What is gone has to be said in a merge patch.
        for id in k.written["nodes"].as_object().into_iter().flat_map(Map::keys) {
            if patch["nodes"].get(id).is_none() {
                patch["nodes"][id] = Value::Null;
            }
        }
        let g = &k.gateway;
        let place = path("gateways", &g.namespace, &g.name);
        if k.written["phase"] != status["phase"] {
            let labels = json!({"metadata": {"labels": {"gateway-name": g.name, "gateways.argoproj.io/phase": status["phase"]}}});
            if let Err(e) = self.api.merge_blindly(&place, &labels).await {
                tracing::debug!(gateway = g.name, error = %e, "could not label a gateway");
            }
        }
        match self.api.merge_blindly(&format!("{place}/status"), &json!({"status": patch})).await {
            Err(e) if e.code != 404 => {
                tracing::debug!(gateway = g.name, error = %e, "could not write a gateway's status")
            }
            _ => k.written = status,
        }
    }
}

/// The places in the log of all that a gateway sends on to.
fn cursors(g: &Gateway) -> Vec<String> {
    g.gateways.iter().map(|w| w.cursor(&g.uid)).chain(g.subscribers.iter().map(|s| s.cursor(&g.uid))).collect()
}

/// Runs a source for as long as it is wanted, with pauses that grow while it is lost.
async fn supervise(source: Arc<dyn Source>, outlet: Outlet, state: Arc<Mutex<State>>, recorder: Arc<Recorder>) {
    let mut pause = PAUSE;
    loop {
        let begun = tokio::time::Instant::now();
        let ended = tokio::select! {
            ended = source.run(&outlet) => ended,
            () = silent(&outlet) => Err(Failure::Lost(format!("no connection within {} s", CONNECT.as_secs()))),
        };
        let was_connected = outlet.progress.running.swap(false, Ordering::AcqRel);
        let (now, again) = match ended {
            Ok(()) => (State::now("Completed", ""), false),
            Err(Failure::Wrong(why)) => (State::now("Error", why), false),
            Err(Failure::Lost(why)) => (State::now("Error", why), true),
        };
        let changed = {
            let mut state = state.lock().unwrap_or_else(|e| e.into_inner());
            let changed = state.message != now.message || was_connected;
            if changed {
                *state = now.clone();
            }
            changed
        };
        if changed && now.phase == "Error" {
            report(&recorder, &outlet.gateway, &outlet.configuration, &now.message);
        }
        outlet.changed.notify_one();
        if !again {
            return;
        }
        outlet.progress.lost.fetch_add(1, Ordering::Relaxed);
        if was_connected && begun.elapsed() >= STEADY {
            pause = PAUSE;
        }
        // Half by chance: a thousand configurations do not come back to a broker in one moment.
        let chance = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        tokio::time::sleep(pause.mul_f64(0.5 + chance / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Ends when a source has not connected in time; never when it has.
async fn silent(outlet: &Outlet) {
    tokio::time::sleep(CONNECT).await;
    if outlet.progress.running.load(Ordering::Acquire) {
        std::future::pending().await
    }
}

fn report(recorder: &Recorder, g: &Gateway, configuration: &str, why: &str) {
    tracing::warn!(gateway = g.name, configuration, why, "a configuration is in error");
    let about = json!({"apiVersion": crate::kind::API_VERSION, "kind": "Gateway", "namespace": g.namespace, "name": g.name, "uid": g.uid});
    recorder.warn(&about, "ConfigurationError", &format!("{configuration}: {why}"));
}

async fn halt(mut n: Node) {
    if let Some(task) = n.task.take() {
        task.abort();
        // Ports and connections are free when it has ended.
        let _ = task.await;
    }
}

/// The status of a gateway as it is now.
fn status(k: &Known) -> Value {
    let mut nodes = Map::new();
    let (mut running, mut error) = (0, None);
    for (name, n) in &k.nodes {
        let state = n.state.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let connected = n.progress.running.load(Ordering::Acquire);
        let (phase, message) = if connected { ("Running", n.doubts.clone()) } else { (state.phase, state.message) };
        running += i32::from(phase == "Running" || phase == "Completed");
        if phase == "Error" && error.is_none() {
            error = Some(format!("{name}: {message}"));
        }
        let mut node = json!({
            "id": n.id, "name": name, "displayName": name, "phase": phase, "message": message, "startedAt": n.started,
            "updateTime": state.since, "events": n.progress.events.load(Ordering::Relaxed),
        });
        let last = n.progress.last_event.load(Ordering::Relaxed);
        if let Some(t) = Timestamp::from_millisecond(last).ok().filter(|_| last > 0) {
            node["lastEvent"] = json!(crate::clock::text(t));
        }
        nodes.insert(n.id.clone(), node);
    }
    for f in &k.forwards {
        let why = f.held_up.lock().unwrap_or_else(|e| e.into_inner()).clone();
        if !why.is_empty() && error.is_none() {
            error = Some(format!("{}: events wait: {why}", f.label));
        }
    }
    if let Some((why, _)) = &k.processor {
        let why = why.lock().unwrap_or_else(|e| e.into_inner()).clone();
        if !why.is_empty() {
            error = error.or(Some(why));
        }
    }
    json!({
        "phase": if error.is_some() { "Error" } else { "Running" },
        "message": error.unwrap_or_default(),
        "ready": format!("{running}/{}", k.nodes.len()),
        "startedAt": k.started,
        "observedGeneration": k.gateway.generation,
        "nodes": nodes,
    })
}

fn key(o: &Value) -> Key {
    let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

/// What a Secret says, without keeping it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest([u8; 32]);

impl Digest {
    fn of(secret: &Value) -> Self {
        let hash = digest::digest(&digest::SHA256, secret["data"].to_string().as_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(hash.as_ref());
        Digest(out)
    }
}

/// Whether settings name a value of a Secret.
fn mentions(v: &Value, secret: &str) -> bool {
    match v {
        Value::Object(o) => {
            (o.contains_key("key") && o.get("name").is_some_and(|n| n == secret))
                || o.values().any(|v| mentions(v, secret))
        }
        Value::Array(a) => a.iter().any(|v| mentions(v, secret)),
        _ => false,
    }
}

/// The entries of a ConfigMap.
fn data(o: &Value) -> BTreeMap<String, String> {
    let entries = o["data"].as_object().into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}
