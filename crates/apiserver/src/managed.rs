//! Who manages which fields: the sets behind `metadata.managedFields`, and server-side apply on top of them.

use crate::object::{self, text};
use crate::schema::{ListType, Schema, Type};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A set of field paths, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    own: bool,
    children: BTreeMap<String, Set>,
}

impl Set {
    fn leaf() -> Self {
        Set { own: true, children: BTreeMap::new() }
    }
    pub fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }
    pub fn read(v: &Value) -> Self {
        let Some(o) = v.as_object() else { return Set::default() };
        let mut out = Set { own: o.is_empty() || o.contains_key("."), children: BTreeMap::new() };
        for (k, child) in o.iter().filter(|(k, _)| *k != ".") {
            out.children.insert(k.clone(), Set::read(child));
        }
        out
    }
    pub fn to_json(&self) -> Value {
        let mut o = Map::new();
        if self.own && !self.children.is_empty() {
            o.insert(".".into(), json!({}));
        }
        for (k, child) in &self.children {
            o.insert(k.clone(), child.to_json());
        }
        Value::Object(o)
    }
    fn insert(&mut self, key: String, child: Set) {
        if !child.is_empty() {
            self.children.insert(key, child);
        }
    }
    pub fn union(&self, other: &Set) -> Set {
        let mut out = self.clone();
        out.own |= other.own;
        for (k, theirs) in &other.children {
            let merged = out.children.get(k).map_or_else(|| theirs.clone(), |mine| mine.union(theirs));
            out.children.insert(k.clone(), merged);
        }
        out
    }
    /// Members of this set that the other does not have.
    pub fn minus(&self, other: &Set) -> Set {
        let mut out = Set { own: self.own && !other.own, children: BTreeMap::new() };
        for (k, mine) in &self.children {
            let left = other.children.get(k).map_or_else(|| mine.clone(), |theirs| mine.minus(theirs));
            out.insert(k.clone(), left);
        }
        out
    }
    /// This set without anything at or below the members of the other.
    fn minus_deep(&self, other: &Set) -> Set {
        if other.own {
            return Set::default();
        }
        let mut out = Set { own: self.own, children: BTreeMap::new() };
        for (k, mine) in &self.children {
            let left = other.children.get(k).map_or_else(|| mine.clone(), |theirs| mine.minus_deep(theirs));
            out.insert(k.clone(), left);
        }
        out
    }
    pub fn intersection(&self, other: &Set) -> Set {
        let mut out = Set { own: self.own && other.own, children: BTreeMap::new() };
        for (k, mine) in &self.children {
            if let Some(theirs) = other.children.get(k) {
                out.insert(k.clone(), mine.intersection(theirs));
            }
        }
        out
    }
    /// The members, as people read paths: `.spec.entrypoint`, `.spec.containers[name="main"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }
    fn collect(&self, prefix: &str, out: &mut Vec<String>) {
        if self.own {
            out.push(prefix.to_owned());
        }
        for (k, child) in &self.children {
            child.collect(&format!("{prefix}{}", path_element(k)), out);
        }
    }
    /// Without what the server itself sets.
    fn stripped(mut self) -> Set {
        for k in ["f:apiVersion", "f:kind"] {
            self.children.remove(k);
        }
        if let Some(meta) = self.children.get_mut("f:metadata") {
            meta.own = false;
            const SERVER: [&str; 10] = [
                "f:name",
                "f:namespace",
                "f:creationTimestamp",
                "f:selfLink",
                "f:uid",
                "f:clusterName",
                "f:generation",
                "f:managedFields",
                "f:resourceVersion",
                "f:deletionTimestamp",
            ];
            meta.children.retain(|k, _| !SERVER.contains(&k.as_str()));
            if meta.is_empty() {
                self.children.remove("f:metadata");
            }
        }
        self.own = false;
        self
    }
    fn without(mut self, top: &[&str]) -> Set {
        self.children.retain(|k, _| !top.contains(&k.trim_start_matches("f:")));
        self
    }
    fn only(mut self, top: &[&str]) -> Set {
        self.children.retain(|k, _| top.contains(&k.trim_start_matches("f:")));
        self
    }
}

fn path_element(k: &str) -> String {
    if let Some(name) = k.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(keys) = k.strip_prefix("k:") {
        let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let parts: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
        return format!("[{}]", parts.join(","));
    }
    format!("[={}]", k.trim_start_matches("v:"))
}

