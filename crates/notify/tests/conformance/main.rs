//! The recorded notifications, statuses and alerts: one suite for each folder of vectors.
#![allow(clippy::unwrap_used)]

mod alert_match;
mod notifier;
mod receiver;
#[path = "../../../triggerfish/tests/support/suite.rs"]
mod suite;
mod world;

/// One after the other: they share a world.
static WORLD: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn notifier() {
    let _alone = WORLD.lock().unwrap_or_else(|e| e.into_inner());
    notifier::notifier();
}

#[test]
fn commit_status() {
    let _alone = WORLD.lock().unwrap_or_else(|e| e.into_inner());
    notifier::commit_status();
}

#[test]
fn alert_match() {
    let _alone = WORLD.lock().unwrap_or_else(|e| e.into_inner());
    alert_match::alert_match();
}

#[test]
fn receiver() {
    let _alone = WORLD.lock().unwrap_or_else(|e| e.into_inner());
    receiver::receiver();
}
