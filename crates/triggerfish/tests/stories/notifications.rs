//! Notifications: the manifests of seed 004 as they are, over TLS and through proxies; what is signed, what is told of workflows,
//! what crashes and outages do, what receivers take, and what nobody may see.

use crate::support::sink::Sink;
use crate::support::{Output, Server, eventually, request, within};
use crate::{admin, script};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn flux(kind: &str, namespace: &str, name: &str, spec: Value) -> String {
    json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
        .to_string()
}

fn secret(namespace: &str, name: &str, data: Value) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data}).to_string()
}

/// Where notices are posted.
fn intake(server: &Server) -> String {
    std::fs::read_to_string(server.data().join("notification-address")).unwrap()
}

fn notice(name: &str, severity: &str, message: &str) -> Value {
    json!({
        "involvedObject": {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "name": name, "namespace": "flux-system", "uid": "7d0cdc51"},
        "severity": severity, "timestamp": "2026-01-02T15:04:05Z", "reason": "ReconciliationSucceeded", "message": message,
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:96139968ca46b53462d1bf94de410a811d2026a1",
            "event.toolkit.fluxcd.io/commit": "96139968ca46b53462d1bf94de410a811d2026a1"},
        "reportingController": "kustomize-controller", "reportingInstance": "kustomize-controller-79464d8dc5-nb9c4",
    })
}

fn post(server: &Server, n: &Value) {
    let answer =
        request(&intake(server), "POST", "/", &[("Content-Type", "application/json")], n.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn object(server: &Server, kind: &str, namespace: &str, name: &str) -> Value {
    let out = server.cli(&["get", kind, name, "-n", namespace, "-o", "json"]);
    serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("{}{}", out.stdout, out.stderr))
}

fn condition(o: &Value, kind: &str) -> String {
    let all = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|c| c["type"] == kind);
    found.map_or(String::new(), |c| format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap()))
}

/// An alert for everything of Kustomizations, in a namespace of its own.
fn alert(namespace: &str, name: &str, provider: &str) -> String {
    let source = json!([{"kind": "Kustomization", "name": "*", "namespace": "flux-system"}]);
    flux("Alert", namespace, name, json!({"providerRef": {"name": provider}, "eventSources": source}))
}

/// Every service in one, behind a proxy that leads to it.
pub struct Vendor {
    child: Child,
    pub server: u16,
    proxy: u16,
    record: PathBuf,
}

