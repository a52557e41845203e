//! Who takes the messages of a source and does nothing with them: what a client's library gives alone.

use super::NAME;
use super::publish::{Outcome, Place, Publisher, amqp, api, cluster, flood, jetstream, mqtt, signed};
use crate::floor;
use crate::server::{Server, scratch};
use futures_util::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use rumqttc::{Event, Packet, QoS};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::time::Instant;
use triggerfish::follow::{Change, Target, changes};

/// Messages in a second.
pub fn bare(place: &Place, messages: usize) -> f64 {
    let seconds = match place.source {
        "webhook" => posts(place, messages),
        "s3" => notifications(place, messages).expect("notifications"),
        "resource" => objects(place, messages),
        _ => backlog(place, messages),
    };
    messages as f64 / seconds
}

/// A server that answers and keeps nothing.
fn posts(place: &Place, messages: usize) -> f64 {
    let (mut child, address) = floor::start_echo();
    let port = address.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    let begun = Instant::now();
    flood(&Place { port, ..place.clone() }, messages);
    let seconds = begun.elapsed().as_secs_f64();
    let _ = child.kill();
    let _ = child.wait();
    seconds
}

/// The store's notifications, read line by line while objects are put.
fn notifications(place: &Place, messages: usize) -> Outcome<f64> {
    let port = place.port;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Publisher::connect(place))?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let query = vec![("events", "s3:ObjectCreated:*"), ("ping", "1"), ("prefix", ""), ("suffix", "")];
    stream.write_all(signed(port, "GET", &format!("/{NAME}"), query)?.as_bytes())?;
    let mut lines = BufReader::new(stream).split(b'\n');
    // The first sign of life: it listens.
    while !lines.next().ok_or("it ended")??.starts_with(b"{\"Records\"") {}
    let begun = Instant::now();
    std::thread::scope(|s| {
        s.spawn(|| flood(place, messages));
        let mut seen = 0;
        while seen < messages {
            let line = lines.next().ok_or("it ended")??;
            seen += String::from_utf8_lossy(&line).matches("\"eventName\"").count();
        }
        Ok(begun.elapsed().as_secs_f64())
    })
}

/// Objects that there are, as a watch begins with them.
fn objects(place: &Place, messages: usize) -> f64 {
    let dir = scratch("objects");
    let mut server = Server::start(&dir, &["--without-engine"]);
    let place = Place { dir: dir.clone(), ..place.clone() };
    flood(&place, messages);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seconds = runtime.block_on(async {
        let api = api(&dir).await.expect("the API");
        let target = Target { namespace: "argo".into(), ..Target::core("configmaps", "ConfigMap") };
        let begun = Instant::now();
        let mut all = pin!(changes(&api, &target));
        let mut seen = 0;
        while seen < messages {
            if let Some(Ok(Change::Applied(_))) = all.next().await {
                seen += 1;
            }
        }
        begun.elapsed().as_secs_f64()
    });
    server.kill();
    let _ = std::fs::remove_dir_all(dir);
    seconds
}

/// The rate at which the client's library takes messages that wait at the broker.
fn backlog(place: &Place, messages: usize) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if place.source == "mqtt" {
        // The session has to be there before the messages.
        runtime.block_on(async { subscribe(place.port).await.expect("a session") });
    }
    flood(place, messages);
    runtime.block_on(async { receive(place.source, place.port, messages).await.expect("messages") })
}

async fn subscribe(port: u16) -> Outcome<()> {
    let (client, mut events) = mqtt(port, "bench-bare");
    client.subscribe("in/#", QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    client.disconnect().await?;
    while events.poll().await.is_ok() {}
    Ok(())
}

async fn receive(source: &str, port: u16, messages: usize) -> Outcome<f64> {
    let mut begun = Instant::now();
    match source {
        "nats" => {
            let client = jetstream(port).await?;
            let stream = async_nats::jetstream::new(client).get_stream(NAME).await?;
            let config = async_nats::jetstream::consumer::pull::Config {
                durable_name: Some("bare".into()),
                ..Default::default()
            };
            let mut all = stream.create_consumer(config).await?.messages().await?;
            begun = Instant::now();
            for _ in 0..messages {
                all.next().await.ok_or("the stream ended")??.ack().await?;
            }
        }
        "amqp" => {
            let (channel, _connection) = amqp(port).await?;
            channel.basic_qos(256, BasicQosOptions::default()).await?;
            let mut all = channel
                .basic_consume(NAME.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
                .await?;
            begun = Instant::now();
            for _ in 0..messages {
                all.next().await.ok_or("the queue ended")??.acker.ack(BasicAckOptions::default()).await?;
            }
        }
        "kafka" => {
            let cluster = cluster(port);
            let topic = cluster.topic(NAME).await.map_err(|e| format!("{e:?}"))?;
            let from = topic.leaders.keys().map(|p| (*p, 0)).collect();
            begun = Instant::now();
            let all = triggerfish::gateway::kafka::fetch::messages(&cluster, &topic, NAME, from)
                .await
                .map_err(|e| format!("{e:?}"))?;
            let got = all.take(messages).count().await;
            assert_eq!(got, messages);
        }
        _ => {
            let (client, mut events) = mqtt(port, "bench-bare");
            client.subscribe("in/#", QoS::AtLeastOnce).await?;
            let mut got = 0;
            while got < messages {
                if let Event::Incoming(Packet::Publish(_)) = events.poll().await? {
                    got += 1;
                }
            }
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}
