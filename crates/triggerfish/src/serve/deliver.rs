//! Delivers for one provider: many at once but one after the other for each object, again and again until it is done or given up.

use super::alerts::{Hand, Live, Teller};
use super::outbox::about_letter;
use super::recorder::Recorder;
use crate::bus::Bus;
use crate::bus::ledger::{Action, State, Write};
use crate::notices::{Board, Key, Letter, given_up, owner};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use notify::provider::{self, Call};
use notify::{Failure, Http, Network, Setup};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Deliveries to one provider at the same time, if it does not say.
const AT_ONCE: usize = 16;
/// Deliveries for one provider that are in memory; more wait in the log.
const HELD: usize = 8192;
/// What was delivered and is not written down yet, at most.
const SETTLING: usize = 1024;
/// The pause after a first failure; it doubles with each while others get through.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Failures in a row after which a provider is taken for down: it is asked with one delivery at a time.
const DOWN: u32 = 10;
/// Failures in a row that are the provider's, and not those of one delivery.
const STREAK: u32 = 3;
const LONGEST_PROBE: Duration = Duration::from_secs(30);
/// For how long a delivery is tried again, if the provider does not say.
const RETRY_FOR: Duration = Duration::from_secs(24 * 3600);
/// The longest that the other side may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

pub struct Delivering {
    pub key: Key,
    pub bus: Arc<Bus>,
    pub live: Arc<Live>,
    pub board: Arc<Board>,
    pub recorder: Arc<Recorder>,
    pub network: Network,
    pub hand: Hand,
}

/// What waits about one object.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Action>,
    /// Failures of the first, in a row, while others got through: it is not the provider that is down.
    own: u32,
    failed_at: Option<Instant>,
}

/// What waits: a line for each object, in the order in which it came.
#[derive(Default)]
struct Lines {
    lines: HashMap<String, Line>,
    /// Objects whose first may be delivered now.
    ready: VecDeque<String>,
    /// Objects whose first waits for its time.
    later: BTreeMap<(Instant, u64), String>,
    count: u64,
    known: HashSet<String>,
}

impl Lines {
    fn add(&mut self, a: Action) {
        if !self.known.insert(a.id.clone()) {
            return;
        }
        let line = self.lines.entry(a.part.clone()).or_default();
        if line.waiting.is_empty() {
            self.ready.push_back(a.part.clone());
        }
        line.waiting.push_back(a);
    }

    /// The next that may be delivered; it stays the first of its line until it is settled.
    fn next(&mut self) -> Option<Action> {
        let part = self.ready.pop_front()?;
        self.lines.get(&part)?.waiting.front().cloned()
    }

    /// The first of a line is done with.
    fn done(&mut self, a: &Action) {
        self.known.remove(&a.id);
        let Some(line) = self.lines.get_mut(&a.part) else { return };
        line.waiting.pop_front();
        (line.own, line.failed_at) = (0, None);
        if line.waiting.is_empty() {
            self.lines.remove(&a.part);
        } else {
            self.ready.push_back(a.part.clone());
        }
    }

    /// The first of a line failed: how often so far, not counting what the provider as a whole failed.
    fn failed(&mut self, a: &Action, last_success: Option<Instant>) -> u32 {
        let Some(line) = self.lines.get_mut(&a.part) else { return 0 };
        if line.failed_at.is_some_and(|before| last_success.is_some_and(|s| s > before)) {
            line.own = line.own.saturating_add(1);
        }
        line.failed_at = Some(Instant::now());
        line.own
    }

    /// The first of a line is tried again later.
    fn delay(&mut self, a: &Action, by: Duration) {
        if let Some(first) = self.lines.get_mut(&a.part).and_then(|l| l.waiting.front_mut()) {
            first.attempts = a.attempts;
        }
        self.count += 1;
        self.later.insert((Instant::now() + by, self.count), a.part.clone());
    }

    fn wake(&mut self, all: bool) {
        let now = Instant::now();
        while let Some(e) = self.later.first_entry().filter(|e| all || e.key().0 <= now) {
            self.ready.push_back(e.remove());
        }
    }

    fn until_due(&self) -> Option<Instant> {
        self.later.keys().next().map(|(at, _)| *at)
    }
}

/// How the provider as a whole is.
struct Health {
    /// Failures in a row.
    failures: u32,
    last_success: Option<Instant>,
    /// Before that nothing is sent to it.
    not_before: Instant,
}

/// A failure, without secrets.
struct Refused {
    failure: Failure,
    retry_for: Duration,
}

