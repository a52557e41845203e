//! The workflow controller: plans each workflow when it or one of its Pods changes, or when its time has come.

use super::alerts::Teller;
use crate::follow::{Change, Target, follow};
use crate::kube_api::{Api, Clients, path};
use crate::notices;
use crate::workflow::{self, Command, POD_LABEL, PodFact, Stored};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Workflows planned at the same time.
const AT_ONCE: usize = 64;

type Key = (String, String);

/// What is known of one unfinished workflow.
#[derive(Default)]
struct Entry {
    workflow: Option<Value>,
    pods: BTreeMap<String, PodFact>,
    /// Somebody plans it now; changes meanwhile make another round.
    busy: bool,
    again: bool,
}

/// What became of writing a plan down.
enum Written {
    Done,
    /// Somebody else was faster, or it is gone: what is newest is planned instead.
    Stale,
    Failed,
}

pub struct Controller {
    api: Api,
    teller: Teller,
    known: Mutex<HashMap<Key, Entry>>,
    slots: Arc<Semaphore>,
    /// Every unfinished workflow is known: Pods of others are of no interest.
    complete: AtomicBool,
}

impl Controller {
    pub fn new(clients: &Clients, teller: Teller) -> Arc<Self> {
        Arc::new(Self {
            teller,
            api: clients.component("workflow-controller"),
            known: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            complete: AtomicBool::new(false),
        })
    }

    pub async fn run(self: Arc<Self>) {
        let (pods_ready, mut ready) = mpsc::channel(1);
        let me = self.clone();
        tokio::spawn(async move {
            let api = me.api.clone();
            follow(api, Target::core("pods", "Pod").labelled(POD_LABEL), |change| match change {
                Change::Applied(pod) => me.clone().pod(&pod, false),
                Change::Deleted(pod) => me.clone().pod(&pod, true),
                Change::Complete => drop(pods_ready.try_send(())),
                Change::Restart => {}
            })
            .await;
        });
        // A workflow whose Pod is not known yet must not be taken for one whose Pod is gone.
        ready.recv().await;
        let me = self.clone();
        follow(
            self.api.clone(),
            Target::ours("workflows", "Workflow").labelled("workflows.argoproj.io/completed!=true"),
            |change| match change {
                Change::Applied(w) => me.clone().changed(w),
                Change::Deleted(w) => me.gone(&w),
                Change::Complete => {
                    me.known.lock().unwrap_or_else(|e| e.into_inner()).retain(|_, e| e.workflow.is_some());
                    me.complete.store(true, Ordering::Release);
                }
                Change::Restart => {}
            },
        )
        .await;
    }

    fn pod(self: Arc<Self>, pod: &Value, deleted: bool) {
        let text = |p: &str| pod.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let owner =
            pod.pointer("/metadata/labels").and_then(|l| l.get(POD_LABEL)).and_then(Value::as_str).unwrap_or("");
        let key = (text("/metadata/namespace"), owner.to_owned());
        {
            let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
            if self.complete.load(Ordering::Acquire) && !known.contains_key(&key) {
                return;
            }
            if deleted {
                let Some(e) = known.get_mut(&key) else { return };
                e.pods.remove(&text("/metadata/name"));
            } else {
                let fact = fact(pod);
                // One that waits for its turn changes no plan.
                let waits = fact.phase == "Pending" && !fact.deleting;
                known.entry(key.clone()).or_default().pods.insert(text("/metadata/name"), fact);
                if waits && self.complete.load(Ordering::Acquire) {
                    return;
                }
            }
        }
        self.wake(key);
    }

    fn changed(self: Arc<Self>, w: Value) {
        let text = |p: &str| w.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let key = (text("/metadata/namespace"), text("/metadata/name"));
        let version = |w: &Value| {
            w.pointer("/metadata/resourceVersion")
                .and_then(Value::as_str)
                .and_then(|v| v.parse::<u64>().ok())
                .unwrap_or(0)
        };
        {
            let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
            let entry = known.entry(key.clone()).or_default();
            if entry.workflow.as_ref().is_some_and(|old| version(old) >= version(&w)) {
                return;
            }
            entry.workflow = Some(w);
        }
        self.wake(key);
    }

    fn gone(&self, w: &Value) {
        let text = |p: &str| w.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        self.known
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .remove(&(text("/metadata/namespace"), text("/metadata/name")));
    }

    /// Plans a workflow now, or once more after the round that is under way.
    fn wake(self: Arc<Self>, key: Key) {
        {
            let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
            let Some(entry) = known.get_mut(&key).filter(|e| e.workflow.is_some()) else { return };
            if entry.busy {
                entry.again = true;
                return;
            }
            entry.busy = true;
        }
        tokio::spawn(async move {
            let Ok(_slot) = self.slots.clone().acquire_owned().await else { return };
            loop {
                let pause = self.clone().round(&key).await;
                let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
                let Some(entry) = known.get_mut(&key) else { return };
                if entry.workflow.as_ref().is_some_and(workflow::is_complete) {
                    known.remove(&key);
                    return;
                }
                if !std::mem::take(&mut entry.again) {
                    entry.busy = false;
                    if let Some(pause) = pause {
                        let (me, key) = (self.clone(), key.clone());
                        tokio::spawn(async move {
                            tokio::time::sleep(pause).await;
                            me.wake(key);
                        });
                    }
                    return;
                }
            }
        });
    }

