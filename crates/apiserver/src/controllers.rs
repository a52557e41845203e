//! What works in the background: default objects, service accounts and their token secrets, namespaces on their way
//! out, and objects whose owners are gone.

use crate::auth::defaults;
use crate::auth::token::{AUDIENCE, Binding, Claims};
use crate::object::{self, Key};
use crate::server::State;
use crate::status::Status;
use crate::store::{Change, Expect, Range};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A full look at everything, in case a wake-up was missed.
const RESYNC: Duration = Duration::from_secs(30);

pub async fn start(state: Arc<State>, namespaces: &[&str]) -> Result<(), String> {
    seed(&state, namespaces).await.map_err(|s| s.message)?;
    for (name, resource) in [("namespaces", "namespaces"), ("accounts", "serviceaccounts"), ("tokens", "secrets")] {
        tokio::spawn(follow(Arc::downgrade(&state), name, resource));
    }
    tokio::spawn(collector(Arc::downgrade(&state)));
    Ok(())
}

async fn seed(state: &State, namespaces: &[&str]) -> Result<(), Status> {
    let entries = state.table.entries();
    let plurals: Vec<String> = entries
        .resources
        .values()
        .filter(|r| Some(&r.group) == state.config.product_group.as_ref())
        .map(|r| r.plural.clone())
        .collect();
    let product = state.config.product_group.as_deref().map(|g| (g, plurals.as_slice()));
    for role in defaults::cluster_roles(product) {
        create(state, "clusterroles.rbac.authorization.k8s.io", role).await?;
    }
    for binding in defaults::cluster_role_bindings() {
        create(state, "clusterrolebindings.rbac.authorization.k8s.io", binding).await?;
    }
    for name in namespaces {
        let o = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        create(state, "namespaces", o).await?;
        default_account(state, name).await?;
    }
    Ok(())
}

/// Creates an object if there is none of its name.
async fn create(state: &State, resource: &str, mut o: Value) -> Result<(), Status> {
    let key = Key::new(resource, object::namespace(&o), object::name(&o));
    if state.store.get(&key)?.is_some() {
        return Ok(());
    }
    object::set_meta(&mut o, "uid", uuid::Uuid::new_v4().to_string());
    object::set_meta(&mut o, "creationTimestamp", object::timestamp(Timestamp::now()));
    match state.store.put(key, Expect::Absent, o).await {
        Ok(_) | Err(crate::store::WriteError::Conflict) => Ok(()),
        Err(e) => Err(e.status()),
    }
}

async fn default_account(state: &State, namespace: &str) -> Result<(), Status> {
    let o =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
    create(state, "serviceaccounts", o).await
}

/// Looks at every object of a resource, then at each change, until the server is gone.
async fn follow(state: Weak<State>, job: &'static str, resource: &'static str) {
    loop {
        let Some(strong) = state.upgrade() else { return };
        let mut changes = strong.store.hub.subscribe(resource);
        if let Ok(page) = strong.store.list(&Range { resource, ..Range::default() }) {
            for stored in page.items {
                handle(&strong, job, &stored.value(), Change::Added).await;
            }
        }
        drop(strong);
        loop {
            let event = tokio::time::timeout(RESYNC, changes.recv()).await;
            let Some(strong) = state.upgrade() else { return };
            match event {
                Ok(Some(e)) => {
                    let o: Value = serde_json::from_slice(&e.json).unwrap_or_default();
                    handle(&strong, job, &o, e.change).await;
                }
                // Fallen behind, or quiet for long: look at everything again.
                Ok(None) | Err(_) => break,
            }
        }
    }
}

async fn handle(state: &State, job: &str, o: &Value, change: Change) {
    let result = match (job, change) {
        ("namespaces", Change::Deleted) => Ok(()),
        ("namespaces", _) if object::is_deleting(o) => {
            state.cleanup.wake();
            Ok(())
        }
        ("namespaces", _) => default_account(state, object::name(o)).await,
        ("accounts", Change::Deleted) => account_gone(state, o).await,
        ("tokens", Change::Added | Change::Modified) => fill_token(state, o).await,
        _ => Ok(()),
    };
    if let Err(s) = result {
        tracing::warn!(job, object = object::name(o), error = %s, "a background job of the API server failed; it is tried again within 30 s");
    }
}

/// The default account comes back; token secrets of a deleted account go.
async fn account_gone(state: &State, account: &Value) -> Result<(), Status> {
    let namespace = object::namespace(account);
    let alive =
        state.store.get(&Key::new("namespaces", "", namespace))?.is_some_and(|n| !object::is_deleting(&n.value()));
    if object::name(account) == "default" && alive {
        default_account(state, namespace).await?;
    }
    for stored in state.store.list(&Range { resource: "secrets", namespace, ..Range::default() })?.items {
        let secret = stored.value();
        let of = object::text(&secret, &["metadata", "annotations", "kubernetes.io/service-account.uid"]);
        if !of.is_empty() && of == object::uid(account) {
            state.collect(&Key::new("secrets", namespace, object::name(&secret)), "").await?;
        }
    }
    Ok(())
}

