//! Errors as the `Status` objects that Kubernetes clients expect: a code, a reason and a sentence that kubectl prints.

use serde_json::{Map, Value, json};
use std::fmt;

/// Why a request was refused. Becomes a `Status` body with the same code and reason that a Kubernetes API uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// `metadata.continue` of an expired list: where the client may go on, inconsistently.
    pub continue_token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    pub name: String,
    pub group: String,
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

/// One wrong field of an object: where, what was found, what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub path: String,
    pub kind: FieldErrorKind,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FieldErrorKind {
    Required,
    Invalid(Value),
    /// As `Invalid`, with the value as it is to be printed.
    InvalidText(String),
    TypeInvalid(Value),
    NotSupported(Value, Vec<String>),
    Forbidden,
    Duplicate(Value),
    TooLong,
    TooMany(usize),
    NotFound(Value),
}

impl FieldError {
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Required, detail: detail.into() }
    }
    pub fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Invalid(value.into()), detail: detail.into() }
    }
    pub fn raw(path: impl Into<String>, shown: &str, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::InvalidText(shown.into()), detail: detail.into() }
    }
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { path: path.into(), kind: FieldErrorKind::Forbidden, detail: detail.into() }
    }

    fn reason(&self) -> &'static str {
        match self.kind {
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Invalid(_) | FieldErrorKind::InvalidText(_) => "FieldValueInvalid",
            FieldErrorKind::TypeInvalid(_) => "FieldValueTypeInvalid",
            FieldErrorKind::NotSupported(..) => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::Duplicate(_) => "FieldValueDuplicate",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany(_) => "FieldValueTooMany",
            FieldErrorKind::NotFound(_) => "FieldValueNotFound",
        }
    }

    fn body(&self) -> String {
        let detail = &self.detail;
        let with = |head: String| if detail.is_empty() { head } else { format!("{head}: {detail}") };
        match &self.kind {
            FieldErrorKind::Required => with("Required value".into()),
            FieldErrorKind::Invalid(v) | FieldErrorKind::TypeInvalid(v) => with(format!("Invalid value: {}", shown(v))),
            FieldErrorKind::InvalidText(text) => with(format!("Invalid value: {text}")),
            FieldErrorKind::NotSupported(v, allowed) => {
                let list: Vec<String> = allowed.iter().map(|a| format!("{a:?}")).collect();
                format!("Unsupported value: {}: supported values: {}", shown(v), list.join(", "))
            }
            FieldErrorKind::Forbidden => with("Forbidden".into()),
            FieldErrorKind::Duplicate(v) => with(format!("Duplicate value: {}", shown(v))),
            FieldErrorKind::TooLong => with("Too long".into()),
            FieldErrorKind::TooMany(n) => with(format!("Too many: {n}")),
            FieldErrorKind::NotFound(v) => with(format!("Not found: {}", shown(v))),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.body())
    }
}

fn shown(v: &Value) -> String {
    match v {
        Value::Null => "null".into(),
        Value::Object(_) | Value::Array(_) => v.to_string(),
        other => other.to_string(),
    }
}

/// `plural` or `plural.group`, the way sentences name a resource.
pub fn qualified(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Status {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, continue_token: None }
    }
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }
    pub fn internal(message: impl fmt::Display) -> Self {
        let mut s = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        s.details = Some(Box::new(Details {
            causes: vec![Cause { reason: "", message: message.to_string(), field: String::new() }],
            ..Details::default()
        }));
        s
    }
    pub fn not_found(group: &str, plural: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", qualified(group, plural)))
            .about(group, plural, name)
    }
    pub fn no_such_path() -> Self {
        let mut s = Self::new(404, "NotFound", "the server could not find the requested resource");
        s.details = Some(Box::default());
        s
    }
    pub fn already_exists(group: &str, plural: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", qualified(group, plural)))
            .about(group, plural, name)
    }
    pub fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(group, plural));
        Self::new(409, "Conflict", text).about(group, plural, name)
    }
    pub fn modified(group: &str, plural: &str, name: &str) -> Self {
        Self::conflict(
            group,
            plural,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }
    pub fn method_not_allowed() -> Self {
        let mut s =
            Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        s.details = Some(Box::default());
        s
    }
    pub fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut s = Self::new(429, "TooManyRequests", message);
        s.details = Some(Box::new(Details { retry_after_seconds, ..Details::default() }));
        s
    }
    pub fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, plural);
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} {name:?} is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(group, plural, name)
    }
    /// `Kind.group "name" is invalid: …`, with one cause per field.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let what = qualified(group, kind);
        let text = match errors {
            [one] => one.to_string(),
            many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let mut s = Self::new(422, "Invalid", format!("{what} {name:?} is invalid: {text}")).about(group, kind, name);
        if let Some(d) = &mut s.details {
            d.causes =
                errors.iter().map(|e| Cause { reason: e.reason(), message: e.body(), field: e.path.clone() }).collect();
        }
        s
    }
    /// The generic answer to a patch whose operations cannot be carried out.
    pub fn unprocessable() -> Self {
        let mut s = Self::new(422, "Invalid", "the server rejected our request due to an error in our request");
        s.details = Some(Box::default());
        s
    }

    pub fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let causes = self.details.take().map(|d| d.causes).unwrap_or_default();
        self.details = Some(Box::new(Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes,
            ..Details::default()
        }));
        self
    }

    pub fn to_json(&self) -> Value {
        let mut meta = Map::new();
        if let Some(token) = &self.continue_token {
            meta.insert("continue".into(), json!(token));
        }
        let mut out = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": meta,
            "status": "Failure", "message": self.message, "reason": self.reason, "code": self.code,
        });
        if self.reason.is_empty() {
            out.as_object_mut().map(|o| o.remove("reason"));
        }
        if let Some(d) = &self.details {
            out["details"] = d.to_json();
        }
        out
    }
}

impl Details {
    fn to_json(&self) -> Value {
        let mut o = Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                o.insert(key.into(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            o.insert("causes".into(), self.causes.iter().map(Cause::to_json).collect());
        }
        if self.retry_after_seconds > 0 {
            o.insert("retryAfterSeconds".into(), json!(self.retry_after_seconds));
        }
        Value::Object(o)
    }
}

impl Cause {
    fn to_json(&self) -> Value {
        let mut o = Map::new();
        for (key, text) in [("reason", self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                o.insert(key.into(), json!(text));
            }
        }
        Value::Object(o)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
