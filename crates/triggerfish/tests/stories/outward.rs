//! Gateways: events that go out as CloudEvents by every protocol and come back as themselves, MQTT 5, buckets without
//! notifications and with a queue, what is counted, and what the bounds of the log drop.

use crate::admin;
use crate::gateways::{gateway, node, payloads, send};
use crate::support::peers::{self, free_port};
use crate::support::vendor::Vendor;
use crate::support::{Output, Server, eventually, within};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Gives a gateway subscribers.
fn subscribe(server: &Server, gateway: &str, subscribers: &Value) {
    let out = server.cli(&["get", "gateway", gateway, "-n", "argo", "-o", "json"]);
    let mut g: Value = serde_json::from_str(&out.stdout).unwrap();
    g["spec"]["subscribers"] = subscribers.clone();
    g["metadata"] = json!({"name": gateway, "namespace": "argo"});
    g.as_object_mut().unwrap().remove("status");
    server.apply(&g.to_string());
}

/// Events of a configuration with what they are called.
fn records(server: &Server, token: &str, configuration: &str) -> Vec<(Value, Value, Value)> {
    let all = server.get("/api/v1/event-records/argo?limit=500", token).json();
    let all = all["items"].as_array().unwrap().clone();
    let of = all.into_iter().filter(|e| e["configuration"] == configuration);
    of.map(|e| (e["id"].clone(), e["payload"].clone(), e["metadata"].clone())).collect()
}

/// Sends three events through a hook and waits until they came in again by another configuration, as themselves and in order; the broker is
/// away for a while.
fn there_and_back(subscriber: &Value, kind: &str, source: (&str, &str), away: &mut dyn FnMut(bool)) {
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port();
    gateway(&server, "back", &[source]);
    node(&server, "back", source.0, "Running");
    gateway(&server, "out", &[("webhook.in", &format!("port: {port}\nendpoint: /\nmethod: POST\n"))]);
    subscribe(&server, "out", &json!({kind: [subscriber]}));
    eventually("the subscriber is taken up", || {
        let out = server.cli(&["get", "gateway", "out", "-n", "argo", "-o", "json"]).stdout;
        let g: Value = serde_json::from_str(&out).unwrap();
        (g["status"]["observedGeneration"] == g["metadata"]["generation"]).then_some(())
    });
    node(&server, "out", "webhook.in", "Running");
    let post = |n: u64| {
        eventually("the hook takes it", || {
            let key = format!("{kind}-{}-{n}", subscriber["mode"]);
            let key = [("Idempotency-Key", key.as_str()), ("Content-Type", "application/json")];
            let body = format!("{{\"n\": {n}, \"text\": \"größer\"}}");
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
            (send(port, "POST", "/", &key, &body).0 == 200).then_some(())
        });
    };
    post(1);
    let one = json!({"n": 1, "text": "größer"});
    assert_eq!(payloads(&server, &token, source.0, 1), std::slice::from_ref(&one), "{kind} {subscriber}");
    // What comes while the broker is away waits, also over a crash.
    away(true);
    post(2);
    server.kill();
    away(false);
    server.launch();
    post(3);
    let back = within(Duration::from_secs(60), "all are back", || {
        let all = payloads(&server, &token, source.0, 1);
        (all.len() >= 3).then_some(all)
    });
    let numbers: Vec<&Value> = back.iter().map(|p| &p["n"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2), &json!(3)], "{kind} {subscriber}");
    let ids = |configuration: &str| {
        let mut ids: Vec<String> =
            records(&server, &token, configuration).iter().map(|(id, ..)| id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(source.0), ids("webhook.in"), "an event that comes back is the same event");
}

fn stays(_: bool) {}

#[test]
fn events_go_out_by_http_and_come_back_as_themselves() {
    for mode in ["structured", "binary"] {
        let port = free_port();
        let hook = format!("port: {port}\nendpoint: /\nmethod: POST\n");
        let subscriber = json!({"url": format!("http://127.0.0.1:{port}/"), "mode": mode});
        there_and_back(&subscriber, "http", ("webhook.back", &hook), &mut stays);
    }
}

