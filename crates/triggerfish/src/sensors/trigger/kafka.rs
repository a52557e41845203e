//! Produces a record to a Kafka topic.

use super::{Failure, Firing, Kind, Settings};
use crate::gateway::kafka::produce::{Outgoing, produce};
use crate::gateway::kafka::{SaslSettings, brokers, cluster};
use crate::gateway::secret::Tls;
use crate::sensors::specification::Mistake;
use sensor::parameter::Parameter;
use serde::Deserialize;
use std::collections::BTreeMap;

pub const KIND: Kind = Kind { name: "kafka", check, fire: |f| Box::pin(fire(f)) };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kafka {
    url: String,
    topic: String,
    /// The key decides when there is none.
    partition: Option<i32>,
    #[serde(default)]
    partitioning_key: String,
    #[serde(default)]
    payload: Vec<Parameter>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    compress: bool,
    tls: Option<Tls>,
    sasl: Option<SaslSettings>,
    /// A record counts when all replicas have it.
    #[serde(default, rename = "requiredAcks")]
    _required_acks: i32,
    #[serde(default, rename = "flushFrequency")]
    _flush_frequency: i64,
    #[serde(default, rename = "version")]
    _version: String,
}

fn check(s: &Settings, mistakes: &mut Vec<Mistake>) {
    let Some(k) = s.read::<Kafka>(mistakes) else { return };
    if let Err(why) = brokers(&k.url) {
        mistakes.push((format!("{}.url", s.path), why));
    }
    if k.topic.is_empty() {
        mistakes.push((format!("{}.topic", s.path), "name one".into()));
    }
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let k: Kafka = f.read()?;
    let seeds = brokers(&k.url).map_err(Failure::Never)?;
    let cluster = cluster(&seeds, k.tls.as_ref(), k.sasl.as_ref(), &f.api, &f.sensor.namespace).await?;
    // A reader that looks at it takes a repeat for what it is.
    let mut headers: Vec<(String, String)> = k.headers.into_iter().collect();
    headers.push(("triggerfish-action".into(), f.id.to_owned()));
    let key = Some(k.partitioning_key).filter(|key| !key.is_empty());
    // Without a key the action's own id spreads records over partitions.
    let spread = key.clone().unwrap_or_else(|| f.id.to_owned());
    let record = Outgoing { key, value: f.payload(&k.payload)?.into(), headers };
    let (partition, offset) = produce(&cluster, &k.topic, k.partition, &spread, &[record], k.compress).await?;
    Ok(format!("produced {}/{partition} at {offset}", k.topic))
}
