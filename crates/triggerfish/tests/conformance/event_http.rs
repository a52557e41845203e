//! What the port of notices answers, and what is sent on.

use crate::suite::{Suite, lines, vectors};
use crate::support::sink::{Sink, raw};
use crate::support::{Answer, Server};
use serde_json::{Value, json};

pub fn event_http() {
    let Some(dir) = vectors("event-http") else { return };
    let mut suite = Suite::new("event-http");
    for v in lines(&dir.join("vectors.jsonl")) {
        let (id, name) = (v["id"].as_str().unwrap(), v["name"].as_str().unwrap());
        let group = name.split([':', ' ']).next().unwrap();
        // Every record begins with nothing remembered.
        let sink = Sink::start();
        let server = Server::start(&["--without-engine"]);
        server.apply(&manifests(&sink));
        let at = std::fs::read_to_string(server.data().join("notification-address")).unwrap();
        let mut expected = Vec::new();
        let outcome = v["steps"].as_array().unwrap().iter().enumerate().try_for_each(|(i, step)| {
            expected.extend((0..step["deliveries"].as_u64().unwrap_or(0)).map(|_| step["forwarded"].clone()));
            one(&at, step).map_err(|why| format!("step {i}: {why}"))
        });
        suite.case(id, group, outcome.and_then(|()| sent_on(&at, &sink, &expected)));
    }
    suite.finish(0.97);
}

/// An alert for the objects of the records, and one for what ends each of them.
fn manifests(sink: &Sink) -> String {
    let alert = |name: &str, source: Value| {
        json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Alert", "metadata": {"name": name, "namespace": "apps"},
            "spec": {"providerRef": {"name": "sink"}, "eventSources": [source]}})
    };
    let provider = json!({"apiVersion": "notification.toolkit.fluxcd.io/v1beta3", "kind": "Provider", "metadata": {"name": "sink", "namespace": "apps"},
        "spec": {"type": "generic", "address": sink.url("/"), "triggerfish": {"concurrency": 1}}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}});
    let all = [
        namespace,
        provider,
        alert("all", json!({"kind": "Kustomization", "name": "*"})),
        alert("end", json!({"kind": "End", "name": "end"})),
    ];
    all.map(|o| o.to_string()).join("\n---\n")
}

fn bytes(q: &Value, at: &str) -> Vec<u8> {
    use base64::Engine;
    let repeated = |text: String, how: &Value| match how["mark"].as_str() {
        Some(mark) => {
            text.replace(mark, &how["text"].as_str().unwrap().repeat(how["count"].as_u64().unwrap() as usize))
        }
        None => text,
    };
    if let Some(raw) = q["raw"].as_str() {
        return repeated(raw.replace("@host", at), &q["raw_repeat"]).into_bytes();
    }
    let body = match q["body_base64"].as_str() {
        Some(b) => base64::engine::general_purpose::STANDARD.decode(b).unwrap(),
        None => repeated(q["body"].as_str().unwrap_or("").to_owned(), &q["body_repeat"]).into_bytes(),
    };
    let proto = q["proto"].as_str().unwrap_or("HTTP/1.1");
    let mut out = format!(
        "{} {} {proto}\r\nHost: events.example.com\r\n",
        q["method"].as_str().unwrap(),
        q["path"].as_str().unwrap()
    );
    for h in q["headers"].as_array().into_iter().flatten() {
        out.push_str(&format!("{}: {}\r\n", h[0].as_str().unwrap(), h[1].as_str().unwrap()));
    }
    let chunked = q["chunked"] == true;
    out.push_str(&if chunked {
        "Transfer-Encoding: chunked\r\n\r\n".into()
    } else {
        format!("Content-Length: {}\r\n\r\n", body.len())
    });
    let mut out = out.into_bytes();
    if chunked {
        out.extend(format!("{:x}\r\n", body.len()).into_bytes());
        out.extend(&body);
        out.extend(b"\r\n0\r\n\r\n");
    } else {
        out.extend(&body);
    }
    out
}

fn one(at: &str, step: &Value) -> Result<(), String> {
    let wanted = &step["response"];
    let answer =
        raw(at, &bytes(&step["request"], at), step["request"]["method"] == "HEAD").map_err(|e| e.to_string())?;
    // What the HTTP library of the original says by itself asks nothing of others.
    let text = wanted["body"].as_str().unwrap_or("");
    if text.starts_with("400 Bad Request") {
        return Ok(());
    }
    if wanted["status"] != answer.status {
        return Err(format!("{} expected, {} came", wanted["status"], answer.status));
    }
    if text != answer.text() {
        return Err(format!("the body {text:?} expected, {:?} came", answer.text()));
    }
    wanted["headers"].as_object().into_iter().flatten().try_for_each(|(name, v)| header(name, v, &answer))
}

fn header(name: &str, wanted: &Value, answer: &Answer) -> Result<(), String> {
    let wrong = || Err(format!("{name}: {wanted} expected, {:?} came", answer.header(name.trim_start_matches('@'))));
    if let Some(of) = name.strip_prefix('@').and_then(|n| n.strip_suffix("_within_seconds")) {
        let at = jiff::fmt::rfc2822::parse(&answer.header(of).replace("UTC", "+0000")).map(|z| z.timestamp());
        let Ok(at) = at else { return wrong() };
        let left = at.duration_since(jiff::Timestamp::now()).as_secs_f64();
        let most = wanted.as_f64().unwrap();
        return if (most - 60.0..=most).contains(&left) { Ok(()) } else { wrong() };
    }
    let came = answer.header(name);
    if wanted == "@rfc1123" {
        return if came.ends_with(" UTC") { Ok(()) } else { wrong() };
    }
    if wanted == came { Ok(()) } else { wrong() }
}

/// Whether what came to the sink is what should have been sent on, and nothing else: what is posted last comes last.
fn sent_on(at: &str, sink: &Sink, expected: &[Value]) -> Result<(), String> {
    let end = json!({"involvedObject": {"kind": "End", "name": "end", "namespace": "apps"}, "severity": "info", "message": "end"});
    let answer = crate::support::request(at, "POST", "/", &[], end.to_string().as_bytes());
    if answer.status != 202 {
        return Err(format!("the last one is answered with {}", answer.status));
    }
    let all = crate::support::eventually("the last one comes", || {
        let got = sink.got();
        got.iter().any(|s| s.json()["message"] == "end").then_some(got)
    });
    let mut came: Vec<Value> = all.iter().map(|s| s.json()).filter(|v| v["message"] != "end").collect();
    for (wanted, c) in expected.iter().zip(&mut came) {
        if wanted["timestamp"] == "@now" {
            c["timestamp"] = json!("@now");
        }
    }
    if came == expected { Ok(()) } else { Err(format!("{expected:?} expected to be sent on, {came:?} came")) }
}

#[test]
fn notices_are_answered_as_by_the_original() {
    event_http();
}
