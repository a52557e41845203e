//! Notices to people and systems. What each provider sends, which alerts ask for a notice, and what incoming webhooks prove;
//! where objects, events and queues come from is somebody else's business.

/// Which alerts ask for a notice, and what they add to it.
pub mod alert;
/// CEL expressions about events and objects.
pub mod cel;
/// Addresses as Go reads them.
pub mod go_url;
/// Requests over HTTP, and what their failures mean.
pub mod http;
/// What is told.
pub mod notice;
/// One file for each provider.
pub mod provider;
/// What incoming webhooks prove.
pub mod receiver;
/// A provider with what its Secrets hold.
pub mod setup;

pub use alert::Alert;
pub use http::{Failure, Http, Network};
pub use notice::{Notice, Object};
pub use setup::{AlertRef, Provider, Secret, Setup};
