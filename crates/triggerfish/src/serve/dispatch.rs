//! The dispatcher: takes events from the log in order, asks the bindings, creates what they start, records what became of it.
//!
//! An event is finished only when its outcome is in the log. After a crash it is dispatched again; names that follow from
//! (event, binding) make the second time find what the first one created.

use super::bindings::{Live, RESOURCE};
use super::recorder::Recorder;
use crate::bus::{Bus, Record, Waiting};
use crate::event::{BindingOutcome, BindingResult, Event, Outcome};
use crate::kube_api::{Clients, Refusal, path};
use crate::route::{self, Binding, Bindings, Creator, Decision, Facts, Start};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Events read from the log at once.
const BATCH: usize = 256;
/// Tries for what may work the next time, and the pause before the first repeat.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);
/// Generated names that are tried when others have them already.
const NAMES: u8 = 8;

pub struct Dispatcher {
    pub bus: Arc<Bus>,
    pub clients: Arc<Clients>,
    pub live: Arc<Live>,
    pub recorder: Arc<Recorder>,
    /// Events dispatched at the same time.
    pub workers: usize,
    pub instance_id: String,
    /// Requests that wait for the dispatch of their event.
    pub waiting: Arc<Waiting>,
    /// Events up to this place may have been dispatched before, in part: by an earlier life, or in a batch that failed.
    pub repeats_until: AtomicU64,
}

