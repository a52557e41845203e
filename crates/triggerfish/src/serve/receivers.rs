//! The controller of receivers: gives each its path, and says in its status where it listens.

use crate::follow::{Change, Target, follow};
use crate::kind::FLUX_GROUP;
use crate::kube_api::{self, Api, secret_data};
use crate::notices::{Hook, Hooks, condition};
use notify::receiver::{Receiver, webhook_path};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::mpsc;

type Key = (String, String);

enum What {
    Receiver(Change),
    Secret(Change),
}

/// A receiver that is known.
struct Known {
    object: Value,
    /// Where it listens; empty: nowhere.
    path: String,
    secret: String,
}

pub async fn run(api: Api, hooks: Arc<Hooks>) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let receivers = Target::of(FLUX_GROUP, "v1", "receivers", "Receiver");
    for (target, what) in
        [(receivers, What::Receiver as fn(Change) -> What), (Target::core("secrets", "Secret"), What::Secret)]
    {
        let tell = tell.clone();
        // The receiver of these lives as long as the program.
        tokio::spawn(follow(api.clone(), target, move |c| drop(tell.send(what(c)))));
    }
    let mut known: HashMap<Key, Known> = HashMap::new();
    let mut fresh = HashSet::new();
    while let Some(what) = told.recv().await {
        match what {
            What::Receiver(Change::Restart) => fresh.clear(),
            What::Receiver(Change::Applied(o)) => {
                fresh.insert(key(&o));
                let same = known.get(&key(&o)).is_some_and(|k| {
                    k.object["spec"] == o["spec"] && k.object["metadata"]["generation"] == o["metadata"]["generation"]
                });
                if !same {
                    place(&api, &hooks, &mut known, o).await;
                }
            }
            What::Receiver(Change::Deleted(o)) => forget(&hooks, &mut known, &key(&o)),
            What::Receiver(Change::Complete) => {
                let gone: Vec<Key> = known.keys().filter(|k| !fresh.contains(k)).cloned().collect();
                gone.iter().for_each(|k| forget(&hooks, &mut known, k));
            }
            What::Secret(Change::Applied(s) | Change::Deleted(s)) => {
                let (namespace, name) = key(&s);
                let users = known.iter().filter(|(k, v)| k.0 == namespace && v.secret == name);
                let users: Vec<Value> = users.map(|(_, v)| v.object.clone()).collect();
                for o in users {
                    place(&api, &hooks, &mut known, o).await;
                }
            }
            What::Secret(Change::Restart | Change::Complete) => {}
        }
    }
}

fn forget(hooks: &Hooks, known: &mut HashMap<Key, Known>, key: &Key) {
    if let Some(k) = known.remove(key) {
        hooks.shut(&k.path);
    }
}

/// Opens a receiver where it belongs now, and writes that down.
async fn place(api: &Api, hooks: &Hooks, known: &mut HashMap<Key, Known>, o: Value) {
    let r = Receiver::read(&o);
    let found = token(api, &r).await;
    let path = found.as_ref().map_or_else(|_| String::new(), |token| webhook_path(token, &r.name, &r.namespace));
    let (closed, reason) = match (found, r.mistake()) {
        (Err(why), _) => (Some(why), "TokenNotFound"),
        (_, Some(why)) => (Some(why), "InvalidCELExpression"),
        _ => (r.suspend.then(|| "it is suspended".to_owned()), "Suspended"),
    };
    if let Some(before) = known.get(&key(&o)).filter(|k| k.path != path) {
        hooks.shut(&before.path);
    }
    let message = closed.clone().unwrap_or_else(|| format!("Receiver initialized for path: {path}"));
    let generation = r.generation;
    let mut status = json!({"observedGeneration": generation, "webhookPath": if path.is_empty() { Value::Null } else { json!(path) }});
    let reason = if closed.is_none() { "Succeeded" } else { reason };
    status["conditions"] = json!([condition(&o["status"], "Ready", closed.is_none(), reason, &message, generation)]);
    let place = format!("{}/status", kube_api::path("receivers", &r.namespace, &r.name));
    let key = key(&o);
    known.insert(key, Known { object: o, path: path.clone(), secret: r.secret.clone() });
    if !path.is_empty() {
        hooks.open(path, Hook { receiver: r, closed });
    }
    if let Err(e) = api.merge_blindly(&place, &json!({ "status": status })).await {
        tracing::debug!(error = %e, "could not write a receiver's status");
    }
}

/// What salts a receiver's path.
async fn token(api: &Api, r: &Receiver) -> Result<Vec<u8>, String> {
    if r.kind == "generic-oidc" {
        return Ok(Vec::new());
    }
    let place = format!("{}/{}", r.namespace, r.secret);
    let found = api.get(&kube_api::path("secrets", &r.namespace, &r.secret)).await;
    let found = found.map_err(|e| format!("unable to read token from secret '{place}' error: {}", e.message))?;
    secret_data(&found).remove("token").ok_or_else(|| format!("invalid {place:?} secret data: required field 'token'"))
}

fn key(o: &Value) -> Key {
    let text = |k: &str| o["metadata"][k].as_str().unwrap_or("").to_owned();
    (text("namespace"), text("name"))
}
