//! Produces a record to a Kafka topic.

use super::{Failure, Firing, Kind, Settings};
use crate::gateway::kafka::client::{check as answered, topic_name};
use crate::gateway::kafka::{SaslSettings, brokers, cluster};
use crate::gateway::secret::Tls;
use crate::sensors::specification::Mistake;
use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use sensor::parameter::Parameter;
use serde::Deserialize;
use std::collections::BTreeMap;

pub const KIND: Kind = Kind { name: "kafka", check, fire: |f| Box::pin(fire(f)) };

/// How long the brokers may take to have it everywhere, in milliseconds.
const TIMEOUT: i32 = 30_000;

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

fn failed(e: crate::gateway::Failure) -> Failure {
    match e {
        crate::gateway::Failure::Lost(why) => Failure::Again(why, None),
        crate::gateway::Failure::Wrong(why) => Failure::Never(why),
    }
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let k: Kafka = f.read()?;
    let seeds = brokers(&k.url).map_err(Failure::Never)?;
    let cluster =
        cluster(&seeds, k.tls.as_ref(), k.sasl.as_ref(), &f.api, &f.sensor.namespace).await.map_err(failed)?;
    let topic = cluster.topic(&k.topic).await.map_err(failed)?;
    let count = i32::try_from(topic.leaders.len().max(1)).unwrap_or(1);
    let spread = |text: &str| (murmur2(text.as_bytes()) & 0x7fff_ffff) as i32 % count;
    // Without a key the action's own id spreads records over partitions.
    let key = if k.partitioning_key.is_empty() { f.id } else { &k.partitioning_key };
    let partition = k.partition.unwrap_or_else(|| spread(key));
    let mut headers: IndexMap<StrBytes, Option<Bytes>> = IndexMap::new();
    for (name, value) in &k.headers {
        headers.insert(StrBytes::from_string(name.clone()), Some(Bytes::from(value.clone())));
    }
    // A reader that looks at it takes a repeat for what it is.
    headers.insert(StrBytes::from_static_str("triggerfish-action"), Some(Bytes::from(f.id.to_owned())));
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
        timestamp: jiff::Timestamp::now().as_millisecond(),
        key: (!k.partitioning_key.is_empty()).then(|| Bytes::from(k.partitioning_key.clone())),
        value: Some(Bytes::from(f.payload(&k.payload)?)),
        headers,
    };
    let compression = if k.compress { Compression::Gzip } else { Compression::None };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, [&record], &RecordEncodeOptions { version: 2, compression })
        .map_err(Failure::never)?;
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.freeze()));
    let data = TopicProduceData::default().with_name(topic_name(&k.topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT).with_topic_data(vec![data]);
    let mut connection = cluster.connect(topic.address(partition).map_err(failed)?).await.map_err(failed)?;
    let answer = connection.call(&request, 5).await.map_err(failed)?;
    let told = answer.responses.first().and_then(|t| t.partition_responses.first());
    let told = told.ok_or_else(|| Failure::again("the broker said nothing of the record"))?;
    answered(told.error_code, &format!("topic {:?} partition {partition}", k.topic)).map_err(failed)?;
    Ok(format!("produced {}/{partition} at {}", k.topic, told.base_offset))
}

/// The hash that Kafka's own clients choose partitions by.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for c in &mut chunks {
        let mut k = u32::from_le_bytes([c[0], c[1], c[2], c[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, b) in rest.iter().enumerate() {
            h ^= u32::from(*b) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    /// Values of the Java client's own test.
    #[test]
    fn keys_are_spread_as_the_java_client_does() {
        for (text, hash) in
            [("21", -973_932_308_i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)]
        {
            assert_eq!(super::murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }
}