impl Delivering {
    pub async fn run(self, mut inbox: mpsc::Receiver<Action>) {
        let mut lines = Lines::default();
        let progress = self.board.provider(&self.key.0, &self.key.1);
        let mut health = Health { failures: 0, last_success: None, not_before: Instant::now() };
        let (mut running, mut settling) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let retried = self.bus.retried.notified();
            self.catch_up(&mut lines);
            if !self.hand.behind.load(Ordering::Acquire) {
                progress.waiting.store(lines.known.len() as u64, Ordering::Relaxed);
            }
            lines.wake(false);
            let (at_once, spacing) = self.bounds(&health);
            let now = Instant::now();
            while running.len() < at_once && settling.len() < SETTLING && health.not_before <= now {
                let Some(a) = lines.next() else { break };
                if let Some(spacing) = spacing {
                    health.not_before = now.max(health.not_before) + spacing;
                }
                running.push(async { (self.attempt(&a).await, a) });
            }
            let free = running.len() < at_once;
            let pause = (free && health.not_before > now && !lines.ready.is_empty()).then_some(health.not_before);
            let due = [pause, lines.until_due().filter(|_| free)].into_iter().flatten().min();
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((outcome, a)) = running.next(), if !running.is_empty() => {
                    if let Some(written) = self.judged(a, outcome, &mut lines, &mut health) {
                        settling.push(self.keep(written));
                    }
                }
                Some(()) = settling.next(), if !settling.is_empty() => {}
                Some(a) = inbox.recv(), if lines.known.len() < HELD => lines.add(a),
                () = sleep => {}
                () = self.hand.changed.notified() => {
                    // Its object, a Secret or the log changed: what failed may work now.
                    health = Health { failures: 0, last_success: None, not_before: Instant::now() };
                    lines.wake(true);
                }
                () = retried => self.hand.behind.store(true, Ordering::Release),
            }
        }
    }

    /// Takes up what waits in the log, where some of it was not handed over.
    fn catch_up(&self, lines: &mut Lines) {
        if lines.known.len() > HELD / 2 || !self.hand.behind.swap(false, Ordering::AcqRel) {
            return;
        }
        let owner = owner(&self.key.0, &self.key.1);
        match self.bus.first_waiting(&owner, HELD) {
            Ok(found) => {
                if found.len() == HELD {
                    self.hand.behind.store(true, Ordering::Release);
                }
                found.into_iter().for_each(|a| lines.add(a));
            }
            Err(error) => {
                tracing::warn!(provider = self.key.1, error, "cannot read what has to be delivered");
                self.hand.behind.store(true, Ordering::Release);
            }
        }
        let progress = self.board.provider(&self.key.0, &self.key.1);
        if self.hand.behind.load(Ordering::Acquire) {
            progress.waiting.store(self.bus.count(&owner, State::Waiting).unwrap_or(0), Ordering::Relaxed);
        }
        progress.dead.store(self.bus.count(&owner, State::Dead).unwrap_or(0), Ordering::Relaxed);
    }

    /// How many at once, and how far apart.
    fn bounds(&self, health: &Health) -> (usize, Option<Duration>) {
        let known = self.live.provider(&self.key.0, &self.key.1);
        let known = known.as_ref().map(|k| &k.provider);
        if known.is_none_or(|p| p.suspend) {
            return (0, None);
        }
        let spacing = known.and_then(|p| p.rate).and_then(|r| Duration::try_from_secs_f64(1.0 / r).ok());
        let at_once = if health.failures >= DOWN { 1 } else { known.and_then(|p| p.concurrency).unwrap_or(AT_ONCE) };
        (at_once, spacing)
    }

    async fn attempt(&self, a: &Action) -> Result<(), Refused> {
        let plain = |failure: Failure| Refused { failure, retry_for: RETRY_FOR };
        let letter = Letter::read(&a.events).map_err(|why| plain(Failure::never(why)))?;
        let notice = letter.notice().map_err(|why| plain(Failure::never(why)))?;
        let known = self.live.provider(&self.key.0, &self.key.1);
        let known = known.ok_or_else(|| plain(Failure::again("the provider is gone")))?;
        let retry_for = known.provider.retry_for.unwrap_or(RETRY_FOR);
        // What is wrong with a provider can be put right.
        let wrong = |why: String| Refused { failure: Failure::again(why), retry_for };
        let secrets = self.live.secrets(&known.provider).await.map_err(wrong)?;
        let mut provider = known.provider.clone();
        if let Some(channel) = &letter.channel {
            provider.channel.clone_from(channel);
        }
        let mut setup = Setup::of(&provider, &secrets, &letter.alert()).map_err(wrong)?;
        setup.commit_status.clone_from(&letter.status);
        let kind = provider::check(&setup).map_err(|why| wrong(setup.masked(&why)))?;
        let http = Http::new(&self.network, &setup).map_err(|why| wrong(setup.masked(&why)))?;
        let (title, body) = (letter.shown.title.as_deref(), letter.shown.body.as_deref());
        let call = Call { setup: &setup, notice: &notice, http: &http, network: &self.network, title, body };
        (kind.post)(&call).await.map_err(|f| Refused { failure: Failure { why: setup.masked(&f.why), ..f }, retry_for })
    }

    /// What becomes of a delivery after a try: what has to be written.
    fn judged(
        &self,
        mut a: Action,
        outcome: Result<(), Refused>,
        lines: &mut Lines,
        health: &mut Health,
    ) -> Option<Vec<Write>> {
        a.attempts += 1;
        let progress = [self.board.provider(&self.key.0, &self.key.1), self.board.alert(&a.namespace, &a.name)];
        let Refused { failure, retry_for } = match outcome {
            Ok(()) => {
                // Who was down is well again: everything is tried at once.
                if health.failures >= STREAK {
                    lines.wake(true);
                }
                (health.failures, health.last_success) = (0, Some(Instant::now()));
                lines.done(&a);
                progress.iter().for_each(|p| p.succeeded());
                let settled =
                    Write::Settle { id: a.id, state: State::Done, attempts: a.attempts, result: "delivered".into() };
                return Some(vec![settled]);
            }
            Err(refused) => refused,
        };
        progress.iter().for_each(|p| p.went_wrong(failure.status, &failure.why));
        if failure.unsure {
            progress[0].unsure.fetch_add(1, Ordering::Relaxed);
        }
        let letter = Letter::read(&a.events).ok();
        let age = letter.as_ref().map_or(0, |l| jiff::Timestamp::now().as_millisecond() - l.written);
        if failure.again && age < retry_for.as_millis() as i64 {
            if a.attempts == 1
                && let Some(l) = &letter
            {
                let why = format!("failed to send notification for {}: {}; it is tried again", a.part, failure.why);
                self.recorder.warn(&about_letter(l), "NotificationDispatchFailed", &why);
            }
            self.postpone(&a, &failure, lines, health);
            let result = failure.why;
            return Some(vec![Write::Settle { id: a.id, state: State::Waiting, attempts: a.attempts, result }]);
        }
        health.failures = 0;
        lines.done(&a);
        progress.iter().for_each(|p| {
            p.dead.fetch_add(1, Ordering::Relaxed);
        });
        if let Some(l) = &letter {
            let why = format!(
                "failed to send notification for {}: given up after {} tries: {}",
                a.part, a.attempts, failure.why
            );
            self.recorder.warn(&about_letter(l), "NotificationDispatchFailed", &why);
        }
        Some(vec![Write::Settle { id: a.id, state: State::Dead, attempts: a.attempts, result: failure.why }])
    }

    /// Has a delivery tried again, after a pause of its own; and the provider as a whole left alone, if it asks for that or is
    /// down.
    fn postpone(&self, a: &Action, failure: &Failure, lines: &mut Lines, health: &mut Health) {
        let now = Instant::now();
        if let Some(after) = failure.after {
            let after = after.min(LONGEST_WAIT);
            health.not_before = health.not_before.max(now + after);
            return lines.delay(a, after);
        }
        health.failures = health.failures.saturating_add(1);
        if health.failures >= DOWN {
            let pause = backoff(PAUSE / 4, health.failures - DOWN, LONGEST_PROBE);
            health.not_before = health.not_before.max(now + pause);
        }
        let own = lines.failed(a, health.last_success);
        lines.delay(a, backoff(PAUSE, own, LONGEST_PAUSE));
    }

    /// What is not written is delivered again after a restart.
    async fn keep(&self, lines: Vec<Write>) {
        let dead = lines.iter().find_map(|l| match l {
            Write::Settle { id, state: State::Dead, result, .. } => Some((id.clone(), result.clone())),
            _ => None,
        });
        if let Err(e) = self.bus.write(lines).await {
            tracing::warn!(provider = self.key.1, ?e, "could not write what became of a delivery");
        }
        if let Some((id, why)) = dead {
            self.tell(&id, &why).await;
        }
    }

    /// A delivery that was given up is told as well, to those who ask about providers.
    async fn tell(&self, id: &str, why: &str) {
        let Ok(Some(a)) = self.bus.action(id) else { return };
        // What is about a provider itself could go round for ever.
        if a.part.starts_with("Provider/") {
            return;
        }
        let uid = self.live.provider(&self.key.0, &self.key.1).map(|k| k.provider.uid.clone()).unwrap_or_default();
        let n = given_up(&self.key.0, &self.key.1, &uid, &a.name, &a.part, why);
        let teller = Teller { bus: self.bus.clone(), live: self.live.clone() };
        teller.tell(&n, &format!("given-up/{id}/{}", a.attempts)).await;
    }
}

/// A pause that doubles, half of it left to chance.
fn backoff(first: Duration, doubled: u32, longest: Duration) -> Duration {
    let whole = first.saturating_mul(1 << doubled.min(16)).min(longest);
    let chance = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
    whole.mul_f64(0.5 + chance / 2.0)
}
