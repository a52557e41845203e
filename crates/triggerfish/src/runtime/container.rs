//! A Pod as a container: the command line of podman or docker, which are alike in what is used of them.

use super::Job;
use crate::workflow::SCRIPT;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn name(uid: &str) -> String {
    format!("triggerfish-{uid}")
}

/// Runs the image. The container stays when it has ended, so that its files can be read: see [`remove`].
pub fn run(program: &str, job: &Job, script: &Path) -> Command {
    let mut c = Command::new(program);
    c.args(["run", "--name", &name(&job.uid)]);
    for (k, v) in &job.environment {
        c.args(["--env", &format!("{k}={v}")]);
    }
    if let Some(d) = &job.working_dir {
        c.arg("--workdir").arg(d);
    }
    if job.script.is_some() {
        c.arg("--volume").arg(format!("{}:{}:ro", script.display(), SCRIPT));
    }
    let mut command = job.command.iter();
    if let Some(entrypoint) = command.next() {
        c.args(["--entrypoint", entrypoint]);
    }
    c.arg(&job.image);
    c.args(command);
    c
}

/// Copies a file out of a container that has ended.
pub fn copy(program: &str, uid: &str, path: &str, folder: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let target = folder.join("output");
    let said = Command::new(program)
        .arg("cp")
        .arg(format!("{}:{path}", name(uid)))
        .arg(&target)
        .stdin(Stdio::null())
        .output()?;
    if said.status.success() {
        Ok(target)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, String::from_utf8_lossy(&said.stderr).into_owned()))
    }
}

/// Ends a container, if it still runs, and removes it.
pub fn remove(program: &str, uid: &str) {
    match Command::new(program).args(["rm", "--force", &name(uid)]).stdin(Stdio::null()).output() {
        Ok(said) if !said.status.success() => {
            tracing::debug!(uid, said = %String::from_utf8_lossy(&said.stderr), "a container could not be removed")
        }
        Ok(_) => {}
        Err(e) => tracing::warn!(uid, error = %e, "{program} could not be asked to remove a container"),
    }
}
