//! Acts for one sensor: many actions at once, each tried again with growing pauses, and given up in the end.

use super::recorder::Recorder;
use super::sense::about;
use super::sensors::Progress;
use crate::bus::Bus;
use crate::bus::ledger::{Action, State, Write};
use crate::kube_api::Api;
use crate::sensors::trigger::{Failure, Firing};
use crate::sensors::{Retry, Sensor, Trigger};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sensor::parameter::Events;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Actions of one sensor that are under way at the same time.
const AT_ONCE: usize = 16;
/// Actions of one sensor that are in memory; more wait in the log.
const HELD: usize = 4096;
/// How long one try may take.
const TIME: Duration = Duration::from_secs(600);
/// What the part of an action ends in that is fired for one that was given up.
const INSTEAD: &str = "/dlqTrigger";

pub struct Acting {
    pub bus: Arc<Bus>,
    pub sensor: Arc<Sensor>,
    pub api: Api,
    pub recorder: Arc<Recorder>,
    pub progress: Arc<Progress>,
    pub files: PathBuf,
}

/// What waits, by when it is due.
#[derive(Default)]
struct Waiting {
    ready: VecDeque<Action>,
    later: BTreeMap<(Instant, u64), Action>,
    count: u64,
    known: HashSet<String>,
    /// When a trigger that is limited may fire next.
    limits: HashMap<String, Instant>,
    /// Those whose turn has been given to them already.
    granted: HashSet<String>,
}

impl Waiting {
    fn add(&mut self, a: Action) {
        if self.known.insert(a.id.clone()) {
            self.ready.push_back(a);
        }
    }

    fn delay(&mut self, a: Action, by: Duration) {
        self.count += 1;
        self.later.insert((Instant::now() + by, self.count), a);
    }

    /// What may begin now.
    fn next(&mut self, sensor: &Sensor) -> Option<Action> {
        let now = Instant::now();
        while let Some(entry) = self.later.first_entry().filter(|e| e.key().0 <= now) {
            self.ready.push_back(entry.remove());
        }
        while let Some(a) = self.ready.pop_front() {
            let Some(rate) = sensor.trigger(&a.part).and_then(|t| t.rate) else { return Some(a) };
            if self.granted.remove(&a.id) {
                return Some(a);
            }
            let free = self.limits.entry(a.part.clone()).or_insert(now);
            let spacing = rate.per / rate.requests;
            let at = (*free).max(now);
            *free = at + spacing;
            if at <= now {
                return Some(a);
            }
            self.granted.insert(a.id.clone());
            self.delay(a, at - now);
        }
        None
    }

    fn until_due(&self) -> Option<Instant> {
        self.later.keys().next().map(|(at, _)| *at)
    }
}