/// How `metadata` is structured in every kind.
fn meta_schema() -> &'static Arc<Schema> {
    static META: OnceLock<Arc<Schema>> = OnceLock::new();
    META.get_or_init(|| {
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let source = json!({"type": "object", "properties": {
            "labels": map, "annotations": map,
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "ownerReferences": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
                "items": {"type": "object", "x-kubernetes-map-type": "atomic", "x-kubernetes-preserve-unknown-fields": true}},
        }});
        Arc::new(Schema::parse(&source, &Value::Null).unwrap_or_else(|_| Schema::any()))
    })
}

fn child_schema<'a>(schema: &'a Schema, root: bool, name: &str) -> Option<&'a Arc<Schema>> {
    if root && name == "metadata" { Some(meta_schema()) } else { schema.property(name) }
}

fn is_granular(schema: Option<&Schema>, v: &Value) -> bool {
    match (schema, v) {
        (None, Value::Object(_)) => true,
        (Some(s), Value::Object(_)) => !s.atomic_map,
        (Some(s), Value::Array(_)) => s.list != ListType::Atomic,
        _ => false,
    }
}

/// The keys of list elements, by the list's type.
fn elements<'a>(schema: &Schema, list: &'a [Value]) -> Vec<(String, &'a Value)> {
    let key = |v: &Value| match &schema.list {
        ListType::Map(keys) => {
            let items = schema.items.as_deref();
            let of = |k: &String| {
                let default = || {
                    items
                        .and_then(|s| s.properties.get(k))
                        .and_then(|s| s.default.clone())
                        .or_else(|| (k == "protocol").then(|| json!("TCP")))
                };
                v.get(k).cloned().or_else(default).map(|x| (k.clone(), x))
            };
            format!("k:{}", Value::Object(keys.iter().filter_map(of).collect()))
        }
        _ => format!("v:{v}"),
    };
    list.iter().map(|v| (key(v), v)).collect()
}

/// The fields of an applied configuration.
pub fn applied(schema: &Schema, v: &Value) -> Set {
    let mut out = Set::default();
    fill(Some(schema), v, true, &mut out);
    out.stripped()
}

fn fill(schema: Option<&Schema>, v: &Value, root: bool, out: &mut Set) {
    if !root && !is_granular(schema, v) {
        out.own = true;
        return;
    }
    match v {
        Value::Object(map) => {
            for (k, child) in map {
                let s = schema.and_then(|s| child_schema(s, root, k));
                let mut set = Set::default();
                fill(s.map(|s| &**s), child, false, &mut set);
                let declared = schema.is_some_and(|s| s.properties.contains_key(k) || root && k == "metadata");
                if child.as_object().is_some_and(Map::is_empty) || child.is_null() || !declared {
                    set.own = true;
                }
                out.insert(format!("f:{k}"), set);
            }
        }
        Value::Array(list) => {
            let Some(s) = schema else { return };
            for (key, child) in elements(s, list) {
                let mut set = Set::default();
                fill(s.items.as_deref(), child, false, &mut set);
                set.own = true;
                out.insert(key, set);
            }
        }
        _ => {}
    }
}

/// What changed from one object to another: (added or modified, removed).
pub fn changes(schema: &Schema, typed: bool, old: Option<&Value>, new: &Value) -> (Set, Set) {
    let (mut changed, mut removed) = (Set::default(), Set::default());
    let empty = json!({});
    compare(Some(schema), typed, old.unwrap_or(&empty), new, true, &mut changed, &mut removed);
    (changed.stripped(), removed.stripped())
}

fn compare(
    schema: Option<&Schema>,
    typed: bool,
    old: &Value,
    new: &Value,
    root: bool,
    changed: &mut Set,
    removed: &mut Set,
) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if root || is_granular(schema, new) => {
            for (k, was) in a {
                let s = schema.and_then(|s| child_schema(s, root, k)).map(|s| &**s);
                if !b.contains_key(k) {
                    removed.insert(format!("f:{k}"), whole(s, typed, k, was));
                }
            }
            for (k, is) in b {
                let s = schema.and_then(|s| child_schema(s, root, k)).map(|s| &**s);
                pair(s, typed, k, format!("f:{k}"), a.get(k), is, changed, removed);
            }
        }
        (Value::Array(a), Value::Array(b)) if is_granular(schema, new) => {
            let Some(s) = schema else { return };
            let before = elements(s, a);
            for (key, was) in before.iter().filter(|(k, _)| !elements(s, b).iter().any(|(other, _)| other == k)) {
                removed.insert(key.clone(), whole(s.items.as_deref(), typed, "", was));
            }
            for (key, is) in elements(s, b) {
                let was = before.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
                pair(s.items.as_deref(), typed, "", key, was, is, changed, removed);
            }
        }
        _ => changed.own = true,
    }
}

