//! `triggerfish gateway test`: connects what a file configures, and says what it sees.

use super::connect::Connection;
use crate::event::Event;
use crate::gateway::configuration::entries;
use crate::gateway::door::{Endpoint, Held, Open};
use crate::gateway::{Configuration, Destination, Entry, Failure, Gateway, Outlet, Progress};
use crate::kube_api::Api;
use crate::manifest;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Read configurations from a file, connect each, and print what comes.
    Test(Test),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing is stored, no workflow starts, and no message is taken away from a gateway that runs.
Example:
  triggerfish gateway test examples/gateway.yaml --seconds 30")]
pub struct Test {
    /// Manifests: ConfigMaps, and the Gateways that name them; - reads standard input.
    file: PathBuf,
    /// How long to look.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    seconds: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Command {
    pub async fn run(self) -> Result<(), String> {
        match self {
            Command::Test(t) => t.run().await,
        }
    }
}

/// A gateway, and the entries of its ConfigMap.
type Found = (Gateway, BTreeMap<String, String>);

/// One configuration under test.
struct Trial {
    name: String,
    progress: Arc<Progress>,
    failure: Option<String>,
}

impl Test {
    async fn run(self) -> Result<(), String> {
        let objects =
            manifest::read(&super::apply::read(&self.file)?).map_err(|e| format!("{}: {e}", self.file.display()))?;
        let (api, namespace) = match self.connection.kubernetes().await {
            Ok(reached) => reached,
            // Sources that need no server can be tried without one.
            Err(_) => (nobody()?, "argo".to_owned()),
        };
        let found = gateways(&objects, &namespace)?;
        let (tell, mut shown) = mpsc::unbounded_channel();
        let (mut trials, mut going) = (Vec::new(), FuturesUnordered::new());
        let mut broken = 0;
        for (gateway, data) in found {
            let gateway = Arc::new(gateway);
            for entry in entries(&gateway, &data) {
                match entry {
                    Entry::Broken { name, why } => {
                        broken += 1;
                        println!("{name}: {why}");
                    }
                    Entry::Runs(c) => {
                        describe(&c);
                        let out = outlet(&gateway, &c, &api, &tell);
                        let (place, source) = (trials.len(), c.source);
                        trials.push(Trial { name: c.name, progress: out.progress.clone(), failure: None });
                        going.push(async move { (place, source.run(&out).await) });
                    }
                }
            }
        }
        let end = tokio::time::Instant::now() + Duration::from_secs(self.seconds);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => break,
                Some(event) = shown.recv() => print(&event),
                Some((place, ended)) = going.next(), if !going.is_empty() => {
                    if let Err(Failure::Lost(why) | Failure::Wrong(why)) = ended {
                        println!("{}: {why}", trials[place].name);
                        trials[place].failure = Some(why);
                    }
                }
            }
        }
        for t in &trials {
            let connected = t.progress.running.load(Ordering::Acquire);
            match (&t.failure, connected) {
                (Some(_), _) => broken += 1,
                (None, true) => println!("{}: connected, {} events", t.name, t.progress.events.load(Ordering::Relaxed)),
                (None, false) => {
                    broken += 1;
                    println!("{}: no connection within {} s", t.name, self.seconds);
                }
            }
        }
        if broken > 0 { Err(format!("{broken} configurations do not work")) } else { Ok(()) }
    }
}

/// The gateways of a file with their entries; for ConfigMaps that none names, one that would.
fn gateways(objects: &[Value], namespace: &str) -> Result<Vec<Found>, String> {
    let of = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).collect::<Vec<_>>();
    let (maps, mut wanted) = (of("ConfigMap"), of("Gateway").into_iter().cloned().collect::<Vec<_>>());
    for m in &maps {
        let name = &m["metadata"]["name"];
        if !wanted.iter().any(|g| g["spec"]["configMap"] == *name || g["spec"]["eventSource"] == *name) {
            wanted.push(json!({"metadata": {"name": name}, "spec": {"type": "test", "configMap": name}}));
        }
    }
    if maps.is_empty() {
        return Err("the file holds no ConfigMap: its entries are the configurations".into());
    }
    let mut out = Vec::new();
    for mut g in wanted {
        if g["metadata"]["namespace"].is_null() {
            g["metadata"]["namespace"] = json!(namespace);
        }
        // A name of its own at brokers, so that nobody else is disturbed.
        g["metadata"]["uid"] = json!(uuid::Uuid::new_v4().to_string());
        let gateway = Gateway::read(&g);
        let data = maps.iter().find(|m| m["metadata"]["name"] == gateway.config_map.as_str()).map(|m| &m["data"]);
        let entries = data.and_then(Value::as_object).into_iter().flatten();
        let data = entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
        out.push((gateway, data));
    }
    Ok(out)
}

fn describe(c: &Configuration) {
    println!("{}: {}", c.name, c.kind.name);
    c.source.doubts().iter().for_each(|d| println!("{}: {d}", c.name));
    c.source.outlook(Timestamp::now()).iter().for_each(|line| println!("  {line}"));
}

fn outlet(gateway: &Arc<Gateway>, c: &Configuration, api: &Api, tell: &mpsc::UnboundedSender<Event>) -> Outlet {
    Outlet {
        gateway: gateway.clone(),
        configuration: c.name.clone(),
        source: c.kind.name,
        destination: Destination::Shown(tell.clone()),
        api: api.clone(),
        open: check_port(),
        progress: Arc::default(),
        changed: Arc::new(Notify::new()),
    }
}

/// Endpoints are not opened: whether their ports could be is all that is looked at.
fn check_port() -> Open {
    Arc::new(|e: Endpoint| {
        Box::pin(async move {
            match std::net::TcpListener::bind(("127.0.0.1", e.port)) {
                Ok(_) => Ok(Held { close: None }),
                Err(why) => Err(format!("port {}: {why} (a gateway that runs here may have it)", e.port)),
            }
        })
    })
}

fn print(e: &Event) {
    let configuration = e.origin.as_ref().map_or("", |o| o.configuration.as_str());
    let data = e.data.as_ref().map_or("", |d| d.get());
    println!("{configuration}: {} {data}", e.time);
}

/// The API of a server that is not there; asking it says so.
fn nobody() -> Result<Api, String> {
    let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
    Ok(Api::new(kube::Client::try_from(config).map_err(|e| e.to_string())?))
}
