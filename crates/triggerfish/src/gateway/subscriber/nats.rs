//! Events to a subject of NATS. A stream that takes them recognises a repeat by its id.

use super::super::Failure;
use super::super::nats::{Auth, connect};
use super::super::secret::Tls;
use super::{Connection, Kind, Mode, Subscriber, settings};
use crate::event::Event;
use crate::kube_api::Api;
use async_nats::HeaderMap;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

pub const KIND: Kind =
    Kind { name: "nats", read, example: "serverURL: nats://127.0.0.1:4222\nsubject: events\nname: bus\n" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Nats {
    #[serde(rename = "serverURL", alias = "url")]
    url: String,
    subject: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: Mode,
    /// The subject is one of a stream: its acknowledgement is waited for.
    #[serde(default)]
    jetstream: bool,
    auth: Option<Auth>,
    tls: Option<Tls>,
}

fn read(v: &Value) -> Result<Arc<dyn Subscriber>, String> {
    let n: Nats = settings(v)?;
    if n.url.parse::<async_nats::ServerAddr>().is_err() {
        return Err(format!("serverURL: {:?} is no address of a NATS server, such as nats://127.0.0.1:4222", n.url));
    }
    if n.subject.is_empty() || n.subject.contains(|c: char| c.is_whitespace() || c == '*' || c == '>') {
        return Err(format!("subject: {:?} is no subject to publish to, such as events.push", n.subject));
    }
    Ok(Arc::new(n))
}

struct Open<'a> {
    nats: &'a Nats,
    client: async_nats::Client,
}

impl Subscriber for Nats {
    fn label(&self) -> String {
        format!("nats {} {}", self.name, self.subject)
    }

    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>> {
        Box::pin(async move {
            let client =
                connect(&self.url, "triggerfish", self.auth.as_ref(), self.tls.as_ref(), api, namespace).await?;
            let open: Box<dyn Connection + 'a> = Box::new(Open { nats: self, client });
            Ok(open)
        })
    }
}

impl Connection for Open<'_> {
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let stream = async_nats::jetstream::new(self.client.clone());
            let mut acknowledged = Vec::new();
            for e in events {
                let m = self.nats.mode.message(e);
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", e.id.as_str());
                headers.insert("content-type", m.content_type);
                for (name, value) in m.attributes {
                    headers.insert(format!("ce-{name}"), crate::kube_api::encode_text(&value));
                }
                let subject = self.nats.subject.clone();
                if self.nats.jetstream {
                    let sent = stream.publish_with_headers(subject, headers, m.body).await;
                    acknowledged.push(sent.map_err(|e| Failure::lost("cannot publish", e))?);
                } else {
                    let sent = self.client.publish_with_headers(subject, headers, m.body).await;
                    sent.map_err(|e| Failure::lost("cannot publish", e))?;
                }
            }
            for a in acknowledged {
                a.await.map_err(|e| Failure::lost("no stream has it", e))?;
            }
            self.client.flush().await.map_err(|e| Failure::lost("cannot publish", e))
        })
    }
}