impl Vendor {
    pub fn start(dir: &Path, user: Option<&str>) -> Vendor {
        let names = [
            "hooks.slack.com",
            "slack.com",
            "api.github.com",
            "webexapis.com",
            "sentry.io",
            "api.telegram.org",
            "matrix.org",
            "open.larksuite.com",
            "api.opsgenie.com",
            "alertmanager.example.com",
            "grafana.example.com",
            "prod.westeurope.logic.azure.com",
            "fluxv2.servicebus.windows.net",
            "localhost",
        ];
        let names: Vec<String> = names.iter().map(|n| format!("DNS:{n}")).chain(["IP:127.0.0.1".to_owned()]).collect();
        let make = format!(
            "cd {dir} && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj '/CN=test ca' 2>/dev/null && openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=vendor' 2>/dev/null && printf 'subjectAltName={}' > ext && openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile ext 2>/dev/null",
            names.join(","),
            dir = dir.display()
        );
        assert!(Command::new("bash").args(["-c", &make]).status().unwrap().success());
        let record = dir.join("record");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/vendor.py");
        let mut c = Command::new("python3");
        c.arg(program).arg(dir.join("server.crt")).arg(dir.join("server.key")).arg(&record).args(user);
        let mut child = c.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|p| p.parse().unwrap()).collect();
        Vendor { child, server: ports[0], proxy: ports[1], record }
    }

    pub fn got(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The seed's manifests: what is to be applied, the provider, and the request that an event leads to.
const SEED: &str = include_str!("seed004.yaml");

#[test]
fn the_manifests_of_the_seed_are_applied_by_kubectl_and_lead_to_their_services() {
    let server = Server::start(&["--without-engine"]);
    let vendor = Vendor::start(server.dir.path(), None);
    let ca = server.dir.path().join("ca.crt");
    let prepare = format!(
        "kubectl config set-context --current --namespace=default >/dev/null\nfor n in default flux-system; do kubectl create secret generic tls-certs -n $n --from-file=caFile={}; done",
        ca.display()
    );
    let Some(out) = script(&server, &prepare) else { return };
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    for (i, section) in SEED.split("\n#---- ").skip(1).enumerate() {
        let (head, manifest) = section.split_once('\n').unwrap();
        let words: Vec<&str> = head.split_whitespace().collect();
        let [namespace, name, method, host, path] = words[..] else { panic!("{head}") };
        let file = server.dir.path().join("section.yaml");
        let alert = format!(
            "apiVersion: notification.toolkit.fluxcd.io/v1beta1\nkind: Alert\nmetadata: {{name: all, namespace: {namespace}}}\nspec:\n  providerRef: {{name: {name}}}\n  eventSeverity: info\n  eventSources: [{{kind: Kustomization, name: '*', namespace: flux-system}}]\n"
        );
        std::fs::write(&file, format!("{manifest}\n---\n{alert}")).unwrap();
        // Only where it leads is ours: through the proxy, to a server with our certificate.
        let lead = json!({"spec": {"proxy": format!("http://127.0.0.1:{}", vendor.proxy), "certSecretRef": {"name": "tls-certs"}}});
        let event = notice("podinfo", "info", &format!("event {i} for {name}"));
        let run = format!(
            "kubectl apply -f {}\nkubectl patch provider {name} -n {namespace} --type merge -p '{lead}'\ncurl -sf -X POST -H 'Content-Type: application/json' -d '{event}' http://{}/",
            file.display(),
            intake(&server)
        );
        let before = vendor.got().len();
        let out = script(&server, &run).unwrap();
        assert!(out.ok, "{head}: {}{}", out.stdout, out.stderr);
        assert!(!out.stderr.contains("Warning: unknown"), "{head}: {}", out.stderr);
        if method == "NONE" {
            // This one names no hub: no service could take what it sends, and the object says what is missing.
            eventually(&format!("{head}: what is missing is said"), || {
                let p = object(&server, "provider", namespace, name);
                p["status"]["conditions"][0]["message"].as_str().filter(|m| m.contains(path)).map(|_| ())
            });
            continue;
        }
        let sent = eventually(&format!("{head} is sent"), || {
            let got = vendor.got();
            got[before..]
                .iter()
                .find(|r| r["method"] == method && r["host"] == host && r["path"].as_str().unwrap().starts_with(path))
                .cloned()
        });
        assert!(method == "GET" || !sent["body"].as_str().unwrap().is_empty(), "{head}");
        let out = script(&server, &format!("kubectl delete alert all -n {namespace}\nkubectl delete provider {name} -n {namespace}\nkubectl delete secret -n {namespace} --field-selector metadata.name!=tls-certs --all >/dev/null || true")).unwrap();
        assert!(out.ok, "{}{}", out.stdout, out.stderr);
    }
    // Every connection went through the proxy.
    assert!(std::fs::read_to_string(vendor.record.with_extension("proxy")).unwrap().lines().count() > 10);
}

#[test]
fn describe_says_what_became_of_a_notice() {
    let sink = Sink::start();
    let server = Server::start(&["--without-engine"]);
    server.apply(
        &[
            flux(
                "Provider",
                "flux-system",
                "chat",
                json!({"type": "slack", "channel": "general", "address": sink.url("/services/T0/B0/verysecretpart")}),
            ),
            alert("flux-system", "on-call", "chat"),
        ]
        .join("\n---\n"),
    );
    post(&server, &notice("podinfo", "error", "it broke"));
    let sent = sink.wait(1);
    assert_eq!(sent[0].json()["channel"], "general");
    assert_eq!(sent[0].json()["attachments"][0]["text"], "it broke");
    eventually("the alert says so", || {
        let a = object(&server, "alert", "flux-system", "on-call");
        (condition(&a, "Delivering") == "True Delivered"
            && a["status"]["delivered"] == 1
            && a["status"]["matched"] == 1)
            .then_some(())
    });
    let Some(out) =
        script(&server, "kubectl describe alert on-call -n flux-system; kubectl get providers,alerts -n flux-system")
    else {
        return;
    };
    for words in ["Delivering", "Last Success", "Matched", "DELIVERED"] {
        assert!(out.stdout.contains(words), "{words}: {}", out.stdout);
    }
    // What is posted again within five minutes is known.
    let again =
        request(&intake(&server), "POST", "/", &[], notice("podinfo", "error", "it broke").to_string().as_bytes());
    assert_eq!((again.status, again.text().as_str()), (429, "Too Many Requests\n"));
    // A service that refuses is told of, without what nobody may see.
    let strict = Sink::answering(|_| Some(("403 Forbidden".into(), "no service at verysecretpart".into())));
    server.apply(&flux(
        "Provider",
        "flux-system",
        "chat",
        json!({"type": "slack", "address": strict.url("/services/T0/B0/verysecretpart")}),
    ));
    post(&server, &notice("podinfo", "error", "it broke again"));
    eventually("the alert tells the failure", || {
        let a = object(&server, "alert", "flux-system", "on-call");
        (condition(&a, "Delivering") == "False DeliveryFailed" && a["status"]["lastError"]["code"] == 403).then_some(())
    });
    let out =
        script(&server, "kubectl describe alert on-call -n flux-system; kubectl get events -n flux-system").unwrap();
    assert!(out.stdout.contains("NotificationDispatchFailed"), "{}", out.stdout);
    assert!(!out.stdout.contains("verysecretpart") && out.stdout.contains("*****"), "{}", out.stdout);
    let list = server.cli(&["notify", "list", "-n", "flux-system", "--state", "dead"]);
    assert!(list.stdout.contains("chat") && list.stdout.contains("403"), "{}", list.stdout);
    // Once it takes them, what was given up is made again.
    server.apply(&flux(
        "Provider",
        "flux-system",
        "chat",
        json!({"type": "slack", "address": sink.url("/services/new")}),
    ));
    let replayed = server.cli(&["notify", "replay", "all", "-n", "flux-system"]);
    assert!(replayed.stdout.contains("1 deliveries"), "{}{}", replayed.stdout, replayed.stderr);
    assert_eq!(sink.wait(2)[1].target, "/services/new");
}

#[test]
fn signatures_are_those_that_others_compute() {
    let sink = Sink::start();
    let server = Server::start(&["--without-engine"]);
    let key = "b1fad212fb1b87a56c79e5da48018650b85ab7cf";
    server.apply(
        &[
            secret("flux-system", "hmac", json!({"token": key})),
            flux(
                "Provider",
                "flux-system",
                "signed",
                json!({"type": "generic-hmac", "address": sink.url("/"), "secretRef": {"name": "hmac"}}),
            ),
            alert("flux-system", "all", "signed"),
        ]
        .join("\n---\n"),
    );
    post(&server, &notice("podinfo", "info", "größer <&>"));
    let sent = sink.wait(1).remove(0);
    let body = server.dir.path().join("body");
    std::fs::write(&body, &sent.body).unwrap();
    let mut c = Command::new("openssl");
    c.args(["dgst", "-sha256", "-hmac", key, "-r"]).arg(&body);
    let theirs = Output::of(c).stdout;
    assert_eq!(sent.header("X-Signature"), format!("sha256={}", theirs.split(' ').next().unwrap()));
    // A changed Secret counts at once.
    server.apply(&secret("flux-system", "hmac", json!({"token": "another"})));
    post(&server, &notice("podinfo", "info", "second"));
    let sent = sink.wait(2).remove(1);
    std::fs::write(&body, &sent.body).unwrap();
    let mut c = Command::new("openssl");
    c.args(["dgst", "-sha256", "-hmac", "another", "-r"]).arg(&body);
    assert_eq!(sent.header("X-Signature"), format!("sha256={}", Output::of(c).stdout.split(' ').next().unwrap()));
}

#[test]
fn a_shared_access_signature_is_one_that_python_computes() {
    let server = Server::start(&["--without-engine"]);
    let vendor = Vendor::start(server.dir.path(), Some("me:hidden"));
    let ca = std::fs::read_to_string(server.dir.path().join("ca.crt")).unwrap();
    let address = "Endpoint=sb://fluxv2.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=yoursaskeygeneatedbyazure;EntityPath=fluxv2";
    server.apply(&[
        secret("flux-system", "hub", json!({"address": address})),
        secret("flux-system", "ca", json!({"ca.crt": ca})),
        secret("flux-system", "proxy", json!({"address": format!("http://127.0.0.1:{}", vendor.proxy), "username": "me", "password": "hidden"})),
        flux("Provider", "flux-system", "hub", json!({"type": "azureeventhub", "secretRef": {"name": "hub"}, "certSecretRef": {"name": "ca"}, "proxySecretRef": {"name": "proxy"}})),
        alert("flux-system", "all", "hub"),
    ].join("\n---\n"));
    post(&server, &notice("podinfo", "info", "to the hub"));
    let sent = eventually("the hub gets it", || vendor.got().into_iter().next());
    assert_eq!(sent["host"], "fluxv2.servicebus.windows.net");
    let signed = sent["headers"]["authorization"].as_str().unwrap();
    let check = r#"
import base64, hashlib, hmac, sys, urllib.parse
fields = dict(f.split("=", 1) for f in sys.argv[1].removeprefix("SharedAccessSignature ").split("&"))
text = fields["sr"] + "\n" + fields["se"]
mine = base64.b64encode(hmac.new(b"yoursaskeygeneatedbyazure", text.encode(), hashlib.sha256).digest()).decode()
assert mine == urllib.parse.unquote(fields["sig"]), (mine, fields)
assert fields["skn"] == "RootManageSharedAccessKey", fields
print("good")
"#;
    let mut c = Command::new("python3");
    c.args(["-c", check, signed]);
    let out = Output::of(c);
    assert_eq!(out.stdout.trim(), "good", "{}", out.stderr);
}

#[test]
fn a_forward_proxy_leads_to_a_server_with_its_own_certificate() {
    if Command::new("tinyproxy").arg("-v").output().is_err() {
        println!("the forward proxy: skipped, tinyproxy is not installed");
        return;
    }
    let server = Server::start(&["--without-engine"]);
    let vendor = Vendor::start(server.dir.path(), None);
    let ca = std::fs::read_to_string(server.dir.path().join("ca.crt")).unwrap();
    let port = crate::support::peers::free_port();
    let (conf, log) = (server.dir.path().join("tinyproxy.conf"), server.dir.path().join("tinyproxy.log"));
    std::fs::write(&conf, format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nLogFile \"{}\"\nLogLevel Connect\nBasicAuth me hidden\nConnectPort {}\n", log.display(), vendor.server)).unwrap();
    let mut proxy = Command::new("tinyproxy")
        .args(["-d", "-c"])
        .arg(&conf)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the proxy listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    server.apply(&[
        secret("flux-system", "ca", json!({"ca.crt": ca})),
        secret("flux-system", "proxy", json!({"address": format!("http://127.0.0.1:{port}"), "username": "me", "password": "wrong"})),
        flux("Provider", "flux-system", "hook", json!({"type": "generic", "address": format!("https://localhost:{}/hook", vendor.server), "certSecretRef": {"name": "ca"}, "proxySecretRef": {"name": "proxy"}})),
        alert("flux-system", "all", "hook"),
    ].join("\n---\n"));
    post(&server, &notice("podinfo", "info", "through the proxy"));
    // The proxy does not know us: it is tried again, and goes on at once when the Secret is right.
    eventually("the proxy refuses", || {
        let p = object(&server, "provider", "flux-system", "hook");
        (condition(&p, "Delivering") == "False DeliveryFailed").then_some(())
    });
    assert!(vendor.got().is_empty());
    server.apply(&secret(
        "flux-system",
        "proxy",
        json!({"address": format!("http://127.0.0.1:{port}"), "username": "me", "password": "hidden"}),
    ));
    let sent = eventually("it arrives", || vendor.got().into_iter().next());
    assert_eq!(
        (sent["path"].as_str(), sent["headers"]["gotk-component"].as_str()),
        (Some("/hook"), Some("kustomize-controller"))
    );
    assert!(std::fs::read_to_string(&log).unwrap().contains("CONNECT localhost"));
    let _ = proxy.kill();
    let _ = proxy.wait();
}

