//! Request bodies to objects: JSON, YAML or protobuf, with repeated and unknown fields noticed.

use crate::object;
use crate::protobuf;
use crate::request::FieldValidation;
use crate::resource::Resource;
use crate::schema::{self, Schema, Type};
use crate::server::{Call, State};
use crate::status::{FieldError, FieldErrorKind, Status};
use http::header::CONTENT_TYPE;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt;

/// The media type of a body, without parameters; JSON when none is given.
pub fn media_type(call: &Call) -> &str {
    let text = call.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    text.split(';').next().unwrap_or("").trim()
}

/// YAML as Kubernetes reads it: one document, booleans and octal numbers of YAML 1.1.
pub fn yaml(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|e| format!("the body is not UTF-8: {e}"))?;
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string())
}

impl State {
    /// The object in a request body, before anything is checked against its schema.
    pub fn read_body(&self, call: &Call, r: &Resource) -> Result<Value, Status> {
        Ok(self.read_body_strictly(call, r)?.0)
    }

    /// The object and the fields that its text repeats.
    pub fn read_body_strictly(&self, call: &Call, r: &Resource) -> Result<(Value, Vec<String>), Status> {
        let (mut o, repeated) = match media_type(call) {
            "application/json" | "" => json_body(&call.body, call.inside).map_err(|e| unreadable(r, &call.body, &e))?,
            "application/yaml" => (yaml(&call.body).map_err(|e| unreadable(r, &call.body, &e))?, Vec::new()),
            "application/vnd.kubernetes.protobuf" if !r.custom => {
                (protobuf::decode(&call.body).map_err(Status::bad_request)?, Vec::new())
            }
            _ => {
                let kinds = if r.custom {
                    "application/json, application/yaml"
                } else {
                    "application/json, application/yaml, application/vnd.kubernetes.protobuf, application/cbor"
                };
                return Err(Status::unsupported_media(format!(
                    "the body of the request was in an unknown format - accepted media types include: {kinds}"
                )));
            }
        };
        check_kind(&mut o, r)?;
        Ok((o, repeated))
    }
}

fn unreadable(r: &Resource, body: &[u8], why: &str) -> Status {
    let start = &body[..body.len().min(EXCERPT)];
    let dots = if body.len() > EXCERPT { " ..." } else { "" };
    let excerpt = match body.first() {
        None => "<empty>".into(),
        // What begins like JSON is shown as it is, anything else in hexadecimal.
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{dots}", start.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    };
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({excerpt})",
        r.kind
    ))
}

/// Bytes of a body that an error shows.
const EXCERPT: usize = 30;

/// The kind must be the one of the path; bodies of typed kinds may leave it out.
fn check_kind(o: &mut Value, r: &Resource) -> Result<(), Status> {
    if !o.is_object() {
        return Err(unreadable(
            r,
            o.to_string().as_bytes(),
            &format!(
                "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                go_kind(o)
            ),
        ));
    }
    let (version, kind) = (object::text(o, &["apiVersion"]).to_owned(), object::text(o, &["kind"]).to_owned());
    if kind.is_empty() && (version.is_empty() || !r.custom) {
        if r.custom {
            return Err(Status::bad_request(format!("Object 'Kind' is missing in '{o}'")));
        }
        o["kind"] = json!(r.kind);
    } else if kind.is_empty() {
        return Err(Status::bad_request(format!("Object 'Kind' is missing in '{o}'")));
    }
    if version.is_empty() {
        if r.custom {
            return Err(Status::bad_request(format!("Object 'apiVersion' is missing in '{o}'")));
        }
        o["apiVersion"] = json!(expected_version(r));
    }
    let (version, kind) = (object::text(o, &["apiVersion"]), object::text(o, &["kind"]));
    if kind != r.kind || version != expected_version(r) {
        let (group, v) = version.split_once('/').unwrap_or(("", version));
        let shown = if group.is_empty() { v.to_owned() } else { format!("{group}/{v}") };
        if r.custom && version == expected_version(r) {
            let (group, name) = (version.split_once('/').map_or("", |(g, _)| g), object::name(o));
            return Err(Status::invalid(
                group,
                kind,
                name,
                &[FieldError::invalid("kind", kind, format!("must be {}", r.kind))],
            ));
        }
        return Err(Status::bad_request(if r.custom {
            format!(
                "the API version in the data ({shown}) does not match the expected API version ({})",
                r.api_version()
            )
        } else {
            format!(
                "{kind} in version {v:?} cannot be handled as a {}: no kind {kind:?} is registered for version {shown:?} in scheme \"pkg/runtime/scheme.go:110\"",
                r.kind
            )
        }));
    }
    Ok(())
}

fn expected_version(r: &Resource) -> String {
    r.api_version()
}

