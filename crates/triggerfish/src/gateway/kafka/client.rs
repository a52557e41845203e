//! Connections to the brokers of a Kafka cluster: requests and answers, one at a time on each.

use super::super::Failure;
use super::sasl::{self, Sasl};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer};
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(40);
const CONNECT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 128 << 20;
/// What brokers know this program as.
const NAME: &str = "triggerfish";

/// How brokers are reached.
#[derive(Clone)]
pub struct Cluster {
    /// `host:port` of the brokers that are asked first.
    pub seeds: Vec<String>,
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub sasl: Option<Sasl>,
}

/// What there is of a topic.
pub struct Topic {
    /// The broker that leads each partition.
    pub leaders: BTreeMap<i32, i32>,
    /// Where brokers are.
    pub brokers: BTreeMap<i32, String>,
}

impl Topic {
    pub fn address(&self, partition: i32) -> Result<&str, Failure> {
        let broker = self.leaders.get(&partition).and_then(|leader| self.brokers.get(leader));
        broker.map(String::as_str).ok_or_else(|| Failure::Lost(format!("partition {partition} has no leader")))
    }
}

impl Cluster {
    /// A connection to the first broker that answers.
    pub async fn any(&self) -> Result<Connection, Failure> {
        let mut why = Failure::Lost("no broker is named".into());
        for seed in &self.seeds {
            match self.connect(seed).await {
                Ok(c) => return Ok(c),
                Err(e) => why = e,
            }
        }
        Err(why)
    }

    pub async fn connect(&self, address: &str) -> Result<Connection, Failure> {
        let lost = |e: &dyn std::fmt::Display| Failure::Lost(format!("{address}: {e}"));
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address))
            .await
            .map_err(|_| lost(&"no connection in time"))?
            .map_err(|e| lost(&e))?;
        stream.set_nodelay(true).map_err(|e| lost(&e))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
                let name = ServerName::try_from(host.to_owned()).map_err(|e| lost(&e))?;
                let tls = tokio_rustls::TlsConnector::from(config.clone());
                Box::new(tls.connect(name, stream).await.map_err(|e| lost(&e))?)
            }
        };
        let mut connection = Connection { stream, number: 0, address: address.to_owned() };
        if let Some(sasl) = &self.sasl {
            connection.authenticate(sasl).await?;
        }
        Ok(connection)
    }

    /// Asks about a topic; one that is missing is made by brokers that do so.
    pub async fn topic(&self, name: &str) -> Result<Topic, Failure> {
        let mut connection = self.any().await?;
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(true);
        let answer: MetadataResponse = connection.call(&request, 5).await?;
        let brokers = answer.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", b.host, b.port))).collect();
        let topic =
            answer.topics.first().ok_or_else(|| Failure::Lost(format!("nothing is said of the topic {name:?}")))?;
        check(topic.error_code, &format!("topic {name:?}"))?;
        let leaders = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id.0)).collect();
        Ok(Topic { leaders, brokers })
    }
}

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

/// What a code of an answer says.
pub fn check(code: i16, what: &str) -> Result<(), Failure> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(e) => Err(Failure::Lost(format!("{what}: {e:?} ({code})"))),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    number: i32,
    address: String,
}

impl Connection {
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Failure> {
        let address = self.address.clone();
        let lost = |e: &dyn std::fmt::Display| Failure::Lost(format!("{address}: {e}"));
        self.number = self.number.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.number)
            .with_client_id(Some(StrBytes::from_static_str(NAME)));
        let mut out = BytesMut::new();
        out.put_i32(0);
        encode_request_header_into_buffer(&mut out, &header).map_err(|e| lost(&e))?;
        request.encode(&mut out, version).map_err(|e| lost(&e))?;
        let length = i32::try_from(out.len() - 4).map_err(|e| lost(&e))?;
        out[..4].copy_from_slice(&length.to_be_bytes());
        let exchange = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(usize::MAX);
            if length > LARGEST {
                return Err(std::io::Error::other(format!("an answer of {length} bytes is no answer of Kafka")));
            }
            // Only what has come takes memory, whatever the length says.
            let mut body = Vec::new();
            (&mut self.stream).take(length as u64).read_to_end(&mut body).await?;
            if body.len() < length { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(body)) }
        };
        let mut body = tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| lost(&"no answer in time"))?
            .map_err(|e| lost(&e))?;
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).map_err(|e| lost(&e))?;
        if header.correlation_id != self.number {
            return Err(lost(&"the answer is to another question"));
        }
        R::Response::decode(&mut body, version).map_err(|e| lost(&e))
    }

    async fn authenticate(&mut self, sasl: &Sasl) -> Result<(), Failure> {
        let mechanism = sasl.mechanism.name();
        let answer = self.call(&SaslHandshakeRequest::default().with_mechanism(text(mechanism)), 1).await?;
        check(answer.error_code, &format!("SASL mechanism {mechanism}"))?;
        let mut conversation = sasl::Conversation::new(sasl);
        let mut said = Bytes::new();
        while let Some(next) = conversation.next(&said).map_err(Failure::Lost)? {
            let answer = self.call(&SaslAuthenticateRequest::default().with_auth_bytes(next.into()), 0).await?;
            check(answer.error_code, "SASL: the broker does not accept the user name and password")?;
            said = answer.auth_bytes;
        }
        Ok(())
    }
}
