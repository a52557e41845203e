//! Azure Event Hubs: the notice as an event, by the service's REST interface.

use super::{Call, Group, Kind};
use crate::http::{Failure, Request};
use crate::setup::Setup;
use base64::Engine;
use ring::hmac;

pub const KIND: Kind = Kind {
    name: "azureeventhub",
    title: "Azure Event Hubs",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: azureeventhub\nsecretRef: {name: eventhub}\n# Secret: address, a connection string (Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=...;EntityPath=...);\n# or address, the hub, and token, a JWT, with the namespace as channel\n",
    notes: "Sent over HTTPS, not over AMQP. Managed identities are not there: give a connection string or a token.",
};

/// How long a signature counts, in seconds.
const SIGNED: i64 = 3600;

/// Where a hub is, and what opens it.
enum Hub {
    Shared { host: String, hub: String, name: String, key: String },
    Token { host: String, hub: String, token: String },
}

fn hub(s: &Setup) -> Result<Hub, String> {
    let options = |why: &str| Err(format!("invalid authentication options: {why}"));
    if s.address.is_empty() {
        return options("endpoint URL cannot be empty");
    }
    if s.address.contains("SharedAccessKey") {
        if s.token.is_some() {
            return options("jwt token and SAS authentication cannot be set at the same time");
        }
        if !s.provider.service_account.is_empty() {
            return options("serviceAccountName and SAS authentication cannot be set at the same time");
        }
        return shared(&s.address).map_err(|why| format!("failed to create a eventhub using SAS: {why}"));
    }
    if s.token.is_some() && !s.provider.service_account.is_empty() {
        return options("serviceAccountName and jwt token authentication cannot be set at the same time");
    }
    let Some(token) = s.token.clone().filter(|t| !t.is_empty()) else {
        return Err("failed to create a eventhub using managed identity: managed identities are not there".into());
    };
    let namespace = &s.provider.channel;
    let host = if namespace.contains(".servicebus.") {
        namespace.clone()
    } else {
        format!("{namespace}.servicebus.windows.net")
    };
    Ok(Hub::Token { host, hub: s.address.clone(), token })
}

/// A connection string.
fn shared(text: &str) -> Result<Hub, String> {
    let (mut host, mut name, mut key, mut hub) = (String::new(), String::new(), String::new(), String::new());
    for part in text.split(';').filter(|p| !p.is_empty()) {
        let (k, v) = part
            .split_once('=')
            .ok_or("failed parsing connection string due to unmatched key value separated by '='")?;
        match k.trim().to_ascii_lowercase().as_str() {
            "endpoint" => {
                let rest = v.trim().split_once("://").map_or(v.trim(), |(_, rest)| rest);
                host = rest.trim_end_matches('/').to_owned();
            }
            "sharedaccesskeyname" => name = v.into(),
            "sharedaccesskey" => key = v.into(),
            "entitypath" => hub = v.into(),
            _ => {}
        }
    }
    if host.is_empty() {
        return Err("key \"Endpoint\" must not be empty".into());
    }
    if name.is_empty() || key.is_empty() {
        return Err("key \"SharedAccessKeyName\" and \"SharedAccessKey\" must not be empty".into());
    }
    if hub.is_empty() {
        return Err("connection string does not contain an EntityPath. eventHub cannot be an empty string".into());
    }
    Ok(Hub::Shared { host, hub, name, key })
}

fn check(s: &Setup) -> Result<(), String> {
    hub(s).map(drop)
}

/// A signature that opens a resource until a second of the clock.
pub fn signature(resource: &str, name: &str, key: &str, until: i64) -> String {
    let resource = lower_escaped(resource);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signed = hmac::sign(&key, format!("{resource}\n{until}").as_bytes());
    let signed = lower_escaped(&base64::engine::general_purpose::STANDARD.encode(signed.as_ref()));
    format!("SharedAccessSignature sr={resource}&sig={signed}&se={until}&skn={}", lower_escaped(name))
}

/// Escaped with small digits, as the service's own clients have it.
fn lower_escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02x}") }).collect()
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let hub = hub(c.setup).map_err(Failure::never)?;
    let until = jiff::Timestamp::now().as_second() + SIGNED;
    let (host, hub, authorization) = match hub {
        Hub::Shared { host, hub, name, key } => {
            let signed = signature(&format!("amqps://{host}/{hub}"), &name, &key, until);
            (host, hub, signed)
        }
        Hub::Token { host, hub, token } => (host, hub, format!("Bearer {token}")),
    };
    let r = Request::post(format!("https://{host}/{hub}/messages?timeout=60&api-version=2014-01"))
        .text("application/atom+xml;type=entry;charset=utf-8", c.notice.json())
        .header("Authorization", authorization);
    c.post(r).await.map(drop)
}
