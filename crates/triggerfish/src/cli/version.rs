//! `triggerfish version`

use super::connect::Connection;

#[derive(Debug, clap::Args)]
pub struct Version {
    #[command(flatten)]
    connection: Connection,
}

impl Version {
    pub async fn run(self) -> Result<(), String> {
        println!("triggerfish  {}", env!("CARGO_PKG_VERSION"));
        println!("kubernetes   {} (API)", apiserver::KUBERNETES);
        let server = match self.connection.kubernetes().await {
            Ok((api, _)) => api
                .get("/version")
                .await
                .map(|v| v["gitVersion"].as_str().unwrap_or("").to_owned())
                .map_err(|e| e.message),
            Err(e) => Err(e.lines().next().unwrap_or("").to_owned()),
        };
        match server {
            Ok(v) => println!("server       {v}"),
            Err(e) => println!("server       none reached ({e})"),
        }
        Ok(())
    }
}