#[allow(clippy::too_many_arguments)]
fn pair(
    schema: Option<&Schema>,
    typed: bool,
    name: &str,
    key: String,
    old: Option<&Value>,
    new: &Value,
    changed: &mut Set,
    removed: &mut Set,
) {
    match old {
        Some(old) => {
            let (mut c, mut r) = (Set::default(), Set::default());
            compare(schema, typed, old, new, false, &mut c, &mut r);
            changed.insert(key.clone(), c);
            removed.insert(key, r);
        }
        None => changed.insert(key, whole(schema, typed, name, new)),
    }
}

/// Members that Go's typed kinds always have, so that adding to them does not add them.
const ALWAYS_THERE: [&str; 8] =
    ["spec", "status", "metadata", "containers", "template", "involvedObject", "roleRef", "source"];

/// A value and everything within it.
fn whole(schema: Option<&Schema>, typed: bool, name: &str, v: &Value) -> Set {
    let mut out = Set::leaf();
    if !is_granular(schema, v) {
        return out;
    }
    match v {
        Value::Object(map) => {
            for (k, child) in map {
                let s = schema.and_then(|s| s.property(k)).map(|s| &**s);
                out.children.insert(format!("f:{k}"), whole(s, typed, k, child));
            }
        }
        Value::Array(list) => {
            if let Some(s) = schema {
                for (key, child) in elements(s, list) {
                    out.children.insert(key, whole(s.items.as_deref(), typed, "", child));
                }
            }
        }
        _ => {}
    }
    if typed && ALWAYS_THERE.contains(&name) && !out.children.is_empty() {
        out.own = false;
    }
    if name == "metadata" {
        let mut meta = Set::default();
        fill(Some(meta_schema()), v, true, &mut meta);
        for (k, mut child) in meta.children {
            child.own |= matches!(k.as_str(), "f:labels" | "f:annotations" | "f:finalizers" | "f:ownerReferences")
                || child.children.is_empty();
            out.children.insert(k, child);
        }
        out.own = false;
    }
    out
}

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: String,
    fields: Set,
}

fn entries(o: &Value) -> Vec<Entry> {
    let list = object::at(o, &["metadata", "managedFields"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|e| Entry {
            manager: text(e, &["manager"]).into(),
            operation: text(e, &["operation"]).into(),
            api_version: text(e, &["apiVersion"]).into(),
            subresource: text(e, &["subresource"]).into(),
            time: text(e, &["time"]).into(),
            fields: Set::read(&e["fieldsV1"]),
        })
        .collect()
}

fn store(o: &mut Value, mut list: Vec<Entry>) {
    list.retain(|e| !e.fields.is_empty());
    if list.is_empty() {
        object::remove_meta(o, "managedFields");
        return;
    }
    list.sort_by(|a, b| (&a.operation, &a.time, &a.manager).cmp(&(&b.operation, &b.time, &b.manager)));
    let list: Vec<Value> = list
        .iter()
        .map(|e| {
            let mut o = json!({
                "manager": e.manager, "operation": e.operation, "apiVersion": e.api_version,
                "fieldsType": "FieldsV1", "fieldsV1": e.fields.to_json(),
            });
            if !e.time.is_empty() {
                o["time"] = json!(e.time);
            }
            if !e.subresource.is_empty() {
                o["subresource"] = json!(e.subresource);
            }
            o
        })
        .collect();
    object::set_meta(o, "managedFields", list);
}

/// Who writes, and through which door.
#[derive(Debug, Clone)]
pub struct Writer<'a> {
    pub manager: &'a str,
    pub api_version: &'a str,
    pub subresource: &'a str,
    /// Go-typed kinds differ in which members they always have.
    pub typed: bool,
    pub has_status: bool,
    pub now: String,
}

impl Writer<'_> {
    fn reset(&self, set: Set) -> Set {
        match (self.has_status, self.subresource) {
            (true, "status") => set.only(&["status"]),
            (true, _) => set.without(&["status"]),
            _ => set,
        }
    }
}

