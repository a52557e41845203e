//! Events to a topic of MQTT 5, at least once.

use super::super::Failure;
use super::super::mqtt::Broker;
use super::super::secret::{Basic, Tls};
use super::{Connection, Kind, Mode, Subscriber, settings};
use crate::event::Event;
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, PublishProperties};
use rumqttc::v5::{AsyncClient, Event as Happening, EventLoop, MqttOptions};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "mqtt", read, example: "url: tcp://127.0.0.1:1883\ntopic: events\nmode: binary\n" };

/// How long the broker may take to say that it has something.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Mqtt {
    url: String,
    topic: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    mode: Mode,
    auth: Option<Basic>,
    tls: Option<Tls>,
}

fn read(v: &Value) -> Result<Arc<dyn Subscriber>, String> {
    let m: Mqtt = settings(v)?;
    Broker::read(&m.url, m.tls.as_ref())?;
    if !rumqttc::valid_topic(&m.topic) {
        return Err(format!("topic: {:?} is no topic to publish to, such as events/push", m.topic));
    }
    Ok(Arc::new(m))
}

struct Open<'a> {
    mqtt: &'a Mqtt,
    client: AsyncClient,
    events: EventLoop,
}

impl Subscriber for Mqtt {
    fn label(&self) -> String {
        format!("mqtt {} {}", self.name, self.topic)
    }

    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>> {
        Box::pin(async move {
            let broker = Broker::read(&self.url, self.tls.as_ref()).map_err(Failure::Wrong)?;
            let id = format!("triggerfish-{}", uuid::Uuid::new_v4().simple());
            let mut options = MqttOptions::new(id, &broker.host, broker.port);
            options.set_transport(broker.transport(api, namespace).await?).set_clean_start(true);
            if let Some(a) = &self.auth {
                let user = a.username.value_in(api, namespace).await?;
                options.set_credentials(user, a.password.value_in(api, namespace).await?);
            }
            let (client, events) = AsyncClient::new(options, super::BATCH);
            let open: Box<dyn Connection + 'a> = Box::new(Open { mqtt: self, client, events });
            Ok(open)
        })
    }
}

impl Connection for Open<'_> {
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for e in events {
                let m = self.mqtt.mode.message(e);
                let properties = PublishProperties {
                    content_type: Some(m.content_type),
                    // The binding gives attributes no prefix here.
                    user_properties: m.attributes.into_iter().map(|(name, v)| (name.to_owned(), v)).collect(),
                    ..PublishProperties::default()
                };
                let topic = self.mqtt.topic.clone();
                self.client
                    .publish_bytes_with_properties(topic, QoS::AtLeastOnce, false, m.body, properties)
                    .await
                    .map_err(|e| Failure::lost("cannot publish", e))?;
            }
            for _ in events {
                let acknowledged = tokio::time::timeout(PATIENCE, acknowledged(&mut self.events)).await;
                acknowledged.map_err(|_| Failure::Lost("the broker says nothing".into()))??;
            }
            Ok(())
        })
    }
}

/// Ends when the broker says that it has one more message.
async fn acknowledged(events: &mut EventLoop) -> Result<(), Failure> {
    loop {
        match events.poll().await.map_err(|e| Failure::lost("the broker", e))? {
            Happening::Incoming(Packet::PubAck(a)) => {
                return match a.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                    why => Err(Failure::Lost(format!("the broker refuses it: {why:?}"))),
                };
            }
            Happening::Incoming(Packet::Disconnect(d)) => {
                return Err(Failure::Lost(format!("the broker ended the connection: {:?}", d.reason_code)));
            }
            _ => {}
        }
    }
}