#[test]
fn events_go_out_by_nats_and_come_back_as_themselves() {
    let Some(mut broker) = peers::nats() else { return };
    let mut client = peers::NatsClient::connect(broker.port);
    let made = client.request("$JS.API.STREAM.CREATE.out", r#"{"name":"out","subjects":["out.>"],"storage":"file"}"#);
    assert!(!made.contains("error"), "{made}");
    let url = format!("nats://127.0.0.1:{}", broker.port);
    for mode in ["structured", "binary"] {
        let subscriber =
            json!({"serverURL": url, "subject": format!("out.{mode}"), "name": "bus", "jetstream": true, "mode": mode});
        let source = format!("url: {url}\nsubject: out.{mode}\njetstream: {{stream: out}}\n");
        there_and_back(&subscriber, "nats", ("nats.back", &source), &mut |away| {
            if away { broker.kill() } else { broker.launch() }
        });
    }
}

#[test]
fn events_go_out_by_mqtt_5_and_come_back_as_themselves() {
    let Some(broker) = peers::mosquitto() else { return };
    let url = format!("tcp://127.0.0.1:{}", broker.port);
    for mode in ["structured", "binary"] {
        let subscriber = json!({"url": url, "topic": format!("out/{mode}"), "mode": mode});
        let source = format!("url: {url}\ntopic: out/{mode}\nprotocolVersion: \"5\"\n");
        there_and_back(&subscriber, "mqtt", ("mqtt.back", &source), &mut stays);
    }
}

#[test]
fn events_go_out_by_amqp_and_come_back_as_themselves() {
    let Some(broker) = peers::rabbitmq() else { return };
    let url = format!("amqp://guest:guest@127.0.0.1:{}", broker.port);
    for mode in ["structured", "binary"] {
        let subscriber = json!({"url": url, "exchangeName": "out", "routingKey": mode, "mode": mode});
        let source =
            format!("url: {url}\nexchangeName: out\nexchangeType: direct\nroutingKey: {mode}\nqueue: back-{mode}\n");
        there_and_back(&subscriber, "amqp", ("amqp.back", &source), &mut stays);
    }
}

#[test]
fn events_go_out_by_kafka_and_come_back_as_themselves() {
    let Some(broker) = peers::kafka() else { return };
    let url = format!("127.0.0.1:{}", broker.port);
    for mode in ["structured", "binary"] {
        peers::kafka_produce(broker.port, &format!("out-{mode}"), &["first:made".to_owned()]);
        let subscriber = json!({"url": url, "topic": format!("out-{mode}"), "mode": mode});
        let source = format!("url: {url}\ntopic: out-{mode}\n");
        there_and_back(&subscriber, "kafka", ("kafka.back", &source), &mut stays);
    }
}

#[test]
fn a_subscriber_that_cannot_be_is_refused_by_name() {
    let server = Server::start(&["--without-engine"]);
    let gateway = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Gateway", "metadata": {"name": "wrong", "namespace": "argo"},
        "spec": {"type": "webhook", "configMap": "wrong", "subscribers": {
            "http": ["ftp://nowhere"], "nats": [{"serverURL": "nats://127.0.0.1", "subject": "a.*"}],
            "kafka": [{"url": "127.0.0.1:9092"}], "mqtt": [{"url": "tcp://127.0.0.1", "topic": "a/#"}],
            "amqp": [{"url": "amqp://127.0.0.1"}]}}});
    let file = server.dir.path().join("wrong.yaml");
    std::fs::write(&file, gateway.to_string()).unwrap();
    let said = server.cli(&["apply", "-f", file.to_str().unwrap()]).stderr;
    for place in ["http[0]", "nats[0]", "kafka[0]", "mqtt[0]", "amqp[0]"] {
        assert!(said.contains(&format!("spec.subscribers.{place}")), "{place}: {said}");
    }
}

