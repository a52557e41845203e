//! Answers and errors in the shape of the Argo Server: `{"code": <gRPC code>, "message": "…"}`.

use crate::kube_api::Refusal;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::{Value, json};

pub type Answer = Response<Body>;

/// The version of the Argo Server whose API this is.
pub const ARGO: &str = "v4.1.2";

#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub http: u16,
    /// gRPC status code.
    pub code: i32,
    pub message: String,
    /// Without `code`, as plain text: the shape of the webhook filter.
    pub bare: bool,
}

impl Fault {
    pub fn new(http: u16, code: i32, message: impl Into<String>) -> Self {
        Self { http, code, message: message.into(), bare: false }
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, 3, message)
    }
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, 13, message)
    }
    pub fn not_implemented() -> Self {
        Self::new(501, 12, "Not Implemented")
    }
    pub fn no_token() -> Self {
        Self::new(401, 16, "token not valid. see https://argo-workflows.readthedocs.io/en/latest/faq/")
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, 5, message)
    }

    pub fn answer(&self) -> Answer {
        let body = if self.bare {
            json!({"message": self.message})
        } else {
            json!({"code": self.code, "message": self.message})
        };
        let kind = if self.bare { "text/plain; charset=utf-8" } else { "application/json" };
        respond(self.http, kind, body.to_string())
    }
}

impl From<Refusal> for Fault {
    fn from(r: Refusal) -> Self {
        let (http, code) = match r.code {
            400 | 422 => (400, 3),
            401 => (401, 16),
            403 => (403, 7),
            404 => (404, 5),
            408 => (408, 1),
            409 => (409, 6),
            429 => (429, 8),
            501 => (501, 12),
            503 => (503, 14),
            504 => (504, 4),
            _ => (500, 13),
        };
        Fault::new(http, code, r.message)
    }
}

pub fn respond(status: u16, content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut r = Response::new(body.into());
    *r.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    r
}

/// A success: JSON, with the version header that clients look for.
pub fn ok(v: &Value) -> Answer {
    let mut r = respond(200, "application/json", v.to_string());
    r.headers_mut().insert("grpc-metadata-argo-version", HeaderValue::from_static(ARGO));
    r
}

/// An object as the Argo Server shows it: without kind and version.
pub fn shown(mut o: Value) -> Value {
    if let Some(m) = o.as_object_mut() {
        m.remove("kind");
        m.remove("apiVersion");
    }
    o
}
