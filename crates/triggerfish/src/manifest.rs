//! Manifests: YAML or JSON documents to objects, and objects to where they belong.

use crate::kube_api::{Api, encode};
use serde_json::Value;
use std::collections::HashMap;

/// The objects of a text: documents separated by `---`, and the items of `kind: List`.
pub fn read(text: &str) -> Result<Vec<Value>, String> {
    let mut out = Vec::new();
    for (line, document) in documents(text) {
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let parsed: Vec<Value> = serde_saphyr::from_multiple_with_options(document, options).map_err(|e| {
            if line > 1 { format!("in the document that begins in line {line}: {e}") } else { e.to_string() }
        })?;
        let Some(d) = parsed.into_iter().find(|d| !d.is_null()) else { continue };
        match d.get("items").and_then(Value::as_array) {
            Some(items) if d.get("kind").and_then(Value::as_str).is_some_and(|k| k.ends_with("List")) => {
                out.extend(items.iter().cloned())
            }
            _ => out.push(d),
        }
    }
    Ok(out)
}

/// The documents of a text, each with the line it begins in. They are told apart here and parsed one by one: the parser
/// takes a time that grows with the square of their number.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut first, mut at) = (0, 1, 0);
    for (i, line) in text.split_inclusive('\n').enumerate() {
        // At the beginning of a line these can be nothing else, not even inside a block of text.
        if line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
            && at > start
        {
            out.push((first, &text[start..at]));
            (start, first) = (at, i + 1);
        }
        at += line.len();
    }
    out.push((first, &text[start..]));
    out
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

/// Applies objects one by one; what is served where is asked once.
pub struct Applier {
    api: Api,
    /// The kinds of a group version.
    known: HashMap<String, Value>,
}

impl Applier {
    pub fn new(api: Api) -> Self {
        Self { api, known: HashMap::new() }
    }

    /// Server-side apply of one object.
    pub async fn apply(&mut self, o: &Value, default_namespace: &str) -> Result<Applied, String> {
        let (version, kind) = (text(o, "/apiVersion"), text(o, "/kind"));
        if version.is_empty() || kind.is_empty() {
            return Err("an object needs apiVersion and kind".into());
        }
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let (plural, namespaced) = self.resource(&root, version, kind).await?;
        let namespace = match text(o, "/metadata/namespace") {
            "" => default_namespace,
            given => given,
        };
        let place = if namespaced {
            format!("{root}/namespaces/{}/{plural}", encode(namespace))
        } else {
            format!("{root}/{plural}")
        };
        let shown = format!("{}/{}", kind.to_lowercase(), text(o, "/metadata/name"));
        if text(o, "/metadata/name").is_empty() {
            let made = self.api.create(&format!("{place}?fieldManager=triggerfish"), o).await.map_err(|e| e.message)?;
            return Ok(Applied {
                name: format!("{}/{}", kind.to_lowercase(), text(&made, "/metadata/name")),
                warnings: Vec::new(),
            });
        }
        let applied = self
            .api
            .apply(&format!("{place}/{}?fieldManager=triggerfish&force=true", encode(text(o, "/metadata/name"))), o)
            .await;
        let warnings = applied.map_err(|e| format!("{shown}: {e}"))?;
        Ok(Applied { name: shown, warnings })
    }

    /// The plural of a kind, and whether it is namespaced. A kind that is not known may have come since.
    async fn resource(&mut self, root: &str, version: &str, kind: &str) -> Result<(String, bool), String> {
        let find = |list: &Value| {
            let found = list["resources"]
                .as_array()?
                .iter()
                .find(|r| text(r, "/kind") == kind && !text(r, "/name").contains('/'))?;
            Some((text(found, "/name").to_owned(), found["namespaced"] == true))
        };
        if let Some(found) = self.known.get(root).and_then(find) {
            return Ok(found);
        }
        let fresh = self.api.get(root).await.map_err(|e| format!("{version}: {e}"))?;
        let found = find(&fresh).ok_or_else(|| {
            format!("no kind {kind:?} is served in {version}; install its CustomResourceDefinition first")
        });
        self.known.insert(root.to_owned(), fresh);
        found
    }
}
