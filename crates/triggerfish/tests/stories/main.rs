//! Stories through the front door: the real program, real clients, real files, real signals.
#![allow(clippy::unwrap_used)]

mod custom;
mod deliveries;
mod gateways;
mod notifications;
mod outward;
mod sensors;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{Answer, Output, Server, eventually};

const HELLO: &str = include_str!("../../../../examples/hello.yaml");

/// An account that may do everything in `argo`, and its token.
fn admin(server: &Server) -> String {
    server.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: all, namespace: argo}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: all}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: all, namespace: argo}]\n",
    );
    server.token("all")
}

fn post(server: &Server, token: &str, body: &str) -> Answer {
    server.post("/api/v1/events/argo/", token, &[("Prefer", "wait=20")], body)
}

fn workflows(server: &Server, token: &str) -> Vec<Value> {
    server.get("/api/v1/workflows/argo", token).json()["items"].as_array().unwrap().clone()
}

/// Waits until a workflow is over.
fn finished(server: &Server, token: &str, name: &str) -> Value {
    eventually(&format!("{name} ends"), || {
        let w = server.get(&format!("/api/v1/workflows/argo/{name}"), token).json();
        matches!(w.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed" | "Error"))
            .then_some(w)
    })
}

/// Creates a workflow with one template and returns its name.
fn create(server: &Server, token: &str, template: Value, more: Value) -> String {
    let mut spec = json!({"entrypoint": "main", "templates": [template]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post(
        "/api/v1/workflows/argo",
        token,
        &[],
        &json!({"workflow": {"metadata": {"generateName": "t-"}, "spec": spec}}).to_string(),
    );
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["metadata"]["name"].as_str().unwrap().to_owned()
}

fn log(server: &Server, token: &str, name: &str) -> String {
    let answer = server.get(&format!("/api/v1/workflows/argo/{name}/log?logOptions.container=main"), token);
    answer
        .text()
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["result"]["content"].as_str().unwrap().to_owned() + "\n")
        .collect()
}

fn sh(source: &str) -> Value {
    json!({"name": "main", "container": {"image": "busybox", "command": ["sh", "-c"], "args": [source]}})
}

// ---------------------------------------------------------------------------------------------- the documents

/// Runs a shell script with a real kubectl and curl against the server.
fn script(server: &Server, text: &str) -> Option<Output> {
    let Some(kubectl) = support::kubectl() else {
        println!("skipped: no kubectl");
        return None;
    };
    let dir = server.dir.path().join("bin");
    std::fs::create_dir_all(&dir).unwrap();
    let _ = std::os::unix::fs::symlink(kubectl, dir.join("kubectl"));
    let mut c = Command::new("bash");
    let text = text.replace("localhost:2746", &server.http.replace("127.0.0.1", "localhost"));
    c.args(["-euo", "pipefail", "-c", &text]).current_dir(server.dir.path());
    c.env("KUBECONFIG", server.kubeconfig()).env("HOME", server.dir.path());
    c.env("PATH", format!("{}:{}", dir.display(), std::env::var("PATH").unwrap()));
    Some(Output::of(c))
}

#[test]
fn the_tutorial_of_seed_001_works_as_printed() {
    let server = Server::start(&[]);
    let (template, binding) = HELLO.split_once("---").unwrap();
    std::fs::write(server.dir.path().join("hello-workflowtemplate.yaml"), template).unwrap();
    std::fs::write(
        server.dir.path().join("hello-workfloweventbinding.yaml"),
        binding.replace("payload.message != nil", "payload.message != \"\""),
    )
    .unwrap();
    let Some(out) = script(
        &server,
        r#"
kubectl create role argoapi --verb=create,get,list --resource=workflows.argoproj.io --resource=workfloweventbindings --resource=workflowtemplates
kubectl create sa argoapi
kubectl create rolebinding argoapi  --role=argoapi --serviceaccount=argo:argoapi
ARGO_TOKEN="Bearer $(kubectl create token argoapi)"
curl -sf http://localhost:2746/api/v1/info -H "Authorization: $ARGO_TOKEN"
curl -sf http://localhost:2746/api/v1/workflows/argo -H "Authorization: $ARGO_TOKEN" -H 'Content-Type: application/json' -d '{"workflow": {"metadata": {"generateName": "hello-world-"},
  "spec": {"templates": [{"name": "main", "container": {"image": "busybox", "command": ["echo"], "args": ["hello world"]}}], "entrypoint": "main"}}}'
until curl -sf http://localhost:2746/api/v1/workflows/argo/@latest -H "Authorization: $ARGO_TOKEN" | grep '"phase":"Succeeded"'; do sleep 0.05; done
kubectl apply -f hello-workflowtemplate.yaml
kubectl apply -f hello-workfloweventbinding.yaml
curl -sf http://localhost:2746/api/v1/events/argo/- -H "Authorization: $ARGO_TOKEN" -d '{"message": "hello events"}'
until kubectl get wf -l workflows.argoproj.io/workflow-event-binding=hello -o jsonpath='{.items[0].status.phase}' 2>/dev/null | grep Succeeded; do sleep 0.05; done
kubectl logs $(kubectl get wf -l workflows.argoproj.io/workflow-event-binding=hello -o jsonpath='{.items[0].metadata.name}')
"#,
    ) else {
        return;
    };
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    assert!(out.stdout.ends_with("hello events\n"), "{}", out.stdout);
}

