//! `triggerfish logs`

use super::connect::Connection;
use crate::kube_api::path;
use crate::workflow::POD_LABEL;
use futures_util::{AsyncBufReadExt, TryStreamExt};
use http::Request;

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// A workflow or a Pod.
    name: String,
    /// Go on until it ends.
    #[arg(short, long)]
    follow: bool,
    /// With the time of each line.
    #[arg(long)]
    timestamps: bool,
    /// Only so many lines from the end.
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

impl Logs {
    pub async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let label = crate::kube_api::encode(&format!("{POD_LABEL}={}", self.name));
        let found =
            api.get(&format!("{}?labelSelector={label}", path("pods", &namespace, ""))).await.map_err(|e| e.message)?;
        let mut pods: Vec<String> = found["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|p| p.pointer("/metadata/name")?.as_str().map(str::to_owned))
            .collect();
        if pods.is_empty() {
            pods.push(self.name.clone());
        }
        for pod in pods {
            let mut query = format!("follow={}&timestamps={}", self.follow, self.timestamps);
            if let Some(n) = self.tail {
                query.push_str(&format!("&tailLines={n}"));
            }
            let request = Request::builder()
                .uri(format!("{}/log?{query}", path("pods", &namespace, &pod)))
                .body(Vec::new())
                .map_err(|e| e.to_string())?;
            let mut lines = api.client().request_stream(request).await.map_err(|e| told(&e))?.lines();
            while let Some(line) = lines.try_next().await.map_err(|e| e.to_string())? {
                println!("{line}");
            }
        }
        Ok(())
    }
}

fn told(e: &kube::Error) -> String {
    match e {
        kube::Error::Api(s) => s.message.clone(),
        other => other.to_string(),
    }
}