    /// One round of planning; the answer is when to look again.
    async fn round(self: Arc<Self>, key: &Key) -> Option<Duration> {
        let (w, pods) = {
            let known = self.known.lock().unwrap_or_else(|e| e.into_inner());
            let entry = known.get(key)?;
            (entry.workflow.clone()?, entry.pods.clone())
        };
        let stored = match self.stored(&w).await {
            Ok(s) => s,
            Err(e) => {
                tracing::warn!(workflow = key.1, error = %e, "cannot read a template; trying again");
                return Some(Duration::from_secs(1));
            }
        };
        let now = Timestamp::now();
        let plan = workflow::plan(&w, &stored, &pods, now);
        let wait = plan
            .look_again
            .map(|t| Duration::try_from(t.duration_since(now)).unwrap_or_default() + Duration::from_millis(5));
        // Both at once: they share a commit. A Pod that is there before its node is taken over by the next plan, because its
        // name follows from the node's; one that nobody wants any more goes with its workflow.
        let commands = async {
            for command in plan.commands {
                self.carry_out(key, command).await?;
            }
            Ok::<(), String>(())
        };
        // What ended is told before it is written: a crash in between tells it once.
        if let Some(new) = &plan.workflow {
            self.tell(&w, new).await;
        }
        let (written, done) = tokio::join!(self.write(key, plan.workflow), commands);
        if let Err(e) = done {
            tracing::warn!(workflow = key.1, error = %e, "a command of a workflow failed; trying again");
            return Some(Duration::from_secs(1));
        }
        match written {
            Written::Done => wait,
            Written::Stale => None,
            Written::Failed => Some(Duration::from_secs(1)),
        }
    }

    async fn write(&self, key: &Key, workflow: Option<Value>) -> Written {
        let Some(mut new) = workflow else { return Written::Done };
        match self.api.replace(&path("workflows", &key.0, &key.1), &new).await {
            Ok(version) => {
                new["metadata"]["resourceVersion"] = json!(version);
                self.remember(key, new);
                Written::Done
            }
            Err(e) if e.code == 404 => {
                self.known.lock().unwrap_or_else(|e| e.into_inner()).remove(key);
                Written::Stale
            }
            Err(e) if e.is("Conflict") => {
                if let Ok(newest) = self.api.get(&path("workflows", &key.0, &key.1)).await {
                    self.remember(key, newest);
                }
                self.again(key);
                Written::Stale
            }
            Err(e) => {
                tracing::warn!(workflow = key.1, error = %e, "cannot write a workflow's status; trying again");
                Written::Failed
            }
        }
    }

    /// Tells how a workflow and its nodes ended, to those who ask.
    async fn tell(&self, before: &Value, w: &Value) {
        let uid = w["metadata"]["uid"].as_str().unwrap_or("");
        if self.teller.asked("Pod").await {
            for (id, n) in notices::nodes(Some(before), w) {
                self.teller.tell(&n, &format!("node/{uid}/{id}/{}", n.reason)).await;
            }
        }
        if let Some(n) = notices::workflow(w) {
            self.teller.tell(&n, &format!("workflow/{uid}/{}", n.reason)).await;
        }
    }

    fn remember(&self, key: &Key, w: Value) {
        if let Some(entry) = self.known.lock().unwrap_or_else(|e| e.into_inner()).get_mut(key) {
            entry.workflow = Some(w);
        }
    }
    fn again(&self, key: &Key) {
        if let Some(entry) = self.known.lock().unwrap_or_else(|e| e.into_inner()).get_mut(key) {
            entry.again = true;
        }
    }

    async fn stored(&self, w: &Value) -> Result<Stored, String> {
        if w.pointer("/status/storedWorkflowTemplateSpec").is_some() {
            return Ok(Stored::NotNeeded);
        }
        crate::lookup::stored_template(&self.api, w).await
    }

    async fn carry_out(&self, key: &Key, command: Command) -> Result<(), String> {
        let outcome = match command {
            Command::CreatePod(pod) => match self.api.create_blindly(&path("pods", &key.0, ""), &pod).await {
                Err(e) if e.is("AlreadyExists") => return Ok(()),
                Err(e) if !e.is_transient() => {
                    // The Pod can never be made: the workflow says so instead of waiting for ever.
                    return self.fail(key, &format!("the Pod was refused: {e}")).await;
                }
                other => other,
            },
            Command::DeletePod { name } => {
                self.api.delete(&path("pods", &key.0, &name), &json!({"gracePeriodSeconds": 5})).await.map(drop)
            }
        };
        match outcome {
            Err(e) if e.code != 404 => Err(e.message),
            _ => Ok(()),
        }
    }

    async fn fail(&self, key: &Key, message: &str) -> Result<(), String> {
        let now = crate::clock::now_text();
        let patch = json!({"metadata": {"labels": {"workflows.argoproj.io/phase": "Error", workflow::COMPLETED: "true"}},
            "status": {"phase": "Error", "message": message, "finishedAt": now, "nodes": {&key.1: {"phase": "Error", "message": message, "finishedAt": now}}}});
        let done = self.api.merge(&path("workflows", &key.0, &key.1), &patch).await.map_err(|e| e.message)?;
        self.tell(&Value::Null, &done).await;
        self.remember(key, done);
        Ok(())
    }
}

fn fact(pod: &Value) -> PodFact {
    let text = |p: &str| pod.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    let ended = pod.pointer("/status/containerStatuses/0/state/terminated").cloned().unwrap_or_default();
    let outputs = pod
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(workflow::OUTPUTS))
        .and_then(Value::as_str)
        .and_then(|t| serde_json::from_str(t).ok());
    PodFact {
        phase: text("/status/phase"),
        message: text("/status/message"),
        started_at: text("/status/startTime"),
        finished_at: ended["finishedAt"].as_str().unwrap_or("").to_owned(),
        exit_code: ended["exitCode"].as_i64(),
        reason: ended["reason"].as_str().unwrap_or("").to_owned(),
        outputs,
        host: text("/spec/nodeName"),
        deleting: pod.pointer("/metadata/deletionTimestamp").is_some(),
    }
}
