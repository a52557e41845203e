//! A Kubernetes API as a library: objects in SQLite behind the verbs, watches, discovery and access control that real
//! clients expect. It knows no workflow: the embedding program adds its kinds as [`Provided`] entries.
//!
//! ```no_run
//! # async fn example() -> Result<(), String> {
//! let server = apiserver::ApiServer::open(apiserver::Config::new("/tmp/example"), vec![])?;
//! let service = server.service_as(apiserver::User::component("example"));
//! # let _ = service; Ok(()) }
//! ```

pub mod apply;
mod auth;
mod body;
mod builtin;
mod controllers;
mod crd;
mod decode;
mod discovery;
mod events;
pub mod gojson;
mod jsonpath;
mod managed;
mod names;
mod object;
mod openapi;
mod openapi_v2;
mod patch;
mod pod;
mod protobuf;
mod read;
mod remove;
mod request;
mod resource;
mod respond;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod strategic;
mod table;
mod tokens;
mod watching;
mod write;

pub use auth::{ClientCertificate, User, pki::Pki, pki::write_private};
pub use body::Body;
pub use builtin::generator as schema_generator;
pub use crd::name_column;
pub use decode::go_kind;
pub use request::Query;
pub use resource::{Admit, Admitted, Column, Provided};
pub use server::{ApiServer, Config, LogOptions, LogSource, Service};
pub use status::{FieldError, FieldErrorKind, Status};

/// The Kubernetes version whose API this is.
pub const KUBERNETES: &str = "v1.34.4";
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
