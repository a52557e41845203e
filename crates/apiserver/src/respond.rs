//! From values to HTTP answers, in the form that the client accepts.

use crate::body::Body;
use crate::resource::Resource;
use crate::status::Status;
use crate::table::{self, Include};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    /// With the version of `meta.k8s.io`.
    Table(&'static str),
    Partial(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub shape: Shape,
    pub yaml: bool,
}

impl Form {
    pub const JSON: Form = Form { shape: Shape::Object, yaml: false };
    /// Whether stored bytes can be sent as they are.
    pub fn is_plain(self) -> bool {
        self == Form::JSON
    }
}

/// One entry of an Accept header.
struct Media<'a> {
    kind: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Media<'a> {
    fn get(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| v)
    }
}

fn accepted(headers: &HeaderMap) -> Vec<Media<'_>> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
    texts
        .flat_map(|t| t.split(','))
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            Media { kind: parts.next().unwrap_or(""), parameters: parts.filter_map(|p| p.split_once('=')).collect() }
        })
        .filter(|m| !m.kind.is_empty())
        .collect()
}

fn version(text: &str) -> Option<&'static str> {
    match text {
        "v1" => Some("v1"),
        "v1beta1" => Some("v1beta1"),
        _ => None,
    }
}

/// The first form of the Accept header that can be given. `list` tells whether partial lists are meant.
pub fn negotiate(headers: &HeaderMap, list: bool) -> Result<Form, Status> {
    let wanted = accepted(headers);
    if wanted.is_empty() {
        return Ok(Form::JSON);
    }
    for m in &wanted {
        // Both are known, and one of them does not fit what is asked for.
        match (m.get("as"), list) {
            ("PartialObjectMetadata", true) => {
                let text = "you requested PartialObjectMetadata, but the requested object is a list (*unstructured.UnstructuredList)";
                return Err(Status::new(406, "NotAcceptable", text));
            }
            ("PartialObjectMetadataList", false) => return Err(Status::new(500, "", "content is not a list")),
            _ => {}
        }
        let yaml = match m.kind {
            "application/json" | "*/*" | "application/*" => false,
            "application/yaml" => true,
            _ => continue,
        };
        let shape = match (m.get("as"), version(m.get("v"))) {
            ("", _) => Shape::Object,
            ("Table", Some(v)) if m.get("g") == "meta.k8s.io" => Shape::Table(v),
            ("PartialObjectMetadata", Some(v)) if m.get("g") == "meta.k8s.io" && !list => Shape::Partial(v),
            ("PartialObjectMetadataList", Some(v)) if m.get("g") == "meta.k8s.io" && list => Shape::Partial(v),
            _ => continue,
        };
        return Ok(Form { shape, yaml });
    }
    let text = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    Err(Status::new(406, "NotAcceptable", text))
}

/// Refuses a request of a built-in kind whose Accept header names nothing that is ever made.
pub fn acceptable(headers: &HeaderMap) -> Result<(), Status> {
    const MADE: [&str; 5] =
        ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/*", "*/*"];
    let wanted = accepted(headers);
    if wanted.is_empty() || wanted.iter().any(|m| MADE.contains(&m.kind)) {
        return Ok(());
    }
    let list = "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    let mut s = Status::new(406, "NotAcceptable", format!("406: Not Acceptable\n\nAvailable representations: {list}"));
    s.details = Some(Box::default());
    Err(s)
}

/// The version of aggregated discovery that the client prefers over the plain lists.
pub fn wants_aggregated(headers: &HeaderMap) -> Result<Option<&'static str>, Status> {
    let wanted = accepted(headers);
    for m in &wanted {
        match (m.kind, m.get("as"), m.get("v")) {
            ("application/json", "APIGroupDiscoveryList", "v2") => return Ok(Some("v2")),
            ("application/json" | "application/yaml" | "*/*" | "application/*", "", _) => return Ok(None),
            _ => {}
        }
    }
    if wanted.is_empty() { Ok(None) } else { negotiate(headers, false).map(|_| None) }
}

pub type Answer = Response<Body>;

pub fn bytes(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut r = Response::new(Body::from(body.into()));
    *r.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    r
}

pub fn text(status: u16, body: impl Into<Bytes>) -> Answer {
    bytes(status, "text/plain; charset=utf-8", body)
}

pub fn value(status: u16, v: &Value, form: Form) -> Answer {
    if form.yaml {
        let text = serde_saphyr::to_string(v).unwrap_or_default();
        return bytes(status, "application/yaml", text);
    }
    bytes(status, "application/json", serde_json::to_vec(v).unwrap_or_default())
}

pub fn failure(s: &Status, form: Form) -> Answer {
    let mut r = value(s.code, &s.to_json(), Form { shape: Shape::Object, ..form });
    if let Some(seconds) = s.details.as_ref().map(|d| d.retry_after_seconds).filter(|n| *n > 0) {
        r.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    r
}

/// An object of a kind, in the asked form.
pub fn object(status: u16, r: &Resource, o: Value, form: Form, include: Include) -> Answer {
    let shown = match form.shape {
        Shape::Object => o,
        Shape::Partial(v) => table::partial(&o, v),
        Shape::Table(v) => {
            let meta = json!({"resourceVersion": crate::object::resource_version(&o)});
            table::table(r, &[o], meta, include, v, true)
        }
    };
    value(status, &shown, form)
}

/// `Warning: 299 - "text"`.
pub fn warn(answer: &mut Answer, warnings: &[String]) {
    for w in warnings {
        let escaped = w.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
        if let Ok(v) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            answer.headers_mut().append(http::header::WARNING, v);
        }
    }
}
