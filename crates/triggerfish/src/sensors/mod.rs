//! What sensors wait for and do: their objects in both forms, and one file for each kind of trigger.
//!
//! The decisions (filters, rounds, parameters) are the `sensor` crate's; loops, retries and status are `serve/sensors.rs`.

pub mod admission;
pub mod earlier;
pub mod source;
pub mod specification;
pub mod trigger;
pub mod view;

pub use admission::admit;
pub use specification::{Dependency, Retry, Sensor, Trigger};
