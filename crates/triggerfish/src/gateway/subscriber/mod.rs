//! Where a gateway's events are sent outside of this program: one file for each protocol, one line in `KINDS`.
//!
//! An event goes out as a CloudEvent 1.0, in the form that the binding of its protocol gives it: structured, which is one JSON
//! document, or binary, where attributes are headers and the data is the body.

mod amqp;
mod http;
mod kafka;
mod mqtt;
mod nats;

use super::cloudevents::{self, STRUCTURED};
use super::{Failure, settings};
use crate::event::Event;
use crate::kube_api::Api;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub const KINDS: &[Kind] = &[http::KIND, nats::KIND, kafka::KIND, mqtt::KIND, amqp::KIND];

/// Events sent in one go, at most.
pub const BATCH: usize = 256;

/// One kind of subscriber.
pub struct Kind {
    /// The member of `spec.subscribers` that lists them.
    pub name: &'static str,
    pub read: fn(&Value) -> Result<Arc<dyn Subscriber>, String>,
    pub example: &'static str,
}

/// One that can be sent to.
pub trait Subscriber: Send + Sync {
    /// What people know it by; nothing of a secret is in it.
    fn label(&self) -> String;
    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>>;
}

/// A way to it that is open.
pub trait Connection: Send {
    /// Sends events in their order; the other side has them when it returns. After a failure the connection is not used again, and all
    /// of them are sent again.
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>>;
}

/// The form that events are sent in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Structured,
    Binary,
}

/// An event as a message: its media type, attributes that are headers (without a prefix), and its body.
pub struct Message {
    pub content_type: String,
    pub attributes: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Mode {
    pub fn message(self, e: &Event) -> Message {
        match self {
            Mode::Structured => Message {
                content_type: STRUCTURED.into(),
                attributes: Vec::new(),
                body: cloudevents::structured(e).to_string().into(),
            },
            Mode::Binary => {
                let mut attributes = vec![
                    ("specversion", "1.0".to_owned()),
                    ("id", e.id.clone()),
                    ("source", e.source.clone()),
                    ("type", e.kind.clone()),
                    ("time", e.time.clone()),
                ];
                if !e.subject.is_empty() {
                    attributes.push(("subject", e.subject.clone()));
                }
                Message { content_type: e.datacontenttype.clone(), attributes, body: cloudevents::raw(e).into() }
            }
        }
    }
}

/// All subscribers that a Gateway object names: the kind, the place in the object, and the settings.
pub fn named(gateway: &Value) -> Vec<(&'static Kind, String, Value)> {
    let mut out = Vec::new();
    for kind in KINDS {
        let list = gateway["spec"]["subscribers"][kind.name].as_array();
        for (i, v) in list.into_iter().flatten().enumerate() {
            // HTTP subscribers were addresses at first.
            let v = if v.is_string() { json!({"url": v}) } else { v.clone() };
            out.push((kind, format!("spec.subscribers.{}[{i}]", kind.name), v));
        }
    }
    out
}
