//! NATS: the notice as a message of a subject.

use super::{Call, Group, Kind};
use crate::http::Failure;
use crate::setup::Setup;
use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt;
use std::sync::{Arc, OnceLock};

pub const KIND: Kind = Kind {
    name: "nats",
    title: "NATS",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: nats\naddress: nats://nats.example.com:4222\nchannel: flux.events\nsecretRef: {name: nats}\n# Secret: creds, the text of a credentials file; or nkey, a seed; or username and password\n",
    notes: "`channel` is the subject. The data is the event as JSON.",
};

fn check(s: &Setup) -> Result<(), String> {
    if s.address.is_empty() {
        return Err("NATS server (address) cannot be empty".into());
    }
    if s.provider.channel.is_empty() { Err("NATS subject (channel) cannot be empty".into()) } else { Ok(()) }
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let s = c.setup;
    let subject = &s.provider.channel;
    let failed =
        |why: &dyn std::fmt::Display| Failure::again(format!("error publishing event to subject {subject}: {why}"));
    let server: async_nats::ServerAddr =
        s.address.parse().map_err(|_| Failure::never("the address is none of a NATS server"))?;
    let mut options = ConnectOptions::new().name("NATS Provider Publisher").connection_timeout(s.timeout);
    if let Some(creds) = s.value("creds") {
        options = options.credentials(&creds).map_err(|_| Failure::never("creds: it is no credentials file"))?;
    } else if let Some(seed) = s.value("nkey") {
        options = options.nkey(seed.trim().to_owned());
    } else if let Some((user, password)) = s.basic().or_else(|| server.username().zip(server.password())) {
        options = options.user_and_password(user.to_owned(), password.to_owned());
    }
    if s.tls.is_some() {
        options = options.tls_client_config(c.network.tls(s.tls.as_ref()).map_err(Failure::never)?).require_tls(true);
    }
    let mut place = server.clone();
    if let Some(lookup) = c.network.lookup {
        // The name stays what the server is asked for; where it leads is known already.
        let to = lookup(server.host(), server.port());
        place = format!("nats://{to}").parse().map_err(|_| Failure::never("the address leads nowhere"))?;
    }
    let send = async {
        // What the server forbids it tells beside the stream of messages.
        let refused = Arc::new(OnceLock::new());
        let told = refused.clone();
        let options = options.event_callback(move |event| {
            if let Event::ServerError(e) = event {
                let _ = told.set(e.to_string());
            }
            std::future::ready(())
        });
        let client = options.connect(place).await.map_err(|e| failed(&e))?;
        client.publish(subject.clone(), c.notice.json().into()).await.map_err(|e| failed(&e))?;
        echoed(&client).await.map_err(|e| failed(&e))?;
        refused.get().map_or(Ok(()), |why| Err(Failure::never(failed(why).why)))
    };
    tokio::time::timeout(s.timeout, send).await.map_err(|_| failed(&"it took too long"))?
}

/// Waits until the server has everything that was published: what comes back to an inbox has passed through it.
async fn echoed(client: &async_nats::Client) -> Result<(), String> {
    let inbox = client.new_inbox();
    let mut back = client.subscribe(inbox.clone()).await.map_err(|e| e.to_string())?;
    client.publish(inbox, "".into()).await.map_err(|e| e.to_string())?;
    client.flush().await.map_err(|e| e.to_string())?;
    back.next().await.map(drop).ok_or_else(|| "the connection ended".to_owned())
}