#[test]
fn the_events_page_of_seed_000_works_as_printed() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(
        r#"
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: my-wf-tmple, namespace: argo}
spec:
  templates:
    - name: main
      inputs:
        parameters:
          - name: message
            value: "{{workflow.parameters.message}}"
      container: {image: docker/whalesay:latest, command: [echo], args: ["{{inputs.parameters.message}}"]}
  entrypoint: main
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: event-consumer}
spec:
  event:
    # metadata header name must be lowercase to match in selector
    selector: payload.message != "" && metadata["x-argo-e2e"] == ["true"] && discriminator == "my-discriminator"
  submit:
    workflowTemplateRef: {name: my-wf-tmple}
    metadata:
      annotations: {anAnnotation: 'event.payload.message'}
      name: 'event.payload.message + "-world"'
      labels: {someLabel: '"literal"'}
    arguments:
      parameters:
        - name: message
          valueFrom: {event: payload.message}
"#,
    );
    // Over TLS, as the page's first examples write it, and with curl's own content type.
    let curl = |path: &str, data: &str| {
        let mut c = Command::new("curl");
        c.args([
            "-sk",
            &format!("https://{}{path}", server.http),
            "-H",
            &format!("Authorization: {token}"),
            "-H",
            "X-Argo-E2E: true",
            "-d",
            data,
        ]);
        Output::of(c).stdout
    };
    assert_eq!(curl("/api/v1/events/argo/", r#"{"message": "hello"}"#), "{}");
    assert_eq!(curl("/api/v1/events/argo/my-discriminator", r#"{"message": "hello"}"#), "{}");
    let w = eventually("the workflow is there", || {
        let a = server.get("/api/v1/workflows/argo/hello-world", &token);
        (a.status == 200).then(|| a.json())
    });
    assert_eq!(w["metadata"]["labels"]["someLabel"], "literal");
    assert_eq!(w["metadata"]["annotations"]["anAnnotation"], "hello");
    assert_eq!(finished(&server, &token, "hello-world")["status"]["phase"], "Succeeded");
    assert_eq!(log(&server, &token, "hello-world"), "hello\n");
    assert_eq!(workflows(&server, &token).len(), 1);
}

/// A `List` makes kubectl ask for OpenAPI v2; everything else it checks against v3.
#[test]
fn what_is_too_large_is_refused_and_a_patch_cannot_grow_without_bound() {
    let server = Server::start(&["--without-engine"]);
    let Some(out) = script(
        &server,
        r#"
head -c 100000 /dev/zero | tr '\0' a > part
kubectl create configmap a --from-file=part >/dev/null
copies() { local sep=; printf '['; for i in $(seq $1); do printf '%s{"op":"copy","from":"/data/part","path":"/data/p%s"}' "$sep" $i; sep=,; done; printf ']'; }
kubectl patch configmap a --type=json -p "$(copies 5)"
kubectl patch configmap a --type=json -p "$(copies 12)" 2>&1 || true
kubectl patch configmap a --type=json -p "$(copies 40)" 2>&1 || true
printf '{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"large"},"spec":{"entrypoint":"%s"}}' "$(head -c 1600000 /dev/zero | tr '\0' a)" > large
kubectl create -f large 2>&1 || true
kubectl get configmap a -o jsonpath='{.data.p5}' | wc -c
"#,
    ) else {
        return;
    };
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines[0], "configmap/a patched");
    assert!(lines[1].contains("Too long: may not be more than 1048576 bytes"), "{}", lines[1]);
    assert!(lines[2].contains("the copy operations of a JSON patch may copy 3145728 bytes"), "{}", lines[2]);
    assert!(lines[3].contains("Request entity too large: limit is 1572864"), "{}", lines[3]);
    assert_eq!(lines[4].trim(), "100000");
}

#[test]
fn kubectl_applies_a_list_and_names_a_field_that_does_not_exist() {
    let server = Server::start(&["--without-engine"]);
    let Some(out) = script(
        &server,
        r#"
list() { echo '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "'$1'": {"x": "y"}}]}'; }
list data | kubectl apply -f -
list data | kubectl apply -f -
list dta | kubectl apply -f - 2>&1 || true
"#,
    ) else {
        return;
    };
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    assert!(
        out.stdout.starts_with("configmap/a created\nconfigmap/a unchanged\n")
            && out.stdout.contains("unknown field \"dta\""),
        "{}",
        out.stdout
    );
}

#[test]
fn the_python_sdk_of_seed_002_works_with_strict_typing() {
    let Some(python) = support::peers::sdk("python") else { return };
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    let mut c = Command::new(python);
    c.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/seed002.py"))
        .arg(format!("http://{}", server.http))
        .arg(&token);
    let out = Output::of(c);
    assert!(out.ok && out.stdout.ends_with("ok\n"), "{}{}", out.stdout, out.stderr);
}

// ---------------------------------------------------------------------------------------------- events

#[test]
fn an_event_that_is_sent_twice_starts_one_workflow() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    let send = || {
        server.post(
            "/api/v1/events/argo/",
            &token,
            &[("Idempotency-Key", "once"), ("Prefer", "wait=20")],
            r#"{"message":"a"}"#,
        )
    };
    let (first, second) = (send(), send());
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.header("triggerfish-event-id"), second.header("triggerfish-event-id"));
    assert_eq!(workflows(&server, &token).len(), 1);
}

