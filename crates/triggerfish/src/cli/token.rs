//! `triggerfish token`

use super::connect::Connection;
use crate::kube_api::path;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub struct Token {
    /// The service account that the token speaks for.
    account: String,
    /// Seconds that it is good for.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    duration: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Token {
    pub async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": self.duration}});
        let made = api
            .create(&format!("{}/token", path("serviceaccounts", &namespace, &self.account)), &request)
            .await
            .map_err(|e| e.message)?;
        println!("{}", made.pointer("/status/token").and_then(Value::as_str).unwrap_or(""));
        Ok(())
    }
}