#[test]
fn how_a_workflow_ended_reaches_who_asks() {
    let sink = Sink::start();
    let server = Server::start(&[]);
    let source = json!([{"kind": "Workflow", "name": "*"}, {"kind": "WorkflowEventBinding", "name": "*"}, {"kind": "Pod", "name": "*"}]);
    let workflow = |name: &str, code: u8| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name, "namespace": "argo"},
            "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "busybox", "command": ["sh", "-c", format!("exit {code}")]}}]}})
        .to_string()
    };
    server.apply(&[
        flux("Provider", "argo", "hook", json!({"type": "generic", "address": sink.url("/")})),
        flux("Alert", "argo", "workflows", json!({"providerRef": {"name": "hook"}, "eventSeverity": "info", "eventSources": source})),
        workflow("good", 0),
        workflow("bad", 3),
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowEventBinding", "metadata": {"name": "broken", "namespace": "argo"},
            "spec": {"event": {"selector": "payload.broken == true"}, "submit": {"workflowTemplateRef": {"name": "missing"}}}}).to_string(),
    ].join("\n---\n"));
    let sent = sink.wait(4);
    let of = |kind: &str, name: &str| -> Value {
        let found = sent
            .iter()
            .map(|s| s.json())
            .find(|v| v["involvedObject"]["kind"] == kind && v["involvedObject"]["name"] == name);
        found.unwrap_or_else(|| panic!("{kind} {name}: {sent:?}"))
    };
    let (good, bad) = (of("Workflow", "good"), of("Workflow", "bad"));
    assert_eq!((&good["severity"], &good["reason"]), (&json!("info"), &json!("WorkflowSucceeded")));
    assert_eq!((&bad["severity"], &bad["reason"]), (&json!("error"), &json!("WorkflowFailed")));
    assert!(bad["message"].as_str().unwrap().contains("exit code 3"), "{bad}");
    assert_eq!(bad["metadata"]["finishedAt"].as_str().map(str::len), Some(20));
    assert_eq!(of("Pod", "bad")["reason"], "NodeFailed");
    // A binding that fails is told as well.
    let token = admin(&server);
    server.post("/api/v1/events/argo/", &token, &[("Prefer", "wait=20")], r#"{"broken": true}"#);
    let told = eventually("the binding is told of", || {
        sink.got().iter().map(|s| s.json()).find(|v| v["involvedObject"]["kind"] == "WorkflowEventBinding")
    });
    assert!(told["message"].as_str().unwrap().contains("missing"), "{told}");
}