impl Dispatcher {
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut after = self.bus.cursor().unwrap_or(0);
        while !*stop.borrow() {
            let arrived = self.bus.arrived.notified();
            let batch = match self.bus.pending(after, BATCH) {
                Ok(b) => b,
                Err(e) => {
                    tracing::error!(error = %e, "cannot read the event log; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            if batch.is_empty() {
                tokio::select! {
                    () = arrived => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
            match self.batch(&batch).await {
                Ok(seq) => after = seq,
                Err(e) => {
                    tracing::warn!(error = %e, "dispatching is held up; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Dispatches a batch; the answer is where to go on.
    async fn batch(&self, batch: &[Record]) -> Result<u64, String> {
        let bindings = self.live.at_least(self.clients.server().last_change(RESOURCE)).await;
        let mut running = FuturesOrdered::new();
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut next = batch.iter();
        let mut failed = None;
        loop {
            while running.len() < self.workers && failed.is_none() {
                let Some(r) = next.next() else { break };
                running.push_back(async { (r.seq, self.event(r, &bindings).await) });
            }
            match running.next().await {
                None => break,
                Some((seq, Ok(outcome))) if failed.is_none() => outcomes.push((seq, outcome)),
                Some((_, Ok(_))) => {}
                Some((_, Err(e))) => failed = Some(e),
            }
        }
        // What came before a failure is finished; the rest is dispatched again and meets its own names.
        if let (Some(_), Some(last)) = (&failed, batch.last()) {
            self.repeats_until.fetch_max(last.seq, Ordering::Relaxed);
        }
        if let Some((seq, _)) = outcomes.last() {
            let cursor = *seq;
            let told: Vec<(u64, Outcome)> = outcomes.clone();
            self.bus.finish(outcomes, cursor).await.map_err(|e| format!("{e:?}"))?;
            for (seq, outcome) in told {
                self.waiting.tell(seq, &outcome);
            }
            if failed.is_none() {
                return Ok(cursor);
            }
        }
        Err(failed.unwrap_or_default())
    }

    /// Dispatches one event. Fails only when it should be tried again later.
    async fn event(&self, record: &Record, bindings: &Bindings) -> Result<Outcome, String> {
        let event = &*record.event;
        let repeated = record.seq <= self.repeats_until.load(Ordering::Relaxed);
        let mut out = Outcome { dispatched: crate::clock::now_text(), ..Outcome::default() };
        let facts = match Facts::of(event) {
            Ok(f) => f,
            Err(e) => {
                out.error = e;
                return Ok(out);
            }
        };
        if event.origin.as_ref().is_some_and(|o| !o.bindings) {
            return Ok(out);
        }
        let asked = bindings.ask(&event.namespace, &facts);
        (out.more_not_matched, out.more_failed) = (asked.more_not_matched, asked.more_failed);
        for (binding, decision) in asked.told {
            let result = match decision {
                Decision::Pass { because } => BindingResult::NotMatched { because },
                Decision::Nothing => BindingResult::Matched { workflow: String::new() },
                Decision::Fail { message } => BindingResult::Error { message },
                Decision::Start(start) => self.start(event, &binding, &start, repeated).await?,
            };
            if let BindingResult::Error { message } = &result {
                self.recorder.binding_failed(&binding, message);
            }
            out.bindings.push(BindingOutcome {
                namespace: binding.namespace.clone(),
                name: binding.name.clone(),
                result,
            });
        }
        Ok(out)
    }

    /// Creates what a binding starts, as the caller. `repeated`: an earlier dispatch may have created it.
    async fn start(
        &self,
        event: &Event,
        binding: &Binding,
        start: &Start,
        repeated: bool,
    ) -> Result<BindingResult, String> {
        let cause = format!("{}/{}", event.id, binding.uid);
        let name_of = |attempt| {
            route::workflow_name(
                start.name.as_deref(),
                start.generate_name.as_deref(),
                &start.template,
                &route::suffix(&event.id, &binding.uid, attempt),
            )
        };
        if repeated {
            // Under any of its names: others may have had the first ones then, and be gone now.
            for attempt in 0..NAMES {
                let (name, _) = name_of(attempt);
                if self.is_ours(binding, &name, &cause).await? {
                    return Ok(BindingResult::Matched { workflow: name });
                }
            }
        }
        let api = self.clients.as_caller(&event.caller);
        let failed = |message: String| Ok(BindingResult::Error { message });
        let place = if start.cluster_scope {
            path("clusterworkflowtemplates", "", &start.template)
        } else {
            path("workflowtemplates", &binding.namespace, &start.template)
        };
        let template = match patiently(|| api.get(&place)).await? {
            Ok(t) => t,
            Err(e) => return failed(format!("failed to get workflow template: {e}")),
        };
        let labelled = template
            .pointer("/metadata/labels/workflows.argoproj.io~1controller-instanceid")
            .and_then(Value::as_str)
            .unwrap_or("");
        if labelled != self.instance_id {
            return failed(format!(
                "failed to validate workflow template instanceid: '{}' is not managed by the current Argo Server",
                start.template
            ));
        }
        if let Some(message) = &start.failure {
            return failed(message.clone());
        }
        let creator = Creator { subject: event.caller.name.clone(), ..Creator::default() };
        let mut o = route::workflow(start, binding, &template, &creator, &self.instance_id);
        o["metadata"]["annotations"]["triggerfish.dev/event-id"] = json!(event.id);
        o["metadata"]["annotations"]["triggerfish.dev/event-cause"] = json!(cause);
        let collection = path("workflows", &binding.namespace, "");
        let mut taken = String::new();
        for attempt in 0..NAMES {
            let (name, prefix) = name_of(attempt);
            o["metadata"]["name"] = json!(name);
            if !prefix.is_empty() {
                o["metadata"]["generateName"] = json!(prefix);
            }
            match patiently(|| api.create_blindly(&collection, &o)).await? {
                Ok(_) => return Ok(BindingResult::Matched { workflow: name }),
                Err(e) if e.is("AlreadyExists") && self.is_ours(binding, &name, &cause).await? => {
                    return Ok(BindingResult::Matched { workflow: name });
                }
                Err(e) if e.is("AlreadyExists") => taken = e.to_string(),
                Err(e) => return failed(format!("failed to create workflow: {e}")),
            }
            // A name that the binding gives has no other form.
            if start.name.is_some() {
                break;
            }
        }
        failed(format!(
            "failed to create workflow: {taken}, the server was not able to generate a unique name for the object"
        ))
    }

    /// Whether a workflow of this name was made for the same event and binding, by an earlier attempt.
    async fn is_ours(&self, binding: &Binding, name: &str, cause: &str) -> Result<bool, String> {
        let api = self.clients.component("dispatcher");
        let place = path("workflows", &binding.namespace, name);
        let found = patiently(|| api.get(&place)).await?;
        Ok(found.is_ok_and(|w| {
            w.pointer("/metadata/annotations/triggerfish.dev~1event-cause").and_then(Value::as_str) == Some(cause)
        }))
    }
}

/// Repeats what may work the next time. The outer error says that it did not in the end: the event is tried again later.
async fn patiently<F, R, T>(f: F) -> Result<Result<T, Refusal>, String>
where
    F: Fn() -> R,
    R: Future<Output = Result<T, Refusal>>,
{
    let mut pause = PAUSE;
    for attempt in 1.. {
        match f().await {
            Err(e) if e.is_transient() => {
                if attempt == TRIES {
                    return Err(e.message);
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return Ok(other),
        }
    }
    unreachable!("the loop returns")
}
