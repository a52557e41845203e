//! Kafka: records of a topic, by partition or as a member of a consumer group.

pub mod client;
pub mod fetch;
mod group;
pub mod produce;
mod sasl;

use super::outlet::{Emission, Outlet, pump};
use super::secret::{Reference, Tls};
use super::{Failure, Kind, Source, cloudevents, settings};
use crate::kube_api::Api;
use client::Cluster;
use fetch::{End, Message};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use group::{Member, Stored, Strategy};
use jiff::Timestamp;
use sasl::{Mechanism, Sasl};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KIND: Kind = Kind { name: "kafka", read, example: "url: 127.0.0.1:9092\ntopic: foo\npartition: \"0\"\n" };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    /// `host:port`, several with commas between them.
    url: String,
    topic: String,
    /// One partition; all of them when there is none.
    #[serde(default)]
    partition: Value,
    consumer_group: Option<Group>,
    tls: Option<Tls>,
    sasl: Option<SaslSettings>,
    #[serde(default, rename = "jsonBody")]
    _json_body: bool,
    /// The protocol is what brokers since 2.1 understand.
    #[serde(default, rename = "version")]
    _version: Value,
    /// Pauses between tries are the same for all sources here.
    #[serde(default, alias = "connectionBackoff", rename = "backoff")]
    _backoff: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Group {
    group_name: String,
    /// A group that is new begins with the oldest records.
    #[serde(default)]
    oldest: bool,
    #[serde(default)]
    rebalance_strategy: String,
}

/// A user name and a password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SaslSettings {
    #[serde(default)]
    mechanism: String,
    #[serde(alias = "userSecret")]
    user: Reference,
    #[serde(alias = "passwordSecret")]
    password: Reference,
}

struct Kafka {
    settings: Settings,
    seeds: Vec<String>,
    partition: Option<i32>,
    strategy: Strategy,
}

/// The brokers that an address names.
pub fn brokers(url: &str) -> Result<Vec<String>, String> {
    let seeds: Vec<String> = url.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    let address = |s: &String| {
        s.rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok())
    };
    if seeds.is_empty() || !seeds.iter().all(address) {
        return Err(format!("url: {url:?} names no brokers, such as kafka-1:9092,kafka-2:9092"));
    }
    Ok(seeds)
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    let seeds = brokers(&s.url)?;
    if s.topic.is_empty() {
        return Err("topic: name one".into());
    }
    let partition = match &s.partition {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.parse().map_err(|_| format!("partition: {text:?} is no number"))?),
        other => Some(
            other
                .as_i64()
                .and_then(|n| i32::try_from(n).ok())
                .ok_or_else(|| format!("partition: {other} is no number"))?,
        ),
    };
    let mut strategy = Strategy::Range;
    if let Some(g) = &s.consumer_group {
        strategy = match &*g.rebalance_strategy {
            "" | "range" => Strategy::Range,
            "roundrobin" => Strategy::RoundRobin,
            other => return Err(format!("consumerGroup.rebalanceStrategy: {other:?} is neither range nor roundrobin")),
        };
        if g.group_name.is_empty() {
            return Err("consumerGroup.groupName: name the group".into());
        }
        if partition.is_some() {
            return Err("partition: the group decides who reads what; leave one of the two out".into());
        }
    }
    if let Some(sasl) = &s.sasl {
        Mechanism::named(&sasl.mechanism).map_err(|e| format!("sasl.mechanism: {e}"))?;
    }
    Ok(Arc::new(Kafka { settings: s, seeds, partition, strategy }))
}

/// A cluster as settings describe it, with what Secrets of a namespace hold.
pub async fn cluster(
    seeds: &[String],
    tls: Option<&Tls>,
    sasl: Option<&SaslSettings>,
    api: &Api,
    namespace: &str,
) -> Result<Cluster, Failure> {
    let tls = match tls {
        Some(t) => Some(Arc::new(t.client_in(api, namespace).await?)),
        None => None,
    };
    let sasl = match sasl {
        Some(s) => Some(Sasl {
            mechanism: Mechanism::named(&s.mechanism).map_err(Failure::Wrong)?,
            user: s.user.value_in(api, namespace).await?,
            password: s.password.value_in(api, namespace).await?,
        }),
        None => None,
    };
    Ok(Cluster { seeds: seeds.to_vec(), tls, sasl })
}

