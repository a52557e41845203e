//! Compares this program with vectors recorded from the real ones: one function per suite.
//!
//! Prints `suite: N passed, N failed, N skipped (why)`. What is knowingly different stands in `differences/SUITE.txt`, one
//! `id: reason` a line; a suite fails when something else differs, and when an entry no longer does.
#![allow(clippy::unwrap_used)]

mod argo_rest;
mod cloudevents;
mod cron;
mod dispatch;
mod event_http;
mod kubectl;
#[path = "../support/suite.rs"]
mod suite;
#[path = "../support/mod.rs"]
mod support;

use suite::Suite;
