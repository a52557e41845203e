//! How client commands reach a server: by kubeconfig, else by the data directory of this host.

use crate::kube_api::Api;
use crate::serve::directory;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Configuration of the Kubernetes API; by default the one in the data directory.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The server's data directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Namespace; by default the configuration's.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Address of the REST interface; by default the one that the server on this host wrote down.
    #[arg(long, env = "TRIGGERFISH_SERVER", value_name = "URL")]
    pub server: Option<String>,
}

impl Connection {
    fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(directory::default_path)
    }

    async fn config(&self) -> Result<Config, String> {
        let file = match (&self.kubeconfig, &self.data_dir) {
            (Some(f), None) => f.clone(),
            _ => self.data_dir().join("kubeconfig"),
        };
        let read = Kubeconfig::read_from(&file).map_err(|e| format!("cannot read {}: {e}\nStart a server with `triggerfish serve`, or name its configuration with --kubeconfig", file.display()))?;
        Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .map_err(|e| format!("{}: {e}", file.display()))
    }

    /// The Kubernetes API and the namespace that is meant.
    pub async fn kubernetes(&self) -> Result<(Api, String), String> {
        let config = self.config().await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok((Api::new(Client::try_from(config).map_err(|e| e.to_string())?), namespace))
    }

    /// The REST interface, with the same credentials.
    pub async fn rest(&self) -> Result<(Api, String), String> {
        let mut config = self.config().await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = match &self.server {
            Some(u) => u.clone(),
            None => {
                let file = self.data_dir().join("http-address");
                let address = std::fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}\nIs a server running on this host? Otherwise give its address with --server", file.display()))?;
                format!("https://{}", address.trim().replace("0.0.0.0", "127.0.0.1"))
            }
        };
        config.cluster_url = url.parse().map_err(|e| format!("--server {url}: {e}"))?;
        Ok((Api::new(Client::try_from(config).map_err(|e| e.to_string())?), namespace))
    }
}

/// What a kind is called in paths.
#[derive(Debug, Clone)]
pub struct Resource {
    pub root: String,
    pub plural: String,
    pub namespaced: bool,
}

impl Resource {
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut out = self.root.clone();
        if self.namespaced && !namespace.is_empty() {
            out.push_str(&format!("/namespaces/{}", crate::kube_api::encode(namespace)));
        }
        out.push_str(&format!("/{}", self.plural));
        if !name.is_empty() {
            out.push_str(&format!("/{}", crate::kube_api::encode(name)));
        }
        out
    }
}

/// Finds a kind by its plural, singular, short name or kind.
pub async fn resolve(api: &Api, word: &str) -> Result<Resource, String> {
    let wanted = word.to_lowercase();
    let groups = api.get("/apis").await.map_err(|e| e.message)?;
    let listed = groups["groups"].as_array().into_iter().flatten();
    // The preferred version of a group comes first; not every kind is in it.
    let listed = listed.flat_map(|g| g["versions"].as_array().into_iter().flatten());
    let listed = listed.filter_map(|v| v["groupVersion"].as_str().map(|v| format!("/apis/{v}")));
    let mut known = Vec::new();
    for root in std::iter::once("/api/v1".to_owned()).chain(listed) {
        let list = api.get(&root).await.map_err(|e| e.message)?;
        for r in list["resources"].as_array().into_iter().flatten() {
            let name = r["name"].as_str().unwrap_or("");
            if name.contains('/') {
                continue;
            }
            let short = r["shortNames"].as_array().into_iter().flatten().any(|s| s.as_str() == Some(&wanted));
            if name == wanted
                || r["singularName"].as_str() == Some(&wanted)
                || short
                || r["kind"].as_str().is_some_and(|k| k.to_lowercase() == wanted)
            {
                return Ok(Resource { root, plural: name.to_owned(), namespaced: r["namespaced"] == true });
            }
            if !known.iter().any(|k| k == name) {
                known.push(name.to_owned());
            }
        }
    }
    Err(format!("no kind {word:?} is served; there are: {}", known.join(", ")))
}
