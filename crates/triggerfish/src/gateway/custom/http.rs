//! Processors that are HTTP servers: they are told to start and to stop a configuration, and post events to this program.

use super::transformer;
use crate::gateway::door::{Answer, Endpoint, Received};
use crate::gateway::outlet::Outlet;
use crate::gateway::{Failure, Source};
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub const START: &str = "/start";
pub const STOP: &str = "/stop";
pub const EVENT: &str = "/event";
pub const ACTIVATED: &str = "/activated";
pub const ERROR: &str = "/error";

/// How long the processor may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take to hear that it is to stop; it is on this host.
const STOP_PATIENCE: Duration = Duration::from_millis(300);
/// Bytes of an event.
const LARGEST: usize = 64 << 20;

pub struct Http {
    server: u16,
    client: u16,
    name: String,
    /// What the processor is told.
    told: Value,
}

impl Http {
    pub fn new(server: u16, client: u16, id: &str, name: &str, text: &str) -> Self {
        let time_id = jiff::Timestamp::now().as_nanosecond().to_string();
        Http {
            server,
            client,
            name: name.into(),
            told: json!({"id": id, "timeID": time_id, "src": name, "config": text}),
        }
    }
}

/// Tells the processor to stop, also when the configuration is dropped in the middle of anything. Nobody is left to hear whether
/// it did, so that it is only told.
struct Stop {
    server: u16,
    body: String,
}

impl Drop for Stop {
    fn drop(&mut self) {
        let told = || -> std::io::Result<()> {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.server));
            let mut stream = TcpStream::connect_timeout(&address, STOP_PATIENCE)?;
            stream.set_write_timeout(Some(STOP_PATIENCE))?;
            let head = format!(
                "POST {STOP} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                self.body.len()
            );
            stream.write_all(format!("{head}{}", self.body).as_bytes())?;
            // What it answers is nobody's business, but a connection that ends too soon might not be looked at.
            stream.set_read_timeout(Some(STOP_PATIENCE))?;
            stream.read(&mut [0; 64]).map(drop)
        };
        if let Err(e) = told() {
            tracing::debug!(port = self.server, error = %e, "a processor could not be told to stop");
        }
    }
}

impl Source for Http {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (failed, mut failures) = mpsc::channel::<String>(1);
            let shared = Arc::new(out.clone());
            let on_event: Answer = Arc::new({
                let out = shared.clone();
                move |r: Received| transformer::answer(out.clone(), r)
            });
            let on_activated: Answer = Arc::new(move |_| {
                shared.running();
                Box::pin(async { (StatusCode::OK, "Success".to_owned()) })
            });
            let on_error: Answer = Arc::new(move |r: Received| {
                let said: Value = serde_json::from_slice(&r.body).unwrap_or_default();
                let why = ["err", "error", "message"]
                    .iter()
                    .find_map(|k| said[*k].as_str())
                    .unwrap_or("the processor reports an error");
                // One failure is enough to begin anew.
                let _ = failed.try_send(why.to_owned());
                Box::pin(async { (StatusCode::OK, "Success".to_owned()) })
            });
            let mut held = Vec::new();
            for (path, answer) in [(EVENT, on_event), (ACTIVATED, on_activated), (ERROR, on_error)] {
                let endpoint = Endpoint {
                    port: self.client,
                    path: path.into(),
                    method: Method::POST,
                    part: self.name.clone(),
                    limit: LARGEST,
                    tls: None,
                    answer,
                };
                held.push((out.open)(endpoint).await.map_err(Failure::Lost)?);
            }
            let client = reqwest::Client::builder()
                .timeout(TIMEOUT)
                .no_proxy()
                .build()
                .map_err(|e| Failure::Wrong(e.to_string()))?;
            let at = |path: &str| format!("http://127.0.0.1:{}{path}", self.server);
            let start = client.post(at(START)).header("content-type", "application/json").body(self.told.to_string());
            let answer = start
                .send()
                .await
                .map_err(|e| Failure::Lost(format!("no HTTP server answers on port {}: {e}", self.server)))?;
            if !answer.status().is_success() {
                let status = answer.status();
                let said = answer.text().await.unwrap_or_default();
                return Err(Failure::Lost(format!("the processor answers {START} with {status}: {}", said.trim())));
            }
            let _stop = Stop { server: self.server, body: self.told.to_string() };
            out.running();
            match failures.recv().await {
                Some(why) => Err(Failure::Lost(why)),
                None => Err(Failure::Lost("the endpoint is closed".into())),
            }
        })
    }
}