impl Source for Kafka {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let s = &self.settings;
            let cluster =
                cluster(&self.seeds, s.tls.as_ref(), s.sasl.as_ref(), &out.api, &out.gateway.namespace).await?;
            match s.consumer_group.as_ref().filter(|_| !out.is_trial()) {
                Some(g) => self.share(&cluster, g, out).await,
                None => self.follow(&cluster, out).await,
            }
        })
    }
}

impl Kafka {
    /// Reads by itself; how far it is stands in the event log.
    async fn follow(&self, cluster: &Cluster, out: &Outlet) -> Result<(), Failure> {
        let name = &self.settings.topic;
        let topic = cluster.topic(name).await?;
        let partitions: Vec<i32> = match self.partition {
            Some(one) => vec![one],
            None => topic.leaders.keys().copied().collect(),
        };
        let mut from: BTreeMap<i32, i64> =
            out.position()?.and_then(|p| serde_json::from_str(&p).ok()).unwrap_or_default();
        let known = !from.is_empty();
        from.retain(|partition, _| partitions.contains(partition));
        let missing: Vec<i32> = partitions.into_iter().filter(|p| !from.contains_key(p)).collect();
        // A partition that is new since then is read from its beginning; at first what comes from now on counts.
        let end = if known { End::Oldest } else { End::Newest };
        from.extend(fetch::offsets(cluster, &topic, name, &missing, end).await?);
        if !missing.is_empty() {
            // Remembered at once: what comes while this is away is not missed.
            out.keep_position(json!(from).to_string()).await?;
        }
        let messages = fetch::messages(cluster, &topic, name, from.clone()).await?;
        out.running();
        let mut places = from;
        let placed = messages.map_ok(move |m| {
            places.insert(m.partition, m.offset + 1);
            let position = json!(places).to_string();
            (m, position)
        });
        let read =
            |(m, position): &(Message, String)| Emission { position: Some(position.clone()), ..self.emission(m) };
        pump(out, placed.boxed(), read, |_| async { Ok(()) }).await?;
        Err(Failure::Lost("the brokers have nothing more to say".into()))
    }

    /// Reads as a member of a group, which begins anew whenever members come or go.
    async fn share(&self, cluster: &Cluster, g: &Group, out: &Outlet) -> Result<(), Failure> {
        let name = &self.settings.topic;
        loop {
            let topic = cluster.topic(name).await?;
            let mut member = Member::join(cluster, &g.group_name, name, &topic, self.strategy).await?;
            let mut from = member.committed().await?;
            let missing: Vec<i32> = member.partitions.iter().copied().filter(|p| !from.contains_key(p)).collect();
            let end = if g.oldest { End::Oldest } else { End::Newest };
            from.extend(fetch::offsets(cluster, &topic, name, &missing, end).await?);
            let stored = Stored::default();
            // Where a new partition begins is remembered at once: what comes while this is away is not missed.
            missing.iter().for_each(|p| stored.up_to(*p, from.get(p).copied().unwrap_or(0)));
            let messages = fetch::messages(cluster, &topic, name, from).await?;
            out.running();
            let acknowledge = |m: Message| {
                stored.up_to(m.partition, m.offset + 1);
                async { Ok(()) }
            };
            let reading = async {
                pump(out, messages, |m| self.emission(m), acknowledge).await?;
                // Without partitions there is nothing to read, and yet it is a member.
                std::future::pending::<Result<(), Failure>>().await
            };
            let ended = tokio::select! {
                ended = member.stay(&stored) => ended,
                ended = reading => ended,
            };
            // What is stored is told, as far as the group still listens.
            let _ = member.commit(&stored).await;
            if let Err(e) = ended {
                member.leave().await;
                return Err(e);
            }
        }
    }

    fn emission(&self, m: &Message) -> Emission {
        let one = |s: String| vec![s];
        let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &m.headers {
            metadata.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
        }
        let content_type = metadata.get("content-type").and_then(|v| v.first()).cloned().unwrap_or_default();
        metadata.insert("topic".into(), one(self.settings.topic.clone()));
        metadata.insert("partition".into(), one(m.partition.to_string()));
        metadata.insert("offset".into(), one(m.offset.to_string()));
        if let Some(key) = &m.key {
            metadata.insert("key".into(), one(String::from_utf8_lossy(key).into_owned()));
        }
        let mut e = Emission {
            data: m.value.to_vec(),
            content_type,
            time: Timestamp::from_millisecond(m.timestamp).ok().filter(|_| m.timestamp > 0),
            identity: Some(format!("{}\0{}\0{}\0{}", self.settings.url, self.settings.topic, m.partition, m.offset)),
            metadata,
            ..Emission::default()
        };
        cloudevents::of_message(&mut e);
        e
    }
}
