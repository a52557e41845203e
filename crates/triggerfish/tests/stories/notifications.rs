//! Notifications: the manifests of seed 004 as they are, over TLS and through proxies; what is signed, what is told of workflows,
//! what receivers take.

use crate::support::sink::Sink;
use crate::support::vendor::Vendor;
use crate::support::{Output, Server, eventually, has, request};
use crate::{admin, script};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

pub fn flux(kind: &str, namespace: &str, name: &str, spec: Value) -> String {
    json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
        .to_string()
}

pub fn secret(namespace: &str, name: &str, data: Value) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data}).to_string()
}

/// Where notices are posted.
pub fn intake(server: &Server) -> String {
    std::fs::read_to_string(server.data().join("notification-address")).unwrap()
}

pub fn notice(name: &str, severity: &str, message: &str) -> Value {
    json!({
        "involvedObject": {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "name": name, "namespace": "flux-system", "uid": "7d0cdc51"},
        "severity": severity, "timestamp": "2026-01-02T15:04:05Z", "reason": "ReconciliationSucceeded", "message": message,
        "metadata": {"kustomize.toolkit.fluxcd.io/revision": "main@sha1:96139968ca46b53462d1bf94de410a811d2026a1",
            "event.toolkit.fluxcd.io/commit": "96139968ca46b53462d1bf94de410a811d2026a1"},
        "reportingController": "kustomize-controller", "reportingInstance": "kustomize-controller-79464d8dc5-nb9c4",
    })
}

pub fn post(server: &Server, n: &Value) {
    let answer =
        request(&intake(server), "POST", "/", &[("Content-Type", "application/json")], n.to_string().as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
}

pub fn object(server: &Server, kind: &str, namespace: &str, name: &str) -> Value {
    let out = server.cli(&["get", kind, name, "-n", namespace, "-o", "json"]);
    serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("{}{}", out.stdout, out.stderr))
}

pub fn condition(o: &Value, kind: &str) -> String {
    let all = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|c| c["type"] == kind);
    found.map_or(String::new(), |c| format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap()))
}

/// An alert for everything of Kustomizations, in a namespace of its own.
pub fn alert(namespace: &str, name: &str, provider: &str) -> String {
    let source = json!([{"kind": "Kustomization", "name": "*", "namespace": "flux-system"}]);
    flux("Alert", namespace, name, json!({"providerRef": {"name": provider}, "eventSources": source}))
}

/// The seed's manifests: what is to be applied, the provider, and the request that an event leads to.
const SEED: &str = include_str!("seed004.yaml");

#[test]
fn the_manifests_of_the_seed_are_applied_by_kubectl_and_lead_to_their_services() {
    let server = Server::start(&["--without-engine"]);
    let Some(vendor) = Vendor::start(server.dir.path(), None) else { return };
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
    if !has("openssl") {
        return;
    }
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
    let Some(vendor) = Vendor::start(server.dir.path(), Some("me:hidden")) else { return };
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
    if !has("tinyproxy") {
        return;
    }
    let server = Server::start(&["--without-engine"]);
    let Some(vendor) = Vendor::start(server.dir.path(), None) else { return };
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

/// Every type of providers.
pub fn provider_types() -> Vec<String> {
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
