//! What is served, told to clients: legacy group and resource lists, and the aggregated form.

use crate::resource::{Entries, Resource};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Groups in the order that clients prefer them, each with its versions, newest first.
fn groups(entries: &Entries) -> Vec<(String, Vec<String>)> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for (group, version, _) in entries.resources.keys() {
        match out.iter_mut().find(|(g, _)| g == group) {
            Some((_, versions)) if versions.contains(version) => {}
            Some((_, versions)) => versions.push(version.clone()),
            None => out.push((group.clone(), vec![version.clone()])),
        }
    }
    for (_, versions) in &mut out {
        versions.sort_by_key(|v| std::cmp::Reverse(maturity(v)));
    }
    out
}

/// `v1` before `v1beta2` before `v1alpha1`.
pub fn maturity(version: &str) -> (u8, u32, u32) {
    let rest = version.trim_start_matches('v');
    let number = |s: &str| s.parse().unwrap_or(0);
    if let Some((major, beta)) = rest.split_once("beta") {
        (1, number(major), number(beta))
    } else if let Some((major, alpha)) = rest.split_once("alpha") {
        (0, number(major), number(alpha))
    } else {
        (2, number(rest), 0)
    }
}

fn resources<'a>(entries: &'a Entries, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Resource>> {
    entries.resources.values().filter(move |r| r.group == group && r.version == version)
}

fn group_json(group: &str, versions: &[String]) -> Value {
    let list: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    json!({"name": group, "preferredVersion": list.first(), "versions": list})
}

pub fn group_list(entries: &Entries) -> Value {
    let list: Vec<Value> =
        groups(entries).iter().filter(|(g, _)| !g.is_empty()).map(|(g, v)| group_json(g, v)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
}

pub fn group(entries: &Entries, name: &str) -> Option<Value> {
    let (g, versions) = groups(entries).into_iter().find(|(g, _)| g == name && !g.is_empty())?;
    let mut out = group_json(&g, &versions);
    out["kind"] = json!("APIGroup");
    out["apiVersion"] = json!("v1");
    Some(out)
}

/// Verbs in the order the original lists them for custom resources.
fn verbs(r: &Resource) -> Value {
    if r.custom && r.verbs.len() == 8 {
        json!(["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"])
    } else {
        json!(r.verbs)
    }
}

fn text_list(out: &mut Map<String, Value>, key: &str, list: &[String]) {
    if !list.is_empty() {
        out.insert(key.into(), json!(list));
    }
}

pub fn resource_list(entries: &Entries, group: &str, version: &str) -> Option<Value> {
    if !entries.has_group_version(group, version) {
        return None;
    }
    let mut list = Vec::new();
    for r in resources(entries, group, version) {
        let mut o = Map::new();
        o.insert("name".into(), json!(r.plural));
        o.insert("singularName".into(), json!(r.singular));
        o.insert("namespaced".into(), json!(r.namespaced));
        o.insert("kind".into(), json!(r.kind));
        o.insert("verbs".into(), verbs(r));
        text_list(&mut o, "shortNames", &r.short_names);
        text_list(&mut o, "categories", &r.categories);
        list.push(Value::Object(o));
        for (name, kind, g, v, verbs) in subresources(r) {
            let mut o = json!({"name": format!("{}/{name}", r.plural), "singularName": "", "namespaced": r.namespaced, "kind": kind, "verbs": verbs});
            if !g.is_empty() {
                o["group"] = json!(g);
                o["version"] = json!(v);
            }
            list.push(o);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut out = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
    if !group.is_empty() {
        out["apiVersion"] = json!("v1");
    }
    Some(out)
}

/// (name, kind, group, version, verbs) of each subresource, by name.
fn subresources(r: &Resource) -> Vec<(String, String, String, String, Vec<String>)> {
    let mut out: Vec<_> = r
        .subresources
        .iter()
        .map(|s| (s.name.clone(), s.kind.clone(), s.group.clone(), s.version.clone(), s.verbs.clone()))
        .collect();
    if r.status {
        out.push((
            "status".into(),
            r.kind.clone(),
            String::new(),
            String::new(),
            ["get", "patch", "update"].map(String::from).to_vec(),
        ));
    }
    // Serialised kinds that live in their parent's group carry no group of their own.
    for s in &mut out {
        if s.2 == r.group || (s.2.is_empty() && s.1 == r.kind) {
            s.2.clear();
            s.3.clear();
        }
    }
    out.sort();
    out
}

/// The aggregated document, version `v2` or `v2beta1`; the core group alone, or all others.
pub fn aggregated(entries: &Entries, version: &str, core: bool) -> Value {
    let mut items = Vec::new();
    for (group, versions) in groups(entries).into_iter().filter(|(g, _)| g.is_empty() == core) {
        let list: Vec<Value> = versions
            .iter()
            .map(|v| {
                let list: Vec<Value> = resources(entries, &group, v).map(|r| aggregated_resource(r)).collect();
                json!({"version": v, "resources": list, "freshness": "Current"})
            })
            .collect();
        let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
        items.push(json!({"metadata": metadata, "versions": list}));
    }
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {}, "items": items})
}

fn aggregated_resource(r: &Resource) -> Value {
    // The original leaves group and version of its own kinds empty here, and fills them for custom resources.
    let kind = |k: &str, g: &str, v: &str| {
        if r.custom {
            json!({"group": r.group, "version": r.version, "kind": k})
        } else {
            json!({"group": g, "version": v, "kind": k})
        }
    };
    let mut o = Map::new();
    o.insert("resource".into(), json!(r.plural));
    o.insert("responseKind".into(), kind(&r.kind, "", ""));
    o.insert("scope".into(), json!(if r.namespaced { "Namespaced" } else { "Cluster" }));
    o.insert("singularResource".into(), json!(r.singular));
    o.insert("verbs".into(), verbs(r));
    text_list(&mut o, "shortNames", &r.short_names);
    text_list(&mut o, "categories", &r.categories);
    let subs: Vec<Value> = subresources(r)
        .iter()
        .map(|(name, k, g, v, verbs)| json!({"subresource": name, "responseKind": kind(k, g, v), "verbs": verbs}))
        .collect();
    if !subs.is_empty() {
        o.insert("subresources".into(), json!(subs));
    }
    Value::Object(o)
}
