//! Compares this program with vectors recorded from the real ones: one function per suite.
//!
//! Prints `suite: N passed, N failed, N skipped (why)`. What is knowingly different stands in `differences/SUITE.txt`, one
//! `id: reason` a line; a suite fails when something else differs, and when an entry no longer does.
#![allow(clippy::unwrap_used)]

mod support;

use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::{Server, lines, vectors};
use triggerfish::event::{Caller, Event};
use triggerfish::route::{self, Binding, Creator, Decision, Facts};

/// What is knowingly different in a suite, with the reasons.
fn listed(suite: &str) -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/differences/{suite}.txt"));
    std::fs::read_to_string(&file)
        .unwrap_or_default()
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
        .map(|l| {
            l.split_once(": ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap_or_else(|| panic!("{}: write `id: reason`, not {l:?}", file.display()))
        })
        .collect()
}

/// Outcomes of a suite, by case.
#[derive(Default)]
struct Suite {
    name: &'static str,
    passed: BTreeSet<String>,
    failed: BTreeMap<String, String>,
    skipped: BTreeMap<String, usize>,
    groups: BTreeMap<String, (usize, usize)>,
}

impl Suite {
    fn new(name: &'static str) -> Self {
        Suite { name, ..Suite::default() }
    }
    fn case(&mut self, id: &str, group: &str, outcome: Result<(), String>) {
        let g = self.groups.entry(group.to_owned()).or_default();
        match outcome {
            Ok(()) => {
                g.0 += 1;
                self.passed.insert(id.to_owned());
            }
            Err(why) => {
                g.1 += 1;
                self.failed.insert(id.to_owned(), why);
            }
        }
    }
    fn skip(&mut self, why: &str) {
        *self.skipped.entry(why.to_owned()).or_default() += 1;
    }

    /// Prints the figures; fails on unlisted differences and on listed ones that are gone.
    fn finish(self, at_least: f64) {
        let listed = listed(self.name);
        for (group, (good, bad)) in &self.groups {
            println!("  {group}: {good} passed, {bad} differ");
        }
        let skipped: Vec<String> = self.skipped.iter().map(|(why, n)| format!("{n}: {why}")).collect();
        let decided =
            self.failed.keys().filter(|id| listed.get(*id).is_some_and(|why| why.starts_with("decided: "))).count();
        println!(
            "{}: {} passed, {} failed ({decided} by decision), {} skipped ({})",
            self.name,
            self.passed.len(),
            self.failed.len(),
            self.skipped.values().sum::<usize>(),
            skipped.join("; ")
        );
        if let Some(out) = std::env::var_os("TRIGGERFISH_DIFFERENCES") {
            let text: String =
                self.failed.iter().map(|(id, why)| format!("{id}: {}\n", why.replace('\n', " ⏎ "))).collect();
            std::fs::write(Path::new(&out).join(format!("{}.txt", self.name)), text).unwrap();
        }
        // Another folder of vectors has other cases: only the share counts there.
        let total = (self.passed.len() + self.failed.len()).max(1) as f64;
        let share = self.passed.len() as f64 / total;
        assert!(share >= at_least, "{}: only {:.1} % agree", self.name, share * 100.0);
        if std::env::var_os("TRIGGERFISH_CONFORMANCE").is_some() {
            return;
        }
        let unlisted: Vec<String> = self
            .failed
            .iter()
            .filter(|(id, _)| !listed.contains_key(*id))
            .map(|(id, why)| format!("{id}: {why}"))
            .collect();
        assert!(unlisted.is_empty(), "{} differences are not on the list:\n{}", unlisted.len(), unlisted.join("\n"));
        let stale: Vec<&String> = listed.keys().filter(|id| self.passed.contains(*id)).collect();
        assert!(stale.is_empty(), "these agree now and can be taken off differences/{}.txt: {stale:?}", self.name);
    }
}

// ---------------------------------------------------------------------------------------------- dispatch

