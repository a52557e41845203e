//! Manifests: YAML or JSON documents to objects, and objects to where they belong.

use crate::kube_api::{Api, encode};
use serde_json::Value;

/// The objects of a text: documents separated by `---`, and the items of `kind: List`.
pub fn read(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    for d in documents.into_iter().filter(|d| !d.is_null()) {
        match d.get("items").and_then(Value::as_array) {
            Some(items) if d.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List")) => out.extend(items.iter().cloned()),
            _ => out.push(d),
        }
    }
    Ok(out)
}

fn text<'a>(o: &'a Value, pointer: &str) -> &'a str {
    o.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// An object that was applied.
pub struct Applied {
    /// `kind/name`
    pub name: String,
    /// What the server finds doubtful about it.
    pub warnings: Vec<String>,
}

/// Server-side apply of one object.
pub async fn apply(api: &Api, o: &Value, default_namespace: &str) -> Result<Applied, String> {
    let (version, kind) = (text(o, "/apiVersion"), text(o, "/kind"));
    if version.is_empty() || kind.is_empty() {
        return Err("an object needs apiVersion and kind".into());
    }
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let known = api.get(&root).await.map_err(|e| format!("{version}: {e}"))?;
    let resources = known["resources"].as_array().cloned().unwrap_or_default();
    let found = resources.iter().find(|r| text(r, "/kind") == kind && !text(r, "/name").contains('/'));
    let found = found.ok_or_else(|| format!("no kind {kind:?} is served in {version}; install its CustomResourceDefinition first"))?;
    let (plural, namespaced) = (text(found, "/name"), found["namespaced"] == true);
    let namespace = match text(o, "/metadata/namespace") {
        "" => default_namespace,
        given => given,
    };
    let place = if namespaced { format!("{root}/namespaces/{}/{plural}", encode(namespace)) } else { format!("{root}/{plural}") };
    let shown = format!("{}/{}", kind.to_lowercase(), text(o, "/metadata/name"));
    if text(o, "/metadata/name").is_empty() {
        let made = api.create(&format!("{place}?fieldManager=triggerfish"), o).await.map_err(|e| e.message)?;
        return Ok(Applied { name: format!("{}/{}", kind.to_lowercase(), text(&made, "/metadata/name")), warnings: Vec::new() });
    }
    let applied = api.apply(&format!("{place}/{}?fieldManager=triggerfish&force=true", encode(text(o, "/metadata/name"))), o).await;
    let warnings = applied.map_err(|e| format!("{shown}: {e}"))?;
    Ok(Applied { name: shown, warnings })
}
