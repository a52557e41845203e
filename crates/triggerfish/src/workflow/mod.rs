//! Decides how a workflow goes on, without doing anything: (workflow, what is known of its nodes, now) → status and commands.

pub mod pod;
mod specification;
mod tags;

pub use pod::{NODE_NAME, OUTPUTS, Outputs, POD_LABEL, SCRIPT};
pub use specification::{stored_entry, template_reference, validate, validate_template};

use crate::clock;
use crate::kind::template::Template;
use crate::kind::workflow::WorkflowSpec;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What is known of a Pod that belongs to the workflow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFact {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    pub message: String,
    pub started_at: String,
    pub finished_at: String,
    pub exit_code: Option<i64>,
    /// The container's own reason, such as `Error` or `StartError`.
    pub reason: String,
    pub outputs: Option<Outputs>,
    pub host: String,
    pub deleting: bool,
}

/// A stored template that the workflow refers to, looked up by who plans.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    NotNeeded,
    Found(Value),
    Missing(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    CreatePod(Box<Value>),
    DeletePod { name: String },
}

/// What to do now, and when to look again even if nothing happens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The workflow as it should be stored; none when nothing changed.
    pub workflow: Option<Value>,
    pub commands: Vec<Command>,
    pub look_again: Option<Timestamp>,
}

pub const COMPLETED: &str = "workflows.argoproj.io/completed";
const PHASE: &str = "workflows.argoproj.io/phase";

