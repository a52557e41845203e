//! The REST façade, request by request.

use crate::Suite;
use crate::suite::{lines, vectors};
use crate::support::{self, Server};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Groups that this version answers.
const REST: [&str; 7] =
    ["bindings-list", "info", "paths", "workflows-create", "workflows-get", "workflows-list", "workflows-delete"];
#[test]
fn argo_rest() {
    let Some(dir) = vectors("argo-rest") else { return };
    let mut suite = Suite::new("argo-rest");
    let all = lines(&dir.join("transcript.jsonl"));
    for (kind, arguments) in [("client", vec![]), ("instance", vec!["--instance-id", "my-instance"]), ("async", vec![])]
    {
        let mut arguments = arguments;
        // Recorded with malformed bindings in the store.
        arguments.extend(["--without-engine", "--invalid-expressions", "warn"]);
        let server = Server::start(&arguments);
        let mut rest = Rest {
            server: &server,
            dir: &dir,
            tokens: BTreeMap::new(),
            captured: BTreeMap::new(),
            case: String::new(),
        };
        rest.create("base.yaml");
        for v in &all {
            let (id, group) = (v["id"].as_str().unwrap(), v["group"].as_str().unwrap());
            if !(group.starts_with("events-") || group == "workflow-templates" || REST.contains(&group)) {
                continue;
            }
            if v["server"] != kind {
                if kind == "client" && !matches!(v["server"].as_str(), Some("client" | "instance" | "async")) {
                    suite.skip(&format!("argo-server option set `{}`", v["server"].as_str().unwrap()));
                }
                continue;
            }
            let outcome = rest.step(v);
            suite.case(id, group, outcome);
        }
    }
    suite.finish(0.92);
}

struct Rest<'a> {
    server: &'a Server,
    dir: &'a Path,
    tokens: BTreeMap<String, String>,
    captured: BTreeMap<String, String>,
    case: String,
}

const CLEARED: [&str; 6] =
    ["workflows", "workflowtemplates", "clusterworkflowtemplates", "cronworkflows", "workfloweventbindings", "events"];