/// JSON with the paths of members that occur twice (the last one counts).
fn json_body(text: &[u8], trusted: bool) -> Result<(Value, Vec<String>), String> {
    if trusted {
        return serde_json::from_slice(text).map(|v| (v, Vec::new())).map_err(|_| crate::gojson::error(text));
    }
    let mut repeated = Vec::new();
    let mut de = serde_json::Deserializer::from_slice(text);
    let value = de.deserialize_any(Tracking { path: String::new(), repeated: &mut repeated });
    let value = value.and_then(|v| de.end().map(|()| v)).map_err(|_| crate::gojson::error(text))?;
    Ok((value, repeated))
}

struct Tracking<'a> {
    path: String,
    repeated: &'a mut Vec<String>,
}

impl<'de> serde::de::DeserializeSeed<'de> for Tracking<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tracking<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(json!(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(json!(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(json!(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(json!(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(json!(v))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(v) = seq.next_element_seed(Tracking {
            path: format!("{}[{}]", self.path, out.len()),
            repeated: &mut *self.repeated,
        })? {
            out.push(v);
        }
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if out.contains_key(&key) && !self.repeated.contains(&path) {
                self.repeated.push(path.clone());
            }
            let v = map.next_value_seed(Tracking { path, repeated: &mut *self.repeated })?;
            out.insert(key, v);
        }
        Ok(Value::Object(out))
    }
}

pub fn go_kind(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What the client asked for about fields that no schema knows.
pub fn field_validation(call: &Call) -> Result<FieldValidation, Status> {
    match call.query.get("fieldValidation") {
        "Ignore" => Ok(FieldValidation::Ignore),
        "Warn" | "" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let kind =
                FieldErrorKind::NotSupported(json!(other), ["", "Ignore", "Strict", "Warn"].map(String::from).to_vec());
            let options = match call.method.as_str() {
                "POST" => "CreateOptions",
                "PUT" => "UpdateOptions",
                _ => "PatchOptions",
            };
            Err(Status::invalid(
                "meta.k8s.io",
                options,
                "",
                &[FieldError { path: "fieldValidation".into(), kind, detail: String::new() }],
            ))
        }
    }
}

/// Problems of an object's fields, in the words of a strict decoder.
pub fn field_problems(r: &Resource, o: &Value, repeated: &[String]) -> Vec<String> {
    let mut out: Vec<String> = repeated.iter().map(|p| format!("duplicate field {p:?}")).collect();
    let mut unknown = schema::unknown_fields(&r.schema, o);
    if r.custom {
        unknown.extend(unknown_metadata(o));
    }
    out.extend(unknown.iter().map(|p| format!("unknown field {p:?}")));
    out
}

const META: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

fn unknown_metadata(o: &Value) -> Vec<String> {
    let members = o.get("metadata").and_then(Value::as_object).into_iter().flatten();
    members.map(|(k, _)| k).filter(|k| !META.contains(&k.as_str())).map(|k| format!("metadata.{k}")).collect()
}

/// Brings an object into the form its kind has: types checked, unknown members gone, defaults filled in.
pub fn conform(r: &Resource, o: &mut Value) -> Result<(), Status> {
    check_metadata_types(o, r)?;
    drop_empty_metadata(o);
    if !r.custom {
        schema::drop_nulls(o);
        drop_empty(o);
        if let Some(wrong) = type_error(&r.schema, o, "") {
            return Err(Status::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: {}",
                r.kind,
                r.version,
                r.kind,
                wrong.decoding(&r.kind)
            )));
        }
    }
    if !matches!(r.schema.kind, Type::Any) {
        schema::prune(&r.schema, o, true);
    }
    crate::object::meta(o).retain(|k, v| META.contains(&k.as_str()) && !v.is_null());
    schema::apply_defaults(&r.schema, o);
    Ok(())
}

/// Go leaves empty maps and lists of these members out.
fn drop_empty(o: &mut Value) {
    if let Some(m) = o.as_object_mut() {
        m.retain(|k, v| {
            !(matches!(k.as_str(), "data" | "binaryData" | "stringData" | "secrets" | "imagePullSecrets" | "subjects")
                && empty(v))
        });
    }
}

fn empty(v: &Value) -> bool {
    v.as_object().is_some_and(Map::is_empty) || v.as_array().is_some_and(Vec::is_empty)
}

/// The metadata of every kind is typed.
fn drop_empty_metadata(o: &mut Value) {
    crate::object::meta(o).retain(|k, v| {
        !(matches!(k.as_str(), "labels" | "annotations" | "finalizers" | "ownerReferences") && empty(v))
    });
}

fn check_metadata_types(o: &Value, r: &Resource) -> Result<(), Status> {
    let wrong = |path: &str, v: &Value, want: &str| {
        Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal {} into Go struct field ObjectMeta.metadata.{path} of type {want}",
            r.kind,
            r.version,
            r.kind,
            go_kind(v)
        )))
    };
    let Some(meta) = o.get("metadata").filter(|m| !m.is_null()) else { return Ok(()) };
    let Some(meta) = meta.as_object() else {
        return Err(Status::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal {} into Go struct field {}.metadata of type v1.ObjectMeta",
            r.kind,
            r.version,
            r.kind,
            go_kind(&o["metadata"]),
            r.kind
        )));
    };
    for (key, v) in meta.iter().filter(|(_, v)| !v.is_null()) {
        match key.as_str() {
            "name" | "generateName" | "namespace" | "uid" | "resourceVersion" if !v.is_string() => {
                return wrong(key, v, "string");
            }
            "labels" | "annotations" => {
                let Some(map) = v.as_object() else { return wrong(key, v, "map[string]string") };
                if let Some((_, bad)) = map.iter().find(|(_, x)| !x.is_string()) {
                    return wrong(key, bad, "string");
                }
            }
            "finalizers" => {
                let Some(list) = v.as_array() else { return wrong(key, v, "[]string") };
                if let Some(bad) = list.iter().find(|x| !x.is_string()) {
                    return wrong(key, bad, "string");
                }
            }
            "ownerReferences" | "managedFields" if !v.is_array() => return wrong(key, v, "[]v1.OwnerReference"),
            _ => {}
        }
    }
    Ok(())
}

