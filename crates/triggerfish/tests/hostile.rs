//! Hostile input: a hundred thousand damaged inputs at each door. Nothing panics, hangs or grows without a bound.
//!
//! The damage is drawn from a fixed seed, so that a failure repeats. `TRIGGERFISH_HOSTILE_CASES` and `_SEED` change both.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::Server;

const SENDERS: usize = 8;
/// No single answer may take longer, however damaged its question.
const PATIENCE: Duration = Duration::from_secs(20);
/// Resident memory of the server after all of it, in MiB; a debug build.
const MEMORY: u64 = 600;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}
fn cases() -> usize {
    setting("TRIGGERFISH_HOSTILE_CASES", 100_000) as usize
}

/// Splitmix64: repeatable, and good enough to damage things with.
struct Dice(u64);

impl Dice {
    fn new(salt: u64) -> Dice {
        Dice(setting("TRIGGERFISH_HOSTILE_SEED", 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt)
    }
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// A corpus entry with one to six kinds of damage.
    fn damage(&mut self, corpus: &[&[u8]], pieces: &[&str]) -> Vec<u8> {
        let mut out = self.pick(corpus).to_vec();
        for _ in 0..=self.below(6) {
            let (a, b) = (self.below(out.len()), self.below(out.len()));
            let (from, to) = (a.min(b), a.max(b));
            match self.below(7) {
                0 if !out.is_empty() => out[from] ^= 1 << self.below(8),
                1 => drop(out.drain(from..to)),
                2 => {
                    let copy = out[from..to].to_vec();
                    out.splice(from..from, copy);
                }
                3 => drop(out.splice(from..to, self.pick(pieces).bytes())),
                4 => {
                    let other = self.pick(corpus);
                    let cut = self.below(other.len());
                    out.splice(from..to, other[cut..].iter().copied());
                }
                5 => drop(out.splice(from..from, self.pick(pieces).repeat(1 + self.below(200)).into_bytes())),
                _ => out.truncate(to),
            }
        }
        out.truncate(64 << 10);
        out
    }
}

const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    ":",
    ",",
    "\n",
    "  ",
    "- ",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "null",
    "true",
    "-",
    "9223372036854775808",
    "1e999",
    "\\u0000",
    "\u{feff}",
    "é",
    "{{",
    "}}",
    "..",
    "?.",
    "**",
    "|",
    "#",
    "%00",
    "\0",
];

const EXPRESSIONS: [&str; 12] = [
    "payload.message != ''",
    "payload.a[0].b?.c ?? 'x'",
    "filter(payload.list, .n > 1 and # != nil)",
    "len(map(1..9, # * 2)) == 9 ? 'a' : 'b'",
    "payload.s matches '^a+$' || 'x' in payload.list",
    "let x = 5; x ** 2 % 3",
    "metadata[\"x-github-event\"] == [\"push\"]",
    "toJSON({'a': [1, 2.5, nil]})",
    "date('2024-01-01').Add(duration('1h')).Unix()",
    "reduce(payload.list, #acc + .n, 0)",
    "sortBy(payload.list, 'n') | first()",
    "split(payload.s, ',')[-1][1:3]",
];

#[test]
fn expressions() {
    let payload = json!({"message": "m", "a": [{"b": null}], "s": "a,b,c", "list": [{"n": 1}, {"n": 2}]});
    let metadata = json!({"x-github-event": ["push"]});
    let corpus: Vec<&[u8]> = EXPRESSIONS.iter().map(|e| e.as_bytes()).collect();
    let mut dice = Dice::new(1);
    let (mut valid, mut slowest) = (0, Duration::ZERO);
    for _ in 0..cases() {
        let source = String::from_utf8_lossy(&dice.damage(&corpus, &PIECES)).into_owned();
        let begun = Instant::now();
        if let Ok(p) = expr::Program::parse(&source) {
            valid += 1;
            let _ = p.run(&expr::Variables::new().with("payload", &payload).with("metadata", &metadata));
        }
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{source}");
    }
    println!("expressions: {} cases, {valid} parse, slowest {slowest:?}", cases());
}

