//! Events to a topic of Kafka; those of one configuration keep their order.

use super::super::Failure;
use super::super::kafka::client::Cluster;
use super::super::kafka::produce::{Outgoing, produce};
use super::super::kafka::{SaslSettings, brokers, cluster};
use super::super::secret::Tls;
use super::{Connection, Kind, Mode, Subscriber, settings};
use crate::event::Event;
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

pub const KIND: Kind = Kind { name: "kafka", read, example: "url: 127.0.0.1:9092\ntopic: events\nmode: binary\n" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kafka {
    url: String,
    topic: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    compress: bool,
    tls: Option<Tls>,
    sasl: Option<SaslSettings>,
}

fn read(v: &Value) -> Result<Arc<dyn Subscriber>, String> {
    let k: Kafka = settings(v)?;
    brokers(&k.url)?;
    if k.topic.is_empty() {
        return Err("topic: name one".into());
    }
    Ok(Arc::new(k))
}

struct Open<'a> {
    kafka: &'a Kafka,
    cluster: Cluster,
}

impl Subscriber for Kafka {
    fn label(&self) -> String {
        format!("kafka {} {}", self.name, self.topic)
    }

    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>> {
        Box::pin(async move {
            let seeds = brokers(&self.url).map_err(Failure::Wrong)?;
            let cluster = cluster(&seeds, self.tls.as_ref(), self.sasl.as_ref(), api, namespace).await?;
            let open: Box<dyn Connection + 'a> = Box::new(Open { kafka: self, cluster });
            Ok(open)
        })
    }
}

impl Connection for Open<'_> {
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let k = self.kafka;
            // What has the same subject goes to one partition, so that it stays in order.
            for same in events.chunk_by(|a, b| a.subject == b.subject) {
                let records: Vec<Outgoing> = same.iter().map(|e| record(k.mode, e)).collect();
                produce(&self.cluster, &k.topic, None, &same[0].subject, &records, k.compress).await?;
            }
            Ok(())
        })
    }
}

fn record(mode: Mode, e: &Event) -> Outgoing {
    let m = mode.message(e);
    let mut headers = vec![("content-type".to_owned(), m.content_type)];
    headers.extend(m.attributes.into_iter().map(|(name, value)| (format!("ce_{name}"), value)));
    Outgoing { key: Some(e.subject.clone()).filter(|s| !s.is_empty()), value: m.body, headers }
}
