//! OpenAPI v2: what `kubectl apply` asks when a file holds a `List`, and what older clients read.
//!
//! kubectl wants the protobuf form of <https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto> and reads
//! in it whether `patch` of a kind takes a query parameter, how lists merge, and what `explain --output=plaintext-openapiv2` shows.

use crate::openapi;
use crate::resource::Entries;
use serde_json::{Map, Value, json};

/// What clients ask for, and what the answer is called: `@` is not allowed in a media type that is parsed.
pub const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

const METHODS: [(&str, u32); 5] = [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)];

pub fn document(entries: &Entries) -> Value {
    let mut versions: Vec<(&str, &str)> = entries.resources.keys().map(|(g, v, _)| (g.as_str(), v.as_str())).collect();
    versions.dedup();
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, version) in versions {
        let Some(mut v3) = openapi::document(entries, group, version) else { continue };
        if let Some(Value::Object(found)) = v3.pointer_mut("/components/schemas").map(Value::take) {
            definitions.extend(found);
        }
        if let Value::Object(found) = v3["paths"].take() {
            paths.extend(found.into_iter().map(|(path, item)| (path, path_item(item))));
        }
    }
    let mut all = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": crate::VERSION}, "paths": paths, "definitions": definitions});
    point_at_definitions(&mut all);
    all
}

fn path_item(mut item: Value) -> Value {
    for operation in item.as_object_mut().into_iter().flat_map(|m| m.values_mut()) {
        let body = operation.as_object_mut().and_then(|o| o.remove("requestBody"));
        let mut parameters: Vec<Value> = operation["parameters"].as_array().cloned().unwrap_or_default();
        for p in &mut parameters {
            *p = json!({"name": p["name"], "in": "query", "type": "string", "uniqueItems": true});
        }
        if let Some(body) = body {
            parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": body["content"]["application/json"]["schema"]}));
        }
        operation["parameters"] = json!(parameters);
        let schema = operation.pointer("/responses/200/content/application~1json/schema").cloned().unwrap_or_default();
        operation["responses"] = json!({"200": {"description": "OK", "schema": schema}});
    }
    item
}

fn point_at_definitions(v: &mut Value) {
    match v {
        Value::Object(m) => {
            if let Some(Value::String(r)) = m.get_mut("$ref")
                && let Some(name) = r.strip_prefix("#/components/schemas/")
            {
                *r = format!("#/definitions/{name}");
            }
            m.values_mut().for_each(point_at_definitions);
        }
        Value::Array(l) => l.iter_mut().for_each(point_at_definitions),
        _ => {}
    }
}

/// The document's paths in protobuf.
pub fn protobuf(document: &Value) -> Vec<u8> {
    let mut paths = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let mut fields = Vec::new();
        for (method, number) in METHODS {
            if let Some(found) = item.get(method) {
                put(&mut fields, number, &operation(found));
            }
        }
        put(&mut paths, 2, &named(path, &fields));
    }
    let mut out = Vec::new();
    put(&mut out, 1, b"2.0");
    let mut info = Vec::new();
    put(&mut info, 1, b"Kubernetes");
    put(&mut info, 2, crate::VERSION.as_bytes());
    put(&mut out, 2, &info);
    put(&mut out, 8, &paths);
    let mut definitions = Vec::new();
    for (name, schema) in document["definitions"].as_object().into_iter().flatten() {
        put(&mut definitions, 1, &named(name, &schema_message(schema)));
    }
    put(&mut out, 9, &definitions);
    out
}

/// A schema: what it refers to, its texts, its type, and what it holds.
fn schema_message(s: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let reference = s.get("$ref").or_else(|| s.pointer("/allOf/0/$ref"));
    for (number, text) in [(1, reference), (2, s.get("format")), (4, s.get("description"))] {
        if let Some(text) = text.and_then(Value::as_str) {
            put(&mut out, number, text.as_bytes());
        }
    }
    for name in s["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        put(&mut out, 19, name.as_bytes());
    }
    if s["additionalProperties"].is_object() {
        put(&mut out, 21, &only(&schema_message(&s["additionalProperties"])));
    }
    if let Some(kind) = s["type"].as_str() {
        put(&mut out, 22, &only(kind.as_bytes()));
    }
    if s["items"].is_object() {
        put(&mut out, 23, &only(&schema_message(&s["items"])));
    }
    if let Some(members) = s["properties"].as_object() {
        let mut properties = Vec::new();
        for (name, member) in members {
            put(&mut properties, 1, &named(name, &schema_message(member)));
        }
        put(&mut out, 25, &properties);
    }
    for (key, value) in s.as_object().into_iter().flatten().filter(|(k, _)| k.starts_with("x-kubernetes-")) {
        let mut any = Vec::new();
        put(&mut any, 2, format!("{value}\n").as_bytes());
        put(&mut out, 31, &named(key, &any));
    }
    out
}

fn operation(o: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for p in o["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
        let mut query = Vec::new();
        put(&mut query, 2, b"query");
        put(&mut query, 4, p["name"].as_str().unwrap_or("").as_bytes());
        put(&mut query, 6, b"string");
        // ParametersItem.parameter → Parameter.non_body_parameter → NonBodyParameter.query_parameter_sub_schema.
        let item = [3, 2, 1].iter().fold(query, |inner, number| {
            let mut outer = Vec::new();
            put(&mut outer, *number, &inner);
            outer
        });
        put(&mut out, 8, &item);
    }
    let key = "x-kubernetes-group-version-kind";
    let text = |name: &str| o[key][name].as_str().unwrap_or("").to_owned();
    let yaml = format!("group: \"{}\"\nkind: {}\nversion: {}\n", text("group"), text("kind"), text("version"));
    let mut any = Vec::new();
    put(&mut any, 2, yaml.as_bytes());
    put(&mut out, 13, &named(key, &any));
    out
}

/// A message whose one field, the first, is this.
fn only(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, value);
    out
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, name.as_bytes());
    put(&mut out, 2, value);
    out
}

/// A field that has a length.
fn put(out: &mut Vec<u8>, number: u32, data: &[u8]) {
    varint(out, u64::from(number << 3 | 2));
    varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}
