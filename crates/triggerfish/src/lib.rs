//! Triggerfish turns events into workflows and outcomes into notifications.
//!
//! The rooms in river order; each names only those above it.

/// Time as text.
pub mod clock;
/// Values that move: events, callers, outcomes.
pub mod event;
/// One file per API kind.
pub mod kind;
/// The Kubernetes API, as one caller or another.
pub mod kube_api;
/// Manifests to objects.
pub mod manifest;
/// The event log.
pub mod bus;
/// Decides what an event starts.
pub mod route;
/// Decides how a workflow goes on.
pub mod workflow;
/// Reads what a workflow refers to.
pub mod lookup;
/// Runs Pods as processes or containers.
pub mod runtime;
/// The REST façade.
pub mod api;
/// Loops, spawns and wiring.
pub mod serve;
/// The command line.
pub mod cli;
