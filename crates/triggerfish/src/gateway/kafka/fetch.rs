//! Reads records of partitions, from the brokers that lead them.

use super::super::Failure;
use super::client::{Cluster, Connection, Topic, check, topic_name};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest};
use kafka_protocol::records::{Record, RecordBatchDecoder};
use std::collections::BTreeMap;

/// How long a broker waits for something new, in milliseconds.
const WAIT: i32 = 500;
/// Bytes of one answer, and of one partition in it; a larger record comes alone.
const BYTES: i32 = 8 << 20;
const OF_PARTITION: i32 = 1 << 20;
/// Bytes before what a batch's length counts.
const HEAD: usize = 12;
/// The codes that stand for: the offset is gone.
const OUT_OF_RANGE: i16 = 1;

/// One record.
#[derive(Debug, Clone)]
pub struct Message {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Bytes,
    pub headers: Vec<(String, String)>,
}

/// The first or the next offset of partitions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Oldest,
    Newest,
}

pub async fn offsets(
    cluster: &Cluster,
    topic: &Topic,
    name: &str,
    partitions: &[i32],
    end: End,
) -> Result<BTreeMap<i32, i64>, Failure> {
    let mut out = BTreeMap::new();
    for partition in partitions {
        let mut connection = cluster.connect(topic.address(*partition)?).await?;
        out.insert(*partition, offset(&mut connection, name, *partition, end).await?);
    }
    Ok(out)
}

async fn offset(connection: &mut Connection, name: &str, partition: i32, end: End) -> Result<i64, Failure> {
    let timestamp = if end == End::Oldest { -2 } else { -1 };
    let wanted = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
    let wanted = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![wanted]);
    let answer = connection.call(&request, 2).await?;
    let found = answer.topics.first().and_then(|t| t.partitions.first());
    let found = found.ok_or_else(|| Failure::Lost("nothing is said of an offset".into()))?;
    check(found.error_code, &format!("offset of partition {partition}"))?;
    Ok(found.offset)
}

/// What comes from these places on, in the order of each partition.
pub async fn messages(
    cluster: &Cluster,
    topic: &Topic,
    name: &str,
    from: BTreeMap<i32, i64>,
) -> Result<impl Stream<Item = Result<Message, Failure>> + Send + Unpin + use<>, Failure> {
    let mut by_broker: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for (partition, offset) in from {
        by_broker.entry(topic.address(partition)?.to_owned()).or_default().insert(partition, offset);
    }
    let mut all = Vec::new();
    for (address, from) in by_broker {
        let reader = Reader { connection: cluster.connect(&address).await?, name: name.to_owned(), from };
        let batches = stream::try_unfold(reader, |mut r| async move { r.fetch().await.map(|batch| Some((batch, r))) });
        all.push(batches.boxed());
    }
    Ok(stream::select_all(all).flat_map(|batch| match batch {
        Ok(messages) => stream::iter(messages.into_iter().map(Ok)).boxed(),
        Err(e) => stream::iter([Err(e)]).boxed(),
    }))
}

/// The records of whole batches; the last one of an answer may be cut off, and comes whole the next time.
fn batches(mut bytes: Bytes) -> Result<Vec<Record>, Failure> {
    let mut out = Vec::new();
    // The base offset and the length of what follows come first.
    while let Some(length) = bytes.get(8..HEAD) {
        let length = i32::from_be_bytes(length.try_into().unwrap_or_default());
        let whole = HEAD + usize::try_from(length).map_err(|e| Failure::lost("records", e))?;
        if bytes.len() < whole {
            break;
        }
        let mut batch = bytes.split_to(whole);
        let set = RecordBatchDecoder::decode(&mut batch).map_err(|e| Failure::lost("records", e))?;
        out.extend(set.records);
    }
    Ok(out)
}

struct Reader {
    connection: Connection,
    name: String,
    from: BTreeMap<i32, i64>,
}

impl Reader {
    async fn fetch(&mut self) -> Result<Vec<Message>, Failure> {
        let partitions = self.from.iter().map(|(partition, offset)| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(*offset)
                .with_partition_max_bytes(OF_PARTITION)
        });
        let topic = FetchTopic::default().with_topic(topic_name(&self.name)).with_partitions(partitions.collect());
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(WAIT)
            .with_min_bytes(1)
            .with_max_bytes(BYTES)
            // Only what is committed, where producers use transactions.
            .with_isolation_level(1)
            .with_topics(vec![topic]);
        let answer = self.connection.call(&request, 6).await?;
        let mut out = Vec::new();
        for p in answer.responses.into_iter().flat_map(|t| t.partitions) {
            let partition = p.partition_index;
            if p.error_code == OUT_OF_RANGE {
                let oldest = offset(&mut self.connection, &self.name, partition, End::Oldest).await?;
                let lost = oldest - self.from.get(&partition).copied().unwrap_or(oldest);
                tracing::warn!(
                    topic = self.name,
                    partition,
                    lost,
                    "the broker has dropped records that were not read yet"
                );
                self.from.insert(partition, oldest);
                continue;
            }
            check(p.error_code, &format!("partition {partition}"))?;
            let aborted = p.aborted_transactions.unwrap_or_default();
            let records = batches(p.records.unwrap_or_default())?;
            for r in records {
                let from = self.from.entry(partition).or_insert(0);
                // A batch is sent whole, also where only its end was asked for.
                if r.offset < *from {
                    continue;
                }
                *from = r.offset + 1;
                let undone = r.transactional
                    && aborted.iter().any(|a| a.producer_id.0 == r.producer_id && a.first_offset <= r.offset);
                if r.control || undone {
                    continue;
                }
                let headers = r.headers.iter().map(|(k, v)| {
                    (k.to_string(), String::from_utf8_lossy(v.as_deref().unwrap_or_default()).into_owned())
                });
                out.push(Message {
                    partition,
                    offset: r.offset,
                    timestamp: r.timestamp,
                    key: r.key,
                    value: r.value.unwrap_or_default(),
                    headers: headers.collect(),
                });
            }
        }
        Ok(out)
    }
}