#[test]
fn nothing_is_lost_or_doubled_over_crashes_and_an_outage() {
    const EVENTS: usize = 200;
    let flip = Arc::new(AtomicU64::new(0));
    let away = Arc::new(AtomicU64::new(0));
    let (f, a) = (flip.clone(), away.clone());
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = taken.clone();
    // It fails half the time, and for a while always; what it answers with 200 it has.
    let sink = Sink::answering(move |s| {
        let n = f.fetch_add(1, Ordering::Relaxed);
        if a.load(Ordering::Relaxed) == 1 || n % 2 == 0 {
            return Some(("503 Service Unavailable".into(), "not now".into()));
        }
        kept.lock().unwrap().push(s.json()["message"].as_str().unwrap().to_owned());
        Some(("200 OK".into(), String::new()))
    });
    let mut server = Server::start(&["--without-engine"]);
    server.apply(
        &[
            flux("Provider", "flux-system", "hook", json!({"type": "generic", "address": sink.url("/")})),
            alert("flux-system", "all", "hook"),
        ]
        .join("\n---\n"),
    );
    for n in 0..EVENTS {
        if n % 50 == 25 {
            server.kill();
            away.store(u64::from(n % 100 == 25), Ordering::Relaxed);
            server.launch();
        }
        post(&server, &notice(&format!("k{}", n % 50), "info", &format!("event {n}")));
    }
    away.store(0, Ordering::Relaxed);
    let all = within(Duration::from_secs(180), "all arrive", || {
        let taken = taken.lock().unwrap().clone();
        let distinct: BTreeSet<&String> = taken.iter().collect();
        (distinct.len() == EVENTS).then(|| taken.clone())
    });
    // Only what was answered in the moment of a crash may come twice.
    let doubled = all.len() - EVENTS;
    println!("crashes: {EVENTS} events, {doubled} came twice");
    assert!(doubled <= 4 * 16, "{doubled}");
    // What is about one object comes in its order.
    for k in 0..50 {
        let mut seen = BTreeSet::new();
        let of: Vec<usize> =
            all.iter().map(|m| m[6..].parse::<usize>().unwrap()).filter(|n| n % 50 == k && seen.insert(*n)).collect();
        assert!(of.is_sorted(), "{k}: {of:?}");
    }
}

