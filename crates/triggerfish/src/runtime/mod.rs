//! Runs Pods on this host: as processes, or through a container engine where one exists.

mod job;
pub mod logs;
mod process;
mod view;

pub use job::{Job, read};
pub use process::{Ended, Handle, Place, kill_strays, start};
pub use rustix::process::Signal;

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
