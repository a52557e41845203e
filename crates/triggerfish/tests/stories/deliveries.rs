//! Deliveries: over crashes and outages, held back and shaped, shown and explained, and without a secret to be seen.

use crate::admin;
use crate::notifications::{alert, condition, flux, notice, object, post, provider_types, secret};
use crate::support::sink::Sink;
use crate::support::{Server, eventually, within};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

#[test]
fn alerts_let_the_log_go_on_also_while_others_post_without_a_pause() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let bus = rusqlite::Connection::open(server.data().join("bus.db")).unwrap();
    let place = || bus.query_row("SELECT seq FROM cursors WHERE name = 'notify'", [], |r| r.get::<_, i64>(0)).ok();
    let mut posted = 0;
    // Events that are no notices, with no moment in which nothing comes.
    within(Duration::from_secs(30), "the place of alerts moves", || {
        assert_eq!(server.post("/api/v1/events/argo/", &token, &[], r#"{"a": 1}"#).status, 200);
        posted += 1;
        place().filter(|seq| *seq > 10)
    });
    assert!(posted > 10);
}
