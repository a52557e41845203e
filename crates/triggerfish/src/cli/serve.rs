//! `triggerfish serve`

use super::connect::Connection;
use super::hello;
use crate::runtime::Engine;
use crate::serve::{self, InvalidExpressions, Retention, directory};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where everything is kept [default: $XDG_DATA_HOME/triggerfish or ~/.local/share/triggerfish]
    #[arg(long, env = "TRIGGERFISH_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// REST interface, pages and metrics: plain HTTP and TLS on one port.
    #[arg(long, env = "TRIGGERFISH_HTTP_ADDRESS", default_value = "127.0.0.1:2746", value_name = "ADDRESS")]
    http_address: String,
    /// Kubernetes API: TLS.
    #[arg(long, env = "TRIGGERFISH_KUBE_ADDRESS", default_value = "127.0.0.1:6443", value_name = "ADDRESS")]
    kube_address: String,
    /// Where the ports of webhook gateways are opened.
    #[arg(long, env = "TRIGGERFISH_GATEWAY_ADDRESS", default_value = "127.0.0.1", value_name = "IP")]
    gateway_address: std::net::IpAddr,
    /// Where notices are posted, as to Flux's notification-controller [default: 127.0.0.1:9090, if it is free]
    #[arg(long, env = "TRIGGERFISH_NOTIFICATION_ADDRESS", value_name = "ADDRESS")]
    notification_address: Option<String>,
    /// A file with a token that whoever posts notices has to bear; without it anybody who reaches the port may post.
    #[arg(long, value_name = "FILE")]
    notification_token_file: Option<PathBuf>,
    /// How long a repeat of a notice is refused.
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    rate_limit_interval: Duration,
    /// Where receivers listen [default: 127.0.0.1:9292, if it is free]
    #[arg(long, env = "TRIGGERFISH_RECEIVER_ADDRESS", value_name = "ADDRESS")]
    receiver_address: Option<String>,
    /// Alerts and receivers may only name objects of their own namespace.
    #[arg(long)]
    no_cross_namespace_refs: bool,
    /// How containers are run.
    #[arg(long, env = "TRIGGERFISH_RUNTIME", value_enum, default_value = "process")]
    runtime: Engine,
    /// Apply the manifests of a folder, and apply them again when they change.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// Events that may wait for dispatch before senders are told to come back [default: as many as the disk holds]
    #[arg(long, value_name = "N")]
    event_operation_queue_size: Option<u64>,
    /// How long events are kept after their dispatch.
    #[arg(long, default_value = "168h", value_parser = duration, value_name = "DURATION")]
    event_retention: Duration,
    /// How many events are kept at most.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    event_retention_count: u64,
    /// How many bytes of the disk the event log may take [default: no bound]
    #[arg(long, value_name = "BYTES")]
    event_retention_bytes: Option<u64>,
    /// Let the bounds above hold also for events that a sensor or a watching gateway has not had yet. What it loses is
    /// counted and logged.
    #[arg(long)]
    event_retention_drops_unread: bool,
    /// Events dispatched at the same time.
    #[arg(long, default_value_t = 16, value_name = "N")]
    event_worker_count: usize,
    /// Serve only bindings and templates with this instance id.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    instance_id: String,
    /// What becomes of a binding whose expressions do not parse when it is applied.
    #[arg(long, value_enum, default_value = "refuse")]
    invalid_expressions: InvalidExpressions,
    /// Leave workflows and Pods to another controller: accept and dispatch events only.
    #[arg(long)]
    without_engine: bool,
    /// Seconds that a stop may take.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    grace: u64,
    /// Make a first workflow run once the server is ready.
    #[arg(long)]
    hello: bool,
    /// What is logged, such as `info` or `triggerfish=debug`.
    #[arg(long, env = "TRIGGERFISH_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::try_from(crate::clock::duration(text)?).map_err(|_| "expected a duration that is not negative".to_owned())
}

/// A token that stands in a file.
fn token(file: &std::path::Path) -> Result<String, String> {
    let fail = |why: &str| format!("--notification-token-file {}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| fail(&e.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(fail("it is empty")) } else { Ok(token.to_owned()) }
}

impl Serve {
    pub fn run(self) -> Result<(), String> {
        let filter =
            tracing_subscriber::EnvFilter::try_new(&self.log).map_err(|e| format!("--log {}: {e}", self.log))?;
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        // Pretty for people, JSON for machines.
        if std::io::stderr().is_terminal() {
            logs.init()
        } else {
            logs.json().flatten_event(true).init()
        }
        let data_dir = self.data_dir.clone().unwrap_or_else(directory::default_path);
        let options = serve::Options {
            data_dir: data_dir.clone(),
            kube_address: self.kube_address,
            http_address: self.http_address,
            gateway_address: self.gateway_address,
            notifications: serve::Notifications {
                address: self.notification_address,
                receivers: self.receiver_address,
                token: self.notification_token_file.as_deref().map(token).transpose()?,
                window: self.rate_limit_interval,
                own_namespace_only: self.no_cross_namespace_refs,
            },
            engine: self.runtime,
            manifests: self.manifests,
            queue: self.event_operation_queue_size,
            retention: Retention {
                age: self.event_retention,
                count: self.event_retention_count,
                bytes: self.event_retention_bytes,
                drop_unread: self.event_retention_drops_unread,
            },
            workers: self.event_worker_count,
            instance_id: self.instance_id,
            invalid_expressions: self.invalid_expressions,
            without_engine: self.without_engine,
            grace: Duration::from_secs(self.grace),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        let greeting = self.hello;
        runtime.block_on(async move {
            serve::run(options, move || {
                if greeting {
                    let connection = Connection {
                        kubeconfig: None,
                        data_dir: Some(data_dir),
                        namespace: Some("argo".into()),
                        server: None,
                    };
                    tokio::spawn(async move {
                        if let Err(e) = hello::say(&connection, "hello events").await {
                            eprintln!("error: {e}");
                        }
                    });
                }
            })
            .await
        })
    }
}