#[test]
fn mqtt_5_tells_properties_and_a_session_outlives_a_crash() {
    let Some(broker) = peers::mosquitto() else { return };
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let foo = format!("url: tcp://127.0.0.1:{}\ntopic: foo\nprotocolVersion: \"5\"\nqos: 2\n", broker.port);
    gateway(&server, "mqtt", &[("mqtt.five", &foo)]);
    node(&server, "mqtt", "mqtt.five", "Running");
    let publish = |text: &str| {
        let mut c = Command::new("mosquitto_pub");
        c.args(["-V", "mqttv5", "-p", &broker.port.to_string(), "-t", "foo", "-q", "2", "-m", text]);
        c.args(["-D", "publish", "user-property", "Trace", "abc", "-D", "publish", "content-type", "text/plain"]);
        let out = Output::of(c);
        assert!(out.ok, "{}", out.stderr);
    };
    publish("1");
    // It says that it is text, so it is no number.
    assert_eq!(payloads(&server, &token, "mqtt.five", 1), [json!("1")]);
    assert_eq!(records(&server, &token, "mqtt.five")[0].2["trace"], json!(["abc"]));
    server.kill();
    publish("2");
    server.launch();
    assert_eq!(payloads(&server, &token, "mqtt.five", 2), [json!("1"), json!("2")]);
}

/// A program in the Python of `scripts/get-sdk`, for a stand-in of AWS' S3 and SQS.
fn python(port: u16, text: &str) -> Output {
    let mut c = Command::new(peers::sdk("python").unwrap());
    let head = format!(
        "import boto3, json\nat = dict(endpoint_url='http://127.0.0.1:{port}', region_name='eu-central-1', aws_access_key_id='key', aws_secret_access_key='secret')\ns3, sqs = boto3.client('s3', **at), boto3.client('sqs', **at)\n"
    );
    c.args(["-c", &format!("{head}{text}")]);
    Output::of(c)
}

const STORE: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: store, namespace: argo}\nstringData: {access: key, secret: secret}\n";

#[test]
fn a_bucket_without_notifications_is_polled_and_a_queue_is_read() {
    let Some(store) = peers::moto() else { return };
    let port = store.port;
    let made = python(
        port,
        "at = {'LocationConstraint': 'eu-central-1'}\ns3.create_bucket(Bucket='input', CreateBucketConfiguration=at)\n\
         q = sqs.create_queue(QueueName='uploads', Attributes={'VisibilityTimeout': '3'})['QueueUrl']\n\
         arn = sqs.get_queue_attributes(QueueUrl=q, AttributeNames=['QueueArn'])['Attributes']['QueueArn']\n\
         s3.put_bucket_notification_configuration(Bucket='input', NotificationConfiguration={'QueueConfigurations': [{'QueueArn': arn, 'Events': ['s3:ObjectCreated:*', 's3:ObjectRemoved:*']}]})\n\
         s3.put_object(Bucket='input', Key='data/old.csv', Body=b'0')\nprint(q)",
    );
    assert!(made.ok, "{}", made.stderr);
    let mut server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    server.apply(STORE);
    let keys = "accessKey: {name: store, key: access}\nsecretKey: {name: store, key: secret}\n";
    let filter = "filter: {prefix: data/, suffix: .csv}";
    let polled = format!(
        "endpoint: 127.0.0.1:{port}\ninsecure: true\nbucket: {{name: input}}\nregion: eu-central-1\nevent: s3:ObjectCreated:*\n{filter}\npoll: 250ms\n{keys}"
    );
    let url = format!("http://127.0.0.1:{port}/123456789012/uploads");
    let queued = format!(
        "bucket: {{name: input}}\nregion: eu-central-1\nevents: [\"s3:ObjectCreated:*\"]\n{filter}\nqueue: {{url: \"{url}\"}}\n{keys}"
    );
    let missing = queued.replace("uploads", "nowhere");
    gateway(&server, "files", &[("s3.polled", &polled), ("s3.queued", &queued), ("s3.missing", &missing)]);
    node(&server, "files", "s3.polled", "Running");
    node(&server, "files", "s3.queued", "Running");
    let why = node(&server, "files", "s3.missing", "Error")["message"].as_str().unwrap().to_owned();
    assert!(why.contains("400"), "{why}");
    let put = |names: &[&str]| {
        // A listing knows whole seconds: what is written in one with the newest that was there is not seen to be new.
        let text: String =
            names.iter().map(|n| format!("s3.put_object(Bucket='input', Key='{n}', Body=b'1')\n")).collect();
        let out = python(port, &format!("import time; time.sleep(1.1)\n{text}"));
        assert!(out.ok, "{}", out.stderr);
    };
    put(&["data/a b+c.csv", "data/a.txt", "other/a.csv"]);
    let names = |configuration: &str, n: usize| {
        let all = payloads(&server, &token, configuration, n);
        let mut names: Vec<String> = all.iter().map(|p| p["s3"]["object"]["key"].to_string()).collect();
        names.sort();
        names
    };
    let polled = names("s3.polled", 1);
    assert_eq!(polled.len(), 1, "{polled:?}");
    assert!(records(&server, &token, "s3.polled")[0].2["key"] == json!(["data/a b+c.csv"]));
    // The old one was in the queue before anybody listened.
    assert_eq!(names("s3.queued", 2).len(), 2);
    server.kill();
    put(&["data/c.csv"]);
    server.launch();
    let after = |configuration: &str, n: usize| payloads(&server, &token, configuration, n).len();
    assert_eq!(after("s3.polled", 2), 2);
    assert_eq!(after("s3.queued", 3), 3);
    // What is on disk is gone from the queue.
    eventually("the queue is empty", || {
        let out = python(
            port,
            &format!(
                "a = sqs.get_queue_attributes(QueueUrl='{url}', AttributeNames=['All'])['Attributes']\nprint(a['ApproximateNumberOfMessages'], a['ApproximateNumberOfMessagesNotVisible'])"
            ),
        );
        (out.stdout.trim() == "0 0").then_some(())
    });
}

