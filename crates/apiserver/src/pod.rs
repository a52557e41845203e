//! What is special about Pods: the defaults that typed clients expect, immutability, and the STATUS column.

use crate::object::{self, at, text};
use crate::resource::{Admitted, Column};
use crate::status::{FieldError, FieldErrorKind};
use crate::table::age_of;
use serde_json::{Map, Value, json};

pub fn columns() -> Vec<Column> {
    let mut name = Column::path("Name", "string", ".metadata.name").described("@metadata.name");
    name.format = "name".into();
    vec![
        name,
        Column::computed("Ready", "string", |o| {
            let ready = statuses(o).filter(|s| s.get("ready") == Some(&json!(true))).count();
            json!(format!("{ready}/{}", containers(o).count()))
        })
        .described("The aggregate readiness state of this pod for accepting traffic."),
        Column::computed("Status", "string", |o| json!(summary(o))).described("The aggregate status of the containers in this pod."),
        Column::computed("Restarts", "string", |o| {
            let count: i64 = statuses(o).filter_map(|s| s.get("restartCount").and_then(Value::as_i64)).sum();
            json!(count.to_string())
        })
        .described("The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
        Column::computed("Age", "string", age_of).described("@metadata.creationTimestamp"),
        Column::computed("IP", "string", |o| json!(or_none(text(o, &["status", "podIP"])))).wide().described("@status.podIP"),
        Column::computed("Node", "string", |o| json!(or_none(text(o, &["spec", "nodeName"])))).wide().described("@spec.nodeName"),
        Column::computed("Nominated Node", "string", |o| json!(or_none(text(o, &["status", "nominatedNodeName"])))).wide().described("@status.nominatedNodeName"),
        Column::computed("Readiness Gates", "string", |o| {
            let gates = at(o, &["spec", "readinessGates"]).and_then(Value::as_array).map_or(0, Vec::len);
            json!(if gates == 0 { "<none>".to_owned() } else { format!("0/{gates}") })
        })
        .wide()
        .described("@spec.readinessGates"),
    ]
}

fn or_none(s: &str) -> &str {
    if s.is_empty() { "<none>" } else { s }
}

fn containers(o: &Value) -> impl Iterator<Item = &Value> {
    at(o, &["spec", "containers"]).and_then(Value::as_array).into_iter().flatten()
}

fn statuses(o: &Value) -> impl Iterator<Item = &Value> {
    at(o, &["status", "containerStatuses"]).and_then(Value::as_array).into_iter().flatten()
}

/// One word for the state of a pod: its phase, or what its last container says.
fn summary(o: &Value) -> String {
    let mut out = match text(o, &["status", "reason"]) {
        "" => text(o, &["status", "phase"]).to_owned(),
        reason => reason.to_owned(),
    };
    for s in statuses(o) {
        let (waiting, ended) = (at(s, &["state", "waiting"]), at(s, &["state", "terminated"]));
        if let Some(reason) = waiting.map(|w| text(w, &["reason"])).filter(|r| !r.is_empty()) {
            out = reason.to_owned();
        } else if let Some(t) = ended {
            out = match text(t, &["reason"]) {
                "" => format!("ExitCode:{}", t.get("exitCode").and_then(Value::as_i64).unwrap_or(0)),
                reason => reason.to_owned(),
            };
        }
    }
    if object::is_deleting(o) { "Terminating".into() } else { out }
}

pub fn prepare(o: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        let qos = quality(o);
        o["status"] = json!({"phase": "Pending", "qosClass": qos});
    }
    let Some(spec) = o.get_mut("spec").and_then(Value::as_object_mut) else { return };
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "securityContext", json!({}));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    default(spec, "enableServiceLinks", json!(true));
    let account = spec
        .get("serviceAccountName")
        .or(spec.get("serviceAccount"))
        .and_then(Value::as_str)
        .filter(|s| !s.is_empty())
        .unwrap_or("default")
        .to_owned();
    spec.insert("serviceAccountName".into(), json!(account));
    spec.insert("serviceAccount".into(), json!(account));
    for list in ["containers", "initContainers"] {
        for c in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
        {
            let image = c.get("image").and_then(Value::as_str).unwrap_or("");
            let floating = image.ends_with(":latest") || !image.rsplit('/').next().unwrap_or("").contains([':', '@']);
            default(c, "imagePullPolicy", json!(if floating { "Always" } else { "IfNotPresent" }));
            default(c, "terminationMessagePath", json!("/dev/termination-log"));
            default(c, "terminationMessagePolicy", json!("File"));
            default(c, "resources", json!({}));
            for p in
                c.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
            {
                default(p, "protocol", json!("TCP"));
            }
        }
    }
}

fn default(o: &mut Map<String, Value>, key: &str, value: Value) {
    o.entry(key).or_insert(value);
}

/// The quality-of-service class that follows from requests and limits.
fn quality(o: &Value) -> &'static str {
    let all: Vec<&Value> = containers(o).collect();
    let has = |c: &Value, kind: &str, what: &str| at(c, &["resources", kind, what]).is_some();
    let nothing = all.iter().all(|c| ["limits", "requests"].iter().all(|k| !has(c, k, "cpu") && !has(c, k, "memory")));
    if nothing {
        return "BestEffort";
    }
    let full = all.iter().all(|c| {
        ["cpu", "memory"].iter().all(|w| {
            has(c, "limits", w)
                && at(c, &["resources", "requests", w]).is_none_or(|r| Some(r) == at(c, &["resources", "limits", w]))
        })
    });
    if full { "Guaranteed" } else { "Burstable" }
}

pub fn admit(new: &Value, old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    if let Some(old) = old {
        if changed_beyond_allowed(new, old) {
            errors.push(FieldError::forbidden(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
            ));
        }
        return Admitted { errors, warnings: Vec::new() };
    }
    if containers(new).next().is_none() {
        errors.push(FieldError::required("spec.containers", ""));
    }
    let mut seen = std::collections::HashSet::new();
    for (i, c) in containers(new).enumerate() {
        let name = text(c, &["name"]);
        let path = format!("spec.containers[{i}]");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if let Some(why) = crate::names::dns_label_problem(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, why));
        }
        if !seen.insert(name) {
            errors.push(FieldError {
                path: format!("{path}.name"),
                kind: FieldErrorKind::Duplicate(json!(name)),
                detail: String::new(),
            });
        }
        if text(c, &["image"]).is_empty() {
            errors.push(FieldError::required(format!("{path}.image"), ""));
        }
    }
    let policy = text(new, &["spec", "restartPolicy"]);
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        let kind =
            FieldErrorKind::NotSupported(json!(policy), ["Always", "OnFailure", "Never"].map(String::from).to_vec());
        errors.push(FieldError { path: "spec.restartPolicy".into(), kind, detail: String::new() });
    }
    Admitted { errors, warnings: Vec::new() }
}

fn changed_beyond_allowed(new: &Value, old: &Value) -> bool {
    let frozen = |o: &Value| {
        let mut spec = o.get("spec").cloned().unwrap_or_default();
        if let Some(m) = spec.as_object_mut() {
            for key in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"] {
                m.remove(key);
            }
        }
        for list in ["containers", "initContainers"] {
            for c in
                spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
            {
                c.remove("image");
            }
        }
        spec
    };
    frozen(new) != frozen(old)
}
