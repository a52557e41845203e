//! delete and deletecollection, and what happens to dependents.

use crate::decode::media_type;
use crate::object::{self, Key};
use crate::protobuf;
use crate::read::Selection;
use crate::request::Info;
use crate::resource::Resource;
use crate::respond::{self, Answer, Form, negotiate};
use crate::server::{Call, State};
use crate::status::{FieldError, Status, qualified};
use crate::store::{Expect, Range, Stored, WriteError};
use jiff::Timestamp;
use serde_json::{Value, json};

const RETRIES: usize = 16;
/// Namespaces that the server itself relies on.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

#[derive(Debug, Clone, Default)]
struct Options {
    grace: Option<i64>,
    uid: String,
    version: String,
    propagation: String,
    dry_run: bool,
}

impl Options {
    fn read(call: &Call) -> Result<Self, Status> {
        let mut body = json!({});
        if !call.body.is_empty() {
            body = match media_type(call) {
                "application/vnd.kubernetes.protobuf" => protobuf::decode(&call.body).map_err(Status::bad_request)?,
                "application/yaml" => crate::decode::yaml(&call.body).map_err(Status::bad_request)?,
                _ => serde_json::from_slice(&call.body).map_err(|_| {
                    Status::new(
                        500,
                        "",
                        format!("couldn't get version/kind; json parse error: {}", crate::gojson::error(&call.body)),
                    )
                })?,
            };
        }
        let q = &call.query;
        let mut propagation = object::text(&body, &["propagationPolicy"]).to_owned();
        if propagation.is_empty() {
            propagation = q.get("propagationPolicy").to_owned();
        }
        if body.get("orphanDependents") == Some(&json!(true)) || q.get("orphanDependents") == "true" {
            propagation = "Orphan".into();
        }
        if !matches!(propagation.as_str(), "" | "Background" | "Foreground" | "Orphan") {
            let kind = crate::status::FieldErrorKind::NotSupported(
                json!(propagation),
                ["Background", "Foreground", "Orphan"].map(String::from).to_vec(),
            );
            let e = FieldError { path: "propagationPolicy".into(), kind, detail: String::new() };
            return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &[e]));
        }
        let dry = object::strings(body.get("dryRun")).first().copied().unwrap_or(q.get("dryRun")).to_owned();
        Ok(Options {
            grace: body
                .get("gracePeriodSeconds")
                .and_then(Value::as_i64)
                .or_else(|| q.get("gracePeriodSeconds").parse().ok()),
            uid: object::text(&body, &["preconditions", "uid"]).into(),
            version: object::text(&body, &["preconditions", "resourceVersion"]).into(),
            propagation,
            dry_run: dry == "All",
        })
    }
}

/// What a delete led to.
enum Outcome {
    Removed(Value),
    /// Marked; it goes when its finalizers are done.
    Pending(Stored),
}

impl State {
    pub async fn delete(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        if r.plural == "namespaces" && PERMANENT.contains(&info.name.as_str()) {
            return Err(Status::forbidden("", "namespaces", &info.name, "this namespace may not be deleted"));
        }
        let form = negotiate(&call.headers, false)?;
        let options = Options::read(call)?;
        match self.delete_one(r, &info.namespace, &info.name, &options).await? {
            Outcome::Pending(stored) => {
                Ok(respond::object(200, r, Self::shown(r, &stored), form, crate::table::Include::Metadata))
            }
            Outcome::Removed(mut last) if r.delete_returns_object => {
                r.show(&mut last);
                Ok(respond::object(200, r, last, form, crate::table::Include::Metadata))
            }
            Outcome::Removed(last) => {
                let mut details = json!({"name": info.name, "kind": r.plural, "uid": object::uid(&last)});
                if !r.group.is_empty() {
                    details["group"] = json!(r.group);
                }
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
                Ok(respond::value(200, &status, Form { shape: respond::Shape::Object, ..form }))
            }
        }
    }

    async fn delete_one(
        &self,
        r: &Resource,
        namespace: &str,
        name: &str,
        options: &Options,
    ) -> Result<Outcome, Status> {
        for _ in 0..RETRIES {
            let stored = self.find(r, namespace, name)?;
            let old = stored.value();
            check_preconditions(r, &old, options)?;
            let mut new = old.clone();
            add_finalizer(&mut new, &options.propagation);
            let waits = !object::finalizers(&new).is_empty()
                || r.plural == "namespaces"
                || (self.waits_for_runtime(r, &new) && options.grace != Some(0));
            if options.dry_run {
                return Ok(if waits { Outcome::Pending(stored) } else { Outcome::Removed(old) });
            }
            let key = Key::new(&r.key(), object::namespace(&old), name);
            let expect = Expect::Version(stored.rv);
            let result = if waits {
                if object::is_deleting(&old) && object::finalizers(&new) == object::finalizers(&old) {
                    return Ok(Outcome::Pending(stored));
                }
                mark(&mut new, r, options);
                self.store.put(key, expect, new).await.map(Outcome::Pending)
            } else {
                if r.plural == "pods" && !object::is_deleting(&new) {
                    mark(&mut new, r, &Options { grace: Some(0), ..Options::default() });
                }
                self.store.remove(key, expect, new).await.map(|s| Outcome::Removed(s.value()))
            };
            match result {
                Ok(Outcome::Removed(last)) => {
                    self.after_removal(&last);
                    return Ok(Outcome::Removed(last));
                }
                Ok(pending) => {
                    self.cleanup.wake();
                    return Ok(pending);
                }
                Err(WriteError::Conflict) if options.version.is_empty() => {}
                Err(WriteError::Conflict) => return Err(Status::modified(&r.group, &r.plural, name)),
                Err(e) => return Err(e.status()),
            }
        }
        Err(Status::modified(&r.group, &r.plural, name))
    }

