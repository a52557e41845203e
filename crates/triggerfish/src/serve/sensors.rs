//! The sensor controller: follows sensors, watches the log and acts for each, and writes what became of it into its status.

use super::act::Acting;
use super::recorder::Recorder;
use super::sense::{self, Sensing};
use crate::bus::Bus;
use crate::bus::ledger::Write;
use crate::follow::{Change, Target, follow};
use crate::kube_api::{Api, Clients, path};
use crate::sensors::Sensor;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Key = (String, String);

/// How often what changed reaches the status.
const STATUS: Duration = Duration::from_millis(500);
/// Actions on their way from the one who watches to the one who acts; more wait in the log.
const HANDED_OVER: usize = 1024;

pub struct Controller {
    pub api: Api,
    pub clients: Arc<Clients>,
    pub bus: Arc<Bus>,
    pub recorder: Arc<Recorder>,
    /// The only folder that files are read from.
    pub files: PathBuf,
}

/// How a sensor is getting on.
#[derive(Default)]
pub struct Progress {
    pub events: AtomicU64,
    pub filtered: AtomicU64,
    pub fired: AtomicU64,
    pub done: AtomicU64,
    pub dead: AtomicU64,
    /// Milliseconds since 1970; 0: never.
    pub last_event: AtomicI64,
    pub last_fired: AtomicI64,
    pub complete: std::sync::atomic::AtomicBool,
    /// The last failure; empty when the last action went well.
    pub message: Mutex<String>,
}

impl Progress {
    /// Goes on from what the status says.
    fn of(status: &Value) -> Self {
        let count = |k: &str| AtomicU64::new(status[k].as_u64().unwrap_or(0));
        let time = |k: &str| {
            let at = status[k].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
            AtomicI64::new(at.map_or(0, |t| t.as_millisecond()))
        };
        Progress {
            events: count("events"),
            filtered: count("filtered"),
            fired: count("fired"),
            done: count("done"),
            last_event: time("lastEvent"),
            last_fired: time("lastFired"),
            ..Progress::default()
        }
    }

    pub fn say(&self, message: impl Into<String>) {
        *self.message.lock().unwrap_or_else(|e| e.into_inner()) = message.into();
    }
}

/// A sensor that is known.
struct Known {
    /// Its specification as it stands in the object.
    spec: Value,
    generation: i64,
    uid: String,
    /// Why it does not run.
    broken: String,
    progress: Arc<Progress>,
    tasks: Vec<JoinHandle<()>>,
    written: Value,
}

