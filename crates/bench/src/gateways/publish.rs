//! Who publishes numbered messages to a source, and has each confirmed.

use super::NAME;
use crate::http::Connection;
use futures_util::future::try_join_all;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, ConnectionProperties, ExchangeKind};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use triggerfish::gateway::kafka::client::Cluster;
use triggerfish::gateway::kafka::produce::{Outgoing, produce};
use triggerfish::gateway::s3::{Keys, sign};
use triggerfish::kube_api::Api;

/// Where messages of a source go.
#[derive(Clone)]
pub struct Place {
    pub source: &'static str,
    pub port: u16,
    /// The server's.
    pub dir: PathBuf,
}

impl Place {
    /// How many publish at once: those that wait for each answer are many.
    pub fn publishers(&self) -> usize {
        match self.source {
            "webhook" => 64,
            "s3" => 16,
            _ => 1,
        }
    }
}

/// A CloudEvent that says its number: a publisher that heard no answer sends it again, and it is still the same event.
pub fn numbered(n: usize) -> String {
    json!({"specversion": "1.0", "id": format!("n-{n}"), "source": "/bench", "type": "number", "datacontenttype": "application/json",
        "data": {"message": format!("n-{n}")}}).to_string()
}

/// Publishes with confirmation, one after the other; the connection is made anew when it is lost.
pub enum Publisher {
    Webhook(Connection),
    Store(Connection, u16),
    Objects(Api),
    Nats(async_nats::Client),
    /// The connection is held for its channel.
    Amqp {
        channel: lapin::Channel,
        _connection: Box<lapin::Connection>,
    },
    Kafka(Cluster),
    Mqtt(AsyncClient, Box<rumqttc::EventLoop>, QoS),
}

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub async fn amqp(port: u16) -> Outcome<(lapin::Channel, Box<lapin::Connection>)> {
    let connection =
        lapin::Connection::connect(&format!("amqp://127.0.0.1:{port}"), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(NAME.into(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(NAME.into(), options, FieldTable::default()).await?;
    channel
        .queue_bind(NAME.into(), NAME.into(), "in".into(), QueueBindOptions::default(), FieldTable::default())
        .await?;
    Ok((channel, Box::new(connection)))
}

pub async fn jetstream(port: u16) -> Outcome<async_nats::Client> {
    let client =
        async_nats::ConnectOptions::new().max_reconnects(1).connect(format!("nats://127.0.0.1:{port}")).await?;
    let config = async_nats::jetstream::stream::Config {
        name: NAME.into(),
        subjects: vec!["in.>".into()],
        ..Default::default()
    };
    async_nats::jetstream::new(client.clone()).get_or_create_stream(config).await?;
    Ok(client)
}

pub fn mqtt(port: u16, id: &str) -> (AsyncClient, rumqttc::EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_inflight(100).set_clean_session(false);
    AsyncClient::new(options, 1000)
}

pub fn cluster(port: u16) -> Cluster {
    Cluster { seeds: vec![format!("127.0.0.1:{port}")], tls: None, sasl: None }
}

/// A request to the store, signed and written out.
pub fn signed(port: u16, method: &str, path: &str, query: Vec<(&str, &str)>) -> Outcome<String> {
    let keys = Keys { access: "minioadmin".into(), secret: "minioadmin".into() };
    let base = format!("http://127.0.0.1:{port}/").parse()?;
    let request = sign(method, &base, path, query, "", &keys, jiff::Timestamp::now())?;
    let place = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let mut text = format!("{method} {place} HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    if !request.headers().contains_key("host") {
        text.push_str(&format!("host: 127.0.0.1:{port}\r\n"));
    }
    Ok(text + "content-length: 0\r\n\r\n")
}

/// The server's API, as its administrator.
pub async fn api(dir: &Path) -> Outcome<Api> {
    let kubeconfig = kube::config::Kubeconfig::read_from(dir.join("kubeconfig"))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
    Ok(Api::new(kube::Client::try_from(config)?))
}

impl Publisher {
    pub async fn connect(place: &Place) -> Outcome<Self> {
        let port = place.port;
        let address = format!("127.0.0.1:{port}");
        Ok(match place.source {
            "webhook" => {
                let connection = Connection::open(&address, "none", "/in")?;
                Publisher::Webhook(connection.saying("application/cloudevents+json"))
            }
            "s3" => {
                let mut connection = Connection::open(&address, "", "/")?;
                // It may be there already.
                connection.exchange(&signed(port, "PUT", &format!("/{NAME}"), Vec::new())?)?;
                Publisher::Store(connection, port)
            }
            "resource" => Publisher::Objects(api(&place.dir).await?),
            "nats" => Publisher::Nats(jetstream(port).await?),
            "nats-core" => Publisher::Nats(
                async_nats::ConnectOptions::new().max_reconnects(1).connect(format!("nats://127.0.0.1:{port}")).await?,
            ),
            "amqp" => {
                let (channel, connection) = amqp(port).await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Publisher::Amqp { channel, _connection: connection }
            }
            "kafka" => Publisher::Kafka(cluster(port)),
            other => {
                let (client, events) = mqtt(port, "bench-publisher");
                Publisher::Mqtt(
                    client,
                    Box::new(events),
                    if other == "mqtt" { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                )
            }
        })
    }

    pub async fn publish(&mut self, source: &str, Range { start: from, end: to }: Range<usize>) -> Outcome<()> {
        match self {
            Publisher::Store(c, port) => {
                for n in from..to {
                    let (status, head) = c.exchange(&signed(*port, "PUT", &format!("/{NAME}/n-{n}"), Vec::new())?)?;
                    if status != 200 {
                        return Err(head.into());
                    }
                }
            }
            Publisher::Objects(api) => {
                let api = &*api;
                let made = (from..to).map(|n| {
                    let o = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("n-{n}")}});
                    async move { api.create_blindly("/api/v1/namespaces/argo/configmaps", &o).await }
                });
                try_join_all(made).await.map_err(|e| e.to_string())?;
            }
            Publisher::Webhook(c) => {
                for n in from..to {
                    let (status, head) = c.post(&numbered(n))?;
                    if status != 200 {
                        return Err(head.into());
                    }
                }
            }
            Publisher::Nats(client) if source == "nats-core" => {
                for n in from..to {
                    client.publish(format!("in.{n}"), numbered(n).into()).await?;
                }
                client.flush().await?;
            }
            Publisher::Nats(client) => {
                let js = async_nats::jetstream::new(client.clone());
                let mut acks = Vec::new();
                for n in from..to {
                    acks.push(js.publish(format!("in.{n}"), numbered(n).into()).await?);
                }
                for ack in acks {
                    ack.await?;
                }
            }
            Publisher::Amqp { channel, .. } => {
                let mut confirms = Vec::new();
                for n in from..to {
                    let p = BasicProperties::default()
                        .with_delivery_mode(2)
                        .with_content_type("application/cloudevents+json".into());
                    confirms.push(
                        channel
                            .basic_publish(
                                NAME.into(),
                                "in".into(),
                                BasicPublishOptions::default(),
                                numbered(n).as_bytes(),
                                p,
                            )
                            .await?,
                    );
                }
                for c in confirms {
                    c.await?;
                }
            }
            Publisher::Kafka(cluster) => {
                let records: Vec<Outgoing> =
                    (from..to).map(|n| Outgoing { value: numbered(n).into(), ..Outgoing::default() }).collect();
                produce(cluster, NAME, None, &format!("{from}"), &records, false)
                    .await
                    .map_err(|e| format!("{e:?}"))?;
            }
            Publisher::Mqtt(client, events, qos) => {
                for n in from..to {
                    client.try_publish(format!("in/{n}"), *qos, false, numbered(n))?;
                }
                let mut answered = 0;
                while answered < to - from {
                    match tokio::time::timeout(Duration::from_secs(10), events.poll()).await?? {
                        Event::Incoming(Packet::PubAck(_)) => answered += 1,
                        Event::Outgoing(rumqttc::Outgoing::Publish(_)) if *qos == QoS::AtMostOnce => answered += 1,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// Publishes all, however often it has to begin anew; `done` counts.
pub fn publish_all(place: &Place, numbers: Range<usize>, batch: usize, pause: Duration, done: &AtomicUsize) {
    let source = place.source;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut publisher = None;
        let mut n = numbers.start;
        let mut failures = 0;
        while n < numbers.end {
            let to = (n + batch).min(numbers.end);
            let outcome = async {
                if publisher.is_none() {
                    publisher = Some(Publisher::connect(place).await?);
                }
                match publisher.as_mut() {
                    Some(p) => p.publish(source, n..to).await,
                    None => Ok(()),
                }
            };
            match tokio::time::timeout(Duration::from_secs(20), outcome).await {
                Ok(Ok(())) => {
                    done.fetch_add(to - n, Ordering::Relaxed);
                    n = to;
                    failures = 0;
                    tokio::time::sleep(pause).await;
                }
                other => {
                    failures += 1;
                    assert!(
                        failures < 2000,
                        "{source}: cannot publish: {:?}",
                        other.map(|o| o.map_err(|e| e.to_string()))
                    );
                    publisher = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
}

/// Publishes all as fast as the source takes them.
pub fn flood(place: &Place, messages: usize) {
    let (many, done) = (place.publishers(), AtomicUsize::new(0));
    std::thread::scope(|s| {
        for part in 0..many {
            let numbers = part * messages / many..(part + 1) * messages / many;
            let done = &done;
            s.spawn(move || publish_all(place, numbers, 200, Duration::ZERO, done));
        }
    });
}
