//! The data directory: made on first start, held by one process at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Holds the directory; dropping it lets another process in.
pub struct Directory {
    pub path: PathBuf,
    _lock: fs::File,
}

/// `--data-dir`, else `$XDG_DATA_HOME/triggerfish`, else `~/.local/share/triggerfish`.
pub fn default_path() -> PathBuf {
    if let Some(x) = std::env::var_os("XDG_DATA_HOME").filter(|x| !x.is_empty()) {
        return PathBuf::from(x).join("triggerfish");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| PathBuf::from("."));
    home.join(".local/share/triggerfish")
}

impl Directory {
    pub fn open(path: &Path) -> Result<Self, String> {
        let fail = |what: &str, e: std::io::Error| format!("{what} {}: {e}", path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| fail("cannot create the data directory", e))?;
        let path = path.canonicalize().map_err(|e| fail("cannot use the data directory", e))?;
        let file = path.join("lock");
        let mut lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(|e| {
                format!(
                    "cannot write to the data directory {}: {e}; choose another with --data-dir or make it writable",
                    path.display()
                )
            })?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            return Err(format!(
                "the data directory {} is in use by another triggerfish (process {}); stop it, or choose another directory with --data-dir",
                path.display(),
                if holder.trim().is_empty() { "unknown" } else { holder.trim() }
            ));
        }
        let written =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|e| format!("cannot write to the data directory {}: {e}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }
}

/// A kubeconfig for the admin, whose namespace is `argo` as in the documents.
pub fn kubeconfig(pki: &apiserver::Pki, server: &str) -> String {
    use base64::Engine;
    let b64 = |s: &str| base64::engine::general_purpose::STANDARD.encode(s);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: triggerfish\nclusters:\n- name: triggerfish\n  cluster:\n    server: {server}\n    certificate-authority-data: {}\ncontexts:\n- name: triggerfish\n  context:\n    cluster: triggerfish\n    namespace: argo\n    user: admin\nusers:\n- name: admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        b64(&pki.ca),
        b64(&pki.admin_cert),
        b64(&pki.admin_key)
    )
}
