//! Any bytes as an expression: evaluated over an event, within small bounds and the usual ones.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::evaluate(data));
