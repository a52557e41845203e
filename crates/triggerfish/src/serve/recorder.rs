//! Kubernetes Events about what goes wrong, so that `kubectl describe` tells it; the same about objects of ours is a notice, for
//! alerts that ask for it.

use super::alerts::Teller;
use crate::kind::{FLUX_API_VERSION, GROUP};
use crate::kube_api::{Api, Refusal, path};
use crate::notices::complaint;
use crate::route::Binding;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Events about one object in a row, and how long until another is allowed.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(12);
/// Objects remembered; beyond it the memory is emptied.
const REMEMBERED: usize = 10_000;
/// Events that wait to be written; more are dropped, the record of the event has them anyway.
const QUEUE: usize = 1024;

pub struct Recorder {
    queue: mpsc::Sender<Value>,
    spent: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Recorder {
    pub fn start(api: Api, teller: Teller) -> Self {
        let (queue, mut inbox) = mpsc::channel::<Value>(QUEUE);
        tokio::spawn(async move {
            let mut written = HashMap::new();
            while let Some(o) = inbox.recv().await {
                // What alerts have to complain of would be told by alerts.
                if o["involvedObject"]["apiVersion"].as_str().is_some_and(|v| v.starts_with(GROUP)) {
                    let uid = o["metadata"]["name"].as_str().unwrap_or("");
                    teller.tell(&complaint(&o), &format!("recorder/{uid}")).await;
                }
                if let Err(e) = write(&api, &mut written, o).await {
                    tracing::debug!(error = %e, "could not write a Kubernetes Event");
                }
            }
        });
        Self { queue, spent: Mutex::default() }
    }

    fn may(&self, key: &str) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(|e| e.into_inner());
        if spent.len() > REMEMBERED {
            spent.clear();
        }
        let entry = spent.entry(key.to_owned()).or_insert((0, Instant::now()));
        let earned = u32::try_from(entry.1.elapsed().as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        if earned > 0 {
            *entry = (entry.0.saturating_sub(earned), Instant::now());
        }
        entry.0 += u32::from(entry.0 < BURST);
        entry.0 < BURST
    }

    pub fn binding_failed(&self, b: &Binding, message: &str) {
        let about = json!({"apiVersion": crate::kind::API_VERSION, "kind": "WorkflowEventBinding", "namespace": b.namespace, "name": b.name, "uid": b.uid});
        self.warn(&about, "WorkflowEventBindingError", &format!("failed to dispatch event: {message}"));
    }

    pub fn warn(&self, about: &Value, reason: &str, message: &str) {
        let text = |k: &str| about.get(k).and_then(Value::as_str).unwrap_or("").to_owned();
        if !self.may(&text("uid")) {
            return;
        }
        let component = match about["kind"].as_str() {
            _ if about["apiVersion"] == FLUX_API_VERSION => "notification-controller",
            Some("Gateway") => "gateway-controller",
            Some("Sensor") => "sensor-controller",
            _ => "workflow-controller",
        };
        let now = crate::clock::now_text();
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let o = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": text("namespace"), "name": format!("{}.{}", text("name"), &suffix[..16])},
            "involvedObject": about, "type": "Warning", "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
        });
        // Full: the record of the event holds the same text.
        let _ = self.queue.try_send(o);
    }
}

/// What was said before, by whom it is about and what it says: its name and how often.
type Written = HashMap<(String, String), (String, u64)>;

/// Says something new, or counts up what was said before.
async fn write(api: &Api, written: &mut Written, o: Value) -> Result<(), Refusal> {
    let text = |pointer: &str| o.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let namespace = text("/metadata/namespace");
    if written.len() > REMEMBERED {
        written.clear();
    }
    let key = (text("/involvedObject/uid"), text("/message"));
    if let Some((name, count)) = written.get_mut(&key) {
        let again = json!({"count": *count + 1, "lastTimestamp": o["lastTimestamp"]});
        match api.merge(&path("events", &namespace, name), &again).await {
            Ok(_) => {
                *count += 1;
                return Ok(());
            }
            // Somebody has deleted it.
            Err(e) if e.code == 404 => {}
            Err(e) => return Err(e),
        }
    }
    api.create(&path("events", &namespace, ""), &o).await?;
    written.insert(key, (text("/metadata/name"), 1));
    Ok(())
}
