//! `triggerfish delete`

use super::connect::{Connection, resolve};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub struct Delete {
    /// A kind, such as wf, wfeb, wftmpl.
    kind: String,
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Delete {
    pub async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let r = resolve(&api, &self.kind).await?;
        for name in &self.names {
            api.delete(&r.path(&namespace, name), &json!({"propagationPolicy": "Background"}))
                .await
                .map_err(|e| e.message)?;
            println!("{}/{name} deleted", r.plural);
        }
        Ok(())
    }
}
