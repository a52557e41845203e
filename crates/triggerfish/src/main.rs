//! The program.
use std::time::Duration;
use triggerfish::serve;

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = serve::Options { data_dir: std::env::args().nth(1).map(Into::into).unwrap_or_else(serve::directory::default_path), kube_address: "127.0.0.1:6443".into(), http_address: "127.0.0.1:2746".into(), engine: Default::default(), manifests: None, queue: None, workers: 16, instance_id: String::new(), grace: Duration::from_secs(5) };
    if let Err(e) = serve::run(options).await {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}