#[test]
fn dispatch() {
    let Some(dir) = vectors("dispatch") else { return };
    let mut suite = Suite::new("dispatch");
    for v in lines(&dir.join("vectors.jsonl")) {
        let id = v["id"].as_str().unwrap();
        suite.case(id, "all", dispatch_case(&v));
    }
    suite.finish(0.98);
}

fn dispatch_case(v: &Value) -> Result<(), String> {
    let (input, output) = (&v["input"], &v["output"]);
    let text = |k: &str| input[k].as_str().unwrap_or("").to_owned();
    let data = match (input.get("payloadText"), input.get("noPayload")) {
        (_, Some(Value::Bool(true))) => None,
        (Some(Value::String(t)), _) => Some(t.clone()),
        _ => input.get("payload").map(Value::to_string),
    };
    let metadata = input["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.clone()))
        .filter(|(k, _)| k.to_lowercase().starts_with("x-"));
    let event = Event {
        id: v["id"].as_str().unwrap().into(),
        source: "test".into(),
        kind: "test".into(),
        subject: String::new(),
        time: String::new(),
        datacontenttype: "application/json".into(),
        data: data.map(|d| serde_json::value::RawValue::from_string(d).unwrap()),
        namespace: text("namespace"),
        discriminator: text("discriminator"),
        metadata: metadata.map(|(k, v)| (k, serde_json::from_value(v).unwrap())).collect(),
        caller: Caller::default(),
    };
    let (mut failures, mut made) = (0, Vec::<Value>::new());
    let instance = text("instanceID");
    match Facts::of(&event) {
        Err(_) => return if output["ok"] == false { Ok(()) } else { Err("the payload was refused".into()) },
        Ok(facts) => {
            for b in input["bindings"].as_array().unwrap() {
                let binding = Binding::read(b).map_err(|e| format!("binding: {e}"))?;
                let start = match route::decide(&binding, &facts) {
                    Decision::Fail { .. } => {
                        failures += 1;
                        continue;
                    }
                    Decision::Start(s) => s,
                    _ => continue,
                };
                let kind = if start.cluster_scope { "clusterTemplates" } else { "templates" };
                let found = input[kind].as_array().into_iter().flatten().find(|t| {
                    t.pointer("/metadata/name").and_then(Value::as_str) == Some(&start.template)
                        && (start.cluster_scope
                            || t.pointer("/metadata/namespace").and_then(Value::as_str) == Some(&binding.namespace))
                });
                let managed = found.is_some_and(|t| {
                    t.pointer("/metadata/labels/workflows.argoproj.io~1controller-instanceid")
                        .and_then(Value::as_str)
                        .unwrap_or("")
                        == instance
                });
                let (Some(template), true, None) = (found, managed, &start.failure) else {
                    failures += 1;
                    continue;
                };
                let claims = &input["claims"];
                let claim = |k: &str| claims[k].as_str().unwrap_or("").to_owned();
                let creator = Creator {
                    subject: claim("Subject"),
                    email: claim("Email"),
                    preferred_username: claim("PreferredUsername"),
                };
                let mut w = route::workflow(&start, &binding, template, &creator, &instance);
                let (name, prefix) = route::workflow_name(
                    start.name.as_deref(),
                    start.generate_name.as_deref(),
                    &start.template,
                    "<random5>",
                );
                w["metadata"]["name"] = json!(name);
                if !prefix.is_empty() {
                    w["metadata"]["generateName"] = json!(prefix);
                }
                let taken = |o: &Value| {
                    o.pointer("/metadata/name") == w.pointer("/metadata/name")
                        && o.pointer("/metadata/namespace") == w.pointer("/metadata/namespace")
                };
                if !name.contains("<random5>")
                    && (input["existingWorkflows"].as_array().into_iter().flatten().any(taken)
                        || made.iter().any(taken))
                {
                    failures += 1;
                    continue;
                }
                made.push(w);
            }
        }
    }
    let ok = failures == 0;
    if ok != output["ok"].as_bool().unwrap() {
        return Err(format!("ok is {ok}, the original says {}", output["error"]));
    }
    let expected_events = output["events"].as_array().map_or(0, Vec::len);
    if failures != expected_events {
        return Err(format!("{failures} bindings failed, {expected_events} in the original"));
    }
    let clean = |w: &Value| {
        let mut o = Map::new();
        o.insert("metadata".into(), w["metadata"].clone());
        o.insert("spec".into(), w["spec"].clone());
        Value::Object(o).to_string()
    };
    let ours: BTreeSet<String> = made.iter().map(clean).collect();
    let theirs: BTreeSet<String> = output["workflows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|w| {
            !input["existingWorkflows"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|e| e["metadata"]["name"] == w["metadata"]["name"])
        })
        .map(clean)
        .collect();
    if ours != theirs {
        return Err(format!("workflows differ: ours {ours:?}, theirs {theirs:?}"));
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------- argo-rest

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

// ---------------------------------------------------------------------------------------------- kubectl

#[test]
fn kubectl() {
    let Some(dir) = vectors("kubectl") else { return };
    let Some(kubectl) = support::kubectl() else {
        println!("kubectl: skipped, no kubectl; scripts/get-kubectl makes one");
        return;
    };
    let steps = Regex::new(r"steps: (\d+) same, (\d+) differ").unwrap();
    for file in ["raw-http", "scenarios"] {
        if !dir.join(format!("{file}.jsonl")).exists() {
            continue;
        }
        let server = Server::start(&["--without-engine"]);
        for crds in ["notification-controller", "argo-workflows-full"] {
            for entry in std::fs::read_dir(dir.join("../upstream/crds").join(crds)).into_iter().flatten().flatten() {
                let mut c = std::process::Command::new(&kubectl);
                c.args(["apply", "--server-side", "-f"]).arg(entry.path()).env("KUBECONFIG", server.kubeconfig());
                let out = support::Output::of(c);
                assert!(out.ok, "{}", out.stderr);
            }
        }
        let mut c = std::process::Command::new("python3");
        c.arg(dir.join("replay.py")).arg("--kubectl").arg(&kubectl).arg("--kubeconfig").arg(server.kubeconfig());
        c.arg("--scenarios").arg(dir.join(format!("{file}.jsonl"))).args(["--crds", "full"]);
        let out = support::Output::of(c);
        if let Some(place) = std::env::var_os("TRIGGERFISH_DIFFERENCES") {
            std::fs::write(Path::new(&place).join(format!("kubectl-{file}.out")), &out.stdout).unwrap();
        }
        let found = steps.captures(&out.stdout).unwrap_or_else(|| panic!("{}{}", out.stdout, out.stderr));
        let (same, differ): (f64, f64) = (found[1].parse().unwrap(), found[2].parse().unwrap());
        println!("kubectl/{file}: steps: {same} same, {differ} differ ({:.1} %)", same / (same + differ) * 100.0);
        assert!(same / (same + differ) >= 0.95, "kubectl/{file}: fewer than 95 % of the steps agree");
        if std::env::var_os("TRIGGERFISH_CONFORMANCE").is_none() {
            compare_steps(file, &out.stdout);
        }
    }
}

/// Every differing step must be on the list, and every listed one must differ.
fn compare_steps(file: &str, said: &str) {
    let heading = Regex::new(r"^(?:FAIL|pass) (\S+)").unwrap();
    let step = Regex::new(r"^  step (\d+): ").unwrap();
    let (mut scenario, mut differing) = (String::new(), BTreeSet::new());
    for line in said.lines() {
        if let Some(found) = heading.captures(line) {
            scenario = found[1].to_owned();
        } else if let Some(found) = step.captures(line) {
            differing.insert(format!("{scenario} step {}", &found[1]));
        }
    }
    let listed: BTreeSet<String> = listed(&format!("kubectl-{file}")).into_keys().collect();
    let unlisted: Vec<_> = differing.difference(&listed).collect();
    assert!(unlisted.is_empty(), "kubectl/{file}: these steps differ and are not on the list: {unlisted:?}\n{said}");
    let stale: Vec<_> = listed.difference(&differing).collect();
    assert!(stale.is_empty(), "kubectl/{file}: these steps agree now and can be taken off the list: {stale:?}");
}
