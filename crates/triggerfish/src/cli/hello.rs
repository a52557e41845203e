//! `triggerfish hello`: from nothing to a workflow that ran because of an event.

use super::connect::Connection;
use crate::kube_api::{Api, path};
use crate::manifest;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Hello {
    /// What the event says.
    #[arg(default_value = "hello events")]
    message: String,
    #[command(flatten)]
    connection: Connection,
}

impl Hello {
    pub async fn run(self) -> Result<(), String> {
        say(&self.connection, &self.message).await
    }
}

const MANIFEST: &str = include_str!("../../../../examples/hello.yaml");
/// How long the workflow may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn say(connection: &Connection, message: &str) -> Result<(), String> {
    let (api, namespace) = connection.kubernetes().await?;
    let mut applier = manifest::Applier::new(api.clone());
    for o in manifest::read(MANIFEST)? {
        println!("applied   {}", applier.apply(&o, &namespace).await?.name);
    }
    let (rest, _) = connection.rest().await?;
    let payload = json!({"message": message});
    let record = rest
        .event(&namespace, "", &payload, &[("prefer", "wait=10, return=representation")])
        .await
        .map_err(|e| e.message)?;
    println!("event     {} {payload}", record["id"].as_str().unwrap_or(""));
    let started = record["bindings"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|b| b["name"] == "hello")
        .and_then(|b| b["workflow"].as_str());
    let name = started.ok_or_else(|| format!("the event started nothing: {record}"))?;
    let workflow = finished(&api, &namespace, name).await?;
    println!("workflow  {name} {}", workflow.pointer("/status/phase").and_then(Value::as_str).unwrap_or(""));
    let log = api.text(&format!("{}/log", path("pods", &namespace, name))).await.map_err(|e| e.message)?;
    print!("log       {log}");
    Ok(())
}

async fn finished(api: &Api, namespace: &str, name: &str) -> Result<Value, String> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let w = api.get(&path("workflows", namespace, name)).await.map_err(|e| e.message)?;
        if crate::workflow::is_complete(&w) {
            return Ok(w);
        }
        if tokio::time::Instant::now() > deadline {
            return Err(format!("the workflow {name} is not finished after {} s: {}", PATIENCE.as_secs(), w["status"]));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