#[test]
fn nothing_is_lost_and_nothing_doubled_when_the_server_is_killed() {
    let mut server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    let mut accepted = Vec::new();
    for round in 0..4 {
        let stop_after = 5 + round * 7;
        let address = server.http.clone();
        let sender = {
            let token = token.clone();
            std::thread::spawn(move || {
                let mut ids = Vec::new();
                for n in 0..400 {
                    let body = json!({"message": format!("m-{round}-{n}")}).to_string();
                    match support::try_request(
                        &address,
                        "POST",
                        "/api/v1/events/argo/",
                        &[("Authorization", &token)],
                        body.as_bytes(),
                    ) {
                        Ok(a) if a.status == 200 => ids.push(a.header("triggerfish-event-id").to_owned()),
                        _ => break,
                    }
                }
                ids
            })
        };
        std::thread::sleep(Duration::from_millis(stop_after));
        server.kill();
        accepted.extend(sender.join().unwrap());
        server.launch();
    }
    assert!(!accepted.is_empty());
    let all = eventually("every accepted event has its workflow", || {
        let list = workflows(&server, &token);
        let ids: Vec<String> = list
            .iter()
            .map(|w| w["metadata"]["annotations"]["triggerfish.dev/event-id"].as_str().unwrap().to_owned())
            .collect();
        accepted.iter().all(|a| ids.contains(a)).then_some(ids)
    });
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), all.len(), "an event started two workflows");
}

#[test]
fn a_full_or_read_only_disk_refuses_and_loses_nothing_it_accepted() {
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|s| s.success()) {
        println!("skipped: this host lets nobody mount a small disk");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut c = Command::new("unshare");
    c.arg("-rm")
        .arg("sh")
        .arg(here.join("tests/disk.sh"))
        .arg(env!("CARGO_BIN_EXE_triggerfish"))
        .arg(here.join("../../examples/hello.yaml"))
        .arg(&disk);
    let out = Output::of(c);
    assert!(out.ok, "{}{}", out.stdout, out.stderr);
    assert!(out.stdout.contains("refused: 503") && out.stdout.contains("disk is full"), "{}", out.stdout);
    assert!(out.stdout.contains("after: 200"), "{}", out.stdout);
    let counts: Vec<&str> =
        out.stdout.lines().find_map(|l| l.strip_prefix("workflows: ")).unwrap().split(" of ").collect();
    assert_eq!(counts[0], counts[1], "{}", out.stdout);
    assert!(out.stdout.contains("read-only: error: cannot write to the data directory"), "{}", out.stdout);
}

