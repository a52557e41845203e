//! The kubelet's part: starts Pods that are assigned to this host, reports how they go on, ends them when told.

use crate::clock;
use crate::follow::{Change, Target, follow};
use crate::kube_api::{Api, Clients, path};
use crate::runtime::logs::{Logs, Wanted};
use crate::runtime::{self, Ended, Engine, Handle, Place, Signal};
use crate::workflow::{NODE_NAME, OUTPUTS, POD_LABEL};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// "Running" is written only for Pods that run longer than this: most short ones are told once, when they end.
const SHORT: Duration = Duration::from_millis(20);
/// Pods that run at the same time; more wait their turn.
const MAX_RUNNING: usize = 512;

pub struct Pods {
    api: Api,
    engine: Engine,
    data: PathBuf,
    logs: Logs,
    running: Mutex<HashMap<String, Handle>>,
    slots: Arc<Semaphore>,
}

impl Pods {
    pub fn new(clients: &Clients, engine: Engine, data: PathBuf, logs: Logs) -> Result<Arc<Self>, String> {
        for folder in ["pods", "view"] {
            std::fs::create_dir_all(data.join(folder))
                .map_err(|e| format!("cannot create {}: {e}", data.join(folder).display()))?;
        }
        Ok(Arc::new(Self {
            api: clients.component("kubelet"),
            engine,
            data,
            logs,
            running: Mutex::default(),
            slots: Arc::new(Semaphore::new(MAX_RUNNING)),
        }))
    }

    pub async fn run(self: Arc<Self>) {
        // Bounded by the number of Pods: one entry for each change until it is taken up.
        let (tell, mut told) = mpsc::unbounded_channel();
        let me = self.clone();
        tokio::spawn(async move {
            let mut known: HashMap<String, Timestamp> = HashMap::new();
            let mut first = true;
            while let Some(change) = told.recv().await {
                match change {
                    Change::Applied(pod) => me.clone().look(pod, &mut known, first),
                    Change::Deleted(pod) => me.forget(&pod, &mut known),
                    Change::Complete => first = false,
                    Change::Restart => {}
                }
            }
        });
        follow(self.api.clone(), Target::core("pods", "Pod"), |change| {
            // The receiver lives as long as this.
            let _ = tell.send(change);
        })
        .await;
    }

    fn look(self: Arc<Self>, pod: Value, known: &mut HashMap<String, Timestamp>, at_start: bool) {
        if text(&pod, "/spec/nodeName") != NODE_NAME {
            return;
        }
        let uid = text(&pod, "/metadata/uid").to_owned();
        let phase = text(&pod, "/status/phase");
        let over = matches!(phase, "Succeeded" | "Failed");
        if pod.pointer("/metadata/deletionTimestamp").is_some() {
            let running = self.running.lock().unwrap_or_else(|e| e.into_inner()).get(&uid).cloned();
            tokio::spawn(self.end(pod, running));
            return;
        }
        if over || known.contains_key(&uid) {
            return;
        }
        known.insert(uid.clone(), Timestamp::now());
        if at_start && (phase == "Running" || self.logs.exists(&uid)) {
            tokio::spawn(self.interrupted(pod));
        } else {
            tokio::spawn(self.start(pod));
        }
    }

    fn forget(&self, pod: &Value, known: &mut HashMap<String, Timestamp>) {
        let uid = text(pod, "/metadata/uid");
        known.remove(uid);
        if text(pod, "/spec/nodeName") == NODE_NAME {
            if let Some(h) = self.running.lock().unwrap_or_else(|e| e.into_inner()).get(uid) {
                h.signal(Signal::KILL);
            }
            self.logs.remove(uid);
            // Nothing is there for Pods that never started.
            let _ = std::fs::remove_dir_all(self.data.join("pods").join(uid));
        }
    }

