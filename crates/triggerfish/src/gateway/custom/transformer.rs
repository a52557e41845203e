//! The transformer's port: whatever can post `{"src": …, "payload": …}` is a gateway.

use crate::bus::Refused;
use crate::gateway::door::{Endpoint, Received};
use crate::gateway::outlet::{Emission, Outlet};
use crate::gateway::{Failure, Source, cloudevents};
use base64::Engine;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

/// Bytes of an event.
const LARGEST: usize = 64 << 20;
/// Bytes of a configuration's name.
const NAME: usize = 253;

pub struct Transformer {
    pub port: u16,
}

#[derive(Deserialize)]
struct Posted {
    /// The configuration that it comes from.
    src: String,
    /// The data, in base64.
    #[serde(default)]
    payload: Option<String>,
}

impl Source for Transformer {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let shared = Arc::new(out.clone());
            let endpoint = Endpoint {
                port: self.port,
                path: "/".into(),
                method: Method::POST,
                part: String::new(),
                limit: LARGEST,
                tls: None,
                answer: Arc::new(move |r| answer(shared.clone(), r)),
            };
            let _held = (out.open)(endpoint).await.map_err(Failure::Lost)?;
            out.running();
            std::future::pending().await
        })
    }
}

/// Stores a posted event: 200 when it is on disk.
pub fn answer(out: Arc<Outlet>, r: Received) -> BoxFuture<'static, (StatusCode, String)> {
    Box::pin(async move {
        let emission = match read(&r) {
            Ok(e) => e,
            Err(why) => return (StatusCode::BAD_REQUEST, format!("Error: {why}")),
        };
        match out.emit(emission).await {
            Ok(_) => (StatusCode::OK, "Success".into()),
            Err(Refused::Full) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Error: operation queue full; send it again".into())
            }
            Err(Refused::Storage(why)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Error: the event could not be stored ({why}); send it again"),
            ),
        }
    })
}

fn read(r: &Received) -> Result<Emission, String> {
    let header = |name: &str| r.headers.get(name).and_then(|v| v.to_str().ok());
    let mut e = Emission {
        data: r.body.to_vec(),
        content_type: header("content-type").unwrap_or("").into(),
        ..Emission::default()
    };
    // Programs of today post CloudEvents, which keep their attributes.
    if cloudevents::read(header, &mut e)? {
        return Ok(e);
    }
    let posted: Posted = serde_json::from_slice(&r.body).map_err(|why| {
        format!("expected {{\"src\": \"configuration\", \"payload\": \"base64\"}}, or a CloudEvent: {why}")
    })?;
    if posted.src.is_empty() || posted.src.len() > NAME {
        return Err(format!("src: name the configuration, in at most {NAME} bytes"));
    }
    let payload = posted.payload.unwrap_or_default();
    e.data = base64::engine::general_purpose::STANDARD
        .decode(&payload)
        .map_err(|why| format!("payload: it is no base64: {why}"))?;
    e.content_type = String::new();
    e.configuration = Some(posted.src);
    Ok(e)
}