#[test]
fn what_a_crash_left_half_written_is_passed_over() {
    use std::io::Write;
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply(HELLO);
    for n in 0..20 {
        assert_eq!(post(&server, &token, &json!({"message": n.to_string()}).to_string()).status, 200);
    }
    server.kill();
    for log in ["bus.db-wal", "api.db-wal"] {
        let mut wal = std::fs::OpenOptions::new().append(true).open(server.data().join(log)).unwrap();
        wal.write_all(&[0x5a; 3000]).unwrap();
    }
    server.launch();
    assert_eq!(post(&server, &token, r#"{"message": "after"}"#).status, 200);
    assert_eq!(workflows(&server, &token).len(), 21);
}

/// The last write of both logs ends in the middle of a frame, as a power cut may leave it.
#[test]
fn a_write_that_was_cut_in_half_is_as_if_it_had_not_begun() {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply(HELLO);
    for n in 0..10 {
        assert_eq!(post(&server, &token, &json!({"message": n.to_string()}).to_string()).status, 200);
    }
    let logs = ["bus.db-wal", "api.db-wal"].map(|l| server.data().join(l));
    let whole = logs.clone().map(|l| std::fs::metadata(l).unwrap().len());
    assert_eq!(post(&server, &token, r#"{"message": "cut"}"#).status, 200);
    server.kill();
    for (log, length) in logs.iter().zip(whole) {
        let file = std::fs::OpenOptions::new().write(true).open(log).unwrap();
        assert!(file.metadata().unwrap().len() > length + 2000, "the event was written behind what there was");
        file.set_len(length + 2000).unwrap();
    }
    server.launch();
    assert_eq!(workflows(&server, &token).len(), 10);
    let records =
        |s: &Server| s.get("/api/v1/event-records/argo?limit=100", &token).json()["items"].as_array().unwrap().len();
    assert_eq!(records(&server), 10);
    assert_eq!(post(&server, &token, r#"{"message": "cut"}"#).status, 200);
    assert_eq!((workflows(&server, &token).len(), records(&server)), (11, 11));
}

/// Makes a small image of the host's static busybox; why not, if that cannot be done. The answer is podman's configuration.
fn image_for_podman(dir: &Path) -> Result<std::path::PathBuf, String> {
    let conf = dir.join("containers.conf");
    std::fs::write(&conf, "").unwrap();
    let script = r#"
        set -e
        command -v podman >/dev/null || { echo "no podman"; exit 1; }
        file -L "$(command -v busybox)" 2>/dev/null | grep -q static || ldd "$(command -v busybox)" 2>&1 | grep -q 'not a dynamic' || { echo "no static busybox"; exit 1; }
        mkdir -p root/bin root/etc root/tmp
        cp "$(command -v busybox)" root/bin/busybox
        for name in sh echo cat sleep; do ln -sf busybox root/bin/$name; done
        echo "in the image" > root/etc/mark
        tar -C root -c . | podman import - localhost/triggerfish-test:1 >/dev/null 2>&1
        works() { podman run --rm localhost/triggerfish-test:1 cat /etc/mark >said 2>&1; }
        works && exit 0
        # Inside another container less is allowed.
        printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nnetns = "host"\n[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n' > containers.conf
        works || { echo "podman cannot run an image here: $(tail -1 said)"; exit 1; }
    "#;
    let out = Command::new("sh").args(["-c", script]).current_dir(dir).env("CONTAINERS_CONF", &conf).output().unwrap();
    if out.status.success() { Ok(conf) } else { Err(String::from_utf8_lossy(&out.stdout).trim().to_owned()) }
}

#[test]
fn the_podman_runtime_runs_the_image_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let conf = match image_for_podman(dir.path()) {
        Ok(c) => c,
        Err(why) => return println!("podman: skipped, {why}"),
    };
    let environment = vec![("CONTAINERS_CONF".to_owned(), conf.to_string_lossy().into_owned())];
    let server = Server::start_with(&["--runtime", "podman"], environment.clone());
    let token = admin(&server);
    let workflow = |name: &str, template: &str| {
        server.apply(&format!("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: {name}, namespace: argo}}\nspec:\n  entrypoint: main\n  templates:\n  - name: main\n{template}"));
        finished(&server, &token, name)
    };
    let phase = |w: &Value| w.pointer("/status/phase").unwrap().as_str().unwrap().to_owned();
    let w = workflow("reads", "    container: {image: 'localhost/triggerfish-test:1', command: [cat, /etc/mark]}\n");
    assert_eq!(phase(&w), "Succeeded", "{w}");
    assert_eq!(w.pointer("/status/nodes/reads/outputs/result").unwrap(), "in the image");
    let w = workflow(
        "script",
        "    outputs: {parameters: [{name: said, valueFrom: {path: /tmp/said}}]}\n    script:\n      image: localhost/triggerfish-test:1\n      command: [sh]\n      source: |\n        echo from a script > /tmp/said\n        exit 0\n",
    );
    assert_eq!(phase(&w), "Succeeded", "{w}");
    assert_eq!(w.pointer("/status/nodes/script/outputs/parameters/0/value").unwrap(), "from a script");
    let w = workflow(
        "fails",
        "    container: {image: 'localhost/triggerfish-test:1', command: [sh, -c], args: ['exit 3']}\n",
    );
    assert_eq!(
        (phase(&w).as_str(), w.pointer("/status/message").unwrap().as_str().unwrap()),
        ("Failed", "main: Error (exit code 3)")
    );
    let w = workflow(
        "slow",
        "    activeDeadlineSeconds: 1\n    container: {image: 'localhost/triggerfish-test:1', command: [sleep, '600']}\n",
    );
    assert_eq!(phase(&w), "Failed", "{w}");
    let left = || {
        Command::new("podman")
            .args(["ps", "--all", "--format", "{{.Names}}"])
            .env("CONTAINERS_CONF", &conf)
            .output()
            .unwrap()
    };
    eventually("no container is left", || {
        (!String::from_utf8_lossy(&left().stdout).contains("triggerfish-")).then_some(())
    });
}

/// The name that an event gives its workflow is another's; that one goes; the server dies before the outcome is written.
#[test]
fn a_second_dispatch_finds_what_the_first_created_under_whatever_name() {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply(HELLO);
    let bindings = server.get("/api/v1/workflow-event-bindings/argo", &token).json();
    let uid = bindings.pointer("/items/0/metadata/uid").unwrap().as_str().unwrap();
    let first = format!("hello-{}", triggerfish::route::suffix("the-event", uid, 0));
    server.apply(&format!("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: {first}, namespace: argo}}\nspec: {{entrypoint: main, templates: [{{name: main, container: {{image: x, command: ['true']}}}}]}}"));
    assert_eq!(
        server
            .post(
                "/api/v1/events/argo/",
                &token,
                &[("Prefer", "wait=20"), ("Idempotency-Key", "the-event")],
                r#"{"message": "m"}"#
            )
            .status,
        200
    );
    assert_eq!(workflows(&server, &token).len(), 2, "its name was taken, it has another");
    assert!(server.cli(&["delete", "workflow", &first, "-n", "argo"]).ok);
    server.kill();
    let bus = rusqlite::Connection::open(server.data().join("bus.db")).unwrap();
    assert_eq!(
        bus.execute("DELETE FROM outcomes", []).unwrap()
            + bus.execute("DELETE FROM cursors WHERE name = 'dispatch'", []).unwrap(),
        2
    );
    drop(bus);
    server.launch();
    assert_eq!(
        post(&server, &token, r#"{"other": 1}"#).status,
        200,
        "events are dispatched in their order, so the first one is done"
    );
    let names: Vec<String> =
        workflows(&server, &token).iter().map(|w| w["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert!(names.len() == 1 && names[0] != first, "{names:?}");
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_clock_that_is_set_back_loses_nothing_and_doubles_nothing() {
    if !Path::new(FAKETIME).exists() {
        println!("clock: skipped, no libfaketime; Debian's package faketime has it");
        return;
    }
    let ahead = [("LD_PRELOAD", FAKETIME), ("FAKETIME", "+6h"), ("DONT_FAKE_MONOTONIC", "1")];
    let mut server =
        Server::start_with(&["--without-engine"], ahead.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
    let token = admin(&server);
    server.apply(HELLO);
    let keyed = |server: &Server, token: &str, n: usize| {
        server.post(
            "/api/v1/events/argo/",
            token,
            &[("Prefer", "wait=20"), ("Idempotency-Key", &format!("key-{n}"))],
            r#"{"message": "m"}"#,
        )
    };
    // Minted six hours from now: good when it comes, and in between refused like any token that is not valid yet.
    for n in 0..5 {
        assert_eq!(keyed(&server, &token, n).status, 200);
    }
    let ran_ahead = workflows(&server, &token)[0]
        .pointer("/metadata/creationTimestamp")
        .unwrap()
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    assert!(
        ran_ahead > jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5),
        "the server's clock was ahead: {ran_ahead}"
    );
    server.kill();
    server.environment.clear();
    server.launch();
    assert_eq!(server.get("/api/v1/workflows/argo", &token).status, 401);
    let token = server.token("all");
    for n in 0..6 {
        assert_eq!(keyed(&server, &token, n).status, 200);
    }
    assert_eq!(workflows(&server, &token).len(), 6, "five repeats were recognised, one was new");
}

#[test]
fn a_malformed_expression_is_refused_when_it_is_applied() {
    let server = Server::start(&[]);
    let file = server.dir.path().join("bad.yaml");
    std::fs::write(&file, HELLO.replace("payload.message != nil", "payload.message ==")).unwrap();
    let out = server.cli(&["apply", "-f", file.to_str().unwrap()]);
    assert!(!out.ok);
    assert!(
        out.stderr.contains("spec.event.selector") && out.stderr.contains("a value is missing (1:18)"),
        "{}",
        out.stderr
    );
    std::fs::write(&file, HELLO.replace("payload.message != nil", "nope == 1")).unwrap();
    assert!(server.cli(&["apply", "-f", file.to_str().unwrap()]).stderr.contains("unknown name nope"));
    // What can be seen to be wrong is refused too, and what is only doubtful is said.
    std::fs::write(&file, HELLO.replace("payload.message != nil", "discriminator == 5")).unwrap();
    assert!(server.cli(&["apply", "-f", file.to_str().unwrap()]).stderr.contains("mismatched types string and int"));
    std::fs::write(&file, HELLO.replace("payload.message != nil", "metadata[\"X-GitHub-Event\"] == \"push\"")).unwrap();
    let out = server.cli(&["apply", "-f", file.to_str().unwrap()]);
    assert!(
        out.ok
            && out.stderr.contains("write \"x-github-event\"")
            && out.stderr.contains("is a list and never equals a string"),
        "{}",
        out.stderr
    );
}

#[test]
fn an_expression_can_be_tried_and_says_why() {
    let server = Server::start(&[]);
    let token = admin(&server);
    for n in 0..25 {
        server.apply(
            &HELLO
                .replace("name: hello\nspec:\n  event", &format!("name: b{n}\nspec:\n  event"))
                .replace("payload.message != nil", &format!("payload.message == \"{n}\" && payload.deep.er == 1")),
        );
    }
    let answer = post(&server, &token, r#"{"message":"7"}"#);
    let id = answer.header("location").rsplit('/').next().unwrap().to_owned();
    let out = server.cli(&["event", "show", &id, "-n", "argo"]);
    let shown = out.stdout + &out.stderr;
    assert!(shown.contains("argo/b7: error") && shown.contains("24 more did not match"), "{shown}");
    let explained = server.cli(&["event", "explain", &id, "-n", "argo"]).stdout;
    assert!(
        explained.contains("argo/b3: not matched, false is: payload.message == \"3\" (payload.message is \"7\")"),
        "{explained}"
    );
    let one = server.cli(&["event", "explain", &id, "-n", "argo", "--binding", "b7"]).stdout;
    assert!(one.contains("▶ payload.deep.er") && one.contains("cannot fetch er from <nil>"), "{one}");
    assert_eq!(server.cli(&["expr", "eval", "--event", &id, "-n", "argo", "len(payload.message)"]).stdout, "1\n");
    let script = server.dir.path().join("name.expr");
    std::fs::write(&script, "sprig.kebabcase(payload.title)\n").unwrap();
    let out = server.cli(&[
        "expr",
        "eval",
        "--metadata",
        "-f",
        script.to_str().unwrap(),
        "--payload",
        r#"{"title":"HelloBigWorld"}"#,
    ]);
    assert_eq!(out.stdout, "\"hello-big-world\"\n", "{}", out.stderr);
    let out = server.cli(&["expr", "eval", "paylod.x"]);
    assert!(!out.ok && out.stderr.contains("did you mean payload?"), "{}", out.stderr);
}

#[test]
fn one_bad_binding_harms_no_other_and_the_record_says_what_happened() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    server.apply(
        &HELLO
            .replace("name: hello\nspec:\n  event", "name: fails\nspec:\n  event")
            .replace("payload.message != nil", "payload.message.deep.er == 1"),
    );
    server.apply(
        &HELLO
            .replace("name: hello\nspec:\n  event", "name: other\nspec:\n  event")
            .replace("payload.message != nil", "payload.message == \"x\" && discriminator == \"\""),
    );
    let answer = post(&server, &token, r#"{"message":"a"}"#);
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert!(
        answer.json()["message"].as_str().unwrap().starts_with(
            "failed to dispatch event: [failed to evaluate workflow template expression: unable to evaluate"
        )
    );
    assert_eq!(workflows(&server, &token).len(), 1);
    let record = server.get(answer.header("location"), &token).json();
    let outcome =
        |name: &str| record["bindings"].as_array().unwrap().iter().find(|b| b["name"] == name).unwrap().clone();
    assert_eq!(outcome("hello")["outcome"], "matched");
    assert_eq!(outcome("fails")["outcome"], "error");
    assert_eq!(outcome("other")["because"], r#"payload.message == "x" (payload.message is "a")"#);
    let out = server.cli(&["event", "show", record["id"].as_str().unwrap()]);
    assert!(
        out.stdout.contains("argo/other: not matched, false is: payload.message == \"x\""),
        "{}{}",
        out.stdout,
        out.stderr
    );
    let listed = server.cli(&["get", "events", "-o", "yaml"]);
    assert!(listed.stdout.contains("WorkflowEventBindingError"), "{}", listed.stdout);
}

#[test]
fn who_may_not_list_bindings_may_not_post_and_workflows_are_made_as_the_caller() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: nobody, namespace: argo}\n");
    let refused = post(&server, &server.token("nobody"), "{}");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("cannot list resource"), "{}", refused.text());
    server.apply("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: lists, namespace: argo}\nrules: [{apiGroups: [argoproj.io], resources: [workfloweventbindings, workflowtemplates], verbs: [list, get]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: lists, namespace: argo}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lists}\nsubjects: [{kind: ServiceAccount, name: nobody, namespace: argo}]\n");
    let failed = post(&server, &server.token("nobody"), r#"{"message":"a"}"#);
    assert!(failed.text().contains("cannot create resource"), "{}", failed.text());
    assert!(workflows(&server, &token).is_empty());
    assert_eq!(server.post("/api/v1/events/argo/", "", &[], "{}").status, 401);
}

#[test]
fn an_empty_namespace_reaches_every_namespace_for_callers_with_cluster_wide_rights() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(&HELLO.replace("  name: hello\nspec", "  name: hello\n  namespace: default\nspec"));
    let answer = server.post("/api/v1/events//", &token, &[("Prefer", "wait=20")], r#"{"message":"a"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.get("/api/v1/workflows/default", &token).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_signed_webhook_needs_no_token_and_a_wrong_signature_is_refused() {
    let server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: github.com, namespace: argo}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: github.com, namespace: argo}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: github.com, namespace: argo}]\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: argo-workflows-webhook-clients, namespace: argo}\nstringData:\n  github.com: |\n    type: github\n    secret: \"sh!\"\n");
    let body = br#"{"message":"pushed"}"#;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"sh!");
    let signature: String = ring::hmac::sign(&key, body).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let send = |signature: &str| {
        support::request(
            &server.http,
            "POST",
            "/api/v1/events/argo/",
            &[("X-GitHub-Event", "push"), ("X-Hub-Signature-256", signature), ("Prefer", "wait=20")],
            body,
        )
    };
    assert_eq!(send(&format!("sha256={signature}")).status, 200);
    assert_eq!(send(&format!("sha256={}", signature.replace(|c: char| c.is_ascii_digit(), "0"))).status, 401);
    assert_eq!(send("x").status, 401);
    let made = workflows(&server, &token);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["metadata"]["labels"]["workflows.argoproj.io/creator"], "system-serviceaccount-argo-github.com");
}

#[test]
fn a_full_queue_says_so() {
    let server = Server::start(&["--event-operation-queue-size", "0"]);
    let token = admin(&server);
    let refused = server.post("/api/v1/events/argo/", &token, &[], "{}");
    assert_eq!((refused.status, refused.json()), (503, json!({"code": 14, "message": "operation queue full"})));
}

// ---------------------------------------------------------------------------------------------- workflows

#[test]
fn two_pods_write_the_same_file_and_never_meet() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let one = |text: &str| {
        json!({"name": "main", "script": {"image": "alpine", "command": ["sh"], "source": format!("test ! -e /tmp/out.txt || exit 9\necho {text} > /tmp/out.txt\nsleep 0.2\ncat /tmp/out.txt")},
            "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/out.txt"}}]}})
    };
    let names = [create(&server, &token, one("first"), json!({})), create(&server, &token, one("second"), json!({}))];
    for (name, text) in names.iter().zip(["first", "second"]) {
        let w = finished(&server, &token, name);
        assert_eq!(w["status"]["phase"], "Succeeded", "{}", w["status"]);
        let outputs = &w["status"]["nodes"][name]["outputs"];
        assert_eq!((outputs["result"].as_str(), outputs["parameters"][0]["value"].as_str()), (Some(text), Some(text)));
    }
}