/// Secrets of type service-account-token are filled with a token of their account.
async fn fill_token(state: &State, secret: &Value) -> Result<(), Status> {
    if object::text(secret, &["type"]) != "kubernetes.io/service-account-token"
        || secret.pointer("/data/token").is_some()
    {
        return Ok(());
    }
    let namespace = object::namespace(secret);
    let name = object::text(secret, &["metadata", "annotations", "kubernetes.io/service-account.name"]);
    let Some(account) = state.store.get(&Key::new("serviceaccounts", namespace, name))? else {
        return state.collect(&Key::new("secrets", namespace, object::name(secret)), "").await;
    };
    let account = account.value();
    let binding = Binding { kind: "secret".into(), name: object::name(secret).into(), uid: object::uid(secret).into() };
    let claims = Claims {
        namespace,
        account: name,
        account_uid: object::uid(&account),
        audiences: &[AUDIENCE.to_owned()],
        now: Timestamp::now().as_second(),
        expires: None,
        binding: Some(&binding),
        id: None,
    };
    let token = state.signer.sign(&claims.to_json()).map_err(Status::internal)?;
    let mut new = secret.clone();
    let rv = object::resource_version(secret).parse().unwrap_or(0);
    if new.get("data").is_none_or(Value::is_null) {
        new["data"] = json!({});
    }
    new["data"]["token"] = json!(STANDARD.encode(token));
    new["data"]["ca.crt"] = json!(STANDARD.encode(&state.pki.ca));
    new["data"]["namespace"] = json!(STANDARD.encode(namespace));
    new["metadata"]["annotations"]["kubernetes.io/service-account.uid"] = json!(object::uid(&account));
    let key = Key::new("secrets", namespace, object::name(secret));
    // A conflict means that the secret changed: the change brings us back here.
    match state.store.put(key, Expect::Version(rv), new).await {
        Err(e) => Err(e.status()),
        _ => Ok(()),
    }
}

/// Dependents of removed owners, objects that wait for their dependents, namespaces that wait for their content.
async fn collector(state: Weak<State>) {
    // What was left undone before the start is found once; later every job is told.
    let mut jobs: Vec<Job> = match state.upgrade().map(|s| s.store.owned()) {
        Some(Ok(list)) => list.into_iter().map(|(_, key)| Job::Check(key)).collect(),
        _ => Vec::new(),
    };
    loop {
        let Some(strong) = state.upgrade() else { return };
        if let Err(s) = sweep(&strong, &jobs).await {
            tracing::warn!(error = %s, "collecting dependents failed; it is tried again");
        }
        let _ = tokio::time::timeout(RESYNC, strong.cleanup.wait()).await;
        jobs = strong.cleanup.take();
    }
}

/// Something for the collector to look at.
#[derive(Debug)]
pub enum Job {
    /// The object with this uid was removed.
    Gone(String),
    /// This object names owners that may not exist.
    Check(Key),
}

/// What waits for the collector. Jobs are small and each follows from one accepted write.
#[derive(Default)]
pub struct Cleanup {
    jobs: std::sync::Mutex<Vec<Job>>,
    wake: tokio::sync::Notify,
}

