//! The only room with loops and spawns: opens everything, wires it in river order, stops it cleanly.

mod act;
pub mod alerts;
pub mod bindings;
pub mod deliver;
pub mod directory;
pub mod dispatch;
pub mod doors;
pub mod forward;
pub mod gateways;
pub mod judge;
pub mod listen;
mod manifests;
pub mod notices;
pub mod outbox;
pub mod pods;
mod processors;
mod receivers;
pub mod recorder;
mod sense;
pub mod sensors;
pub mod workflows;

use crate::api;
use crate::bus::{self, Bus, Waiting};
use crate::kube_api::Clients;
use crate::runtime::Engine;
use crate::runtime::logs::Logs;
use apiserver::{ApiServer, Config};
use directory::Directory;
use dispatch::Dispatcher;
use listen::Speaks;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    /// Kubernetes API, TLS only.
    pub kube_address: String,
    /// REST, pages and metrics; plain HTTP and TLS.
    pub http_address: String,
    /// Where the ports of webhook gateways are opened.
    pub gateway_address: std::net::IpAddr,
    pub notifications: Notifications,
    pub engine: Engine,
    pub manifests: Option<PathBuf>,
    /// Events that may wait for dispatch; none is as many as the disk holds.
    pub queue: Option<u64>,
    /// How long, how many and how many bytes of events are kept.
    pub retention: Retention,
    pub workers: usize,
    pub instance_id: String,
    pub invalid_expressions: InvalidExpressions,
    /// Workflows and Pods are somebody else's.
    pub without_engine: bool,
    /// How long a stop may take.
    pub grace: Duration,
}

/// How notices come in.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// Where they are posted; none: at the usual port, if it is free.
    pub address: Option<String>,
    /// Where receivers listen; none: at the usual port, if it is free.
    pub receivers: Option<String>,
    /// What who posts has to bear; none: anybody who reaches the port may.
    pub token: Option<String>,
    /// Repeats within this time are refused.
    pub window: Duration,
    /// Alerts and receivers may only name objects of their own namespace.
    pub own_namespace_only: bool,
}

/// How much of the log is kept.
#[derive(Debug, Clone)]
pub struct Retention {
    pub age: Duration,
    pub count: u64,
    pub bytes: Option<u64>,
    /// Also what a watcher has not had yet may go.
    pub drop_unread: bool,
}

/// What becomes of a binding whose expressions do not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum InvalidExpressions {
    /// It is not stored; the client hears where the mistake is.
    Refuse,
    /// It is stored with a warning, and every event that meets it fails, as in Argo Workflows.
    Warn,
}

/// Where notices are posted and where receivers listen, unless told.
const NOTIFICATIONS: &str = "127.0.0.1:9090";
const RECEIVERS: &str = "127.0.0.1:9292";

/// Namespaces that exist from the start.
const NAMESPACES: [&str; 6] = ["default", "kube-system", "kube-public", "argo", "argo-events", "flux-system"];