#[test]
fn a_missing_command_fails_with_both_ways_out() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let name = create(
        &server,
        &token,
        json!({"name": "main", "container": {"image": "docker/whalesay", "command": ["cowsay-of-nowhere"]}}),
        json!({}),
    );
    let w = finished(&server, &token, &name);
    let message = w["status"]["message"].as_str().unwrap();
    assert!(message.contains("install \"cowsay-of-nowhere\"") && message.contains("--runtime podman"), "{message}");
}

#[test]
fn deadlines_stop_terminate_and_delete_end_the_whole_tree() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let mark = format!("{}", std::process::id() + 7_000_000);
    let slow = sh(&format!("sleep {mark} & sleep {mark}"));
    let running = || {
        String::from_utf8(Command::new("pgrep").args(["-fc", &format!("sleep {mark}")]).output().unwrap().stdout)
            .unwrap()
            .trim()
            .parse::<u32>()
            .unwrap_or(0)
    };
    let gone = || eventually("no process is left", || (running() == 0).then_some(()));

    let name = create(&server, &token, slow.clone(), json!({"activeDeadlineSeconds": 1}));
    let w = finished(&server, &token, &name);
    assert_eq!(
        (w["status"]["phase"].as_str(), w["status"]["message"].as_str()),
        (Some("Failed"), Some("Step exceeded its deadline"))
    );
    gone();
    for (action, word) in [("stop", "Stop"), ("terminate", "Terminate")] {
        let name = create(&server, &token, slow.clone(), json!({}));
        eventually("it runs", || (running() > 0).then_some(()));
        let put = support::request(
            &server.http,
            "PUT",
            &format!("/api/v1/workflows/argo/{name}/{action}"),
            &[("Authorization", &token)],
            b"{}",
        );
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(finished(&server, &token, &name)["status"]["message"], format!("Stopped with strategy '{word}'"));
        gone();
    }
    let name = create(&server, &token, slow, json!({}));
    eventually("it runs", || (running() > 0).then_some(()));
    assert_eq!(
        support::request(
            &server.http,
            "DELETE",
            &format!("/api/v1/workflows/argo/{name}"),
            &[("Authorization", &token)],
            b""
        )
        .status,
        200
    );
    gone();
}