    /// A Pod that was running when the server stopped: its processes are ended and it is said to have failed.
    async fn interrupted(self: Arc<Self>, pod: Value) {
        let (engine, uid) = (self.engine, text(&pod, "/metadata/uid").to_owned());
        let ending = tokio::task::spawn_blocking(move || {
            if let Some(program) = engine.program() {
                runtime::remove_container(program, &uid);
            }
            runtime::kill_strays(&uid)
        });
        // It ends unless the server does.
        let strays = ending.await.unwrap_or(0);
        let message = format!(
            "triggerfish was stopped while this Pod ran; what it did until then stands, its outcome is unknown ({strays} left-over processes were ended)"
        );
        let ended = Ended { exit_code: 137, reason: "Interrupted", message, outputs: Default::default() };
        self.report_end(&pod, &clock::now_text(), &ended).await;
    }

    async fn start(self: Arc<Self>, pod: Value) {
        let Ok(_slot) = self.slots.clone().acquire_owned().await else { return };
        let uid = text(&pod, "/metadata/uid").to_owned();
        let started = clock::now_text();
        let ended = match self.launch(&pod, &uid) {
            Err(message) => Ended { exit_code: 128, reason: "StartError", message, outputs: Default::default() },
            Ok((handle, mut ended, deadline)) => {
                self.running.lock().unwrap_or_else(|e| e.into_inner()).insert(uid.clone(), handle.clone());
                let outcome = self.watch(&pod, &started, &handle, &mut ended, deadline).await;
                self.running.lock().unwrap_or_else(|e| e.into_inner()).remove(&uid);
                outcome
            }
        };
        self.report_end(&pod, &started, &ended).await;
    }

    #[allow(clippy::type_complexity)]
    fn launch(
        &self,
        pod: &Value,
        uid: &str,
    ) -> Result<(Handle, tokio::sync::oneshot::Receiver<Ended>, Option<u64>), String> {
        let job = runtime::read(pod, self.engine)?;
        let deadline = job.deadline;
        let dir = self.data.join("pods").join(uid);
        let place = Place { dir, view: self.data.join("view"), hidden: self.data.clone() };
        let (handle, ended) = runtime::start(job, self.engine, place, &self.logs)?;
        Ok((handle, ended, deadline))
    }

    /// Waits for the end; tells that it runs if that takes long, ends it when its time is up.
    async fn watch(
        &self,
        pod: &Value,
        started: &str,
        handle: &Handle,
        ended: &mut tokio::sync::oneshot::Receiver<Ended>,
        deadline: Option<u64>,
    ) -> Ended {
        let lost = || Ended {
            exit_code: 137,
            reason: "Error",
            message: "the runtime lost track of the Pod".into(),
            outputs: Default::default(),
        };
        if let Ok(done) = tokio::time::timeout(SHORT, &mut *ended).await {
            return done.unwrap_or_else(|_| lost());
        }
        let state = json!({"running": {"startedAt": started}});
        self.patch(pod, &json!({"status": {"phase": "Running", "startTime": started, "hostIP": "127.0.0.1", "podIP": "127.0.0.1", "containerStatuses": [container(pod, true, &state)]}})).await;
        let Some(seconds) = deadline else { return ended.await.unwrap_or_else(|_| lost()) };
        match tokio::time::timeout(Duration::from_secs(seconds), &mut *ended).await {
            Ok(done) => done.unwrap_or_else(|_| lost()),
            Err(_) => {
                terminate(handle, ended, Duration::from_secs(2)).await;
                Ended {
                    exit_code: 137,
                    reason: "DeadlineExceeded",
                    message: "Pod was active on the node longer than the specified deadline".into(),
                    outputs: Default::default(),
                }
            }
        }
    }

