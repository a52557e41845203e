//! MQTT 5: what the broker says when it refuses, a message's media type and its properties.

use super::super::Failure;
use super::super::outlet::{Outlet, pump};
use super::{IN_FLIGHT, KEEP_ALIVE, Message, Mqtt, PACKET};
use futures_util::{TryStreamExt, stream};
use rumqttc::v5::mqttbytes::qos;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

/// The broker keeps a session for ever, as one of 3.1.1.
const FOR_EVER: u32 = u32::MAX;

pub async fn run(mqtt: &Mqtt, out: &Outlet) -> Result<(), Failure> {
    let mut options = MqttOptions::new(mqtt.client_id(out), &mqtt.broker.host, mqtt.broker.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(out.is_trial())
        .set_session_expiry_interval(Some(if out.is_trial() { 0 } else { FOR_EVER }))
        .set_receive_maximum(Some(IN_FLIGHT as u16))
        .set_manual_acks(true)
        .set_max_packet_size(Some(PACKET as u32))
        .set_transport(mqtt.transport(out).await?);
    if let Some((user, password)) = mqtt.credentials(out).await? {
        options.set_credentials(user, password);
    }
    let (client, events) = AsyncClient::new(options, IN_FLIGHT * 2);
    let qos = qos(mqtt.settings.qos).ok_or_else(|| Failure::Wrong("qos: it is none of 0, 1, 2".into()))?;
    client.subscribe(&mqtt.settings.topic, qos).await.map_err(|e| Failure::lost("cannot subscribe", e))?;
    let acker = client.clone();
    let messages = messages(events, mqtt.place(), out).try_filter_map(move |m| {
        let wanted = mqtt.wants(&String::from_utf8_lossy(&m.topic));
        if !wanted {
            // A full queue is sent again by the broker.
            let _ = acker.try_ack(&m);
        }
        std::future::ready(Ok(wanted.then_some(m)))
    });
    let read = |m: &Publish| {
        let said = m.properties.as_ref();
        super::emission(&Message {
            topic: &String::from_utf8_lossy(&m.topic),
            payload: &m.payload,
            retain: m.retain,
            number: m.pkid,
            again: m.dup,
            content_type: said.and_then(|p| p.content_type.as_deref()).unwrap_or_default(),
            properties: &said.map_or_else(Vec::new, |p| properties(&p.user_properties)),
        })
    };
    pump(out, Box::pin(messages), read, |m: Publish| {
        let client = client.clone();
        async move { client.ack(&m).await.map_err(|e| Failure::lost("cannot acknowledge", e)) }
    })
    .await
}

/// The properties of a message. A CloudEvent's attributes have no prefix here: they get the one that they have elsewhere.
fn properties(given: &[(String, String)]) -> Vec<(String, String)> {
    const ATTRIBUTES: [&str; 6] = ["specversion", "id", "source", "type", "subject", "time"];
    let is_event = given.iter().any(|(name, _)| name == "specversion");
    let prefixed = |(name, value): &(String, String)| {
        let attribute = is_event && ATTRIBUTES.contains(&name.as_str());
        (if attribute { format!("cloudevents_{name}") } else { name.clone() }, value.clone())
    };
    given.iter().map(prefixed).collect()
}

/// What the broker publishes, until the connection is lost.
fn messages(
    events: EventLoop,
    place: String,
    out: &Outlet,
) -> impl futures_util::Stream<Item = Result<Publish, Failure>> {
    stream::unfold((events, place), move |(mut events, place)| async move {
        loop {
            let item = match events.poll().await {
                Err(e) => Err(Failure::lost(&place, e)),
                Ok(Event::Incoming(Packet::Publish(p))) => Ok(p),
                Ok(Event::Incoming(Packet::Disconnect(d))) => {
                    Err(Failure::Lost(format!("{place}: the broker ended the connection: {:?}", d.reason_code)))
                }
                Ok(Event::Incoming(Packet::SubAck(a))) => {
                    let refused = a.return_codes.iter().find(|c| !matches!(c, SubscribeReasonCode::Success(_)));
                    match refused {
                        Some(code) => Err(Failure::Lost(format!("the broker refuses the subscription: {code:?}"))),
                        None => {
                            out.running();
                            continue;
                        }
                    }
                }
                Ok(_) => continue,
            };
            return Some((item, (events, place)));
        }
    })
}