const MANIFESTS: [&str; 3] = [
    include_str!("../../../examples/hello.yaml"),
    include_str!("../../../examples/push-to-build.yaml"),
    "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}, \"data\": {\"k\": \"v\"}}]}",
];

#[test]
fn manifests() {
    let corpus: Vec<&[u8]> = MANIFESTS.iter().map(|m| m.as_bytes()).collect();
    let mut dice = Dice::new(2);
    let (mut valid, mut slowest) = (0, Duration::ZERO);
    for _ in 0..cases() {
        let text = String::from_utf8_lossy(&dice.damage(&corpus, &PIECES)).into_owned();
        let begun = Instant::now();
        valid += usize::from(triggerfish::manifest::read(&text).is_ok());
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{text}");
    }
    println!("manifests: {} cases, {valid} read, slowest {slowest:?}", cases());
}

const CONFIGURATIONS: [(&str, &str); 8] = [
    (
        "calendar.a",
        "schedule: 10-20/5 0 1,15 jan-mar mon\ntimezone: Europe/Berlin\nrecurrence: [\"EXDATE:20261224T080000Z\"]\n",
    ),
    ("calendar.b", "interval: 1h30m\nexclusionDates: [\"EXDATE;TZID=America/New_York:20260301T000000\"]\n"),
    ("webhook.c", "port: 12000\nendpoint: /a\nmethod: POST\nhmac: {secret: {name: a, key: b}}\n"),
    (
        "resource.d",
        "namespace: a\ngroup: b\nversion: v1\nkind: C\nfilter: {prefix: a, labels: {b: c}}\ntype: [ADDED]\n",
    ),
    ("nats.e", "url: nats://a:4222\nattributes: {subject: a.>}\n"),
    ("mqtt.f", "url: ssl://[::1]:8883\ntopic: a/+/#\nqos: 2\n"),
    ("amqp.g", "url: amqp://u:p@h:5672/%2f\nexchangeName: a\nexchangeType: topic\nroutingKey: b.*\n"),
    (
        "s3.h",
        "s3EventConfig:\n  bucket: a\n  endpoint: h:9000\n  event: s3:ObjectCreated:*\naccessKey: {name: a, key: b}\nsecretKey: {name: a, key: b}\n",
    ),
];

/// Configurations of gateways: read, and where they are calendars, asked when they fire.
#[test]
fn configurations() {
    use triggerfish::gateway::{Entry, Gateway, configuration::entries};
    let corpus: Vec<&[u8]> = CONFIGURATIONS.iter().map(|(_, text)| text.as_bytes()).collect();
    let gateway = Gateway::read(&json!({}));
    let mut dice = Dice::new(3);
    let (mut valid, mut slowest) = (0, Duration::ZERO);
    for _ in 0..cases() {
        let (name, text) = CONFIGURATIONS[dice.below(CONFIGURATIONS.len())];
        let damaged = if dice.below(2) == 0 {
            dice.damage(&[text.as_bytes()], &["*", "/", "-", ",", "0", "61", "?", "L", "mon", ":", " ", "\n", "é"])
        } else {
            dice.damage(&corpus, &PIECES)
        };
        let text = String::from_utf8_lossy(&damaged).into_owned();
        let begun = Instant::now();
        for e in entries(&gateway, &[(name.to_owned(), text.clone())].into()) {
            if let Entry::Runs(c) = e {
                valid += 1;
                c.source.outlook(jiff::Timestamp::UNIX_EPOCH);
            }
        }
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "{text}");
    }
    println!("configurations: {} cases, {valid} run, slowest {slowest:?}", cases());
}

/// A server with an account that may do everything, and one binding.
fn server() -> (Server, String) {
    let server = Server::start(&["--without-engine"]);
    server.apply(include_str!("../../../examples/hello.yaml"));
    server.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: all, namespace: argo}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: all}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: all, namespace: argo}]\n");
    let token = server.token("all");
    (server, token)
}