/// A value of a typed kind whose type is wrong.
pub enum Mistyped<'a> {
    Type {
        path: String,
        found: &'a Value,
        want: &'static str,
    },
    /// Not base64, from this byte on.
    Bytes {
        at: usize,
    },
}

impl Mistyped<'_> {
    /// In the words of a decoder that reads an object.
    fn decoding(&self, kind: &str) -> String {
        match self {
            Mistyped::Type { path, found, want } => {
                format!("json: cannot unmarshal {} into Go struct field {kind}.{path} of type {want}", go_kind(found))
            }
            Mistyped::Bytes { at } => format!("illegal base64 data at input byte {at}"),
        }
    }
    /// In the words of a patch that is put into an object.
    pub fn converting(&self) -> String {
        match self {
            Mistyped::Type { found, want, .. } => {
                let found = match found {
                    Value::Number(n) if n.is_f64() => "float64",
                    Value::Number(_) => "int64",
                    Value::Array(_) => "[]interface {}",
                    Value::Object(_) => "map[string]interface {}",
                    other => go_kind(other),
                };
                format!("cannot convert {found} to {want}")
            }
            Mistyped::Bytes { at } => format!("illegal base64 data at input byte {at}"),
        }
    }
}

/// The first value of a typed kind whose type is wrong.
pub fn type_error<'a>(schema: &Schema, v: &'a Value, path: &str) -> Option<Mistyped<'a>> {
    let fits = match schema.kind {
        _ if v.is_null() => true,
        Type::Any => true,
        Type::Object => v.is_object(),
        Type::Array => v.is_array(),
        Type::String => v.is_string(),
        Type::Boolean => v.is_boolean(),
        Type::Integer => v.is_i64() || v.is_u64(),
        Type::Number => v.is_number(),
        Type::IntOrString => v.is_i64() || v.is_u64() || v.is_string(),
    };
    if !fits {
        let want = match schema.kind {
            Type::Object if schema.additional.is_some() => "map[string]string",
            Type::Object => "struct",
            Type::Array => "[]string",
            Type::Boolean => "bool",
            Type::Integer => {
                if schema.format == "int64" {
                    "int64"
                } else {
                    "int32"
                }
            }
            Type::Number => "float64",
            _ => "string",
        };
        return Some(Mistyped::Type { path: path.to_owned(), found: v, want });
    }
    if schema.format == "byte"
        && let Some(s) = v.as_str()
    {
        use base64::Engine;
        if base64::engine::general_purpose::STANDARD.decode(s).is_err() {
            let at = s
                .bytes()
                .position(|c| !(c.is_ascii_alphanumeric() || c == b'+' || c == b'/'))
                .unwrap_or(s.len() / 4 * 4);
            return Some(Mistyped::Bytes { at });
        }
    }
    match v {
        Value::Object(map) => map.iter().find_map(|(k, child)| {
            if path.is_empty() && k == "metadata" {
                return None;
            }
            let s = schema.property(k)?;
            let named = schema.properties.contains_key(k);
            let here = match (path.is_empty(), named) {
                (true, _) => k.clone(),
                (false, true) => format!("{path}.{k}"),
                (false, false) => path.to_owned(),
            };
            type_error(s, child, &here)
        }),
        Value::Array(list) => list.iter().find_map(|child| type_error(schema.items.as_deref()?, child, path)),
        _ => None,
    }
}
