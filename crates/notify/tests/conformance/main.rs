//! The recorded notifications, statuses and alerts: one suite for each folder of vectors.
#![allow(clippy::unwrap_used)]

mod alert_match;
mod notifier;
#[path = "../../../triggerfish/tests/support/suite.rs"]
mod suite;
mod world;

#[test]
fn what_providers_send() {
    // One after the other: they share a world.
    notifier::notifier();
    notifier::commit_status();
    alert_match::alert_match();
}