/// The same process still answers, said nothing of a panic, and did not grow.
fn unharmed(server: &Server, token: &str, door: &str, slowest: Duration) {
    assert_eq!(server.get("/api/v1/info", token).status, 200);
    assert!(!server.has_panicked(), "a panic is in the log");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let most: u64 =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    println!("{door}: {} cases, slowest {slowest:?}, at most {} MiB resident", cases(), most / 1024);
    assert!(most / 1024 < MEMORY, "{} MiB", most / 1024);
}

#[test]
fn http() {
    let (server, token) = server();
    let slowest = std::thread::scope(|s| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|n| {
                let (server, token) = (&server, &token);
                s.spawn(move || http_sender(server, token, n))
            })
            .collect();
        senders.into_iter().map(|h| h.join().unwrap()).max().unwrap()
    });
    unharmed(&server, &token, "http", slowest);
}

fn http_sender(server: &Server, token: &str, n: usize) -> Duration {
    let requests: Vec<Vec<u8>> = [
        ("POST", "/api/v1/events/argo/x", r#"{"message": "a", "list": [1, {"b": null}]}"#),
        ("POST", "/api/v1/workflows/argo", r#"{"serverDryRun": true, "workflow": {"metadata": {"generateName": "a-"}, "spec": {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "i"}}]}}}"#),
        ("GET", "/api/v1/workflow-event-bindings/argo?listOptions.labelSelector=a%20in%20(b,c),!d&listOptions.fieldSelector=metadata.name%3Dx&listOptions.limit=2", ""),
        ("GET", "/api/v1/workflows/argo?fields=items.metadata.name,-x&nameFilter=Prefix&listOptions.continue=1&createdAfter=2020-01-01T00:00:00Z", ""),
        ("PUT", "/api/v1/workflow-templates/argo/hello", r#"{"template": {"metadata": {"name": "hello"}, "spec": {}}}"#),
    ]
    .iter()
    .map(|(method, path, body)| {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=00\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    })
    .collect();
    let corpus: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
    let mut dice = Dice::new(100 + n as u64);
    let mut slowest = Duration::ZERO;
    let connect = || {
        let c = TcpStream::connect(&server.http).unwrap();
        c.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(c)
    };
    let mut connection = connect();
    for _ in 0..cases() / SENDERS {
        // Three of four keep their frame, so that the damage reaches what is behind it.
        let (request, is_framed) = if dice.below(4) == 0 {
            (dice.damage(&corpus, &PIECES), false)
        } else {
            (framed(&mut dice, &corpus), true)
        };
        let begun = Instant::now();
        // The server may close while this side still writes: what it said is read all the same.
        let _ = connection.get_mut().write_all(&request);
        if !is_framed {
            let _ = connection.get_ref().shutdown(std::net::Shutdown::Write);
        }
        let answer = support::read_answer(&mut connection, false);
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < PATIENCE, "no answer to {}", String::from_utf8_lossy(&request));
        if let Ok(a) = &answer {
            assert!(a.status != 500 || !a.text().contains("panic"), "{}", a.text());
        }
        if !is_framed || answer.is_err() {
            connection = connect();
        }
    }
    slowest
}

/// Damages the path or the body of a request and counts the body's length again.
fn framed(dice: &mut Dice, corpus: &[&[u8]]) -> Vec<u8> {
    let text = std::str::from_utf8(dice.pick(corpus)).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.split("\r\nContent-Length").next().unwrap();
    let body = if body.is_empty() { Vec::new() } else { dice.damage(&[body.as_bytes()], &PIECES) };
    let mut out = head.as_bytes().to_vec();
    if body.is_empty() {
        let (method, rest) = head.split_once(' ').unwrap();
        let (path, rest) = rest.split_once(' ').unwrap();
        let mut damaged = dice.damage(&[path.as_bytes()], &PIECES);
        damaged.retain(|b| b.is_ascii_graphic());
        out = [method.as_bytes(), b" /", &damaged, b" ", rest.as_bytes()].concat();
    }
    out.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(&body);
    out
}

#[test]
fn kubernetes() {
    let (server, token) = server();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let slowest = runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::config::Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let client =
            kube::Client::try_from(kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap())
                .unwrap();
        let senders: Vec<_> = (0..SENDERS).map(|n| tokio::spawn(kubernetes_sender(client.clone(), n))).collect();
        let mut slowest = Duration::ZERO;
        for s in senders {
            slowest = slowest.max(s.await.unwrap());
        }
        slowest
    });
    unharmed(&server, &token, "kubernetes", slowest);
}