/// Serves until told to stop; calls `ready` once everything answers.
pub async fn run(options: Options, ready: impl FnOnce()) -> Result<(), String> {
    // Another part of the program may have chosen it already: there is only one choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = Directory::open(&options.data_dir)?;
    let fresh = !directory.path.join("kubeconfig").exists();
    let (stop, stopped) = watch::channel(false);

    let mut config = Config::new(&directory.path);
    config.product_group = Some(crate::kind::GROUP.into());
    let admits = crate::kind::Admits {
        binding: match options.invalid_expressions {
            InvalidExpressions::Refuse => crate::route::admit,
            InvalidExpressions::Warn => crate::route::admit_with_warnings,
        },
        gateway: crate::gateway::admit,
        sensor: crate::sensors::admit,
        provider: crate::notices::admit_provider,
        alert: crate::notices::admit_alert,
        receiver: crate::notices::admit_receiver,
    };
    let server = ApiServer::open(config, crate::kind::all(&admits))?;
    let bus = Arc::new(Bus::open(
        &directory.path.join("bus.db"),
        bus::Options {
            queue: options.queue,
            keep: options.retention.age,
            keep_count: options.retention.count,
            keep_bytes: options.retention.bytes,
            drop_unread: options.retention.drop_unread,
            ..bus::Options::default()
        },
    )?);
    let logs = Logs::open(directory.path.join("logs"))
        .map_err(|e| format!("cannot use {}: {e}", directory.path.join("logs").display()))?;
    server.set_logs(pods::log_source(logs.clone()));
    server.run_controllers(&NAMESPACES).await?;
    let clients = Arc::new(Clients::new(server.clone()));

    let kube = listen::bind(&options.kube_address).await?;
    let http = listen::bind(&options.http_address).await?;
    let tls = listen::tls(server.pki())?;
    let kube_address = kube.local_addr().map_err(|e| e.to_string())?;
    let http_address = http.local_addr().map_err(|e| e.to_string())?;
    let notices = &options.notifications;
    let posted = door(&notices.address, NOTIFICATIONS, "--notification-address").await?;
    let hooked = door(&notices.receivers, RECEIVERS, "--receiver-address").await?;
    let kubeconfig = directory.path.join("kubeconfig");
    let reachable = kube_address.to_string().replace("0.0.0.0", "127.0.0.1");
    apiserver::write_private(
        &kubeconfig,
        directory::kubeconfig(server.pki(), &format!("https://{reachable}")).as_bytes(),
    )?;
    apiserver::write_private(&directory.path.join("http-address"), http_address.to_string().as_bytes())?;
    for (name, port) in [("notification-address", &posted), ("receiver-address", &hooked)] {
        if let Some(at) = port.as_ref().and_then(|p| p.local_addr().ok()) {
            apiserver::write_private(&directory.path.join(name), at.to_string().as_bytes())?;
        }
    }

    let live = Arc::new(bindings::Live::of_instance(&options.instance_id));
    let waiting = Arc::new(Waiting::default());
    let live_alerts = Arc::new(alerts::Live::new(clients.component("notification-controller")));
    let teller = alerts::Teller { bus: bus.clone(), live: live_alerts.clone() };
    let recorder = Arc::new(recorder::Recorder::start(clients.component("recorder"), teller.clone()));
    let dispatcher = Arc::new(Dispatcher {
        bus: bus.clone(),
        clients: clients.clone(),
        live: live.clone(),
        recorder: recorder.clone(),
        workers: options.workers.max(1),
        instance_id: options.instance_id.clone(),
        waiting: waiting.clone(),
        repeats_until: AtomicU64::new(bus.accepted()),
    });
    let pods = pods::Pods::new(&clients, options.engine, directory.path.clone(), logs)?;
    let board = Arc::new(crate::gateway::Board::default());
    let told = Arc::new(crate::notices::Board::default());
    let state = Arc::new(api::State {
        clients: clients.clone(),
        bus: bus.clone(),
        waiting,
        instance_id: options.instance_id.clone(),
        counters: Default::default(),
        board: board.clone(),
        notices: told.clone(),
        ready: AtomicBool::new(false),
    });

    let doors = doors::Doors::new(options.gateway_address, tls.clone(), options.grace);
    let gateways = gateways::Controller {
        api: clients.component("gateway-controller"),
        clients: clients.clone(),
        bus: bus.clone(),
        doors,
        recorder: recorder.clone(),
        board,
    };
    let network = notify::Network::system();
    let hooks = Arc::new(crate::notices::Hooks::default());
    let notifications = notices::Controller {
        clients: clients.clone(),
        bus: bus.clone(),
        recorder: gateways.recorder.clone(),
        live: live_alerts,
        board: told,
        network: network.clone(),
        own_namespace_only: options.notifications.own_namespace_only,
    };
    tokio::spawn(notifications.run());
    let receivers = clients.component("receiver-controller");
    tokio::spawn(receivers::run(receivers.clone(), hooks.clone()));
    let intake = Arc::new(api::intake::Intake {
        bus: bus.clone(),
        window: std::sync::Mutex::new(crate::notices::Window::new(options.notifications.window)),
        token: options.notifications.token.clone(),
    });
    let receivers = Arc::new(api::hooks::Receivers {
        hooks,
        bus: bus.clone(),
        api: receivers,
        network,
        own_namespace_only: options.notifications.own_namespace_only,
    });
    tokio::spawn(gateways.run());
    let sensors = sensors::Controller {
        api: clients.component("sensor-controller"),
        clients: clients.clone(),
        bus: bus.clone(),
        recorder,
        files: directory.path.join("files"),
    };
    tokio::spawn(sensors.run());
    tokio::spawn(bindings::run(clients.clone(), live));
    let dispatching = tokio::spawn(dispatcher.run(stopped.clone()));
    if !options.without_engine {
        tokio::spawn(workflows::Controller::new(&clients, teller).run());
        tokio::spawn(pods.clone().run());
    }
    if let Some(folder) = &options.manifests {
        tokio::spawn(manifests::run(clients.component("manifests"), folder.clone()));
    }
    let router = axum::Router::new().fallback({
        let state = state.clone();
        move |request: axum::extract::Request| api::handle(state.clone(), request)
    });
    let intake = axum::Router::new()
        .fallback(move |request: axum::extract::Request| api::intake::handle(intake.clone(), request));
    let receivers = axum::Router::new()
        .fallback(move |request: axum::extract::Request| api::hooks::handle(receivers.clone(), request));
    let mut ports = vec![
        tokio::spawn(listen::serve(
            kube,
            Speaks::TlsOnly,
            tls.clone(),
            server.service(),
            stopped.clone(),
            options.grace,
        )),
        tokio::spawn(listen::serve(http, Speaks::PlainAndTls, tls.clone(), router, stopped.clone(), options.grace)),
    ];
    for (port, router) in [(posted, intake), (hooked, receivers)] {
        let Some(port) = port else { continue };
        let served = listen::serve(port, Speaks::PlainAndTls, tls.clone(), router, stopped.clone(), options.grace);
        ports.push(tokio::spawn(served));
    }
    state.ready.store(true, Ordering::Relaxed);
    greet(&directory.path, &kubeconfig, &kube_address.to_string(), &http_address.to_string(), fresh);

    ready();
    signalled().await;
    tracing::info!("stopping: no new requests are taken, what is in hand is finished");
    state.ready.store(false, Ordering::Relaxed);
    let _ = stop.send(true);
    for port in ports {
        // One that failed has said so.
        let _ = port.await;
    }
    let _ = tokio::time::timeout(options.grace, dispatching).await;
    if !pods.stop(options.grace).await {
        tracing::warn!("some Pods did not end in time and were killed");
    }
    tracing::info!("stopped");
    Ok(())
}

/// A port that was asked for has to be free; the usual one may be somebody else's.
async fn door(asked: &Option<String>, usual: &str, flag: &str) -> Result<Option<tokio::net::TcpListener>, String> {
    match asked {
        Some(address) => listen::bind(address).await.map(Some),
        None => match listen::bind(usual).await {
            Ok(port) => Ok(Some(port)),
            Err(why) => {
                tracing::warn!("{why}; going on without it: choose another with {flag}");
                Ok(None)
            }
        },
    }
}

async fn signalled() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(s) => s,
        Err(e) => {
            tracing::error!(error = %e, "cannot wait for signals");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Where things are, and one line that makes a workflow run.
fn greet(data: &std::path::Path, kubeconfig: &std::path::Path, kube: &str, http: &str, fresh: bool) {
    eprintln!("triggerfish {} is ready", env!("CARGO_PKG_VERSION"));
    eprintln!("  REST, pages    http://{http} (and https)");
    eprintln!("  Kubernetes     https://{kube}   export KUBECONFIG={}", kubeconfig.display());
    eprintln!("  data           {}", data.display());
    if fresh {
        eprintln!("\nMake a first workflow run: triggerfish hello --data-dir {}", data.display());
    }
}