impl Cleanup {
    pub fn push(&self, job: Job) {
        self.jobs.lock().unwrap_or_else(|e| e.into_inner()).push(job);
        self.wake.notify_one();
    }
    /// Objects that are being deleted are found without being named.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
    async fn wait(&self) {
        self.wake.notified().await;
    }
    fn take(&self) -> Vec<Job> {
        std::mem::take(&mut *self.jobs.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

async fn sweep(state: &State, jobs: &[Job]) -> Result<(), Status> {
    for job in jobs {
        match job {
            Job::Gone(uid) => {
                for key in state.store.dependents(uid)? {
                    settle(state, &key).await?;
                }
            }
            Job::Check(key) => settle(state, key).await?,
        }
    }
    for key in state.store.dependents(crate::store::DELETING)? {
        let Some(found) = state.store.get(&key)? else { continue };
        let o = found.value();
        if key.resource == "namespaces" {
            empty_namespace(state, &o, found.rv).await?;
        } else {
            finish_owner(state, &key, &o, found.rv).await?;
        }
    }
    Ok(())
}

/// An object one of whose owners may be gone.
async fn settle(state: &State, key: &Key) -> Result<(), Status> {
    let Some(stored) = state.store.get(key)? else { return Ok(()) };
    let (o, entries) = (stored.value(), state.table.entries());
    let find = |reference: &Value| -> Result<Option<Value>, Status> {
        let (version, kind) = (object::text(reference, &["apiVersion"]), object::text(reference, &["kind"]));
        let Some(r) = entries.by_kind(version, kind) else { return Ok(None) };
        // An owner is in the same namespace, or has none.
        let found = state.store.get(&Key::new(
            &r.key(),
            if r.namespaced { &key.namespace } else { "" },
            object::text(reference, &["name"]),
        ))?;
        Ok(found.map(|f| f.value()).filter(|f| object::uid(f) == object::text(reference, &["uid"])))
    };
    let (mut alive, mut gone, mut waiting) = (0, Vec::new(), false);
    for reference in object::owners(&o) {
        match find(reference)? {
            None => gone.push(object::text(reference, &["uid"]).to_owned()),
            Some(f) if object::is_deleting(&f) && object::finalizers(&f).contains(&"foregroundDeletion") => {
                waiting = true
            }
            Some(f) if object::is_deleting(&f) && object::finalizers(&f).contains(&"orphan") => {}
            Some(_) => alive += 1,
        }
    }
    if gone.is_empty() || object::is_deleting(&o) {
        return Ok(());
    }
    if alive == 0 && !waiting {
        return state.collect(key, "").await;
    }
    // Some owner lives on: only the references to gone ones go.
    let mut new = o;
    if let Some(list) = new.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        list.retain(|reference| !gone.iter().any(|g| g == object::text(reference, &["uid"])));
    }
    let _ = state.store.put(key.clone(), Expect::Version(stored.rv), new).await;
    Ok(())
}

/// Finalizers that this server itself carries out.
async fn finish_owner(state: &State, key: &Key, o: &Value, rv: u64) -> Result<(), Status> {
    if !object::is_deleting(o) {
        return Ok(());
    }
    let finalizers: Vec<String> = object::finalizers(o).into_iter().map(str::to_owned).collect();
    let done = if finalizers.iter().any(|f| f == "orphan") {
        for dependent in state.store.dependents(object::uid(o))? {
            orphan(state, &dependent, object::uid(o)).await?;
        }
        "orphan"
    } else if finalizers.iter().any(|f| f == "foregroundDeletion") {
        for dependent in state.store.dependents(object::uid(o))? {
            let blocking = state.store.get(&dependent)?.is_some_and(|d| {
                object::owners(&d.value()).any(|r| {
                    object::text(r, &["uid"]) == object::uid(o) && r.get("blockOwnerDeletion") == Some(&json!(true))
                })
            });
            if blocking {
                return state.collect(&dependent, "Foreground").await;
            }
            state.collect(&dependent, "").await?;
        }
        "foregroundDeletion"
    } else {
        return Ok(());
    };
    let mut new = o.clone();
    let left: Vec<&String> = finalizers.iter().filter(|f| *f != done).collect();
    if left.is_empty() {
        object::remove_meta(&mut new, "finalizers");
        if state.store.remove(key.clone(), Expect::Version(rv), new.clone()).await.is_ok() {
            state.after_removal(&new);
        }
    } else {
        object::set_meta(&mut new, "finalizers", json!(left));
        let _ = state.store.put(key.clone(), Expect::Version(rv), new).await;
    }
    Ok(())
}

async fn orphan(state: &State, dependent: &Key, owner: &str) -> Result<(), Status> {
    let Some(found) = state.store.get(dependent)? else { return Ok(()) };
    let mut new = found.value();
    if let Some(list) = new.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        list.retain(|r| object::text(r, &["uid"]) != owner);
        if list.is_empty() {
            object::remove_meta(&mut new, "ownerReferences");
        }
    }
    state
        .store
        .put(dependent.clone(), Expect::Version(found.rv), new)
        .await
        .map(|_| ())
        .map_err(|_| Status::internal("the dependent changed meanwhile"))
}

/// Deletes what is in a namespace; when nothing is left, the namespace itself.
async fn empty_namespace(state: &State, o: &Value, rv: u64) -> Result<(), Status> {
    let name = object::name(o);
    let mut left = 0;
    for resource in state.store.resources_in(name)? {
        for stored in state.store.list(&Range { resource: &resource, namespace: name, ..Range::default() })?.items {
            let content = stored.value();
            let key = Key::new(&resource, name, object::name(&content));
            if !object::is_deleting(&content) {
                state.collect(&key, "").await?;
            }
            left += usize::from(state.store.get(&key)?.is_some());
        }
    }
    if left > 0 {
        return Ok(());
    }
    let mut new = o.clone();
    new["spec"] = json!({});
    let key = Key::new("namespaces", "", name);
    if object::finalizers(&new).is_empty() {
        let _ = state.store.remove(key, Expect::Version(rv), new).await;
    } else if new != *o {
        let _ = state.store.put(key, Expect::Version(rv), new).await;
    }
    Ok(())
}
