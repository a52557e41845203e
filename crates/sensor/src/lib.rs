//! What sensors decide, without doing any of it: whether an event passes a dependency's filter, what it is transformed to, when a
//! trigger's condition is met and with which events, and what parameters put into what a trigger makes.
//!
//! Everything here takes time as an argument and touches nothing outside.

#![warn(missing_docs)]

pub mod condition;
pub mod dependency;
mod event;
pub mod filter;
pub mod parameter;
pub mod rounds;
mod script;
pub mod transform;

pub use event::{Context, Event};
