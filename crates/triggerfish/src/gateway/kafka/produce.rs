//! Writes records.

use super::super::Failure;
use super::client::{Cluster, check, topic_name};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};

/// How long the brokers may take to have it everywhere, in milliseconds.
const TIMEOUT: i32 = 30_000;

/// A record to be written.
#[derive(Default, Clone)]
pub struct Outgoing {
    pub key: Option<String>,
    pub value: Bytes,
    pub headers: Vec<(String, String)>,
}

/// Writes records to a topic, all to the partition of the first one's key; a record counts when all replicas have it. Where they
/// are: partition and offset.
pub async fn produce(
    cluster: &Cluster,
    topic: &str,
    partition: Option<i32>,
    spread: &str,
    records: &[Outgoing],
    compress: bool,
) -> Result<(i32, i64), Failure> {
    let known = cluster.topic(topic).await?;
    let count = i32::try_from(known.leaders.len().max(1)).unwrap_or(1);
    let partition = partition.unwrap_or_else(|| (murmur2(spread.as_bytes()) & 0x7fff_ffff) as i32 % count);
    let now = jiff::Timestamp::now().as_millisecond();
    let records: Vec<Record> = records.iter().enumerate().map(|(i, r)| record(r, i as i64, now)).collect();
    let compression = if compress { Compression::Gzip } else { Compression::None };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, &records, &RecordEncodeOptions { version: 2, compression })
        .map_err(|e| Failure::Wrong(e.to_string()))?;
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.freeze()));
    let data = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(TIMEOUT).with_topic_data(vec![data]);
    let mut connection = cluster.connect(known.address(partition)?).await?;
    let answer = connection.call(&request, 5).await?;
    let told = answer.responses.first().and_then(|t| t.partition_responses.first());
    let told = told.ok_or_else(|| Failure::Lost("the broker said nothing of the record".into()))?;
    check(told.error_code, &format!("topic {topic:?} partition {partition}"))?;
    Ok((partition, told.base_offset))
}

fn record(r: &Outgoing, offset: i64, now: i64) -> Record {
    let header =
        |(name, value): &(String, String)| (StrBytes::from_string(name.clone()), Some(Bytes::from(value.clone())));
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset,
        // Records whose offsets and sequences rise together are one batch, of which only the first's is written.
        sequence: NO_SEQUENCE + offset as i32,
        timestamp: now,
        key: r.key.clone().map(Bytes::from),
        value: Some(r.value.clone()),
        headers: r.headers.iter().map(header).collect(),
    }
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