/// Records an ordinary write: the writer now manages what it changed, nobody manages what is gone.
pub fn track_update(schema: &Schema, old: Option<&Value>, new: &mut Value, w: &Writer) {
    let mut list = old.map(entries).unwrap_or_default();
    // A client may rewrite who manages what; an empty list starts anew.
    let given = object::at(new, &["metadata", "managedFields"]).and_then(Value::as_array);
    if let (Some(given), Some(old)) = (given, old) {
        let known = object::at(old, &["metadata", "managedFields"]).and_then(Value::as_array);
        if given.iter().all(|e| e.as_object().is_some_and(Map::is_empty)) {
            list.clear();
        } else if known != Some(given) {
            list = entries(new);
        }
    }
    let (changed, removed) = changes(schema, w.typed, old, new);
    let (changed, removed) = (w.reset(changed), w.reset(removed));
    for e in &mut list {
        let mine = e.manager == w.manager
            && e.operation == "Update"
            && e.api_version == w.api_version
            && e.subresource == w.subresource;
        e.fields = e.fields.minus(&removed);
        if !mine {
            e.fields = e.fields.minus(&changed);
        }
    }
    if !changed.is_empty() {
        let position = list.iter().position(|e| {
            e.manager == w.manager
                && e.operation == "Update"
                && e.api_version == w.api_version
                && e.subresource == w.subresource
        });
        match position {
            Some(i) => {
                let merged = list[i].fields.union(&changed);
                list[i].time = w.now.clone();
                list[i].fields = merged;
            }
            None => list.push(Entry {
                manager: w.manager.into(),
                operation: "Update".into(),
                api_version: w.api_version.into(),
                subresource: w.subresource.into(),
                time: w.now.clone(),
                fields: changed,
            }),
        }
    }
    store(new, list);
}

/// A field that somebody else manages with another value.
#[derive(Debug, Clone)]
pub struct ApplyConflict {
    /// The manager, in words.
    pub described: String,
    pub path: String,
}

