//! The only room with loops and spawns: opens everything, wires it in river order, stops it cleanly.

pub mod directory;
pub mod listen;

use apiserver::{ApiServer, Config};
use directory::Directory;
use listen::Speaks;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    pub kube_address: String,
    pub grace: Duration,
}

/// Namespaces that exist from the start.
const NAMESPACES: [&str; 6] = ["default", "kube-system", "kube-public", "argo", "argo-events", "flux-system"];

pub async fn run(options: Options) -> Result<(), String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = Directory::open(&options.data_dir)?;
    let mut config = Config::new(&directory.path);
    config.product_group = Some(crate::kind::GROUP.into());
    let api = ApiServer::open(config, crate::kind::all())?;
    api.run_controllers(&NAMESPACES).await?;
    let (stop, stopped) = watch::channel(false);
    let kube = listen::bind(&options.kube_address).await?;
    let address = kube.local_addr().map_err(|e| e.to_string())?;
    let kubeconfig = directory.path.join("kubeconfig");
    apiserver::write_private(&kubeconfig, directory::kubeconfig(api.pki(), &format!("https://{address}")).as_bytes())?;
    let tls = listen::tls(api.pki())?;
    let serving = tokio::spawn(listen::serve(kube, Speaks::TlsOnly, tls, api.service(), stopped, options.grace));
    eprintln!("ready: export KUBECONFIG={}", kubeconfig.display());
    tokio::signal::ctrl_c().await.map_err(|e| e.to_string())?;
    let _ = stop.send(true);
    let _ = serving.await;
    Ok(())
}
