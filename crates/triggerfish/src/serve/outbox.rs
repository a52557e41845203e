//! Reads notices from the log and writes a letter for each provider that an alert sends them to; cursor, letters and what alerts
//! remember are one commit.

use super::alerts::Live;
use super::recorder::Recorder;
use crate::bus::ledger::{Action, Write};
use crate::bus::{Bus, Record};
use crate::kind::FLUX_API_VERSION;
use crate::kube_api::Clients;
use crate::notices::{Board, Letter, letters, of_event};
use jiff::Timestamp;
use notify::alert::{Step, Target, Verdict, is_update, merged};
use notify::provider::{commit_status, named};
use notify::{Alert, Notice, Provider};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The name of its place in the log.
pub const CURSOR: &str = "notify";
/// What the names of what alerts remember begin with; their uid follows.
const MEMORY: &str = "alert/";
/// Events that are looked at together.
const BATCH: usize = 512;
/// How often the place is written where nothing else is.
const IDLE: Duration = Duration::from_secs(5);

pub struct Outbox {
    pub bus: Arc<Bus>,
    pub clients: Arc<Clients>,
    pub live: Arc<Live>,
    pub board: Arc<Board>,
    pub recorder: Arc<Recorder>,
    pub own_namespace_only: bool,
}

/// What belongs to one commit.
#[derive(Default)]
struct Draft {
    lines: Vec<Write>,
    letters: Vec<Action>,
}

/// A notice, its place in the log, and what is known about it.
struct Seen<'a> {
    seq: u64,
    id: &'a str,
    notice: Notice,
    /// The labels of the object, where an alert asks for them.
    labels: Option<Result<BTreeMap<String, String>, String>>,
    now: Timestamp,
}

/// What an alert remembers, and when it has something to send.
struct Memory {
    alert: Arc<Alert>,
    state: notify::alert::State,
    touched: bool,
}

type Memories = HashMap<String, Memory>;

