//! A folder of manifests that is applied, and followed: a file that changes is applied again.

use crate::kube_api::Api;
use crate::manifest;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);

pub async fn run(api: Api, folder: PathBuf) {
    let mut seen: HashMap<PathBuf, SystemTime> = HashMap::new();
    let mut applier = manifest::Applier::new(api);
    loop {
        for (file, changed) in files(&folder) {
            if seen.insert(file.clone(), changed) != Some(changed) {
                apply(&mut applier, &file).await;
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let manifests =
        entries.filter(|e| e.path().extension().is_some_and(|x| matches!(x.to_str(), Some("yaml" | "yml" | "json"))));
    let mut out: Vec<_> = manifests.filter_map(|e| Some((e.path(), e.metadata().ok()?.modified().ok()?))).collect();
    out.sort();
    out
}

async fn apply(applier: &mut manifest::Applier, file: &Path) {
    let text = match std::fs::read_to_string(file) {
        Ok(t) => t,
        Err(e) => return tracing::error!(file = %file.display(), error = %e, "cannot read a manifest"),
    };
    let objects = match manifest::read(&text) {
        Ok(o) => o,
        Err(e) => {
            return tracing::error!(file = %file.display(), error = %e, "a manifest is no YAML or JSON; correct the file and it is applied again");
        }
    };
    for o in objects {
        match applier.apply(&o, "argo").await {
            Ok(applied) => {
                applied
                    .warnings
                    .iter()
                    .for_each(|w| tracing::warn!(file = %file.display(), object = applied.name, "{w}"));
                tracing::info!(file = %file.display(), object = applied.name, "applied");
            }
            Err(e) => {
                tracing::error!(file = %file.display(), error = e, "an object was refused; correct the file and it is applied again")
            }
        }
    }
}