#[test]
fn a_service_that_asks_for_time_gets_it_and_a_dead_one_holds_up_nobody() {
    let begun = std::time::Instant::now();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let a = asked.clone();
    let sink = Sink::answering(move |_| {
        let mut asked = a.lock().unwrap();
        asked.push(begun.elapsed());
        if asked.len() == 1 {
            Some(("429 Too Many Requests\r\nRetry-After: 2".into(), String::new()))
        } else {
            Some(("200 OK".into(), String::new()))
        }
    });
    let free = Sink::start();
    let server = Server::start(&["--without-engine"]);
    let dead = crate::support::peers::free_port();
    server.apply(
        &[
            flux("Provider", "flux-system", "slow", json!({"type": "generic", "address": sink.url("/")})),
            flux(
                "Provider",
                "flux-system",
                "dead",
                json!({"type": "generic", "address": format!("http://127.0.0.1:{dead}/")}),
            ),
            flux("Provider", "flux-system", "free", json!({"type": "generic", "address": free.url("/")})),
            alert("flux-system", "slow", "slow"),
            alert("flux-system", "dead", "dead"),
            alert("flux-system", "free", "free"),
        ]
        .join("\n---\n"),
    );
    for n in 0..3 {
        post(&server, &notice(&format!("k{n}"), "info", "hello"));
    }
    free.wait(3);
    sink.wait(4);
    let asked = asked.lock().unwrap().clone();
    assert!(asked[3] - asked[0] >= Duration::from_millis(1900), "{asked:?}");
    let waits = eventually("the dead one waits", || {
        let p = object(&server, "provider", "flux-system", "dead");
        (p["status"]["waiting"] == 3 && condition(&p, "Delivering") == "False DeliveryFailed").then_some(p)
    });
    assert!(waits["status"]["lastError"]["message"].as_str().unwrap().contains("refused"), "{waits}");
}