impl Outbox {
    pub async fn run(self) {
        let mut after = match self.bus.cursor_of(CURSOR) {
            Ok(Some(seq)) => seq,
            // A new one begins now.
            _ => self.bus.accepted(),
        };
        self.live.up_to_date(&self.clients).await;
        let mut kept: Option<(u64, Instant)> = None;
        let mut memories = self.recall();
        loop {
            let arrived = self.bus.arrived.notified();
            let batch = match self.bus.pending(after, BATCH) {
                Ok(b) => b,
                Err(error) => {
                    tracing::warn!(error, "cannot read the event log for notices; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let now = Timestamp::now();
            let end = batch.last().map_or(after, |r| r.seq);
            let mut draft = self.drafted(&batch, &mut memories, now).await;
            self.fall_due(&mut draft, &mut memories, end, now);
            memorize(&mut draft, &mut memories);
            // Also where nobody asks for anything the log may go on, but not with a commit for each event.
            let behind = kept.is_none_or(|(seq, at)| seq != end && at.elapsed() >= IDLE);
            if !draft.lines.is_empty() || !draft.letters.is_empty() || behind {
                if !self.send(draft, end).await {
                    memories = self.recall();
                    continue;
                }
                kept = Some((end, Instant::now()));
            }
            after = end;
            if batch.is_empty() {
                let next = memories.values().filter_map(|m| m.state.next()).min();
                let wait = next.map(|t| Duration::try_from(t.duration_since(Timestamp::now())).unwrap_or_default());
                tokio::select! {
                    () = arrived => {}
                    () = tokio::time::sleep(wait.unwrap_or(IDLE).min(IDLE)) => {}
                }
            }
        }
    }

    /// Writes, then hands over what was written.
    async fn send(&self, mut draft: Draft, end: u64) -> bool {
        draft.lines.extend(draft.letters.iter().cloned().map(Write::Act));
        draft.lines.push(Write::Cursor { name: CURSOR.into(), seq: end });
        if let Err(e) = self.bus.write(draft.lines).await {
            tracing::warn!(?e, "cannot write what has to be delivered; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
            return false;
        }
        for a in draft.letters {
            let provider = a.owner.rsplit('/').next().unwrap_or("");
            let Some(hand) = self.live.hand(&a.namespace, provider) else { continue };
            // Behind those that are in the log already it waits there.
            if hand.behind.load(Ordering::Acquire) || hand.queue.try_send(a).is_err() {
                hand.behind.store(true, Ordering::Release);
                hand.changed.notify_one();
            }
        }
        true
    }

    async fn drafted(&self, batch: &[Record], memories: &mut Memories, now: Timestamp) -> Draft {
        let mut draft = Draft::default();
        let notices: Vec<(u64, &str, Notice)> =
            batch.iter().filter_map(|r| Some((r.seq, r.event.id.as_str(), of_event(&r.event)?))).collect();
        if notices.is_empty() {
            return draft;
        }
        self.live.up_to_date(&self.clients).await;
        let api = self.clients.component("notification-controller");
        for (seq, id, n) in notices {
            let asked = self.live.alerts.read().unwrap_or_else(|e| e.into_inner()).about(&n);
            let wants_labels = asked.iter().any(|a| a.sources.iter().any(|s| s.labels.is_some()));
            let o = &n.object;
            let labels = match wants_labels {
                true => Some(api.labels(&o.api_version, &o.kind, &o.namespace, &o.name).await),
                false => None,
            };
            let seen = Seen { seq, id, notice: n, labels, now };
            for alert in asked {
                if let Err(because) = self.one(&mut draft, memories, &alert, &seen) {
                    let outcome = json!({"outcome": "Passed", "because": because});
                    draft.lines.push(Write::Watched { seq, watcher: format!("alert/{}", alert.path()), outcome });
                }
            }
        }
        draft
    }

    /// What one alert makes of a notice; the error is why it sends nothing now.
    fn one(&self, draft: &mut Draft, memories: &mut Memories, alert: &Arc<Alert>, seen: &Seen) -> Result<(), String> {
        let n = &seen.notice;
        let known = || seen.labels.as_ref().map_or(Err(String::new()), |l| l.as_ref().map_err(Clone::clone));
        match alert.verdict(n, known) {
            Verdict::Passes { because, warning } => {
                if let Some((reason, why)) = warning {
                    self.recorder.warn(&about(alert), reason, &why);
                }
                return Err(because);
            }
            Verdict::Asks => {
                for why in alert.met(&n.message) {
                    self.recorder.warn(&about(alert), "InvalidConfig", &why);
                }
            }
        }
        self.board.alert(&alert.namespace, &alert.name).matched.fetch_add(1, Ordering::Relaxed);
        if self.own_namespace_only && alert.namespace != n.object.namespace {
            let why = format!(
                "discarding event, access denied to cross-namespace sources: alert '{}' can't process event from '{}'",
                alert.path(),
                n.path()
            );
            self.refused(alert, n, &why);
            return Err(why);
        }
        if let Some(shaping) = &alert.shaping {
            let memory = memories.entry(alert.uid.clone()).or_insert_with(|| Memory {
                alert: alert.clone(),
                state: Default::default(),
                touched: false,
            });
            memory.alert = alert.clone();
            memory.touched = true;
            match shaping.step(&mut memory.state, n, seen.now) {
                Step::Send => {}
                Step::Hold(until) => return Err(format!("it is held until {until}")),
                Step::Drop(because) => return Err(because),
            }
        }
        self.write(draft, alert, n, seen.seq, seen.id)
    }

    /// Writes the letters of an alert.
    fn write(&self, draft: &mut Draft, alert: &Alert, n: &Notice, seq: u64, cause: &str) -> Result<(), String> {
        let (made, conflicts) = merged(n, alert);
        let mut to: Vec<(Target, Provider, String)> = Vec::new();
        let mut passed = Vec::new();
        for t in alert.targets() {
            match self.target(alert, &t, n, &made) {
                Ok(found) => to.push(found),
                Err(because) => passed.push(because),
            }
        }
        if to.is_empty() {
            return Err(passed.join("; "));
        }
        if !conflicts.is_empty() {
            let keys: Vec<String> = conflicts.iter().map(|(k, who)| format!("{k} ({who})")).collect();
            let why = format!(
                "metadata key conflicts detected (please refer to the Alert API docs and Flux RFC 0008 for more information): {}",
                keys.join("; ")
            );
            self.recorder.warn(&about(alert), "MetadataAppendFailed", &why);
        }
        let written = letters(alert, &made, &to, seq, cause);
        let written = written.inspect_err(|why| self.refused(alert, n, why))?;
        draft.letters.extend(written);
        Ok(())
    }

    /// A provider that a notice goes to; the error is why it does not.
    fn target(
        &self,
        alert: &Alert,
        t: &Target,
        n: &Notice,
        made: &Notice,
    ) -> Result<(Target, Provider, String), String> {
        let Some(known) = self.live.provider(&alert.namespace, &t.provider) else {
            let why =
                format!("failed to read provider: providers.notification.toolkit.fluxcd.io {:?} not found", t.provider);
            self.refused(alert, n, &why);
            return Err(why);
        };
        let p = &known.provider;
        if p.suspend {
            return Err(format!("provider {} is suspended", t.provider));
        }
        let Some(kind) = named(&p.kind) else { return Err(format!("provider {} not supported", p.kind)) };
        kind.group
            .takes(n, |key| is_update(n, key))
            .map_err(|why| format!("provider {} ({}): {why}", t.provider, p.kind))?;
        let status = match kind.group {
            notify::provider::Group::CommitStatus => {
                commit_status::id(made, &known.object, &alert.object).inspect_err(|why| self.refused(alert, n, why))?
            }
            _ => String::new(),
        };
        Ok((t.clone(), p.clone(), status))
    }

    fn refused(&self, alert: &Alert, n: &Notice, why: &str) {
        let what = format!("failed to dispatch notification for {}: {why}", n.path());
        self.recorder.warn(&about(alert), "NotificationDispatchFailed", &what);
        self.board.alert(&alert.namespace, &alert.name).went_wrong(None, why);
    }

    /// Writes the letters of what was held and is due.
    fn fall_due(&self, draft: &mut Draft, memories: &mut Memories, end: u64, now: Timestamp) {
        for memory in memories.values_mut().filter(|m| m.state.next().is_some_and(|t| t <= now)) {
            let newest = self.live.alerts.read().unwrap_or_else(|e| e.into_inner());
            let newest = newest.get(&memory.alert.namespace, &memory.alert.name).cloned();
            let Some(alert) = newest.filter(|a| a.uid == memory.alert.uid && !a.suspend) else { continue };
            memory.touched = true;
            let Some(shaping) = &alert.shaping else { continue };
            for n in shaping.due(&mut memory.state, now) {
                let cause = format!("due {now} {}", n.message);
                if let Err(because) = self.write(draft, &alert, &n, end, &cause) {
                    tracing::info!(alert = alert.path(), because, "what was held is not sent");
                }
            }
        }
        let alerts = self.live.alerts.read().unwrap_or_else(|e| e.into_inner());
        // What alerts remember that are gone or that do not shape any more is forgotten.
        memories.retain(|uid, m| {
            let kept =
                alerts.get(&m.alert.namespace, &m.alert.name).is_some_and(|a| a.uid == *uid && a.shaping.is_some());
            if !kept {
                draft.lines.push(Write::Forget { owner: format!("{MEMORY}{uid}") });
            }
            kept
        });
    }

    /// What alerts remember.
    fn recall(&self) -> Memories {
        let alerts: Vec<Arc<Alert>> = {
            let all = self.live.alerts.read().unwrap_or_else(|e| e.into_inner());
            all.all().filter(|a| a.shaping.is_some()).cloned().collect()
        };
        let mut out = Memories::new();
        for alert in alerts {
            let kept = self.bus.position(&format!("{MEMORY}{}", alert.uid)).ok().flatten();
            if let Some(state) = kept.and_then(|k| serde_json::from_str(&k).ok()) {
                out.insert(alert.uid.clone(), Memory { alert, state, touched: false });
            }
        }
        out
    }
}

/// Writes down what alerts remember, where it changed.
fn memorize(draft: &mut Draft, memories: &mut Memories) {
    for (uid, m) in memories.iter_mut().filter(|(_, m)| m.touched) {
        m.touched = false;
        let mark = serde_json::to_string(&m.state).unwrap_or_default();
        draft.lines.push(Write::Position { name: format!("{MEMORY}{uid}"), mark });
    }
}

/// The alert as Kubernetes Events name it.
fn about(a: &Alert) -> Value {
    json!({"apiVersion": FLUX_API_VERSION, "kind": "Alert", "namespace": a.namespace, "name": a.name, "uid": a.uid})
}

/// The same of a letter.
pub fn about_letter(l: &Letter) -> Value {
    let a = l.alert();
    json!({"apiVersion": FLUX_API_VERSION, "kind": "Alert", "namespace": a.namespace, "name": a.name, "uid": a.uid})
}
