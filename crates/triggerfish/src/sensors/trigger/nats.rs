//! Publishes a message with NATS.

use super::{Failure, Firing, Kind, Settings};
use crate::gateway::nats::{Auth, connect};
use crate::gateway::secret::Tls;
use crate::sensors::specification::Mistake;
use sensor::parameter::Parameter;
use serde::Deserialize;

pub const KIND: Kind = Kind { name: "nats", check, fire: |f| Box::pin(fire(f)) };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nats {
    url: String,
    subject: String,
    #[serde(default)]
    payload: Vec<Parameter>,
    auth: Option<Auth>,
    tls: Option<Tls>,
}

fn check(s: &Settings, mistakes: &mut Vec<Mistake>) {
    let Some(n) = s.read::<Nats>(mistakes) else { return };
    if n.url.parse::<async_nats::ServerAddr>().is_err() {
        mistakes.push((
            format!("{}.url", s.path),
            "expected the address of a NATS server, such as nats://127.0.0.1:4222".into(),
        ));
    }
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let n: Nats = f.read()?;
    let name = format!("triggerfish {}", f.sensor.name);
    let client = connect(&n.url, &name, n.auth.as_ref(), n.tls.as_ref(), &f.api, &f.sensor.namespace).await.map_err(
        |e| match e {
            crate::gateway::Failure::Lost(why) => Failure::Again(why, None),
            crate::gateway::Failure::Wrong(why) => Failure::Never(why),
        },
    )?;
    let mut headers = async_nats::HeaderMap::new();
    // A stream takes a repeat for what it is.
    headers.insert("Nats-Msg-Id", f.id);
    let payload = f.payload(&n.payload)?;
    client.publish_with_headers(n.subject.clone(), headers, payload.into()).await.map_err(Failure::again)?;
    client.flush().await.map_err(Failure::again)?;
    Ok(format!("published to {}", n.subject))
}
