//! Reading and writing the metadata that every stored object has.

use serde_json::{Map, Value, json};

/// The place an object is stored under: its resource (`plural.group`, or `plural` for the core group), namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(resource: &str, namespace: &str, name: &str) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }
}

pub fn text<'a>(o: &'a Value, path: &[&str]) -> &'a str {
    at(o, path).and_then(Value::as_str).unwrap_or("")
}

pub fn at<'a>(o: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(o, |v, key| v.get(key))
}

pub fn name(o: &Value) -> &str {
    text(o, &["metadata", "name"])
}
pub fn namespace(o: &Value) -> &str {
    text(o, &["metadata", "namespace"])
}
pub fn uid(o: &Value) -> &str {
    text(o, &["metadata", "uid"])
}
pub fn resource_version(o: &Value) -> &str {
    text(o, &["metadata", "resourceVersion"])
}
pub fn generation(o: &Value) -> i64 {
    at(o, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0)
}
pub fn is_deleting(o: &Value) -> bool {
    at(o, &["metadata", "deletionTimestamp"]).is_some_and(|v| !v.is_null())
}
pub fn finalizers(o: &Value) -> Vec<&str> {
    strings(at(o, &["metadata", "finalizers"]))
}
pub fn owners(o: &Value) -> impl Iterator<Item = &Value> {
    at(o, &["metadata", "ownerReferences"]).and_then(Value::as_array).into_iter().flatten()
}
pub fn strings(v: Option<&Value>) -> Vec<&str> {
    v.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The object as a map; anything else becomes an empty one (callers have checked the shape at the door).
pub fn map(v: &mut Value) -> &mut Map<String, Value> {
    if !v.is_object() {
        *v = json!({});
    }
    match v {
        Value::Object(m) => m,
        _ => unreachable!("made an object just above"),
    }
}

pub fn meta(o: &mut Value) -> &mut Map<String, Value> {
    map(map(o).entry("metadata").or_insert_with(|| json!({})))
}

pub fn set_meta(o: &mut Value, key: &str, value: impl Into<Value>) {
    meta(o).insert(key.into(), value.into());
}

pub fn remove_meta(o: &mut Value, key: &str) {
    meta(o).remove(key);
}

/// RFC 3339 with seconds, as Kubernetes writes times.
pub fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The alphabet of generated name suffixes: no vowels, nothing that reads as another character.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Five characters for `generateName`.
pub fn random_suffix() -> String {
    uuid::Uuid::new_v4().as_bytes()[..5].iter().map(|b| SUFFIX[*b as usize % SUFFIX.len()] as char).collect()
}

/// `generateName` cut so that the whole name stays within 63 characters, plus a suffix.
pub fn generated_name(prefix: &str) -> String {
    let mut end = prefix.len().min(58);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{}", &prefix[..end], random_suffix())
}