impl Rest<'_> {
    /// The Kubernetes API as admin, over the client certificate.
    fn kube(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config = kube::config::Kubeconfig::read_from(self.server.kubeconfig()).unwrap();
            let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
            let client = kube::Client::try_from(config).unwrap();
            let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
            let request = request.body(body.map(|b| b.to_string().into_bytes()).unwrap_or_default()).unwrap();
            match client.request::<Value>(request).await {
                Ok(v) => (200, v),
                Err(kube::Error::Api(s)) => (s.code, json!(s.message)),
                Err(e) => panic!("{method} {path}: {e}"),
            }
        })
    }

    fn create(&self, manifest: &str) {
        let text = std::fs::read_to_string(self.dir.join("manifests").join(manifest)).unwrap();
        for mut o in triggerfish::manifest::read(&text).unwrap() {
            let (version, kind) =
                (o["apiVersion"].as_str().unwrap().to_owned(), o["kind"].as_str().unwrap().to_owned());
            let plural = format!("{}s", kind.to_lowercase());
            let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
            let cluster =
                matches!(kind.as_str(), "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "ClusterWorkflowTemplate");
            let namespace = o.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("argo").to_owned();
            let path =
                if cluster { format!("{root}/{plural}") } else { format!("{root}/namespaces/{namespace}/{plural}") };
            if !cluster {
                o["metadata"]["namespace"] = json!(namespace);
            }
            // What the original stored and ours refuses shows in the answers that follow.
            self.kube("POST", &path, Some(&o));
        }
    }

    fn clear(&self) {
        for plural in CLEARED {
            let root = if plural == "events" { "/api/v1" } else { "/apis/argoproj.io/v1alpha1" };
            if plural == "clusterworkflowtemplates" {
                self.kube("DELETE", &format!("{root}/{plural}"), None);
                continue;
            }
            for ns in ["argo", "other"] {
                self.kube("DELETE", &format!("{root}/namespaces/{ns}/{plural}"), None);
            }
        }
        self.kube("DELETE", "/api/v1/namespaces/argo/secrets/argo-workflows-webhook-clients", None);
    }

    fn token(&mut self, name: &str) -> String {
        if let Some(t) = self.tokens.get(name) {
            return t.clone();
        }
        let made = self.kube(
            "POST",
            &format!("/api/v1/namespaces/argo/serviceaccounts/{name}/token"),
            Some(&json!({"spec": {}})),
        );
        let token =
            made.1.pointer("/status/token").and_then(Value::as_str).unwrap_or_else(|| panic!("{made:?}")).to_owned();
        self.tokens.insert(name.into(), token.clone());
        token
    }

    fn fill(&mut self, text: &str) -> String {
        let mut out = text.to_owned();
        while let Some(start) = out.find("<token:") {
            let end = start + out[start..].find('>').unwrap();
            let token = self.token(&out[start + 7..end]);
            out.replace_range(start..=end, &token);
        }
        for (k, v) in &self.captured {
            out = out.replace(&format!("<capture:{k}>"), v);
        }
        out
    }

    fn step(&mut self, v: &Value) -> Result<(), String> {
        let case = v["case"].as_str().unwrap();
        if self.case != case {
            self.case = case.to_owned();
            self.captured.clear();
            self.clear();
        }
        for m in v["setup"].as_array().into_iter().flatten() {
            if v["setupSpaced"] == true {
                std::thread::sleep(std::time::Duration::from_millis(1100));
            }
            self.create(m.as_str().unwrap());
        }
        let r = &v["request"];
        let path = self.fill(r["path"].as_str().unwrap());
        let mut headers: Vec<(String, String)> = Vec::new();
        for h in r["headers"].as_array().into_iter().flatten() {
            let value = self.fill(h[1].as_str().unwrap());
            headers.push((h[0].as_str().unwrap().to_owned(), value));
        }
        // Asynchronous dispatch is what ours does unless asked to wait.
        let waits = v["server"] != "async";
        if waits && v["group"].as_str().unwrap().starts_with("events-") {
            headers.push(("Prefer".into(), "wait=20".into()));
        }
        let body: Vec<u8> = match (r.get("bodyRepeat"), r.get("bodyBase64"), r["body"].as_str()) {
            (Some(b), _, _) if b.is_object() => format!(
                "{}{}{}",
                b["prefix"].as_str().unwrap_or(""),
                b["char"].as_str().unwrap_or("").repeat(b["count"].as_u64().unwrap_or(0) as usize),
                b["suffix"].as_str().unwrap_or("")
            )
            .into_bytes(),
            (_, Some(Value::String(b)), _) => {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, b).unwrap()
            }
            (_, _, Some(text)) => self.fill(text).into_bytes(),
            _ => Vec::new(),
        };
        let pairs: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let answer = support::try_request(&self.server.http, r["method"].as_str().unwrap(), &path, &pairs, &body)
            .map_err(|e| format!("no answer: {e}"))?;
        let expected = &v["response"];
        let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok();
        for (name, place) in v["capture"].as_object().into_iter().flatten() {
            let pointer = format!("/{}", place.as_str().unwrap().replace('.', "/"));
            let found = parsed
                .as_ref()
                .and_then(|p| p.pointer(&pointer))
                .map(|x| x.as_str().map_or_else(|| x.to_string(), str::to_owned))
                .unwrap_or_default();
            self.captured.insert(name.clone(), found);
        }
        if expected["status"].as_u64() != Some(u64::from(answer.status)) {
            return Err(format!(
                "status {} {}, the original {} {}",
                answer.status,
                short(&answer.text()),
                expected["status"],
                short(&expected["body"].to_string())
            ));
        }
        if let Some(body) = expected.get("body") {
            let Some(ours) = parsed else { return Err(format!("no JSON: {}", short(&answer.text()))) };
            agree(&clean(body), &clean(&ours), "")?;
        }
        // What the original dispatches asynchronously it usually loses; ours does not, so there is nothing to compare.
        if let Some(effects) = v.get("effects").filter(|_| waits) {
            self.effects(effects)?;
        }
        Ok(())
    }

    fn effects(&self, expected: &Value) -> Result<(), String> {
        let mut ours = Vec::new();
        for ns in ["argo", "other"] {
            let list = self.kube("GET", &format!("/apis/argoproj.io/v1alpha1/namespaces/{ns}/workflows"), None).1;
            ours.extend(list["items"].as_array().into_iter().flatten().map(|w| {
                let m = &w["metadata"];
                let named = ["name", "generateName", "namespace", "labels", "annotations"]
                    .map(|k| (k.to_owned(), m[k].clone()));
                named
                    .into_iter()
                    .chain([("spec".to_owned(), w["spec"].clone())])
                    .filter(|(_, v)| !v.is_null())
                    .collect::<Value>()
            }));
        }
        let wanted = expected["workflows"].as_array().cloned().unwrap_or_default();
        if ours.len() != wanted.len() {
            return Err(format!("{} workflows, {} in the original", ours.len(), wanted.len()));
        }
        for w in &wanted {
            let fits = ours.iter().position(|o| agree(&clean(w), &clean(o), "").is_ok());
            match fits {
                Some(i) => drop(ours.swap_remove(i)),
                None => {
                    return Err(format!(
                        "no workflow like {}; there is {}",
                        short(&w.to_string()),
                        short(&ours.first().map(|o| clean(o).to_string()).unwrap_or_default())
                    ));
                }
            }
        }
        let wanted = expected["k8sEvents"].as_array().map_or(0, Vec::len);
        let count = || {
            ["argo", "other"]
                .iter()
                .map(|ns| {
                    self.kube("GET", &format!("/api/v1/namespaces/{ns}/events"), None).1["items"]
                        .as_array()
                        .map_or(0, Vec::len)
                })
                .sum::<usize>()
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
        while count() < wanted && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let found = count();
        if found != wanted { Err(format!("{found} Kubernetes Events, {wanted} in the original")) } else { Ok(()) }
    }
}