#[test]
fn each_configuration_is_counted() {
    let server = Server::start(&["--without-engine"]);
    let token = admin(&server);
    let port = free_port();
    let hook = format!("port: {port}\nendpoint: /\nmethod: POST\n");
    let away = "url: nats://127.0.0.1:1\nsubject: a\n";
    gateway(&server, "counted", &[("webhook.in", &hook), ("nats.away", away)]);
    node(&server, "counted", "webhook.in", "Running");
    node(&server, "counted", "nats.away", "Error");
    for _ in 0..2 {
        assert_eq!(send(port, "POST", "/", &[("Idempotency-Key", "same")], "{}").0, 200);
    }
    let text = eventually("the loss is counted", || {
        let text = server.get("/metrics", &token).text();
        (!text.contains("lost_total{namespace=\"argo\",gateway=\"counted\",configuration=\"nats.away\"} 0"))
            .then_some(text)
    });
    for line in [
        "configuration_up{namespace=\"argo\",gateway=\"counted\",configuration=\"webhook.in\"} 1",
        "configuration_up{namespace=\"argo\",gateway=\"counted\",configuration=\"nats.away\"} 0",
        "events_total{namespace=\"argo\",gateway=\"counted\",configuration=\"webhook.in\"} 1",
        "repeated_total{namespace=\"argo\",gateway=\"counted\",configuration=\"webhook.in\"} 1",
    ] {
        assert!(text.contains(&format!("triggerfish_gateway_{line}")), "{line}: {text}");
    }
}

#[test]
fn what_a_watcher_has_not_had_is_dropped_only_where_the_server_is_told_to() {
    use triggerfish::bus::{Bus, Options};
    use triggerfish::event::Event;
    let event = |n: u64| Event {
        id: format!("e{n}"),
        source: "/test".into(),
        kind: "test".into(),
        subject: String::new(),
        time: "2026-01-01T00:00:00Z".into(),
        datacontenttype: "application/json".into(),
        data: Some(serde_json::value::RawValue::from_string(format!("{{\"n\": {n}}}")).unwrap()),
        namespace: "argo".into(),
        discriminator: String::new(),
        metadata: Default::default(),
        caller: Default::default(),
        origin: None,
        base64: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // More than the log looks at before it trims.
    const EVENTS: u64 = 5_000;
    for drop_unread in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { keep_count: 1_000, drop_unread, ..Options::default() };
        let bus = Bus::open(&dir.path().join("bus.db"), options).unwrap();
        runtime.block_on(async {
            bus.watch("gateway/slow", Some(10)).await.unwrap();
            bus.watch("notify", Some(3_000)).await.unwrap();
            for from in (0..EVENTS).step_by(500) {
                let sent = (from..from + 500).map(|n| bus.append(event(n), None));
                futures_util::future::join_all(sent).await;
                bus.finish(Vec::new(), from + 500).await.unwrap();
            }
        });
        let oldest = bus.list(None, None, EVENTS as usize).unwrap().last().unwrap().seq;
        let cursor = bus.cursor_of("gateway/slow").unwrap().unwrap();
        if drop_unread {
            assert_eq!(oldest, 3_001, "what alerts have not had stays");
            assert_eq!((cursor, bus.dropped_unread()), (oldest - 1, oldest - 1 - 10));
        } else {
            // What the watcher had may go, what it has not had stays.
            assert_eq!((oldest, cursor, bus.dropped_unread()), (11, 10, 0));
        }
    }
}