    /// A Pod that a runtime has taken goes when the runtime says so.
    pub fn waits_for_runtime(&self, r: &Resource, o: &Value) -> bool {
        let running = !matches!(object::text(o, &["status", "phase"]), "Succeeded" | "Failed");
        let grace = object::at(o, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
        r.plural == "pods"
            && r.group.is_empty()
            && running
            && grace != Some(0)
            && !object::text(o, &["spec", "nodeName"]).is_empty()
    }

    /// Wakes who looks after dependents, and stops serving the kind of a removed definition.
    pub fn after_removal(&self, last: &Value) {
        if object::text(last, &["kind"]) == "CustomResourceDefinition"
            && !self.table.entries().is_fixed(object::name(last))
        {
            self.table.replace(object::name(last), Vec::new());
            self.store.hub.close(object::name(last));
        }
        self.cleanup.push(crate::controllers::Job::Gone(object::uid(last).to_owned()));
    }

    pub async fn delete_collection(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        let form = negotiate(&call.headers, true)?;
        if !r.allows("deletecollection") {
            return Err(Status::method_not_allowed());
        }
        let options = Options::read(call)?;
        let selection = Selection::read(&call.query, info, r)?;
        let namespace = if r.namespaced { info.namespace.as_str() } else { "" };
        let page = self.store.list(&Range { resource: &r.key(), namespace, ..Range::default() })?;
        let mut gone = Vec::new();
        for stored in page.items {
            let o = Self::shown(r, &stored);
            if !selection.matches(&o) {
                continue;
            }
            match self.delete_one(r, object::namespace(&o), object::name(&o), &options).await {
                Ok(Outcome::Removed(_)) => gone.push(o),
                Ok(Outcome::Pending(s)) => gone.push(Self::shown(r, &s)),
                Err(s) if s.code == 404 => {}
                Err(s) => return Err(s),
            }
        }
        let mut meta = json!({"resourceVersion": page.rv.to_string()});
        if r.custom {
            meta["continue"] = json!("");
        }
        let strip = |mut o: Value| {
            if !r.custom {
                let m = object::map(&mut o);
                m.remove("kind");
                m.remove("apiVersion");
            }
            o
        };
        let items: Vec<Value> = gone.into_iter().map(strip).collect();
        let list = json!({"kind": r.list_kind(), "apiVersion": r.api_version(), "metadata": meta, "items": items});
        Ok(respond::value(200, &list, Form { shape: respond::Shape::Object, ..form }))
    }

    /// Removes an object from inside: the collector and the namespace controller.
    pub async fn collect(&self, key: &Key, propagation: &str) -> Result<(), Status> {
        let entries = self.table.entries();
        let options = Options { propagation: propagation.into(), ..Options::default() };
        match entries.by_key(&key.resource) {
            Some(r) => self.delete_one(r, &key.namespace, &key.name, &options).await.map(|_| ()),
            // Its definition is gone: nothing serves it any more, so nothing can wait for it.
            None => match self.store.get(key)? {
                Some(s) => self
                    .store
                    .remove(key.clone(), Expect::Version(s.rv), s.value())
                    .await
                    .map(|_| ())
                    .map_err(|_| Status::internal("the object changed")),
                None => Ok(()),
            },
        }
        .or_else(|s| if s.code == 404 { Ok(()) } else { Err(s) })
    }
}

fn check_preconditions(r: &Resource, old: &Value, options: &Options) -> Result<(), Status> {
    // Custom resources are named by their kind here, as the original does.
    let what = if r.custom { format!("{}.{}", r.kind, r.group) } else { qualified(&r.group, &r.plural) };
    let refuse = |why: String| {
        let name = object::name(old);
        let mut s = Status::conflict(&r.group, &r.plural, name, &why);
        s.message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Err(s)
    };
    if !options.uid.is_empty() && options.uid != object::uid(old) {
        return refuse(format!(
            "the UID in the precondition ({}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            options.uid,
            object::uid(old)
        ));
    }
    let version = object::resource_version(old);
    if !options.version.is_empty() && options.version != version {
        return refuse(format!(
            "the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record ({version}). The object might have been modified",
            options.version
        ));
    }
    Ok(())
}

fn add_finalizer(o: &mut Value, propagation: &str) {
    let wanted = match propagation {
        "Foreground" => "foregroundDeletion",
        "Orphan" => "orphan",
        _ => return,
    };
    let list = object::meta(o).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|f| f == wanted)
    {
        list.push(json!(wanted));
    }
}

/// Marks an object as being deleted.
fn mark(o: &mut Value, r: &Resource, options: &Options) {
    let grace = match r.plural.as_str() {
        "pods" => options
            .grace
            .or_else(|| object::at(o, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64))
            .unwrap_or(30),
        _ => 0,
    };
    if !object::is_deleting(o) {
        let when = Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        object::set_meta(o, "deletionTimestamp", object::timestamp(when));
        if r.generations {
            object::set_meta(o, "generation", object::generation(o) + 1);
        }
    }
    if r.plural != "namespaces" {
        object::set_meta(o, "deletionGracePeriodSeconds", grace);
    }
    if r.plural == "namespaces" {
        o["status"]["phase"] = json!("Terminating");
    }
}
