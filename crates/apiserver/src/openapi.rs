//! OpenAPI v3: an index, and one document per group version with the schemas that `kubectl explain` and `apply` read.

use crate::resource::{Entries, Published, Resource};
use ring::digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Definitions of the built-in kinds; made when first asked for.
fn builtin_definitions() -> &'static Value {
    static DEFINITIONS: OnceLock<Value> = OnceLock::new();
    DEFINITIONS.get_or_init(crate::builtin::definitions)
}

pub fn index(entries: &Entries) -> Value {
    let mut paths = Map::new();
    let mut versions: Vec<(&str, &str)> = entries.resources.keys().map(|(g, v, _)| (g.as_str(), v.as_str())).collect();
    versions.dedup();
    for (group, version) in versions {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        // The kinds that come from definitions change with the table's revision, the others never.
        let hash = hex(format!("{path} {} {}", entries.revision, env!("CARGO_PKG_VERSION")).as_bytes());
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

pub fn hex(data: &[u8]) -> String {
    digest::digest(&digest::SHA256, data).as_ref().iter().map(|b| format!("{b:02X}")).collect()
}

pub fn document(entries: &Entries, group: &str, version: &str) -> Option<Value> {
    if !entries.has_group_version(group, version) {
        return None;
    }
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for r in entries.resources.values().filter(|r| r.group == group && r.version == version) {
        let name = definition_name(r);
        let gvk = json!({"group": r.group, "version": r.version, "kind": r.kind});
        let mut schema = match &r.openapi {
            Published::Builtin(_) => {
                builtin_definitions().get(&name).cloned().unwrap_or_else(|| json!({"type": "object"}))
            }
            Published::Own(text) => custom_document(serde_json::from_str(text).unwrap_or_default()),
        };
        schema["x-kubernetes-group-version-kind"] = json!([gvk]);
        collect_references(&schema, &mut schemas);
        schemas.insert(name.clone(), schema);
        add_paths(r, &name, &gvk, &mut paths);
    }
    for extra in
        ["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]
    {
        if let Some(found) = builtin_definitions().get(extra) {
            collect_references(found, &mut schemas);
            schemas.insert(extra.into(), found.clone());
        }
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": crate::VERSION},
        "paths": paths, "components": {"schemas": schemas},
    }))
}

fn definition_name(r: &Resource) -> String {
    match &r.openapi {
        Published::Builtin(name) => name.clone(),
        Published::Own(_) => {
            let reversed: Vec<&str> = r.group.split('.').rev().collect();
            format!("{}.{}.{}", reversed.join("."), r.version, r.kind)
        }
    }
}

/// A custom kind as published, with the members every object has.
fn custom_document(mut schema: Value) -> Value {
    if !schema.is_object() {
        schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    let definitions = builtin_definitions();
    let described = |field: &str| {
        definitions
            .pointer(&format!("/io.k8s.api.core.v1.ConfigMap/properties/{field}/description"))
            .cloned()
            .unwrap_or(json!(""))
    };
    if schema.get("properties").is_none() {
        schema["properties"] = json!({});
    }
    schema["properties"]["apiVersion"] = json!({"type": "string", "description": described("apiVersion")});
    schema["properties"]["kind"] = json!({"type": "string", "description": described("kind")});
    schema["properties"]["metadata"] = json!({
        "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}],
    });
    schema
}

/// Adds every built-in definition that a schema refers to.
fn collect_references(schema: &Value, out: &mut Map<String, Value>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) =
                map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/components/schemas/"))
                && !out.contains_key(name)
                && let Some(found) = builtin_definitions().get(name)
            {
                out.insert(name.to_owned(), found.clone());
                collect_references(found, out);
            }
            map.values().for_each(|v| collect_references(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| collect_references(v, out)),
        _ => {}
    }
}

fn add_paths(r: &Resource, definition: &str, gvk: &Value, paths: &mut Map<String, Value>) {
    let root =
        if r.group.is_empty() { format!("/api/{}", r.version) } else { format!("/apis/{}/{}", r.group, r.version) };
    let base = if r.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", r.plural)
    } else {
        format!("{root}/{}", r.plural)
    };
    let body =
        json!({"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{definition}")}}}});
    let answer = json!({"200": {"description": "OK", "content": body["content"]}});
    let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let write = json!([query("dryRun"), query("fieldManager"), query("fieldValidation"), query("pretty")]);
    let operation = |action: &str, parameters: &Value, with_body: bool| {
        let mut o = json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk, "parameters": parameters, "responses": answer});
        if with_body {
            o["requestBody"] = body.clone();
        }
        o
    };
    let mut collection = json!({"post": operation("post", &write, true)});
    if !r.virtual_only {
        collection["get"] = operation(
            "list",
            &json!([query("labelSelector"), query("fieldSelector"), query("limit"), query("continue"), query("watch")]),
            false,
        );
        let one = json!({
            "get": operation("get", &json!([]), false),
            "put": operation("put", &write, true),
            "patch": operation("patch", &write, true),
            "delete": operation("delete", &json!([query("dryRun"), query("propagationPolicy")]), false),
        });
        paths.insert(format!("{base}/{{name}}"), one);
    }
    paths.insert(base, collection);
}

/// A schema with its `$ref`s written out, so that it stands on its own; those to `builtin` definitions stay.
pub fn inline(schema: &Value, definitions: &Value, builtin: &BTreeSet<String>) -> Value {
    resolve(schema, definitions, builtin, &mut Vec::new())
}

fn resolve(schema: &Value, definitions: &Value, builtin: &BTreeSet<String>, open: &mut Vec<String>) -> Value {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next()) {
                if builtin.contains(name) {
                    return schema.clone();
                }
                if open.iter().any(|o| o == name) {
                    return json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
                }
                open.push(name.to_owned());
                let mut out = resolve(&definitions[name], definitions, builtin, open);
                open.pop();
                if let Some(text) = map.get("description") {
                    out["description"] = text.clone();
                }
                return out;
            }
            map.iter().map(|(k, v)| (k.clone(), resolve(v, definitions, builtin, open))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(|v| resolve(v, definitions, builtin, open)).collect(),
        other => other.clone(),
    }
}