async fn kubernetes_sender(client: kube::Client, n: usize) -> Duration {
    // Namespace `p` with a label, as kubectl's typed create sends it.
    let protobuf: &[u8] =
        b"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x12\n\x10\n\x01p\x5a\x0b\n\x04some\x12\x03old\x1a\0\"\0";
    let patch = br#"[{"op": "replace", "path": "/data/a~1b", "value": {"x": 1}}, {"op": "move", "from": "/data", "path": "/metadata/labels"}]"#;
    let merge = br#"{"metadata": {"labels": {"a": null}, "managedFields": [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:data": {"k:{\"name\":\"x\"}": {}}}}]}, "spec": {"containers": [{"name": "c", "$patch": "delete"}], "$setElementOrder/containers": [{"name": "c"}]}}"#;
    let objects: Vec<&[u8]> = MANIFESTS.iter().map(|m| m.as_bytes()).collect();
    let root = "/apis/argoproj.io/v1alpha1/namespaces/argo";
    let mut dice = Dice::new(200 + n as u64);
    let mut slowest = Duration::ZERO;
    for _ in 0..cases() / SENDERS {
        let (method, path, content, body): (&str, String, &str, Vec<u8>) = match dice.below(6) {
            0 => (
                "POST",
                "/api/v1/namespaces?dryRun=All".into(),
                "application/vnd.kubernetes.protobuf",
                dice.damage(&[protobuf], &PIECES),
            ),
            1 => (
                "POST",
                format!("{root}/workflowtemplates?dryRun=All"),
                "application/yaml",
                dice.damage(&objects, &PIECES),
            ),
            2 => (
                "PATCH",
                format!("{root}/workflowtemplates/hello?dryRun=All"),
                ["application/json-patch+json", "application/merge-patch+json"][dice.below(2)],
                dice.damage(&[patch, merge], &PIECES),
            ),
            3 => (
                "PATCH",
                format!("{root}/workflowtemplates/hello?dryRun=All&fieldManager=m&force=true"),
                "application/apply-patch+yaml",
                dice.damage(&objects, &PIECES),
            ),
            4 => (
                "PATCH",
                "/api/v1/namespaces/argo?dryRun=All".into(),
                "application/strategic-merge-patch+json",
                dice.damage(&[merge], &PIECES),
            ),
            _ => {
                let selector = dice.damage(
                    &[
                        b"a in (b,c),!d,e!=f,g>1",
                        b"metadata.name=x,status.phase!=Running",
                        b"eyJydiI6MSwic3RhcnQiOiJhIn0",
                    ],
                    &PIECES,
                );
                let text: String = selector.iter().map(|b| format!("%{b:02x}")).collect();
                // Not `resourceVersion`: a number that lies ahead is answered 504, which this client tries again for a long time.
                let name = dice.pick(&["labelSelector", "fieldSelector", "continue", "limit", "resourceVersionMatch"]);
                (
                    "GET",
                    format!("{root}/workflowtemplates?{name}={}", &text[..text.len().min(3000) / 3 * 3]),
                    "application/json",
                    Vec::new(),
                )
            }
        };
        let request =
            http::Request::builder().method(method).uri(&path).header("content-type", content).body(body).unwrap();
        let begun = Instant::now();
        // Refusals are what is expected; an answer that cannot be read, or none, is not.
        match tokio::time::timeout(PATIENCE, client.request::<Value>(request)).await {
            Ok(Ok(_)) => {}
            // Kubernetes itself says 500 when an applied object does not fit its schema.
            Ok(Err(kube::Error::Api(s))) => {
                assert!(s.code < 500 || s.message.contains("create typed patch object"), "{method} {path}: {s:?}")
            }
            Ok(Err(e)) => panic!("{method} {path}: {e}"),
            Err(_) => panic!("{method} {path}: no answer"),
        }
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}