#[test]
fn a_log_can_be_followed_while_it_is_written() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let name = create(&server, &token, sh("for i in 1 2 3; do echo line $i; sleep 0.1; done"), json!({}));
    let answer = server.get(&format!("/api/v1/workflows/argo/{name}/log?logOptions.follow=true"), &token);
    let lines: Vec<String> = answer
        .text()
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["result"]["content"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
}

#[test]
fn a_workflow_that_ran_during_a_crash_is_reported_truthfully() {
    let mut server = Server::start(&[]);
    let token = admin(&server);
    let name = create(&server, &token, sh("echo started; sleep 600"), json!({}));
    eventually("it runs", || (log(&server, &token, &name) == "started\n").then_some(()));
    server.kill();
    server.launch();
    let w = finished(&server, &token, &name);
    assert_eq!(w["status"]["phase"], "Error");
    assert!(
        w["status"]["message"].as_str().unwrap().contains("triggerfish was stopped while this Pod ran"),
        "{}",
        w["status"]
    );
    assert_eq!(log(&server, &token, &name), "started\n");
}

#[test]
fn what_this_version_cannot_run_is_refused_by_name() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let name =
        create(&server, &token, json!({"name": "main", "steps": [[{"name": "a", "template": "main"}]]}), json!({}));
    assert_eq!(
        finished(&server, &token, &name)["status"]["message"],
        "templates.main.steps: this version runs container and script templates; steps is not supported yet"
    );
}