impl Controller {
    pub async fn run(self) {
        let (tell, mut told) = mpsc::unbounded_channel();
        tokio::spawn(follow(self.api.clone(), Target::ours("sensors", "Sensor"), move |c| {
            // The receiver lives as long as the program.
            let _ = tell.send(c);
        }));
        let mut known: HashMap<Key, Known> = HashMap::new();
        let mut fresh = HashSet::new();
        let mut due = tokio::time::interval(STATUS);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(change) = told.recv() => match change {
                    Change::Restart => fresh.clear(),
                    Change::Applied(o) => {
                        fresh.insert(key(&o));
                        self.sensor(&mut known, &o).await;
                    }
                    Change::Deleted(o) => self.forget(known.remove(&key(&o))).await,
                    Change::Complete => {
                        let gone: Vec<Key> = known.keys().filter(|k| !fresh.contains(k)).cloned().collect();
                        for k in gone {
                            self.forget(known.remove(&k)).await;
                        }
                        self.drop_stale(&known).await;
                    }
                },
                _ = due.tick() => for (key, k) in &mut known {
                    self.write(key, k).await;
                }
            }
        }
    }

    async fn sensor(&self, known: &mut HashMap<Key, Known>, o: &Value) {
        let key = key(o);
        let uid = o["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let generation = o["metadata"]["generation"].as_i64().unwrap_or(0);
        match known.get_mut(&key) {
            // What runs goes on where nothing but its generation or its labels changed.
            Some(k) if k.uid == uid && k.spec == o["spec"] => {
                k.generation = generation;
                return;
            }
            Some(k) if k.uid == uid => halt(k).await,
            _ => self.forget(known.remove(&key)).await,
        }
        let progress = known.get(&key).map_or_else(|| Arc::new(Progress::of(&o["status"])), |k| k.progress.clone());
        let (broken, tasks) = match Sensor::read(o) {
            Ok(sensor) => (String::new(), self.start(Arc::new(sensor), &progress)),
            Err(mistakes) => {
                let why = mistakes.first().map_or_else(String::new, |(path, why)| format!("{path}: {why}"));
                (why, Vec::new())
            }
        };
        let written = o["status"].clone();
        known.insert(key, Known { spec: o["spec"].clone(), generation, uid, broken, progress, tasks, written });
    }

    fn start(&self, sensor: Arc<Sensor>, progress: &Arc<Progress>) -> Vec<JoinHandle<()>> {
        let (hand_over, actions) = mpsc::channel(HANDED_OVER);
        let sensing = Sensing {
            bus: self.bus.clone(),
            sensor: sensor.clone(),
            recorder: self.recorder.clone(),
            progress: progress.clone(),
            hand_over,
        };
        let acting = Acting {
            bus: self.bus.clone(),
            api: self.clients.as_caller(&sensor.caller()),
            sensor,
            recorder: self.recorder.clone(),
            progress: progress.clone(),
            files: self.files.clone(),
        };
        vec![tokio::spawn(sensing.run()), tokio::spawn(acting.run(actions))]
    }

    /// Stops a sensor that is gone, and forgets what it held.
    async fn forget(&self, k: Option<Known>) {
        let Some(mut k) = k else { return };
        halt(&mut k).await;
        self.erase(&k.uid).await;
    }

    async fn erase(&self, uid: &str) {
        let forgotten = self.bus.write(vec![Write::Forget { owner: uid.to_owned() }]).await;
        let unwatched = self.bus.watch(&sense::cursor(uid), None).await;
        if let (Err(e), _) | (_, Err(e)) = (forgotten, unwatched) {
            tracing::debug!(?e, "could not forget a sensor; it is tried again at the next start");
        }
    }

    /// Forgets sensors that went while nothing ran here.
    async fn drop_stale(&self, known: &HashMap<Key, Known>) {
        for name in self.bus.watchers(sense::CURSORS).unwrap_or_default() {
            let uid = name.trim_start_matches(sense::CURSORS);
            if !known.values().any(|k| k.uid == uid) {
                self.erase(uid).await;
            }
        }
    }

    async fn write(&self, (namespace, name): &Key, k: &mut Known) {
        let status = status(k);
        if status == k.written {
            return;
        }
        let place = format!("{}/status", path("sensors", namespace, name));
        match self.api.merge_blindly(&place, &json!({ "status": status })).await {
            Err(e) if e.code != 404 => tracing::debug!(sensor = name, error = %e, "could not write a sensor's status"),
            _ => k.written = status,
        }
    }
}

async fn halt(k: &mut Known) {
    for task in k.tasks.drain(..) {
        task.abort();
        let _ = task.await;
    }
}

fn status(k: &Known) -> Value {
    let p = &k.progress;
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let time = |n: &AtomicI64| match n.load(Ordering::Relaxed) {
        0 => Value::Null,
        at => jiff::Timestamp::from_millisecond(at).map_or(Value::Null, |t| json!(crate::clock::text(t))),
    };
    let message = if k.broken.is_empty() {
        p.message.lock().unwrap_or_else(|e| e.into_inner()).clone()
    } else {
        k.broken.clone()
    };
    let phase = match () {
        () if !k.broken.is_empty() || count(&p.dead) > 0 => "Error",
        () if p.complete.load(Ordering::Relaxed) => "Complete",
        () => "Running",
    };
    let mut out = json!({
        "phase": phase, "message": message, "observedGeneration": k.generation, "events": count(&p.events),
        "filtered": count(&p.filtered), "fired": count(&p.fired), "done": count(&p.done), "dead": count(&p.dead),
    });
    for (name, at) in [("lastEvent", time(&p.last_event)), ("lastFired", time(&p.last_fired))] {
        if !at.is_null() {
            out[name] = at;
        }
    }
    out
}

fn key(o: &Value) -> Key {
    let text = |k: &str| o["metadata"][k].as_str().unwrap_or("").to_owned();
    (text("namespace"), text("name"))
}
