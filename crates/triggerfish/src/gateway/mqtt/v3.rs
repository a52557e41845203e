//! MQTT 3.1.1.

use super::super::Failure;
use super::super::outlet::{Outlet, pump};
use super::{IN_FLIGHT, KEEP_ALIVE, Message, Mqtt, PACKET};
use futures_util::{TryStreamExt, stream};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, SubscribeReasonCode};

pub async fn run(mqtt: &Mqtt, out: &Outlet) -> Result<(), Failure> {
    let mut options = MqttOptions::new(mqtt.client_id(out), &mqtt.broker.host, mqtt.broker.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_session(out.is_trial())
        .set_manual_acks(true)
        .set_max_packet_size(PACKET, PACKET)
        .set_transport(mqtt.transport(out).await?);
    if let Some((user, password)) = mqtt.credentials(out).await? {
        options.set_credentials(user, password);
    }
    let (client, events) = AsyncClient::new(options, IN_FLIGHT * 2);
    let qos = rumqttc::qos(mqtt.settings.qos).map_err(|e| Failure::Wrong(e.to_string()))?;
    client.subscribe(&mqtt.settings.topic, qos).await.map_err(|e| Failure::lost("cannot subscribe", e))?;
    let acker = client.clone();
    let messages = messages(events, mqtt.place(), out).try_filter_map(move |m| {
        let wanted = mqtt.wants(&m.topic);
        if !wanted {
            // A full queue is sent again by the broker.
            let _ = acker.try_ack(&m);
        }
        std::future::ready(Ok(wanted.then_some(m)))
    });
    let read = |m: &Publish| {
        super::emission(&Message {
            topic: &m.topic,
            payload: &m.payload,
            retain: m.retain,
            number: m.pkid,
            again: m.dup,
            content_type: "",
            properties: &[],
        })
    };
    pump(out, Box::pin(messages), read, |m: Publish| {
        let client = client.clone();
        async move { client.ack(&m).await.map_err(|e| Failure::lost("cannot acknowledge", e)) }
    })
    .await
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
                Ok(Event::Incoming(Packet::SubAck(a))) => {
                    if a.return_codes.contains(&SubscribeReasonCode::Failure) {
                        Err(Failure::Lost("the broker refuses the subscription".into()))
                    } else {
                        out.running();
                        continue;
                    }
                }
                Ok(_) => continue,
            };
            return Some((item, (events, place)));
        }
    })
}