// ---------------------------------------------------------------------------------------------- the program

#[test]
fn two_servers_cannot_share_a_directory() {
    let server = Server::start(&[]);
    let mut c = Command::new(env!("CARGO_BIN_EXE_triggerfish"));
    c.args([
        "serve",
        "--http-address",
        "127.0.0.1:0",
        "--kube-address",
        "127.0.0.1:0",
        "--notification-address",
        "127.0.0.1:0",
        "--receiver-address",
        "127.0.0.1:0",
        "--data-dir",
    ])
    .arg(server.data());
    let out = Output::of(c);
    assert!(
        !out.ok && out.stderr.contains(&format!("in use by another triggerfish (process {})", server.pid())),
        "{}",
        out.stderr
    );
}

#[test]
fn a_stop_is_clean_and_everything_is_there_afterwards() {
    let mut server = Server::start(&[]);
    let token = admin(&server);
    server.apply(HELLO);
    assert_eq!(post(&server, &token, r#"{"message":"a"}"#).status, 200);
    assert_eq!(server.stop(), 0);
    server.launch();
    assert_eq!(workflows(&server, &token).len(), 1, "the token and the workflow outlive a restart");
}

#[test]
fn private_files_are_private_and_no_secret_is_shown() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]);
    let token = admin(&server);
    for file in ["kubeconfig", "pki/ca.key", "pki/token.key", "pki/admin.key", "lock"] {
        let mode = std::fs::metadata(server.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
    let name = create(
        &server,
        &token,
        sh(&format!("ls {}; cat {}/pki/ca.key", server.data().display(), server.data().display())),
        json!({}),
    );
    finished(&server, &token, &name);
    if unsafe_free_root() {
        assert!(!log(&server, &token, &name).contains("PRIVATE KEY"));
    }
}

/// Views need root; without them a Pod sees what its user sees.
fn unsafe_free_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

#[test]
fn a_folder_of_manifests_is_applied_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hello.yaml"), HELLO).unwrap();
    let server = Server::start(&["--manifests", dir.path().to_str().unwrap()]);
    let bindings = || server.cli(&["get", "wfeb", "-o", "name"]).stdout;
    eventually("the binding is applied", || bindings().contains("hello").then_some(()));
    std::fs::write(
        dir.path().join("second.yaml"),
        HELLO.replace("name: hello\nspec:\n  event", "name: second\nspec:\n  event"),
    )
    .unwrap();
    eventually("the new file is applied", || bindings().contains("second").then_some(()));
}

