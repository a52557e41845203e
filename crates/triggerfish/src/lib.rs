//! Triggerfish turns events into workflows and outcomes into notifications.

pub mod kind;
pub mod route;
pub mod serve;
