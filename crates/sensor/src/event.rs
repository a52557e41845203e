//! An event as sensors see it.

use serde::{Deserialize, Serialize};

/// The attributes of an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Unique within its source.
    pub id: String,
    /// Where it comes from.
    pub source: String,
    /// The version of CloudEvents.
    pub specversion: String,
    /// What it is called.
    #[serde(rename = "type")]
    pub kind: String,
    /// The media type of its data.
    pub datacontenttype: String,
    /// What it is about: the configuration that it came through.
    pub subject: String,
    /// RFC 3339, when it happened.
    pub time: String,
}

/// An event: its attributes and its data as text; none when it has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The attributes.
    pub context: Context,
    /// The data.
    pub data: Option<String>,
}
