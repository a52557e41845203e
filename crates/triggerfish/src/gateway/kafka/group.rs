//! Consumer groups: members share the partitions of a topic, and the broker remembers how far they are.

use super::super::Failure;
use super::client::{Cluster, Connection, Topic, check, text, topic_name};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// A member that says nothing for so long is gone.
const SESSION: i32 = 15_000;
const REBALANCE: i32 = 30_000;
/// How often a member says that it is there, and how far it is.
const BEAT: Duration = Duration::from_secs(1);
/// The group begins anew: members came or went.
const ANEW: [i16; 3] = [22, 25, 27];

/// How partitions are shared: the broker's members have to agree on one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Range,
    RoundRobin,
}

/// A membership.
pub struct Member {
    connection: Connection,
    group: GroupId,
    generation: i32,
    id: String,
    topic: String,
    pub partitions: Vec<i32>,
}

/// Offsets that may be committed, by partition.
#[derive(Default)]
pub struct Stored(Mutex<BTreeMap<i32, i64>>);

impl Stored {
    /// Records of a partition before this offset are on disk.
    pub fn up_to(&self, partition: i32, offset: i64) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).insert(partition, offset);
    }
    fn take(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

impl Member {
    /// Joins, and learns its partitions.
    pub async fn join(
        cluster: &Cluster,
        group: &str,
        topic_of: &str,
        topic: &Topic,
        strategy: Strategy,
    ) -> Result<Self, Failure> {
        let find = FindCoordinatorRequest::default().with_key(text(group));
        let found = cluster.any().await?.call(&find, 1).await?;
        check(found.error_code, "the group's coordinator")?;
        let mut connection = cluster.connect(&format!("{}:{}", found.host, found.port)).await?;
        let group = GroupId(text(group));
        let name = if strategy == Strategy::Range { "range" } else { "roundrobin" };
        let subscription = ConsumerProtocolSubscription::default().with_topics(vec![text(topic_of)]);
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(versioned(&subscription)?);
        let request = JoinGroupRequest::default()
            .with_group_id(group.clone())
            .with_session_timeout_ms(SESSION)
            .with_rebalance_timeout_ms(REBALANCE)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let joined = connection.call(&request, 2).await?;
        check(joined.error_code, "joining the group")?;
        let id = joined.member_id.to_string();
        let mut assignments = Vec::new();
        if joined.leader == joined.member_id {
            let mut members: Vec<String> = joined.members.iter().map(|m| m.member_id.to_string()).collect();
            members.sort();
            let partitions: Vec<i32> = topic.leaders.keys().copied().collect();
            for (member, partitions) in shared(&members, &partitions, strategy) {
                let mine = TopicPartition::default().with_topic(topic_name(topic_of)).with_partitions(partitions);
                let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![mine]);
                let assignment = versioned(&assignment)?;
                assignments.push(
                    SyncGroupRequestAssignment::default().with_member_id(text(&member)).with_assignment(assignment),
                );
            }
        }
        let request = SyncGroupRequest::default()
            .with_group_id(group.clone())
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_assignments(assignments);
        let synced = connection.call(&request, 1).await?;
        check(synced.error_code, "the group's assignment")?;
        let mut given = synced.assignment;
        let partitions = if given.len() < 2 {
            Vec::new()
        } else {
            let version = i16::from_be_bytes([given[0], given[1]]);
            let _ = given.split_to(2);
            let assigned = ConsumerProtocolAssignment::decode(&mut given, version.clamp(0, 3))
                .map_err(|e| Failure::lost("the assignment", e))?;
            assigned
                .assigned_partitions
                .iter()
                .filter(|t| t.topic.0 == text(topic_of))
                .flat_map(|t| t.partitions.clone())
                .collect()
        };
        Ok(Member { connection, group, generation: joined.generation_id, id, topic: topic_of.to_owned(), partitions })
    }

    /// How far the group was; partitions that nobody has read are missing.
    pub async fn committed(&mut self) -> Result<BTreeMap<i32, i64>, Failure> {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partition_indexes(self.partitions.clone());
        let request = OffsetFetchRequest::default().with_group_id(self.group.clone()).with_topics(Some(vec![topic]));
        let answer = self.connection.call(&request, 3).await?;
        check(answer.error_code, "the group's offsets")?;
        let all = answer.topics.iter().flat_map(|t| &t.partitions);
        Ok(all.filter(|p| p.committed_offset >= 0).map(|p| (p.partition_index, p.committed_offset)).collect())
    }

    /// Stays a member and commits what is stored, until the group begins anew.
    pub async fn stay(&mut self, stored: &Stored) -> Result<(), Failure> {
        loop {
            tokio::time::sleep(BEAT).await;
            let anew = !self.commit(stored).await? || !self.beat().await?;
            if anew {
                return Ok(());
            }
        }
    }

    async fn beat(&mut self) -> Result<bool, Failure> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id));
        let code = self.connection.call(&request, 1).await?.error_code;
        if ANEW.contains(&code) {
            return Ok(false);
        }
        check(code, "the group").map(|()| true)
    }

    /// Tells the broker how far this member is; false when the group begins anew.
    pub async fn commit(&mut self, stored: &Stored) -> Result<bool, Failure> {
        let offsets = stored.take();
        if offsets.is_empty() {
            return Ok(true);
        }
        let partitions = offsets.into_iter().map(|(partition, offset)| {
            OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset)
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name(&self.topic))
            .with_partitions(partitions.collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_retention_time_ms(-1)
            .with_topics(vec![topic]);
        let answer = self.connection.call(&request, 3).await?;
        for code in answer.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code) {
            if ANEW.contains(&code) {
                return Ok(false);
            }
            check(code, "committing offsets")?;
        }
        Ok(true)
    }

    /// Leaves, so that others need not wait until it is missed.
    pub async fn leave(mut self) {
        let request = LeaveGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_member_id(text(&self.id))
            .with_members(vec![MemberIdentity::default().with_member_id(text(&self.id))]);
        // The broker notices otherwise.
        let _ = self.connection.call(&request, 1).await;
    }
}

