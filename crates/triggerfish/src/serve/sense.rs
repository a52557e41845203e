//! Watches the log for one sensor: which events pass its dependencies, and which rounds they complete.
//!
//! How far it is, what its rounds hold and what has to be done are written together, so that nothing is counted twice and
//! nothing is forgotten, whenever it stops.

use super::judge::Judge;
use super::recorder::Recorder;
use super::sensors::Progress;
use crate::bus::ledger::{Action, State, Write};
use crate::bus::{Bus, Record};
use crate::sensors::view::{self, Shape};
use crate::sensors::{Dependency, Sensor, Trigger};
use jiff::Timestamp;
use ring::digest;
use sensor::rounds::Round;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the names of all sensors' cursors begin with.
pub const CURSORS: &str = "sensor/";
/// Events looked at in one go.
const BATCH: usize = 256;
/// Events of others that are passed over before the place is written down.
const UNWRITTEN: u64 = 1000;
/// Between two tries to write.
const PAUSE: Duration = Duration::from_millis(200);
/// The line of a round that says what it belongs to; no dependency has this name.
const HEAD: &str = "";

pub fn cursor(uid: &str) -> String {
    format!("{CURSORS}{uid}")
}

pub struct Sensing {
    pub bus: Arc<Bus>,
    pub sensor: Arc<Sensor>,
    pub recorder: Arc<Recorder>,
    pub progress: Arc<Progress>,
    /// To the one who acts.
    pub hand_over: mpsc::Sender<Action>,
}

/// What is not written yet.
#[derive(Default)]
struct Lines {
    lines: Vec<Write>,
    actions: Vec<Action>,
}

type Rounds = HashMap<String, Round<sensor::Event>>;
/// By trigger.
type Due = HashMap<String, Timestamp>;

/// How long until the next of them.
fn until(due: &Due) -> Duration {
    let now = Timestamp::now();
    due.values().min().map_or(FAR, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default().min(FAR))
}

