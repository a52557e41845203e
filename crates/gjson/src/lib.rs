//! GJSON paths over JSON text: [`get`] finds values, [`set`] and [`delete`] change a text in place.
//!
//! Nothing is parsed but what lies on the way: results are slices of the text where they can be. The syntax, and what it
//! gives for odd paths, is that of GJSON 1.19 and SJSON 1.2. No text or path panics; what a path may produce is bounded
//! ([`PRODUCED`]).
//!
//! ```
//! let json = r#"{"friends":[{"name":"Dale","age":44},{"name":"Jane","age":47}]}"#;
//! assert_eq!(gjson::get(json, "friends.#(age>45).name").unwrap().text(), "Jane");
//! assert_eq!(gjson::get(json, "friends.#.age").unwrap().raw, "[44,47]");
//! assert_eq!(gjson::set("{}", "a.-1", "true").unwrap(), r#"{"a":[true]}"#);
//! ```

#![warn(missing_docs)]

mod get;
mod modifiers;
mod path;
mod pretty;
mod query;
mod scan;
mod set;
mod text;

pub use get::{Found, Kind, get, parse};
pub use set::{Error, delete, plain_quote, set};
pub use text::{go_float, quote};

/// Bytes that the modifiers, lists and objects of a path may produce in all; a path that would produce more finds nothing.
pub const PRODUCED: usize = 64 << 20;

/// Bytes that a path may have; a longer one finds nothing.
pub const PATH: usize = 16 << 10;

/// Elements that setting a value beyond the end of a list may add.
pub const PADDING: usize = 10_000;

/// Whether a text is one JSON value.
pub fn valid(json: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok()
}