#[test]
fn an_alert_says_when_in_which_words_and_how_often() {
    let sink = Sink::start();
    let server = Server::start(&["--without-engine"]);
    let source = json!([{"kind": "Kustomization", "name": "*"}]);
    let shaped = |name: &str, shape: Value| {
        let spec = json!({"providerRef": {"name": "hook"}, "eventSources": source, "eventMetadata": {"by": name}, "triggerfish": shape});
        flux("Alert", "flux-system", name, spec)
    };
    server.apply(
        &[
            flux("Provider", "flux-system", "hook", json!({"type": "generic", "address": sink.url("/")})),
            shaped(
                "words",
                json!({"when": "event.severity == 'error'", "text": "'broken: ' + event.involvedObject.name"}),
            ),
            shaped("turns", json!({"on": "change"})),
            shaped("three", json!({"threshold": {"count": 3, "within": "10m"}})),
            shaped("group", json!({"group": {"by": ["event.involvedObject.kind"], "wait": "1s", "interval": "1s"}})),
        ]
        .join("\n---\n"),
    );
    for (n, severity) in ["error", "error", "info", "error"].iter().enumerate() {
        post(&server, &notice("app", severity, &format!("m{n}")));
    }
    let all = eventually("all that is due comes", || {
        let got: Vec<Value> = sink.got().iter().map(|s| s.json()).collect();
        got.iter().any(|v| v["metadata"]["by"] == "group").then_some(got)
    });
    let by = |name: &str| -> Vec<&str> {
        all.iter().filter(|v| v["metadata"]["by"] == name).map(|v| v["message"].as_str().unwrap()).collect()
    };
    assert_eq!(by("words"), ["broken: app", "broken: app", "broken: app"]);
    assert_eq!(by("turns"), ["m0", "m2", "m3"]);
    assert_eq!(by("three"), ["m2"]);
    let group = by("group");
    assert!(group.len() == 1 && group[0].starts_with("4 events\n") && group[0].contains("m3"), "{group:?}");
    let refused = server.dir.path().join("refused.yaml");
    std::fs::write(&refused, shaped("bad", json!({"when": "event.severity =="}))).unwrap();
    let out = server.cli(&["apply", "-f", refused.to_str().unwrap()]);
    assert!(!out.ok && out.stderr.contains("spec.triggerfish.when"), "{}{}", out.stdout, out.stderr);
}