pub fn is_complete(workflow: &Value) -> bool {
    matches!(workflow.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed" | "Error"))
}

/// One look at a workflow.
pub fn plan(workflow: &Value, stored: &Stored, pods: &BTreeMap<String, PodFact>, now: Timestamp) -> Plan {
    if is_complete(workflow) || workflow.pointer("/metadata/deletionTimestamp").is_some() {
        return Plan::default();
    }
    let mut w = Run { now, workflow: workflow.clone(), commands: Vec::new(), look_again: None };
    if let Err(message) = w.advance(stored, pods) {
        w.finish("Error", &message);
    }
    let changed = w.workflow != *workflow;
    Plan { workflow: changed.then_some(w.workflow), commands: w.commands, look_again: w.look_again }
}

struct Run {
    now: Timestamp,
    workflow: Value,
    commands: Vec<Command>,
    look_again: Option<Timestamp>,
}

impl Run {
    fn text(&self, pointer: &str) -> String {
        self.workflow.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned()
    }
    fn name(&self) -> String {
        self.text("/metadata/name")
    }

    fn advance(&mut self, stored: &Stored, pods: &BTreeMap<String, PodFact>) -> Result<(), String> {
        if let Stored::Missing(why) = stored {
            return Err(why.clone());
        }
        let spec = specification::effective(&self.workflow, stored)?;
        let shutdown = spec.shutdown.clone().unwrap_or_default();
        if self.text("/status/phase").is_empty() {
            if spec.suspend == Some(true) && shutdown.is_empty() {
                return Ok(());
            }
            self.begin(stored);
        }
        let invalid = |e: String| format!("invalid spec: {e}");
        let template = specification::entry(&spec).map_err(invalid)?;
        let inputs = specification::inputs(&template, &spec, &self.workflow).map_err(invalid)?;
        let template = tags::substitute(&template, &inputs, &self.workflow, &spec)?;
        let name = self.name();
        let deadline = self.deadline(&spec)?;
        if self.workflow.pointer(&format!("/status/nodes/{}", escape(&name))).is_none() {
            if !shutdown.is_empty() {
                self.finish("Failed", &format!("Stopped with strategy '{shutdown}'"));
                return Ok(());
            }
            specification::supported(&template)?;
            self.add_node(&template, &inputs);
        }
        self.observe(&template, pods.get(&name));
        if self.node_is_done() {
            return Ok(());
        }
        if !shutdown.is_empty() {
            self.stop(pods, &format!("Stopped with strategy '{shutdown}'"));
        } else if deadline.is_some_and(|d| d <= self.now) {
            self.stop(pods, "Step exceeded its deadline");
        } else {
            self.look_again = deadline;
            if !pods.contains_key(&name) && self.node_text("phase") == "Pending" {
                let pod = pod::build(&self.workflow, &spec, &template)?;
                self.commands.push(Command::CreatePod(Box::new(pod)));
            }
        }
        Ok(())
    }

    fn begin(&mut self, stored: &Stored) {
        let now = clock::text(self.now);
        let mut status = json!({"phase": "Running", "startedAt": now, "progress": "0/1", "conditions": [{"type": "PodRunning", "status": "False"}], "nodes": {}});
        if let Stored::Found(template) = stored {
            status["storedWorkflowTemplateSpec"] = template.get("spec").cloned().unwrap_or(json!({}));
        }
        self.workflow["status"] = status;
        self.label(PHASE, "Running");
        self.label(COMPLETED, "false");
    }

    fn label(&mut self, key: &str, value: &str) {
        let meta = &mut self.workflow["metadata"];
        if meta.get("labels").is_none_or(Value::is_null) {
            meta["labels"] = json!({});
        }
        meta["labels"][key] = json!(value);
    }

    /// When the workflow as a whole must be over.
    fn deadline(&self, spec: &WorkflowSpec) -> Result<Option<Timestamp>, String> {
        let Some(seconds) = spec.active_deadline_seconds else { return Ok(None) };
        let started: Timestamp =
            self.text("/status/startedAt").parse().map_err(|e| format!("status.startedAt: {e}"))?;
        Ok(started.checked_add(SignedDuration::from_secs(seconds)).ok())
    }

    fn add_node(&mut self, template: &Template, inputs: &[(String, String)]) {
        let name = self.name();
        let reference = self.workflow.pointer("/spec/workflowTemplateRef").cloned();
        let scope = match &reference {
            Some(r) if r.get("clusterScope") == Some(&json!(true)) => {
                format!("cluster/{}", r["name"].as_str().unwrap_or(""))
            }
            Some(r) => format!("namespaced/{}", r["name"].as_str().unwrap_or("")),
            None => format!("local/{name}"),
        };
        let mut node = json!({
            "id": name, "name": name, "displayName": name, "type": "Pod", "templateName": template.name.clone().unwrap_or_default(),
            "templateScope": scope, "phase": "Pending", "startedAt": clock::text(self.now), "progress": "0/1",
        });
        if !inputs.is_empty() {
            node["inputs"] =
                json!({"parameters": inputs.iter().map(|(n, v)| json!({"name": n, "value": v})).collect::<Vec<_>>()});
        }
        self.workflow["status"]["nodes"] = json!({ name: node });
    }

    fn node(&mut self) -> &mut Map<String, Value> {
        let name = self.name();
        let nodes = &mut self.workflow["status"]["nodes"];
        if !nodes[&name].is_object() {
            nodes[&name] = json!({});
        }
        match &mut nodes[&name] {
            Value::Object(m) => m,
            _ => unreachable!("made an object just above"),
        }
    }
    fn node_text(&self, key: &str) -> String {
        self.text(&format!("/status/nodes/{}/{key}", escape(&self.name())))
    }
    fn node_is_done(&self) -> bool {
        matches!(self.node_text("phase").as_str(), "Succeeded" | "Failed" | "Error")
    }

    /// Takes over what the Pod says.
    fn observe(&mut self, template: &Template, pod: Option<&PodFact>) {
        let before = self.node_text("phase");
        let Some(pod) = pod else {
            if before == "Running" {
                self.end_node("Error", "pod deleted", None);
            }
            return;
        };
        if !pod.host.is_empty() {
            self.node().insert("hostNodeName".into(), json!(pod.host));
        }
        match pod.phase.as_str() {
            "Running" if before != "Running" => {
                self.node().insert("phase".into(), json!("Running"));
                self.condition("PodRunning", "True");
            }
            "Succeeded" => self.succeeded(template, pod),
            "Failed" => {
                let message = failure(pod);
                let phase = if pod.reason == "Interrupted" { "Error" } else { "Failed" };
                self.end_node(phase, &message, Some(pod));
            }
            _ => {}
        }
    }

    /// A Pod that succeeded may still miss an output that was promised.
    fn succeeded(&mut self, template: &Template, pod: &PodFact) {
        let given = pod.outputs.clone().unwrap_or_default();
        let wanted = template.outputs.as_ref().and_then(|o| o.parameters.clone()).unwrap_or_default();
        for p in wanted {
            let name = p.name.clone().unwrap_or_default();
            let default = p.value_from.as_ref().and_then(|v| v.default.clone()).or(p.default);
            let from_file = p.value_from.as_ref().is_some_and(|v| v.path.is_some());
            if from_file && !given.parameters.contains_key(&name) && default.is_none() {
                let path = p.value_from.as_ref().and_then(|v| v.path.clone()).unwrap_or_default();
                return self.end_node("Error", &format!("output parameter {name:?}: the file {path} was not written; write it, or give valueFrom.default"), Some(pod));
            }
        }
        self.end_node("Succeeded", "", Some(pod));
        self.outputs(template, &given);
    }

    fn outputs(&mut self, template: &Template, given: &Outputs) {
        let mut parameters = Vec::new();
        for p in template.outputs.as_ref().and_then(|o| o.parameters.clone()).unwrap_or_default() {
            let name = p.name.clone().unwrap_or_default();
            let default = p.value_from.as_ref().and_then(|v| v.default.clone()).or(p.default.clone()).map(|t| t.0);
            let value =
                given.parameters.get(&name).cloned().or(p.value.clone().map(|t| t.0)).or(default).unwrap_or_default();
            let mut o = serde_json::to_value(&p).unwrap_or(json!({}));
            o["value"] = json!(value);
            parameters.push(o);
        }
        let mut out = Map::new();
        if !parameters.is_empty() {
            out.insert("parameters".into(), json!(parameters));
        }
        if let Some(result) = &given.result {
            out.insert("result".into(), json!(result));
        }
        out.insert("exitCode".into(), json!("0"));
        self.node().insert("outputs".into(), Value::Object(out));
    }

    fn condition(&mut self, kind: &str, status: &str) {
        let list = &mut self.workflow["status"]["conditions"];
        if !list.is_array() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut() {
            match list.iter_mut().find(|c| c["type"] == kind) {
                Some(c) => c["status"] = json!(status),
                None => list.push(json!({"type": kind, "status": status})),
            }
        }
    }

    fn end_node(&mut self, phase: &str, message: &str, pod: Option<&PodFact>) {
        let finished =
            pod.map(|p| p.finished_at.clone()).filter(|t| !t.is_empty()).unwrap_or_else(|| clock::text(self.now));
        let node = self.node();
        node.insert("phase".into(), json!(phase));
        node.insert("finishedAt".into(), json!(finished));
        node.insert("progress".into(), json!("1/1"));
        if !message.is_empty() {
            node.insert("message".into(), json!(message));
        }
        if phase != "Succeeded"
            && let Some(code) = pod.and_then(|p| p.exit_code)
        {
            node.insert("outputs".into(), json!({"exitCode": code.to_string()}));
        }
        self.finish(phase, message);
    }

    fn finish(&mut self, phase: &str, message: &str) {
        if self.workflow.get("status").is_none_or(Value::is_null) || self.text("/status/startedAt").is_empty() {
            self.begin(&Stored::NotNeeded);
        }
        let now = clock::text(self.now);
        let done = self.workflow.pointer("/status/nodes").and_then(Value::as_object).map_or(0, Map::len);
        let status = &mut self.workflow["status"];
        status["phase"] = json!(phase);
        status["finishedAt"] = json!(now);
        status["progress"] = json!(format!("{done}/{done}"));
        if !message.is_empty() {
            status["message"] = json!(message);
        }
        self.condition("PodRunning", "False");
        self.condition("Completed", "True");
        self.label(PHASE, phase);
        self.label(COMPLETED, "true");
    }

    /// Ends what runs: the node fails at once, the Pod is taken away.
    fn stop(&mut self, pods: &BTreeMap<String, PodFact>, message: &str) {
        let name = self.name();
        if pods.get(&name).is_some_and(|p| !p.deleting) {
            self.commands.push(Command::DeletePod { name });
        }
        self.end_node("Failed", message, None);
    }
}

/// A JSON pointer segment.
fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

/// The sentence for a Pod that failed.
fn failure(pod: &PodFact) -> String {
    if !pod.message.is_empty() {
        return pod.message.clone();
    }
    let reason = if pod.reason.is_empty() { "Error" } else { &pod.reason };
    format!("main: {reason} (exit code {})", pod.exit_code.unwrap_or(1))
}
