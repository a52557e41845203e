//! Endpoints that sources have opened: what they are told, and what they answer. The ports themselves are in `serve/doors.rs`.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;

/// A request that came to an endpoint.
pub struct Received {
    pub method: Method,
    /// Path and query, as they were sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What answers it: a status and a text.
pub type Answer = Arc<dyn Fn(Received) -> BoxFuture<'static, (StatusCode, String)> + Send + Sync>;

pub struct Endpoint {
    pub port: u16,
    pub path: String,
    pub method: Method,
    /// Of endpoints that share a path: the `src` in the body that this one answers. Empty: it shares with none.
    pub part: String,
    /// The largest body, in bytes; larger ones are answered with 413.
    pub limit: usize,
    /// A certificate and its key of its own, both PEM, in place of the server's.
    pub tls: Option<(String, String)>,
    pub answer: Answer,
}

/// An endpoint answers for as long as this is held.
pub struct Held {
    pub(crate) close: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            close();
        }
    }
}

/// Opens endpoints; the error says what is in the way.
pub type Open = Arc<dyn Fn(Endpoint) -> BoxFuture<'static, Result<Held, String>> + Send + Sync>;