    async fn report_end(&self, pod: &Value, started: &str, e: &Ended) {
        let finished = clock::now_text();
        let phase = if e.exit_code == 0 { "Succeeded" } else { "Failed" };
        let mut terminated =
            json!({"exitCode": e.exit_code, "reason": e.reason, "startedAt": started, "finishedAt": finished});
        let mut status = json!({"phase": phase, "startTime": started, "hostIP": "127.0.0.1", "podIP": "127.0.0.1"});
        if !e.message.is_empty() {
            terminated["message"] = json!(e.message);
            status["message"] = json!(e.message);
            status["reason"] = json!(e.reason);
        }
        status["containerStatuses"] = json!([container(pod, false, &json!({"terminated": terminated}))]);
        let mut metadata = json!({});
        if pod.pointer("/metadata/labels").is_some_and(|l| l.get(POD_LABEL).is_some()) {
            metadata = json!({"labels": {"workflows.argoproj.io/completed": "true"}, "annotations": {OUTPUTS: serde_json::to_string(&e.outputs).unwrap_or_default()}});
        }
        self.patch(pod, &json!({"metadata": metadata, "status": status})).await;
    }

    /// Writes a Pod's status, for as long as it takes: an outcome must not be lost because the disk was full for a while.
    async fn patch(&self, pod: &Value, patch: &Value) {
        let place = format!("{}/status", path("pods", text(pod, "/metadata/namespace"), text(pod, "/metadata/name")));
        let mut pause = Duration::from_millis(20);
        loop {
            match self.api.merge_blindly(&place, patch).await {
                Err(e) if e.is_transient() => {
                    tracing::warn!(pod = text(pod, "/metadata/name"), error = %e, "cannot write a Pod's status; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
                // Gone, or refused for good: nobody waits for it.
                _ => return,
            }
        }
    }

    /// A Pod that is to be deleted: its processes end first.
    async fn end(self: Arc<Self>, pod: Value, running: Option<Handle>) {
        if let Some(h) = running {
            h.signal(Signal::TERM);
            let grace = pod.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30);
            let until = Timestamp::now() + SignedDuration::from_secs(grace as i64);
            let uid = text(&pod, "/metadata/uid").to_owned();
            while self.running.lock().unwrap_or_else(|e| e.into_inner()).contains_key(&uid) {
                if Timestamp::now() >= until {
                    h.signal(Signal::KILL);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": text(&pod, "/metadata/uid")}});
        if let Err(e) = self
            .api
            .delete(&path("pods", text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name")), &options)
            .await
            && e.code != 404
        {
            tracing::debug!(error = %e, "could not remove a Pod that has ended");
        }
    }

    /// Ends everything that runs, for a clean stop; true when it all ended in time.
    pub async fn stop(&self, grace: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + grace;
        let handles: Vec<Handle> = self.running.lock().unwrap_or_else(|e| e.into_inner()).values().cloned().collect();
        handles.iter().for_each(|h| h.signal(Signal::TERM));
        while tokio::time::Instant::now() < deadline {
            if self.running.lock().unwrap_or_else(|e| e.into_inner()).is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        handles.iter().for_each(|h| h.signal(Signal::KILL));
        false
    }
}

/// TERM, then KILL, then the end.
async fn terminate(handle: &Handle, ended: &mut tokio::sync::oneshot::Receiver<Ended>, grace: Duration) {
    handle.signal(Signal::TERM);
    if tokio::time::timeout(grace, &mut *ended).await.is_err() {
        handle.signal(Signal::KILL);
        let _ = ended.await;
    }
}

fn text<'a>(o: &'a Value, pointer: &str) -> &'a str {
    o.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn container(pod: &Value, running: bool, state: &Value) -> Value {
    let c = pod.pointer("/spec/containers/0").cloned().unwrap_or_default();
    json!({"name": c["name"], "image": c["image"], "imageID": "", "ready": running, "started": running, "restartCount": 0, "state": state})
}

/// Where `kubectl logs` and the REST façade read.
pub fn log_source(logs: Logs) -> apiserver::LogSource {
    Arc::new(move |pod, options| {
        let logs = logs.clone();
        Box::pin(async move {
            let since = options.since_seconds.map(|s| Timestamp::now() - SignedDuration::from_secs(s as i64));
            let wanted = Wanted {
                follow: options.follow,
                timestamps: options.timestamps,
                tail_lines: options.tail_lines,
                since,
                limit_bytes: options.limit_bytes,
            };
            Ok(apiserver::Body::Stream(logs.read(text(&pod, "/metadata/uid"), wanted)))
        })
    })
}