impl Sensing {
    pub async fn run(self) {
        let name = cursor(&self.sensor.uid);
        let mut after = match self.bus.cursor_of(&name) {
            Ok(Some(seq)) => seq,
            // A new sensor gets what comes from now on.
            _ => self.bus.accepted(),
        };
        let mut lines = Lines::default();
        let (mut rounds, complete) = self.begin(&mut lines);
        lines.lines.push(Write::Cursor { name: name.clone(), seq: after });
        self.commit(&mut lines).await;
        self.progress.complete.store(complete, Ordering::Relaxed);
        if complete {
            return;
        }
        let mut written = after;
        let mut judge = Judge::default();
        let mut due = self.due(Timestamp::now());
        loop {
            let arrived = self.bus.arrived.notified();
            self.reset(&mut due, &mut rounds, &mut lines);
            let batch = match self.bus.pending(after, BATCH) {
                Ok(batch) => batch,
                Err(e) => {
                    self.progress.say(format!("cannot read the event log: {e}"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(last) = batch.last().map(|r| r.seq) else {
                self.commit(&mut lines).await;
                tokio::select! {
                    () = arrived => {}
                    () = tokio::time::sleep(until(&due)) => {}
                }
                continue;
            };
            let mut complete = false;
            for r in &batch {
                complete = self.event(r, &mut rounds, &mut judge, &mut lines).await;
                if complete {
                    break;
                }
            }
            after = last;
            if !lines.lines.is_empty() || last - written >= UNWRITTEN {
                lines.lines.push(Write::Cursor { name: name.clone(), seq: last });
                self.commit(&mut lines).await;
                written = last;
            }
            if complete {
                self.progress.complete.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The rounds as they were left. A condition that is another one now begins anew, and so does a round whose reset was due
    /// meanwhile.
    fn begin(&self, out: &mut Lines) -> (Rounds, bool) {
        let owner = &self.sensor.uid;
        let mut held: HashMap<String, BTreeMap<String, String>> = HashMap::new();
        for (part, dependency, event) in self.bus.held(owner).unwrap_or_default() {
            held.entry(part).or_default().insert(dependency, event);
        }
        let complete = !self.sensor.repeats && held.remove(HEAD).is_some();
        let mut rounds = Rounds::new();
        for t in &self.sensor.triggers {
            let mut was = held.remove(&t.name).unwrap_or_default();
            let head: Value = was.remove(HEAD).and_then(|h| serde_json::from_str(&h).ok()).unwrap_or_default();
            let since: Option<Timestamp> = head["since"].as_str().and_then(|s| s.parse().ok());
            let due = |at: Timestamp| t.resets.iter().any(|r| r.next(at).is_some_and(|next| next <= Timestamp::now()));
            let stale = head["condition"] != json!(format!("{:?}", t.condition)) || since.is_some_and(due);
            if stale {
                self.release(&t.name, out);
                rounds.insert(t.name.clone(), Round::default());
                continue;
            }
            let events = was.into_iter().filter_map(|(d, e)| Some((d, serde_json::from_str(&e).ok()?))).collect();
            rounds.insert(t.name.clone(), Round::of(events));
        }
        for gone in held.into_keys().filter(|part| !part.is_empty()) {
            out.lines.push(Write::Release { owner: owner.clone(), part: gone });
        }
        (rounds, complete)
    }

    /// Empties a round, and says again what it belongs to.
    fn release(&self, trigger: &str, out: &mut Lines) {
        let owner = self.sensor.uid.clone();
        out.lines.push(Write::Release { owner, part: trigger.to_owned() });
        self.head(trigger, out);
    }

    fn head(&self, trigger: &str, out: &mut Lines) {
        let condition = self.sensor.trigger(trigger).map(|t| format!("{:?}", t.condition));
        let event = json!({"condition": condition, "since": Timestamp::now().to_string()}).to_string();
        let (owner, part) = (self.sensor.uid.clone(), trigger.to_owned());
        out.lines.push(Write::Hold { owner, part, dependency: HEAD.into(), event });
    }

    /// When the rounds of triggers are to be forgotten next.
    fn due(&self, now: Timestamp) -> Due {
        let next = |t: &Trigger| t.resets.iter().filter_map(|r| r.next(now)).min();
        self.sensor.triggers.iter().filter_map(|t| Some((t.name.clone(), next(t)?))).collect()
    }

    /// Forgets rounds whose reset is due.
    fn reset(&self, due: &mut Due, rounds: &mut Rounds, out: &mut Lines) {
        let now = Timestamp::now();
        let over: Vec<String> = due.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in over {
            due.remove(&name);
            due.extend(self.due(now).remove_entry(&name));
            if let Some(round) = rounds.get_mut(&name).filter(|r| !r.held().is_empty()) {
                round.reset();
                self.release(&name, out);
            }
        }
    }

    /// Looks at one event; true when the sensor has nothing more to wait for.
    async fn event(&self, r: &Record, rounds: &mut Rounds, judge: &mut Judge, out: &mut Lines) -> bool {
        let Some(origin) = r.event.origin.as_ref().filter(|o| !o.copy && r.event.namespace == self.sensor.namespace)
        else {
            return false;
        };
        let concerned = |d: &&Dependency| {
            d.gateway == origin.gateway && (d.configuration.is_empty() || d.configuration == origin.configuration)
        };
        let mut views: HashMap<Shape, sensor::Event> = HashMap::new();
        let mut told = Vec::new();
        let mut fired = Vec::new();
        for d in self.sensor.dependencies.iter().filter(concerned) {
            let seen = views.entry(d.shape).or_insert_with(|| view::of(&r.event, d.shape));
            let event = match judge.judge(&d.judgement, seen).await {
                Ok(event) => event,
                Err(why) => {
                    self.reject(d, &why);
                    told.push(json!({"dependency": d.name, "outcome": "rejected", "because": why}));
                    continue;
                }
            };
            told.push(json!({"dependency": d.name, "outcome": "passed"}));
            self.progress.events.fetch_add(1, Ordering::Relaxed);
            self.progress.last_event.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
            fired.extend(self.arrive(r.seq, d, &event, rounds, out));
        }
        if told.is_empty() {
            return false;
        }
        let outcome = json!({"kind": "Sensor", "dependencies": told, "fired": fired});
        out.lines.push(Write::Watched { seq: r.seq, watcher: self.sensor.name.clone(), outcome });
        let complete = !self.sensor.repeats && !fired.is_empty();
        if complete {
            let owner = self.sensor.uid.clone();
            out.lines.push(Write::Hold { owner, part: HEAD.into(), dependency: "complete".into(), event: "{}".into() });
        }
        complete
    }

    fn reject(&self, d: &Dependency, why: &str) {
        self.progress.filtered.fetch_add(1, Ordering::Relaxed);
        if let Some(message) = &d.escalation {
            self.recorder.warn(&about(&self.sensor), "EventRejected", &format!("{}: {message}: {why}", d.name));
        }
    }

    /// Puts an event into every round that waits for it; the triggers that fire.
    fn arrive(
        &self,
        seq: u64,
        d: &Dependency,
        event: &sensor::Event,
        rounds: &mut Rounds,
        out: &mut Lines,
    ) -> Vec<String> {
        let owner = &self.sensor.uid;
        let mut fired = Vec::new();
        for t in self.sensor.triggers.iter().filter(|t| t.condition.names().contains(d.name.as_str())) {
            let round = rounds.entry(t.name.clone()).or_default();
            let Some(events) = round.arrive(&t.condition, &d.name, event.clone()) else {
                let event = json!(event).to_string();
                out.lines.push(Write::Hold {
                    owner: owner.clone(),
                    part: t.name.clone(),
                    dependency: d.name.clone(),
                    event,
                });
                if !t.resets.is_empty() {
                    self.head(&t.name, out);
                }
                continue;
            };
            let action = Action {
                id: action_id(owner, &t.name, &events),
                owner: owner.clone(),
                namespace: self.sensor.namespace.clone(),
                name: self.sensor.name.clone(),
                part: t.name.clone(),
                seq,
                events: json!(events).to_string(),
                state: State::Waiting,
                attempts: 0,
                result: String::new(),
                changed: crate::clock::now_text(),
            };
            if events.len() > 1 {
                self.release(&t.name, out);
            }
            out.lines.push(Write::Act(action.clone()));
            out.actions.push(action);
            fired.push(t.name.clone());
            self.progress.fired.fetch_add(1, Ordering::Relaxed);
            self.progress.last_fired.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
        }
        fired
    }

    /// Writes what happened, however long it takes, and only then has it acted on.
    async fn commit(&self, out: &mut Lines) {
        if out.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut out.lines);
        while let Err(e) = self.bus.write(lines.clone()).await {
            self.progress.say(format!("the event log: {e:?}"));
            tokio::time::sleep(PAUSE).await;
        }
        for action in std::mem::take(&mut out.actions) {
            // The one who acts ends only together with this one.
            let _ = self.hand_over.send(action).await;
        }
    }
}

/// The longest sleep between two looks at the clock.
const FAR: Duration = Duration::from_secs(60);

/// What a sensor's Kubernetes Events are about.
pub fn about(s: &Sensor) -> Value {
    json!({"apiVersion": crate::kind::API_VERSION, "kind": "Sensor", "namespace": s.namespace, "name": s.name, "uid": s.uid})
}

/// What follows from a round: the same events make the same action.
fn action_id(owner: &str, trigger: &str, events: &BTreeMap<String, sensor::Event>) -> String {
    let mut text = format!("{owner}\0{trigger}");
    for (dependency, event) in events {
        text.push_str(&format!("\0{dependency}\0{}\0{}", event.context.source, event.context.id));
    }
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref()[..16].iter().map(|b| format!("{b:02x}")).collect()
}
