//! Events to an exchange of AMQP 0-9-1, confirmed by the broker.

use super::super::Failure;
use super::super::amqp::connect;
use super::super::secret::{Basic, Tls};
use super::{Connection, Kind, Mode, Subscriber, settings};
use crate::event::Event;
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "amqp",
    read,
    example: "url: amqp://127.0.0.1:5672\nexchangeName: events\nroutingKey: push\nmode: binary\n",
};

/// Messages that outlive the broker.
const PERSISTENT: u8 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Amqp {
    url: String,
    /// It has to exist; the default exchange, which knows queues by their names, when there is none.
    #[serde(default)]
    exchange_name: String,
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: Mode,
    auth: Option<Basic>,
    tls: Option<Tls>,
}

fn read(v: &Value) -> Result<Arc<dyn Subscriber>, String> {
    let a: Amqp = settings(v)?;
    let _: AMQPUri =
        a.url.parse().map_err(|e| format!("url: it is no address of a broker, such as amqp://127.0.0.1:5672: {e}"))?;
    if a.exchange_name.is_empty() && a.routing_key.is_empty() {
        return Err("exchangeName: name the exchange, or in routingKey the queue".into());
    }
    Ok(Arc::new(a))
}

struct Open<'a> {
    amqp: &'a Amqp,
    /// The channel lives as long as its connection.
    _connection: lapin::Connection,
    channel: Channel,
}

impl Subscriber for Amqp {
    fn label(&self) -> String {
        format!("amqp {} {}/{}", self.name, self.exchange_name, self.routing_key)
    }

    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>> {
        Box::pin(async move {
            let connection =
                connect(&self.url, "triggerfish", self.auth.as_ref(), self.tls.as_ref(), api, namespace).await?;
            let channel = connection.create_channel().await.map_err(|e| Failure::lost("the broker", e))?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await
                .map_err(|e| Failure::lost("the broker", e))?;
            let open: Box<dyn Connection + 'a> = Box::new(Open { amqp: self, _connection: connection, channel });
            Ok(open)
        })
    }
}

impl Connection for Open<'_> {
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let lost = |e: lapin::Error| Failure::lost("cannot publish", e);
            let mut confirmed = Vec::with_capacity(events.len());
            for e in events {
                let m = self.amqp.mode.message(e);
                let mut headers = FieldTable::default();
                for (name, value) in m.attributes {
                    headers.insert(format!("cloudEvents:{name}").into(), AMQPValue::LongString(value.into()));
                }
                let properties = BasicProperties::default()
                    .with_content_type(m.content_type.into())
                    .with_message_id(e.id.as_str().into())
                    .with_delivery_mode(PERSISTENT)
                    .with_headers(headers);
                let (exchange, key) = (self.amqp.exchange_name.as_str(), self.amqp.routing_key.as_str());
                let sent = self
                    .channel
                    .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), &m.body, properties)
                    .await;
                confirmed.push(sent.map_err(lost)?);
            }
            for c in confirmed {
                if let Confirmation::Nack(_) = c.await.map_err(lost)? {
                    return Err(Failure::Lost("the broker refuses a message".into()));
                }
            }
            Ok(())
        })
    }
}