impl Acting {
    pub async fn run(self, mut inbox: mpsc::Receiver<Action>) {
        let mut waiting = Waiting::default();
        let mut running = FuturesUnordered::new();
        self.load(&mut waiting);
        loop {
            let retried = self.bus.retried.notified();
            while running.len() < AT_ONCE {
                let Some(a) = waiting.next(&self.sensor) else { break };
                running.push(async { (self.attempt(&a).await, a) });
            }
            let due = waiting.until_due();
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(a) = inbox.recv(), if waiting.known.len() < HELD => waiting.add(a),
                Some((outcome, a)) = running.next(), if !running.is_empty() => self.settle(a, outcome, &mut waiting).await,
                () = sleep, if running.len() < AT_ONCE => {}
                () = retried => self.load(&mut waiting),
            }
        }
    }

    /// Takes up what waits in the log: left by an earlier life, or brought back by somebody.
    fn load(&self, waiting: &mut Waiting) {
        match self.bus.waiting_actions(&self.sensor.uid) {
            Ok(all) => all.into_iter().for_each(|a| waiting.add(a)),
            Err(e) => tracing::warn!(sensor = self.sensor.name, error = e, "cannot read what has to be done"),
        }
        let dead = self.bus.count(&self.sensor.uid, State::Dead).unwrap_or(0);
        self.progress.dead.store(dead, Ordering::Relaxed);
    }

    fn trigger(&self, part: &str) -> Option<&Trigger> {
        match part.strip_suffix(INSTEAD) {
            Some(of) => self.trigger(of)?.otherwise.as_deref(),
            None => self.sensor.trigger(part),
        }
    }

    async fn attempt(&self, a: &Action) -> Result<String, Failure> {
        let gone = || Failure::Never(format!("the sensor has no trigger {:?} any more", a.part));
        let trigger = self.trigger(&a.part).ok_or_else(gone)?;
        let events: Events = serde_json::from_str(&a.events).map_err(Failure::never)?;
        let firing = Firing::prepare(&self.sensor, trigger, &events, &a.id, self.api.clone(), &self.files)?;
        match tokio::time::timeout(TIME, (trigger.kind.fire)(&firing)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Again(format!("it took more than {} s", TIME.as_secs()), None)),
        }
    }

    async fn settle(&self, mut a: Action, outcome: Result<String, Failure>, waiting: &mut Waiting) {
        a.attempts += 1;
        let id = a.id.clone();
        let failure = match outcome {
            Ok(result) => {
                self.progress.done.fetch_add(1, Ordering::Relaxed);
                self.progress.say("");
                waiting.known.remove(&id);
                return self.keep(vec![Write::Settle { id, state: State::Done, attempts: a.attempts, result }]).await;
            }
            Err(failure) => failure,
        };
        let why = failure.why().to_owned();
        self.progress.say(format!("{}: {why}", a.part));
        let retry = self.trigger(&a.part).map(|t| t.retry).unwrap_or_default();
        if let Failure::Again(_, later) = failure
            && a.attempts < retry.steps
        {
            let pause = later.unwrap_or_else(|| backoff(&retry, a.attempts));
            self.keep(vec![Write::Settle { id, state: State::Waiting, attempts: a.attempts, result: why }]).await;
            return waiting.delay(a, pause);
        }
        waiting.known.remove(&id);
        self.give_up(a, why, waiting).await;
    }

    /// What cannot be done waits for somebody to look at it, unless another trigger is there for it.
    async fn give_up(&self, a: Action, why: String, waiting: &mut Waiting) {
        self.recorder.warn(
            &about(&self.sensor),
            "TriggerFailed",
            &format!("{}: given up after {} tries: {why}", a.part, a.attempts),
        );
        let instead = self.trigger(&format!("{}{INSTEAD}", a.part)).map(|_| Action {
            id: format!("{}-dlq", a.id),
            part: format!("{}{INSTEAD}", a.part),
            attempts: 0,
            result: String::new(),
            ..a.clone()
        });
        let (state, result) = match &instead {
            Some(_) => (State::Done, format!("given up: {why}; its dlqTrigger was fired")),
            None => (State::Dead, why),
        };
        let mut lines = vec![Write::Settle { id: a.id, state, attempts: a.attempts, result }];
        lines.extend(instead.clone().map(Write::Act));
        self.keep(lines).await;
        match instead {
            Some(instead) => waiting.add(instead),
            None => drop(self.progress.dead.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// What is not written is done again after a restart, and finds what is there.
    async fn keep(&self, lines: Vec<Write>) {
        if let Err(e) = self.bus.write(lines).await {
            tracing::warn!(sensor = self.sensor.name, ?e, "could not write what became of an action");
        }
    }
}

/// The pause before the next try; a part of it is left to chance.
fn backoff(retry: &Retry, attempts: u32) -> Duration {
    let grown = retry.pause.as_secs_f64() * retry.factor.max(1.0).powi(attempts.saturating_sub(1).min(64) as i32);
    let chance = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
    let pause = grown.min(retry.longest.as_secs_f64().max(retry.pause.as_secs_f64()));
    Duration::try_from_secs_f64(pause * (1.0 + retry.jitter * chance)).unwrap_or(retry.longest)
}