/// A message of the consumers' own protocol, with its version before it.
fn versioned<T: Encodable>(message: &T) -> Result<Bytes, Failure> {
    let mut out = BytesMut::from(&[0u8, 0][..]);
    message.encode(&mut out, 0).map_err(|e| Failure::lost("the group's protocol", e))?;
    Ok(out.freeze())
}

/// Which member reads which partitions.
fn shared(members: &[String], partitions: &[i32], strategy: Strategy) -> Vec<(String, Vec<i32>)> {
    let mut out: Vec<(String, Vec<i32>)> = members.iter().map(|m| (m.clone(), Vec::new())).collect();
    let count = members.len().max(1);
    for (i, partition) in partitions.iter().enumerate() {
        let member = match strategy {
            Strategy::RoundRobin => i % count,
            // The first ones have one more where it does not divide.
            Strategy::Range => {
                let (each, more) = (partitions.len() / count, partitions.len() % count);
                if i < (each + 1) * more { i / (each + 1) } else { more + (i - (each + 1) * more) / each.max(1) }
            }
        };
        if let Some((_, mine)) = out.get_mut(member) {
            mine.push(*partition);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_one_reader() {
        let members: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let counts = |strategy, n: i32| {
            let partitions: Vec<i32> = (0..n).collect();
            let shared = shared(&members, &partitions, strategy);
            let mut all: Vec<i32> = shared.iter().flat_map(|(_, p)| p.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, partitions);
            shared.iter().map(|(_, p)| p.len()).collect::<Vec<_>>()
        };
        assert_eq!(counts(Strategy::Range, 8), [3, 3, 2]);
        assert_eq!(counts(Strategy::RoundRobin, 7), [3, 2, 2]);
        assert_eq!(counts(Strategy::Range, 2), [1, 1, 0]);
    }
}
