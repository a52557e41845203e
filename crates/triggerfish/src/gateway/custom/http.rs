//! Processors that are HTTP servers: they are told to start and to stop a configuration, and post events to this program.

use super::transformer;
use crate::gateway::door::{Answer, Endpoint, Received};
use crate::gateway::outlet::Outlet;
use crate::gateway::{Failure, Source};
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};
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

/// Tells the processor to stop, also when the configuration is dropped in the middle of anything.
struct Stop {
    client: reqwest::Client,
    url: String,
    body: String,
}

impl Drop for Stop {
    fn drop(&mut self) {
        let request =
            self.client.post(&self.url).header("content-type", "application/json").body(std::mem::take(&mut self.body));
        // Nobody is left to hear whether it did.
        tokio::spawn(async move { drop(request.send().await) });
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
            let _stop = Stop { client, url: at(STOP), body: self.told.to_string() };
            out.running();
            match failures.recv().await {
                Some(why) => Err(Failure::Lost(why)),
                None => Err(Failure::Lost("the endpoint is closed".into())),
            }
        })
    }
}