#[test]
fn what_would_be_sent_is_shown_and_why_not() {
    let sink = Sink::start();
    let server = Server::start(&["--without-engine"]);
    server.apply(&[
        secret("flux-system", "token", json!({"token": "xoxb-very-secret"})),
        flux("Provider", "flux-system", "chat", json!({"type": "slack", "channel": "general", "address": sink.url("/api/chat.postMessage"), "secretRef": {"name": "token"}})),
        alert("flux-system", "yes", "chat"),
        flux("Alert", "flux-system", "no", json!({"providerRef": {"name": "chat"}, "eventSeverity": "error", "eventSources": [{"kind": "Kustomization", "name": "*"}]})),
    ].join("\n---\n"));
    let file = server.dir.path().join("event.json");
    std::fs::write(&file, notice("podinfo", "info", "look at me").to_string()).unwrap();
    let file = file.to_str().unwrap();
    let rendered = server.cli(&["notify", "render", "yes", "--event", file, "-n", "flux-system"]);
    assert!(
        rendered.ok && rendered.stdout.contains("look at me") && rendered.stdout.contains("POST http://127.0.0.1"),
        "{}{}",
        rendered.stdout,
        rendered.stderr
    );
    assert!(!rendered.stdout.contains("very-secret"), "{}", rendered.stdout);
    assert!(sink.got().is_empty());
    let explained = server.cli(&["notify", "explain", "--event", file]);
    assert!(
        explained.stdout.contains("yes  flux-system/yes")
            && explained.stdout.contains("no   flux-system/no: eventSeverity"),
        "{}{}",
        explained.stdout,
        explained.stderr
    );
    let tried = server.cli(&["notify", "test", "chat", "-n", "flux-system"]);
    assert!(
        tried.ok && tried.stdout.contains("delivered") && !tried.stdout.contains("very-secret"),
        "{}{}",
        tried.stdout,
        tried.stderr
    );
    assert_eq!(sink.wait(1)[0].header("Authorization"), "Bearer xoxb-very-secret");
    // The same of an event that was posted.
    let token = admin(&server);
    post(&server, &notice("podinfo", "info", "posted"));
    sink.wait(2);
    let record = server.get("/api/v1/event-records/flux-system?limit=1", &token).json()["items"][0].clone();
    let id = record["id"].as_str().unwrap();
    let explained = server.cli(&["notify", "explain", id, "-n", "flux-system"]);
    assert!(explained.stdout.contains("yes  flux-system/yes"), "{}{}", explained.stdout, explained.stderr);
    let shown = eventually("the record names the delivery", || {
        let r = server.get(&format!("/api/v1/event-records/flux-system/{id}"), &token).json();
        (r["deliveries"][0]["state"] == "done").then_some(r)
    });
    assert_eq!(shown["watchers"][0]["because"], r#"eventSeverity: "error" is asked for, this is "info""#);
}

#[test]
fn a_receiver_has_objects_looked_at_again_and_starts_workflows() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(&[
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "hooks"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "argo"}]}).to_string(),
        secret("argo", "hook", json!({"token": "s3cr3t"})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "watched", "namespace": "argo"}}).to_string(),
        json!({"apiVersion": "notification.toolkit.fluxcd.io/v1", "kind": "Receiver", "metadata": {"name": "github", "namespace": "argo"},
            "spec": {"type": "github", "events": ["ping", "push"], "secretRef": {"name": "hook"}, "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "watched"}]}}).to_string(),
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "build", "namespace": "argo"},
            "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "busybox", "command": ["true"]}}]}}).to_string(),
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowEventBinding", "metadata": {"name": "push", "namespace": "argo"},
            "spec": {"event": {"selector": "discriminator == 'github' && payload.ref == 'refs/heads/main'"}, "submit": {"workflowTemplateRef": {"name": "build"}}}}).to_string(),
    ].join("\n---\n"));
    let path = eventually("it has a path", || {
        let r = object(&server, "receiver", "argo", "github");
        r["status"]["webhookPath"].as_str().map(str::to_owned)
    });
    let at = std::fs::read_to_string(server.data().join("receiver-address")).unwrap();
    let body = r#"{"ref":"refs/heads/main"}"#;
    let hook = |signature: &str, path: &str| {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Event", "push"),
            ("X-Hub-Signature-256", signature),
            ("X-GitHub-Delivery", "one"),
        ];
        request(&at, "POST", path, &headers, body.as_bytes()).status
    };
    let good = "sha256=8588fd50c04ac2c191575340c4c0fe284157898def8e4d10af822f05dd7c9bb5";
    assert_eq!(hook(&good.replace('8', "9"), &path), 400);
    assert_eq!(hook(good, "/hook/unknown"), 404);
    assert_eq!(hook(good, &path), 200);
    let watched = object(&server, "configmap", "argo", "watched");
    assert!(watched["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"].is_string(), "{watched}");
    let started = eventually("a workflow is started", || {
        let all = server.get("/api/v1/workflows/argo", &token).json();
        all["items"].as_array().filter(|w| !w.is_empty()).map(Vec::len)
    });
    assert_eq!(started, 1);
    // The same delivery once more starts nothing new.
    assert_eq!(hook(good, &path), 200);
    let record = server.get("/api/v1/event-records/argo", &token).json();
    assert_eq!(record["items"].as_array().unwrap().len(), 1, "{record}");
    assert!(!record.to_string().contains("8588fd50"), "a signature is for the receiver alone: {record}");
}

