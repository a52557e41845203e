//! Triggerfish turns events into workflows and outcomes into notifications.
//!
//! The rooms in river order; each names only those above it.

/// The REST façade.
pub mod api;
/// The event log.
pub mod bus;
/// The command line.
pub mod cli;
/// Time as text.
pub mod clock;
/// Cron schedules.
pub mod cron;
/// Values that move: events, callers, outcomes.
pub mod event;
/// Follows the objects of a kind.
pub mod follow;
/// Where events come from: one file per source.
pub mod gateway;
/// One file per API kind.
pub mod kind;
/// The Kubernetes API, as one caller or another.
pub mod kube_api;
/// Reads what a workflow refers to.
pub mod lookup;
/// Manifests to objects.
pub mod manifest;
/// Notices on their way: what alerts make of them, letters, progress.
pub mod notices;
/// Decides what an event starts.
pub mod route;
/// Runs Pods as processes or containers.
pub mod runtime;
/// What sensors wait for and do: one file per kind of trigger.
pub mod sensors;
/// Loops, spawns and wiring.
pub mod serve;
/// Decides how a workflow goes on.
pub mod workflow;
