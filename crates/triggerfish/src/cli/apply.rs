//! `triggerfish apply`

use super::connect::Connection;
use crate::manifest;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Apply {
    /// A file, a folder, or - for standard input; may be given more than once.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Apply {
    pub async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let mut applier = manifest::Applier::new(api);
        let mut failed = 0;
        for file in self.files.iter().flat_map(|f| expand(f)) {
            let text = read(&file)?;
            for o in manifest::read(&text).map_err(|e| format!("{}: {e}", file.display()))? {
                match applier.apply(&o, &namespace).await {
                    Ok(applied) => {
                        applied.warnings.iter().for_each(|w| eprintln!("warning: {}: {w}", file.display()));
                        println!("{} applied", applied.name);
                    }
                    Err(e) => {
                        failed += 1;
                        eprintln!("error: {}: {e}", file.display());
                    }
                }
            }
        }
        if failed > 0 { Err(format!("{failed} objects were refused")) } else { Ok(()) }
    }
}

/// The manifests of a folder, or the file itself.
fn expand(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    let mut out: Vec<PathBuf> = entries
        .filter(|p| p.extension().is_some_and(|x| matches!(x.to_str(), Some("yaml" | "yml" | "json"))))
        .collect();
    out.sort();
    out
}

/// The text of a file, or of standard input.
pub fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}
