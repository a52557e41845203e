//! Compares what sensors decide with vectors recorded from the real ones: one function per suite.
#![allow(clippy::unwrap_used)]

mod dependencies;
mod filters;
mod parameters;
mod paths;
#[path = "../../../triggerfish/tests/support/suite.rs"]
mod suite;