fn short(s: &str) -> String {
    s.chars().take(300).collect()
}

/// Members that Go's structs write even when they are empty; ours answers what is stored.
const ALWAYS_WRITTEN: [&str; 11] = [
    "arguments",
    "inputs",
    "outputs",
    "resources",
    "status",
    "startedAt",
    "finishedAt",
    "gitTag",
    "name",
    "id",
    "type",
];

/// Without bookkeeping, what Go writes although it is empty, and what only ours adds.
fn clean(v: &Value) -> Value {
    clean_below(v, "")
}

fn clean_below(v: &Value, parent: &str) -> Value {
    match v {
        Value::Object(m) => {
            let mut out = Map::new();
            for (k, x) in m {
                let own = k.starts_with("triggerfish.dev/");
                if k == "managedFields" || own {
                    continue;
                }
                let x = clean_below(x, k);
                let empty = x.is_null() || x == "" || x.as_object().is_some_and(Map::is_empty);
                let inner_metadata = k == "metadata" && !matches!(parent, "" | "items");
                // Our own annotations may have been the only ones.
                if empty
                    && (ALWAYS_WRITTEN.contains(&k.as_str())
                        || inner_metadata
                        || k == "annotations"
                        || parent == "nodes")
                {
                    continue;
                }
                // An empty list is `null` there and `[]` here (documented).
                if k == "items" && (x.is_null() || x.as_array().is_some_and(Vec::is_empty)) {
                    continue;
                }
                // Only our bindings have a status.
                if k == "status" && x.get("observedGeneration").is_some() {
                    continue;
                }
                out.insert(k.clone(), x);
            }
            Value::Object(out)
        }
        Value::Array(l) => l.iter().map(|x| clean_below(x, parent)).collect(),
        other => other.clone(),
    }
}

/// Whether an answer agrees with a recorded one, where `<…>` stands for what changes from run to run.
fn agree(expected: &Value, actual: &Value, path: &str) -> Result<(), String> {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            for (k, x) in a {
                match b.get(k) {
                    Some(y) => agree(x, y, &format!("{path}.{k}"))?,
                    None => return Err(format!("{path}.{k} is missing (the original has {})", short(&x.to_string()))),
                }
            }
            match b.keys().find(|k| !a.contains_key(*k)) {
                Some(k) => Err(format!("{path}.{k} is not in the original: {}", short(&b[k].to_string()))),
                None => Ok(()),
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(i, (x, y))| agree(x, y, &format!("{path}[{i}]")))
        }
        (Value::String(a), Value::String(b)) => {
            if a == b || pattern(a).is_match(b) {
                return Ok(());
            }
            // The text of an expression error is ours.
            if path.ends_with(".message")
                && a.starts_with("failed to dispatch event:")
                && b.starts_with("failed to dispatch event:")
            {
                return Ok(());
            }
            Err(format!("{path}: ours {:?}, the original {:?}", short(b), short(a)))
        }
        _ if expected == actual => Ok(()),
        _ => Err(format!("{path}: ours {}, the original {}", short(&actual.to_string()), short(&expected.to_string()))),
    }
}

fn pattern(text: &str) -> Regex {
    let mut out = String::from("(?s)^");
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        out.push_str(&regex::escape(&rest[..start]));
        out.push_str(".*?");
        rest = &rest[start + length + 1..];
    }
    out.push_str(&regex::escape(rest));
    out.push('$');
    Regex::new(&out).unwrap()
}