#[test]
fn a_gibibyte_and_senders_that_take_their_time_hold_up_nobody() {
    use std::io::{Read, Write};
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let port = free_port();
    gateway(&server, "hooks", &[("webhook.in", &format!("port: {port}\nendpoint: /\nmethod: POST\n"))]);
    node(&server, "hooks", "webhook.in", "Running");
    let connect = || {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    let slow: Vec<std::net::TcpStream> = (0..50)
        .map(|_| {
            let mut s = connect();
            s.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{").unwrap();
            s
        })
        .collect();
    let chunk = vec![b'x'; 1 << 20];
    for head in ["Content-Length: 1073741824\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n40000000\r\n"] {
        let mut s = connect();
        s.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}").as_bytes()).unwrap();
        // It is told before it has sent it all, and may not get rid of the rest.
        let sent = (0..1024).take_while(|_| s.write_all(&chunk).is_ok()).count();
        let mut answer = [0; 12];
        let heard = s.read_exact(&mut answer);
        assert!(heard.is_err() || &answer == b"HTTP/1.1 413", "{sent} MiB: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(send(port, "POST", "/", &[], "1").0, 200, "the others go on");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let most = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    assert!(most.unwrap() < 512 * 1024, "{most:?} KiB");
    for mut s in slow {
        let mut answer = [0; 12];
        s.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
}

#[test]
fn certificates_that_nobody_vouches_for_are_told_of() {
    let server = Server::start(&["--without-engine"]);
    admin(&server);
    let Some(vendor) = Vendor::start(server.dir.path(), None) else { return };
    let port = vendor.server;
    let ca = std::fs::read_to_string(server.dir.path().join("ca.crt")).unwrap();
    let of = |name: &str, value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "argo"}, "stringData": {"value": value}}).to_string()
    };
    server.apply(&[of("ca", &ca), of("bad", "no certificate"), of("key", "k")].join("\n---\n"));
    let keys = "accessKey: {name: key, key: value}\nsecretKey: {name: key, key: value}\n";
    let mqtt = format!("url: ssl://127.0.0.1:{port}\ntopic: a\n");
    let amqp = format!("url: amqps://127.0.0.1:{port}\nexchangeName: a\nexchangeType: fanout\nroutingKey: a\n");
    let s3 = format!(
        "bucket: {{name: b}}\nendpoint: 127.0.0.1:{port}\nregion: r\npoll: 1s\nevents: [\"s3:ObjectCreated:*\"]\n{keys}"
    );
    let entries = [
        ("mqtt.strange", mqtt.clone()),
        ("amqp.strange", amqp),
        ("s3.strange", s3),
        ("mqtt.bad", format!("{mqtt}tls: {{caCert: {{name: bad, key: value}}}}\n")),
        ("mqtt.missing", format!("{mqtt}tls: {{caCert: {{name: nowhere, key: value}}}}\n")),
    ];
    let entries: Vec<(&str, &str)> = entries.iter().map(|(a, b)| (*a, b.as_str())).collect();
    gateway(&server, "secure", &entries);
    for (name, _) in &entries {
        let n = node(&server, "secure", name, "Error");
        let why = n["message"].as_str().unwrap();
        let wanted: &[&str] = match name.rsplit('.').next() {
            Some("missing") => &["nowhere"],
            Some("bad") => &["caCert", "certificate"],
            _ => &["ertificate", "UnknownIssuer", "issuer"],
        };
        assert!(wanted.iter().any(|w| why.contains(w)), "{name}: {why}");
    }
    assert!(vendor.got().is_empty(), "nothing is told to a stranger");
}
