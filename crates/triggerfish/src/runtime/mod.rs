//! Runs Pods on this host: as processes, or through a container engine where one exists.

mod container;
mod job;
pub mod logs;
mod process;
pub mod view;

pub use container::remove as remove_container;
pub use job::{Job, read};
pub use process::{Ended, Handle, Place, kill_strays, start};
pub use rustix::process::Signal;

/// Whether this host lets each Pod have a view of its own; tried on a thread that is thrown away.
pub fn views_work() -> Result<(), String> {
    let place = std::env::temp_dir().join(format!("triggerfish-view-{}", std::process::id()));
    std::fs::create_dir_all(&place).map_err(|e| e.to_string())?;
    let mount_point = place.clone();
    let tried = std::thread::spawn(move || view::enter(&mount_point, &mount_point)).join();
    // Empty again once the thread and its mounts are gone.
    let _ = std::fs::remove_dir(&place);
    tried.unwrap_or_else(|_| Err("the attempt failed".into()))
}

/// How Pods are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Engine {
    /// The command itself, on this host; images are not used.
    #[default]
    Process,
    /// `podman run` with the container's image.
    Podman,
    /// `docker run` with the container's image.
    Docker,
}

impl Engine {
    /// The program that runs images, if one does.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Engine::Process => None,
            Engine::Podman => Some("podman"),
            Engine::Docker => Some("docker"),
        }
    }
}

/// Marks the processes of a Pod, so that they are found again after a crash.
pub const POD_UID: &str = "TRIGGERFISH_POD_UID";