/// Merges an applied configuration into the live object.
pub fn apply(
    schema: &Schema,
    live: Option<&Value>,
    config: &Value,
    w: &Writer,
    force: bool,
) -> Result<Value, Vec<ApplyConflict>> {
    let set = w.reset(applied(schema, config));
    let mut list = live.map(entries).unwrap_or_default();
    let is_mine = |e: &Entry| e.manager == w.manager && e.operation == "Apply" && e.subresource == w.subresource;
    let previous = list.iter().find(|e| is_mine(e)).map(|e| e.fields.clone()).unwrap_or_default();
    if let Some(live) = live
        && list.is_empty()
    {
        let (all, _) = changes(schema, w.typed, None, live);
        list.push(Entry {
            manager: "before-first-apply".into(),
            operation: "Update".into(),
            api_version: w.api_version.into(),
            subresource: String::new(),
            time: w.now.clone(),
            fields: all,
        });
    }
    let empty = json!({});
    let base = live.unwrap_or(&empty);
    let mut merged = base.clone();
    merge(Some(schema), &mut merged, config, true);
    // What this manager gave up and nobody else holds goes away.
    let mut kept = set.clone();
    for e in list.iter().filter(|e| !is_mine(e)) {
        kept = kept.union(&e.fields);
    }
    prune(Some(schema), &mut merged, &previous.minus(&kept), &kept, true);

    let (changed, _) = changes(schema, w.typed, Some(base), &merged);
    let mut conflicts = Vec::new();
    for e in list.iter_mut().filter(|e| !is_mine(e)) {
        let clash = e.fields.intersection(&changed).intersection(&set);
        if clash.is_empty() {
            continue;
        }
        if force {
            e.fields = e.fields.minus_deep(&clash);
        } else {
            let how = if e.operation == "Apply" { String::new() } else { format!(" using {}", e.api_version) };
            let through =
                if e.subresource.is_empty() { String::new() } else { format!(" with subresource {:?}", e.subresource) };
            conflicts.extend(
                clash
                    .paths()
                    .into_iter()
                    .map(|path| ApplyConflict { described: format!("{:?}{through}{how}", e.manager), path }),
            );
        }
    }
    if !conflicts.is_empty() {
        // kubectl takes over what it had applied from the client's side before.
        let own = live.filter(|_| w.manager == "kubectl").and_then(last_applied).map(|o| applied(schema, &o));
        if own.is_some_and(|own| conflicts.iter().all(|c| own.paths().contains(&c.path))) {
            return apply(schema, live, config, w, true);
        }
        return Err(conflicts);
    }
    match list.iter_mut().find(|e| is_mine(e)) {
        Some(e) => {
            if merged != *base {
                e.time = w.now.clone();
            }
            e.fields = set;
        }
        None => {
            // Who takes part without changing anything has no time.
            let time = if merged == *base { String::new() } else { w.now.clone() };
            list.push(Entry {
                manager: w.manager.into(),
                operation: "Apply".into(),
                api_version: w.api_version.into(),
                subresource: w.subresource.into(),
                time,
                fields: set,
            });
        }
    }
    store(&mut merged, list);
    if w.manager == "kubectl" {
        note_applied(&mut merged, config);
    }
    Ok(merged)
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes that all annotations of an object may have together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Keeps the note of a client-side `kubectl apply` true when kubectl goes on from the server's side.
fn note_applied(o: &mut Value, config: &Value) {
    let Some(slot) = o.pointer_mut("/metadata/annotations").and_then(|a| a.get_mut(LAST_APPLIED)) else { return };
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let note = format!("{config}\n");
    *slot = json!(if note.len() > ANNOTATIONS_LIMIT { "" } else { &note });
}

/// The configuration that `kubectl apply` noted on the object.
fn last_applied(o: &Value) -> Option<Value> {
    let text = object::at(o, &["metadata", "annotations", LAST_APPLIED])?.as_str()?;
    serde_json::from_str(text).ok()
}

fn merge(schema: Option<&Schema>, live: &mut Value, config: &Value, root: bool) {
    match (live, config) {
        (Value::Object(a), Value::Object(b)) if root || schema.is_none_or(|s| !s.atomic_map) => {
            for (k, v) in b {
                if root && k == "metadata" && v.get("managedFields").is_some() {
                    continue;
                }
                let s = schema.and_then(|s| child_schema(s, root, k)).map(|s| &**s);
                match a.get_mut(k) {
                    Some(mine) => merge(s, mine, v, false),
                    None => {
                        a.insert(k.clone(), v.clone());
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if schema.is_some_and(|s| s.list != ListType::Atomic) => {
            let Some(s) = schema else { return };
            for (key, v) in elements(s, b) {
                let at = elements(s, a).iter().position(|(k, _)| *k == key);
                match at {
                    Some(i) => merge(s.items.as_deref(), &mut a[i], v, false),
                    None => a.push(v.clone()),
                }
            }
        }
        (live, config) => *live = config.clone(),
    }
}

/// Removes the members of `gone` from a value, unless something below them is kept.
fn prune(schema: Option<&Schema>, v: &mut Value, gone: &Set, kept: &Set, root: bool) {
    let none = Set::default();
    match v {
        Value::Object(map) => {
            for (key, sub) in &gone.children {
                let Some(name) = key.strip_prefix("f:") else { continue };
                let held = kept.children.get(key).unwrap_or(&none);
                let s = schema.and_then(|s| child_schema(s, root, name)).map(|s| &**s);
                let empty = map.get_mut(name).is_some_and(|child| {
                    prune(s, child, sub, held, false);
                    held.is_empty()
                        && (sub.own
                            || child.as_object().is_some_and(Map::is_empty)
                            || child.as_array().is_some_and(Vec::is_empty))
                });
                if empty {
                    map.remove(name);
                }
            }
        }
        Value::Array(list) => {
            let Some(s) = schema else { return };
            let keys: Vec<String> = elements(s, list).into_iter().map(|(k, _)| k).collect();
            let mut index = 0;
            list.retain_mut(|child| {
                let key = &keys[index];
                index += 1;
                let Some(sub) = gone.children.get(key) else { return true };
                let held = kept.children.get(key).unwrap_or(&none);
                prune(s.items.as_deref(), child, sub, held, false);
                !(sub.own && held.is_empty())
            });
        }
        _ => {}
    }
}

/// Fields of an applied object that its schema does not know, as apply reports them.
pub fn undeclared(schema: &Schema, config: &Value) -> Option<String> {
    if schema.kind == Type::Any {
        return None;
    }
    crate::schema::unknown_fields(schema, config)
        .into_iter()
        .next()
        .map(|p| format!(".{p}: field not declared in schema"))
}
