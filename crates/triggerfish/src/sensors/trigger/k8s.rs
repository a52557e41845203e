//! Creates, updates, patches or deletes an object of the Kubernetes API, as the sensor's service account.

use super::{Failure, Firing, Kind, Settings};
use crate::kube_api::{Refusal, encode};
use crate::route;
use crate::sensors::source;
use crate::sensors::specification::Mistake;
use sensor::parameter::{self, Parameter};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub const KIND: Kind = Kind { name: "k8s", check, fire: |f| Box::pin(fire(f)) };

/// Generated names that are tried when others have them already.
const NAMES: u8 = 8;
/// Where an object says which action made it.
const CAUSE: &str = "triggerfish.dev/event-cause";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct K8s {
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    pub source: Value,
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// What the first triggers said of the object beside its source.
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default, rename = "resource")]
    _resource: String,
    #[serde(default)]
    pub namespace: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    patch_strategy: String,
    /// An update begins with the object as it is now.
    #[serde(default)]
    live_object: bool,
}

fn check(s: &Settings, mistakes: &mut Vec<Mistake>) {
    let Some(k) = s.read::<K8s>(mistakes) else { return };
    if !matches!(&*k.operation, "" | "create" | "update" | "patch" | "delete") {
        mistakes.push((format!("{}.operation", s.path), "expected create, update, patch or delete".into()));
    }
    if media(&k.patch_strategy).is_none() {
        let why = "expected application/merge-patch+json, application/json-patch+json, application/strategic-merge-patch+json or application/apply-patch+yaml";
        mistakes.push((format!("{}.patchStrategy", s.path), why.into()));
    }
    source::check(&k.source, &format!("{}.source", s.path), mistakes);
}

fn media(strategy: &str) -> Option<&str> {
    const KNOWN: [&str; 4] = [
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    if strategy.is_empty() { Some(KNOWN[0]) } else { KNOWN.into_iter().find(|k| *k == strategy) }
}

async fn fire(f: &Firing<'_>) -> Result<String, Failure> {
    let k: K8s = f.read()?;
    let mut o = object(f, &k).await?;
    let place = Place::of(f, &o).await?;
    match &*k.operation {
        "" | "create" => create(f, &place, o).await,
        operation => {
            let name = o["metadata"]["name"].as_str().unwrap_or("").to_owned();
            if name.is_empty() {
                return Err(Failure::Never(format!("{operation} needs metadata.name")));
            }
            let at = format!("{}/{}", place.collection, encode(&name));
            let done = match operation {
                "delete" => f.api.delete(&at, &json!({"propagationPolicy": "Background"})).await.map(drop),
                "update" => {
                    // Without a version it would be refused where the kind asks for one; the newest is meant.
                    let now = f.api.get(&at).await.map_err(refused)?;
                    if k.live_object {
                        let text =
                            parameter::apply(&now.to_string(), &k.parameters, f.events).map_err(Failure::Never)?;
                        o = serde_json::from_str(&text).map_err(Failure::never)?;
                    }
                    o["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
                    f.api.update(&at, &o).await.map(drop)
                }
                _ => f.api.patch(&at, media(&k.patch_strategy).unwrap_or_default(), &o).await,
            };
            match done {
                // Gone is what was wanted.
                Err(e) if operation == "delete" && e.code == 404 => Ok(format!("{}/{name} was gone", place.plural)),
                Err(e) => Err(refused(e)),
                Ok(()) => Ok(format!("{operation}d {}/{name}", place.plural).replace("patchd", "patched")),
            }
        }
    }
}

/// The object that a trigger is about, with its parameters put in.
pub async fn object(f: &Firing<'_>, k: &K8s) -> Result<Value, Failure> {
    let text = source::object(f, &k.source).await?.to_string();
    let text =
        if k.live_object { text } else { parameter::apply(&text, &k.parameters, f.events).map_err(Failure::Never)? };
    let mut o: Value = serde_json::from_str(&text).map_err(Failure::never)?;
    if !o.is_object() {
        return Err(Failure::never("the source is no object"));
    }
    if !k.version.is_empty() {
        let version = if k.group.is_empty() { k.version.clone() } else { format!("{}/{}", k.group, k.version) };
        o["apiVersion"] = json!(version);
    }
    if !k.kind.is_empty() {
        o["kind"] = json!(k.kind);
    }
    if !k.namespace.is_empty() {
        o["metadata"]["namespace"] = json!(k.namespace);
    }
    for (name, value) in &k.labels {
        o["metadata"]["labels"][name] = json!(value);
    }
    Ok(o)
}

/// Where the objects of a kind are.
pub struct Place {
    pub collection: String,
    pub plural: String,
}

impl Place {
    pub async fn of(f: &Firing<'_>, o: &Value) -> Result<Self, Failure> {
        let text = |k: &str| o[k].as_str().unwrap_or("");
        let (version, kind) = (text("apiVersion"), text("kind"));
        if version.is_empty() || kind.is_empty() {
            return Err(Failure::never("the object has no apiVersion or no kind"));
        }
        let namespace = o["metadata"]["namespace"].as_str().filter(|n| !n.is_empty()).unwrap_or(&f.sensor.namespace);
        let served = f.api.collection(version, kind, namespace).await.map_err(refused)?;
        // It may be defined later.
        let collection = served.ok_or_else(|| Failure::again(format!("no {kind} of {version} is served")))?;
        let plural = collection.rsplit('/').next().unwrap_or("").to_owned();
        Ok(Place { collection, plural })
    }
}

/// Creates an object once: what an earlier try of the same action made is found by its name.
pub async fn create(f: &Firing<'_>, place: &Place, mut o: Value) -> Result<String, Failure> {
    o["metadata"]["annotations"][CAUSE] = json!(f.id);
    o["metadata"]["labels"]["events.argoproj.io/sensor"] = json!(f.sensor.name);
    o["metadata"]["labels"]["events.argoproj.io/trigger"] = json!(f.trigger.name);
    let given = o["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let prefix = o["metadata"]["generateName"].as_str().unwrap_or("").to_owned();
    if given.is_empty() && prefix.is_empty() {
        return Err(Failure::never("the object has neither metadata.name nor metadata.generateName"));
    }
    let mut taken = String::new();
    for attempt in 0..NAMES {
        let name = if given.is_empty() {
            format!("{prefix}{}", route::suffix(f.id, &f.sensor.uid, attempt))
        } else {
            given.clone()
        };
        o["metadata"]["name"] = json!(name);
        match f.api.create_blindly(&place.collection, &o).await {
            Ok(()) => return Ok(format!("created {}/{name}", place.plural)),
            Err(e) if e.is("AlreadyExists") => {
                let there = f.api.get(&format!("{}/{}", place.collection, encode(&name))).await;
                let ours = there.is_ok_and(|t| t["metadata"]["annotations"][CAUSE] == f.id);
                if ours {
                    return Ok(format!("created {}/{name}", place.plural));
                }
                taken = e.to_string();
                if !given.is_empty() {
                    break;
                }
            }
            Err(e) => return Err(refused(e)),
        }
    }
    Err(Failure::Never(taken))
}

/// What the API refused: overload passes, and so may what is missing or forbidden now.
pub fn refused(e: Refusal) -> Failure {
    if e.is_transient() || matches!(e.code, 403 | 404 | 409) { Failure::again(e) } else { Failure::never(e) }
}