#[test]
fn no_secret_is_seen_of_any_provider() {
    // Whatever a service answers, it answers with what it was sent.
    let echo = Sink::answering(|s| {
        Some(("400 Bad Request".into(), format!("{} {:?} {}", s.target, s.headers, String::from_utf8_lossy(&s.body))))
    });
    let server = Server::start(&["--without-engine", "--log", "debug"]);
    let token = admin(&server);
    let hidden = |key: &str| format!("hidden-{key}-f00d");
    let kinds = provider_types();
    let mut manifests = Vec::new();
    for kind in &kinds {
        let address = echo.url("/owner/scm/repo-name-hiddenpathsegment-f00d");
        let data = json!({"token": hidden("token"), "username": "user", "password": hidden("password"), "headers": format!("X-Own: {}", hidden("header")),
            "githubAppPrivateKey": hidden("key"), "nkey": hidden("nkey")});
        manifests.push(secret("flux-system", &format!("s-{kind}").replace('.', "-"), data));
        let name = kind.replace('.', "-");
        manifests.push(flux("Provider", "flux-system", &name, json!({"type": kind, "channel": "channel", "address": address, "timeout": "2s", "triggerfish": {"retryFor": "1ms"}, "secretRef": {"name": format!("s-{name}")}})));
        manifests.push(alert("flux-system", &name, &name));
    }
    server.apply(&manifests.join("\n---\n"));
    let mut n = notice("podinfo", "error", "it broke");
    n["metadata"]["event.toolkit.fluxcd.io/change_request"] = json!("7");
    post(&server, &n);
    let list = within(Duration::from_secs(60), "everything is decided", || {
        let all = server.get("/api/v1/deliveries/flux-system?limit=500", &token).json();
        let items = all["items"].as_array().unwrap();
        (items.len() >= kinds.len() - 1 && items.iter().all(|d| d["state"] != "waiting")).then_some(all)
    });
    let mut seen = list.to_string();
    for d in list["items"].as_array().unwrap() {
        seen.push_str(
            &server.get(&format!("/api/v1/deliveries/flux-system/{}", d["id"].as_str().unwrap()), &token).text(),
        );
    }
    let failed = list["items"].as_array().unwrap().iter().filter(|d| d["state"] == "dead").count();
    assert!(failed > kinds.len() / 2, "{list}");
    for kind in ["providers", "alerts"] {
        eventually("the status is written", || {
            let o = object(&server, kind, "flux-system", "slack");
            (!condition(&o, "Delivering").is_empty()).then_some(())
        });
        let out = server.cli(&["get", kind, "-n", "flux-system", "-o", "json"]);
        // Addresses stand in the objects themselves, as their owner wrote them.
        let all: Value = serde_json::from_str(&out.stdout).unwrap();
        all["items"].as_array().unwrap().iter().for_each(|o| seen.push_str(&o["status"].to_string()));
    }
    seen.push_str(&server.cli(&["get", "events", "-n", "flux-system", "-o", "json"]).stdout);
    seen.push_str(&server.get("/api/v1/event-records/flux-system", &token).text());
    seen.push_str(&server.get("/metrics", &token).text());
    let said = server.said();
    assert!(said.contains("DEBUG"), "its log is as talkative as it can be");
    seen.push_str(&said);
    assert!(seen.contains("*****"), "nothing was masked: nothing was there to mask");
    let found: Vec<&str> =
        seen.match_indices("f00d").map(|(at, _)| &seen[at.saturating_sub(80)..(at + 4)]).take(5).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Every type of providers.
fn provider_types() -> Vec<String> {
    notify::provider::KINDS.iter().map(|k| k.name.to_owned()).collect()
}

#[test]
fn the_example_tells_of_a_workflow_that_failed() {
    let sink = Sink::start();
    let server = Server::start(&[]);
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/notifications.yaml"))
            .unwrap();
    let file = server.dir.path().join("example.yaml");
    std::fs::write(&file, example.replace("http://127.0.0.1:8099/", &sink.url("/"))).unwrap();
    let Some(out) = script(&server, &format!("kubectl create -f {}", file.display())) else { return };
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    let told = sink.wait(1).remove(0).json();
    assert!(told["message"].as_str().unwrap().starts_with("workflow broken-"), "{told}");
}

#[test]
fn the_document_of_notifications_holds() {
    let server = Server::start(&["--without-engine"]);
    let text = include_str!("../../../../docs/notifications.md");
    for block in text.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        let documents = triggerfish::manifest::read(block).unwrap();
        if documents[0].get("apiVersion").is_some() {
            server.apply(block);
        } else if documents[0].pointer("/spec/triggerfish/when").is_some() {
            let read = notify::alert::Shaping::read(&documents[0]["spec"]["triggerfish"]);
            assert!(read.is_ok(), "{read:?}");
        }
    }
    // Every type of the reference is taken by the API.
    let text = include_str!("../../../../docs/providers.md");
    let all: Vec<&str> = text.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    assert_eq!(all.len(), provider_types().len());
    server.apply(&all.join("---\n"));
}
