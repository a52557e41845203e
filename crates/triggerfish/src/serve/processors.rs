//! Runs the processors of gateways: the container of a `deploySpec`, as a Pod that is made again whenever it has ended.

use crate::gateway::Gateway;
use crate::kube_api::{Api, path};
use crate::workflow::pod::NODE_NAME;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two looks at the Pod.
const LOOK: Duration = Duration::from_millis(300);
/// Between two starts: from, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub struct Processor {
    pub api: Api,
    pub gateway: Arc<Gateway>,
    /// Why it does not run; empty while it does.
    pub why: Arc<Mutex<String>>,
    pub changed: Arc<Notify>,
}

fn name(gateway: &Gateway) -> String {
    format!("{}-gateway", gateway.name)
}

/// The Pod of a gateway's processor, if it has one of its own that can be run here.
pub fn pod(g: &Gateway) -> Option<Value> {
    let custom = g.custom.as_ref()?;
    let mut container = g.container.clone()?;
    container.get("command")?;
    let mut env = container["env"].as_array().cloned().unwrap_or_default();
    let told = [
        ("GATEWAY_NAMESPACE", g.namespace.clone()),
        ("ARGO_EVENTS_NAMESPACE", g.namespace.clone()),
        ("GATEWAY_NAME", g.name.clone()),
        ("GATEWAY_PROCESSOR_CONFIG_MAP", g.config_map.clone()),
        ("GATEWAY_EVENT_SOURCE_CONFIG_MAP", g.config_map.clone()),
    ];
    env.extend(told.into_iter().chain(custom.environment()).map(|(name, value)| json!({"name": name, "value": value})));
    container["env"] = json!(env);
    let owner = json!({"apiVersion": crate::kind::API_VERSION, "kind": "Gateway", "name": g.name, "uid": g.uid, "controller": true});
    Some(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name(g), "namespace": g.namespace, "labels": {"gateway-name": g.name}, "ownerReferences": [owner]},
        "spec": {"restartPolicy": "Never", "nodeName": NODE_NAME, "serviceAccountName": g.account(), "containers": [container]},
    }))
}

impl Processor {
    pub async fn run(self, pod: Value) {
        let g = &self.gateway;
        let (collection, place) = (path("pods", &g.namespace, ""), path("pods", &g.namespace, &name(g)));
        let mut pause = PAUSE;
        loop {
            match self.api.create(&collection, &pod).await {
                Ok(_) => {}
                // Of an earlier life, or of an earlier form of the gateway.
                Err(e) if e.is("AlreadyExists") => {}
                Err(e) => self.tell(format!("the processor's Pod cannot be made: {e}")),
            }
            let why = self.ended(&place).await;
            self.tell(format!("the processor ended: {why}; it is started again"));
            self.remove(&place).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until the Pod has ended, or is gone.
    async fn ended(&self, place: &str) -> String {
        loop {
            match self.api.get(place).await {
                Ok(p) => {
                    let phase = p["status"]["phase"].as_str().unwrap_or("");
                    if matches!(phase, "Succeeded" | "Failed") {
                        let why = p["status"]["message"].as_str().filter(|m| !m.is_empty()).unwrap_or(phase);
                        return why.to_owned();
                    }
                    if phase == "Running" {
                        self.tell(String::new());
                    }
                }
                Err(e) if e.code == 404 => return "its Pod is gone".into(),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn remove(&self, place: &str) {
        let options = json!({"gracePeriodSeconds": 1});
        while self.api.delete(place, &options).await.is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn tell(&self, why: String) {
        let mut now = self.why.lock().unwrap_or_else(|e| e.into_inner());
        if *now != why {
            *now = why;
            self.changed.notify_one();
        }
    }
}

/// Ends what a gateway ran that is another one now.
pub async fn end(api: &Api, g: &Gateway) {
    // Where nothing is there, nothing is to be ended.
    let _ = api.delete(&path("pods", &g.namespace, &name(g)), &json!({"gracePeriodSeconds": 1})).await;
}