#[test]
fn hello_makes_a_first_workflow_run() {
    let server = Server::start(&[]);
    let out = server.cli(&["hello", "a first message"]);
    assert!(out.ok && out.stdout.ends_with("log       a first message\n"), "{}{}", out.stdout, out.stderr);
    assert!(server.cli(&["doctor"]).stdout.contains("server: answers"));
    assert!(server.cli(&["event", "list"]).stdout.contains("started hello-"));
}

#[test]
fn every_example_runs() {
    let server = Server::start(&[]);
    let token = admin(&server);
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().extension().is_none_or(|x| x != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        server.apply(&text);
        // A line `# event: {…}` in an example is the event that makes it run.
        for line in text.lines().filter_map(|l| l.strip_prefix("# event: ")) {
            let answer =
                server.post("/api/v1/events/argo/", &token, &[("Prefer", "wait=20"), ("X-GitHub-Event", "push")], line);
            assert_eq!(answer.status, 200, "{}: {}", entry.path().display(), answer.text());
        }
    }
    gateways::examples(&server, &token);
    for w in workflows(&server, &token) {
        let name = w["metadata"]["name"].as_str().unwrap();
        // One of them is there to fail.
        let wanted = if name.starts_with("broken-") { "Failed" } else { "Succeeded" };
        assert_eq!(finished(&server, &token, name)["status"]["phase"], wanted, "{name}");
    }
}
