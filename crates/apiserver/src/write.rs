//! create, update and patch.

use crate::decode::{self, conform, field_problems, field_validation, media_type};
use crate::managed::{self, Writer};
use crate::names::check_metadata;
use crate::object::{self, Key};
use crate::patch::Patch;
use crate::request::{FieldValidation, Info};
use crate::resource::Resource;
use crate::respond::{self, Answer, negotiate};
use crate::server::{Call, State};
use crate::status::{Cause, FieldError, Status};
use crate::store::{Expect, Stored, WriteError};
use crate::table::Include;
use crate::{crd, schema};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Attempts for a write that others keep overtaking.
pub const RETRIES: usize = 16;

/// A write on its way: what it is about, and what it had to say.
pub struct Change<'a> {
    pub call: &'a Call,
    pub info: &'a Info,
    pub r: &'a Resource,
    pub dry_run: bool,
    pub validation: FieldValidation,
    pub warnings: Vec<String>,
}

impl<'a> Change<'a> {
    pub fn read(call: &'a Call, info: &'a Info, r: &'a Resource) -> Result<Self, Status> {
        let dry_run = match call.query.get("dryRun") {
            "" => false,
            "All" => true,
            other => return Err(invalid_dry_run(call, other)),
        };
        Ok(Self { call, info, r, dry_run, validation: field_validation(call)?, warnings: Vec::new() })
    }

    /// Refuses, warns of or ignores problems of fields, as asked.
    pub fn judge(&mut self, problems: &[String]) -> Result<(), Status> {
        if problems.is_empty() {
            return Ok(());
        }
        match self.validation {
            FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                self.warnings.extend(problems.iter().cloned());
                Ok(())
            }
            FieldValidation::Strict => {
                let r = self.r;
                Err(Status::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                    r.kind,
                    r.version,
                    r.kind,
                    problems.join(", ")
                )))
            }
        }
    }

    fn manager(&self) -> String {
        let given = self.call.query.get("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = self.call.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("");
        agent.split('/').next().unwrap_or("").chars().take(128).collect()
    }

    pub fn writer<'b>(&self, manager: &'b str, api_version: &'b str) -> Writer<'b> {
        Writer {
            manager,
            api_version,
            subresource: if self.info.subresource == "status" { "status" } else { "" },
            typed: !self.r.custom,
            has_status: self.r.status && (self.r.custom || self.info.subresource == "status"),
            now: object::timestamp(Timestamp::now()),
        }
    }

    pub fn answer(&self, status: u16, o: Value) -> Result<Answer, Status> {
        let form = negotiate(&self.call.headers, false)?;
        let mut answer = respond::object(status, self.r, o, form, Include::Metadata);
        respond::warn(&mut answer, &self.warnings);
        Ok(answer)
    }

    fn invalid(&self, name: &str, errors: &[FieldError]) -> Status {
        // A kind that is only shown differently is refused by the one that is stored.
        let group = if self.r.face.is_some() { "" } else { &self.r.group };
        Status::invalid(group, &self.r.kind, name, errors)
    }
}

fn invalid_dry_run(call: &Call, given: &str) -> Status {
    let options = match call.method.as_str() {
        "POST" => "CreateOptions",
        "PUT" => "UpdateOptions",
        "DELETE" => "DeleteOptions",
        _ => "PatchOptions",
    };
    let kind = crate::status::FieldErrorKind::NotSupported(json!([given]), vec!["All".into()]);
    Status::invalid("meta.k8s.io", options, "", &[FieldError { path: "dryRun".into(), kind, detail: String::new() }])
}

impl State {
    pub async fn create(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        let mut change = Change::read(call, info, r)?;
        let (mut o, repeated) = self.read_body_strictly(call, r)?;
        change.judge(&field_problems(r, &o, &repeated))?;
        self.place(&mut o, info, r)?;
        if !object::resource_version(&o).is_empty() {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let generated = object::name(&o).is_empty() && !object::text(&o, &["metadata", "generateName"]).is_empty();
        if r.namespaced {
            self.check_namespace(&o, r)?;
        }
        if r.status && r.custom {
            // What a client says of the status does not count; the schema's defaults do.
            object::map(&mut o).remove("status");
        }
        conform(r, &mut o)?;
        fresh_metadata(&mut o, r);
        for attempt in 0.. {
            if generated {
                let name = object::generated_name(object::text(&o, &["metadata", "generateName"]));
                object::set_meta(&mut o, "name", name);
            }
            let mut new = o.clone();
            if let Some(prepare) = r.prepare {
                prepare(&mut new, None);
            }
            self.admit(&mut change, &new, None)?;
            let manager = change.manager();
            if !manager.is_empty() {
                managed::track_update(&r.schema, None, &mut new, &change.writer(&manager, &r.api_version()));
            }
            let name = object::name(&new).to_owned();
            let key = Key::new(&r.key(), object::namespace(&new), &name);
            if change.dry_run {
                if self.store.get(&key)?.is_some() {
                    return Err(Status::already_exists(&r.group, &r.plural, &name));
                }
                return change.answer(201, new);
            }
            match self.put(r, key.clone(), Expect::Absent, new).await {
                Ok(stored) => {
                    if !call.inside && object::owners(&o).next().is_some() {
                        self.cleanup.push(crate::controllers::Job::Check(key));
                    }
                    return self.stored_answer(&change, 201, &stored);
                }
                Err(WriteError::Conflict) if generated && attempt < RETRIES => {}
                Err(WriteError::Conflict) => return Err(self.exists(&key, r)),
                Err(e) => return Err(e.status()),
            }
        }
        unreachable!("the loop returns")
    }

    fn exists(&self, key: &Key, r: &Resource) -> Status {
        let mut s = Status::already_exists(&r.group, &r.plural, &key.name);
        if let Ok(Some(found)) = self.store.get(key)
            && object::is_deleting(&found.value())
        {
            s.message = format!("object is being deleted: {}", s.message);
        }
        s
    }

    pub fn stored_answer(&self, change: &Change, status: u16, stored: &Stored) -> Result<Answer, Status> {
        let form = negotiate(&change.call.headers, false)?;
        if form.is_plain() && change.r.is_stored_form() {
            let mut answer = respond::bytes(status, "application/json", stored.json.clone());
            respond::warn(&mut answer, &change.warnings);
            return Ok(answer);
        }
        change.answer(status, Self::shown(change.r, stored))
    }

    /// Name and namespace: the path and the object must agree.
    pub fn place(&self, o: &mut Value, info: &Info, r: &Resource) -> Result<(), Status> {
        if !info.name.is_empty() && r.plural != "namespaces" && object::name(o).is_empty() {
            object::set_meta(o, "name", info.name.as_str());
        }
        if r.namespaced {
            let given = object::namespace(o);
            if given.is_empty() {
                object::set_meta(o, "namespace", info.namespace.as_str());
            } else if given != info.namespace {
                return Err(Status::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        } else if object::namespace(o).is_empty() {
            object::remove_meta(o, "namespace");
        } else {
            return Err(Status::bad_request("namespace may not be set on cluster-scoped objects"));
        }
        Ok(())
    }

    pub fn check_namespace(&self, o: &Value, r: &Resource) -> Result<(), Status> {
        let ns = object::namespace(o);
        let Some(found) = self.store.get(&Key::new("namespaces", "", ns))? else {
            return Err(Status::not_found("", "namespaces", ns));
        };
        // Only a namespace that is on its way out mentions a deletion.
        if contains(&found.json, b"\"deletionTimestamp\"") && object::is_deleting(&found.value()) {
            let why = format!("unable to create new content in namespace {ns} because it is being terminated");
            let mut s = Status::forbidden(&r.group, &r.plural, object::name(o), &why);
            if let Some(d) = &mut s.details {
                d.causes.push(Cause {
                    reason: "NamespaceTerminating",
                    message: format!("namespace {ns} is being terminated"),
                    field: "metadata.namespace".into(),
                });
            }
            return Err(s);
        }
        Ok(())
    }

    /// Everything that can be wrong with an object as such.
    pub fn admit(&self, change: &mut Change, new: &Value, old: Option<&Value>) -> Result<(), Status> {
        let r = change.r;
        let mut errors = check_metadata(new, r.name_rule, r.custom, r.namespaced);
        if r.custom {
            let mut found = schema::check(&r.schema, new, old);
            if change.info.subresource == "status" {
                // Sentences of this subresource name fields from where it begins.
                found
                    .iter_mut()
                    .for_each(|e| e.detail = e.detail.strip_prefix("status.").unwrap_or(&e.detail).to_owned());
            }
            errors.extend(found);
            for f in object::finalizers(new).into_iter().filter(|f| !f.contains('/')) {
                if !matches!(f, "orphan" | "foregroundDeletion") {
                    change.warnings.push(format!("metadata.finalizers: {f:?}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"));
                }
            }
        }
        if let Some(admit) = r.admit {
            let outcome = admit(new, old);
            errors.extend(outcome.errors);
            change.warnings.extend(outcome.warnings);
        }
        if !errors.is_empty() {
            return Err(change.invalid(object::name(new), &errors));
        }
        if r.group == crate::auth::rbac::GROUP
            && old.is_none_or(|o| o.get("rules") != new.get("rules") || o.get("subjects") != new.get("subjects"))
        {
            self.rbac.check_escalation(&change.call.user, &r.plural, new)?;
        }
        Ok(())
    }

    /// Stores an object, in its storage version, and lets the server follow what it means.
    pub async fn put(&self, r: &Resource, key: Key, expect: Expect, mut o: Value) -> Result<Stored, WriteError> {
        r.store(&mut o);
        let definition = (key.resource == crd::RESOURCE).then(|| o.clone());
        let stored = self.store.put(key, expect, o).await?;
        if let Some(d) = definition {
            self.serve_definition(&d);
        }
        Ok(stored)
    }

    pub async fn update(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        if info.name.is_empty() {
            return Err(Status::bad_request("name must be provided"));
        }
        let mut change = Change::read(call, info, r)?;
        let (mut new, repeated) = self.read_body_strictly(call, r)?;
        change.judge(&field_problems(r, &new, &repeated))?;
        self.place(&mut new, info, r)?;
        if object::name(&new) != info.name {
            let (given, wanted) = (object::name(&new), &info.name);
            return Err(Status::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({wanted})"
            )));
        }
        conform(r, &mut new)?;
        let wanted = object::resource_version(&new).to_owned();
        if !wanted.is_empty() && wanted.parse::<u64>().is_err() {
            return Err(Status::new(500, "", format!("strconv.ParseUint: parsing {wanted:?}: invalid syntax")));
        }
        for _ in 0..RETRIES {
            let stored = self.find(r, &info.namespace, &info.name)?;
            let old = Self::shown(r, &stored);
            if wanted.is_empty() && r.custom {
                let e = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
                return Err(Status::invalid(&r.group, &r.plural, &info.name, &[e]));
            }
            if !wanted.is_empty() && wanted != stored.rv.to_string() {
                return Err(Status::modified(&r.group, &r.plural, &info.name));
            }
            let uid = object::uid(&new);
            if !uid.is_empty() && uid != object::uid(&old) {
                return Err(self.wrong_uid(r, &old, uid));
            }
            let candidate = restricted(new.clone(), &old, info, r);
            if let Some(answer) = self.replace(&mut change, &stored, old, candidate, false).await? {
                return Ok(answer);
            }
            if !wanted.is_empty() {
                return Err(Status::modified(&r.group, &r.plural, &info.name));
            }
        }
        Err(Status::modified(&r.group, &r.plural, &info.name))
    }

    fn wrong_uid(&self, r: &Resource, old: &Value, uid: &str) -> Status {
        let place = if r.namespaced {
            format!("{}/{}", object::namespace(old), object::name(old))
        } else {
            object::name(old).to_owned()
        };
        let root = if r.group.is_empty() || !r.custom { r.plural.clone() } else { format!("{}/{}", r.group, r.plural) };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{root}/{place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(old)
        );
        Status::conflict(&r.group, &r.plural, object::name(old), &why)
    }

    /// Stores a changed object; `None` when somebody else was faster. `applied`: who manages what is already set.
    pub async fn replace(
        &self,
        change: &mut Change<'_>,
        stored: &Stored,
        old: Value,
        mut new: Value,
        applied: bool,
    ) -> Result<Option<Answer>, Status> {
        let r = change.r;
        kept_metadata(&mut new, &old);
        if let Some(prepare) = r.prepare {
            prepare(&mut new, Some(&old));
        }
        let significant = differs_beyond_metadata(&new, &old, r);
        if r.generations && significant {
            object::set_meta(&mut new, "generation", object::generation(&old) + 1);
        }
        if object::is_deleting(&old) {
            let fresh: Vec<&str> =
                object::finalizers(&new).into_iter().filter(|f| !object::finalizers(&old).contains(f)).collect();
            if !fresh.is_empty() {
                let e = FieldError::forbidden(
                    "metadata.finalizers",
                    format!(
                        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                        fresh.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
                    ),
                );
                return Err(change.invalid(object::name(&new), &[e]));
            }
        }
        self.admit(change, &new, Some(&old))?;
        let manager = change.manager();
        if !applied {
            if manager.is_empty() {
                if let Some(kept) = object::at(&old, &["metadata", "managedFields"]) {
                    object::set_meta(&mut new, "managedFields", kept.clone());
                }
            } else {
                managed::track_update(&r.schema, Some(&old), &mut new, &change.writer(&manager, &r.api_version()));
            }
        }
        if same(&new, &old) {
            return change.answer(200, old).map(Some);
        }
        if change.dry_run {
            return change.answer(200, new).map(Some);
        }
        let key = Key::new(&r.key(), object::namespace(&new), object::name(&new));
        let ready_to_go = object::is_deleting(&new)
            && object::finalizers(&new).is_empty()
            && !self.waits_for_runtime(r, &new)
            && new.pointer("/spec/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let outcome = if ready_to_go {
            self.store.remove(key, Expect::Version(stored.rv), new).await
        } else {
            self.put(r, key, Expect::Version(stored.rv), new).await
        };
        match outcome {
            Ok(done) => {
                if ready_to_go {
                    self.after_removal(&done.value());
                }
                self.stored_answer(change, 200, &done).map(Some)
            }
            Err(WriteError::Conflict) => Ok(None),
            Err(e) => Err(e.status()),
        }
    }

    pub async fn patch(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        if info.name.is_empty() {
            return Err(Status::bad_request("name must be provided"));
        }
        let mut change = Change::read(call, info, r)?;
        let media = media_type(call).to_owned();
        if media == "application/apply-patch+yaml" {
            return self.apply(&mut change).await;
        }
        let patch = Patch::read(&media, call, r)?;
        for _ in 0..RETRIES {
            let stored = self.find(r, &info.namespace, &info.name)?;
            let old = Self::shown(r, &stored);
            let mut new = old.clone();
            patch.apply(&mut new, r)?;
            if let (Patch::Strategic(p), Some(wrong)) = (&patch, decode::type_error(&r.schema, &new, "")) {
                let e = FieldError::invalid("patch", crate::gojson::printed(p), wrong.converting());
                return Err(Status::invalid("", "", "", &[e]));
            }
            if !new.is_object() || object::name(&new) != info.name {
                let (given, wanted) = (object::name(&new), &info.name);
                return Err(Status::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({wanted})"
                )));
            }
            let problems = field_problems(r, &new, &[]);
            if change.validation == FieldValidation::Strict && !problems.is_empty() {
                return Err(strict_patch(r, &new, &problems));
            }
            change.warnings.clear();
            change.judge(&problems)?;
            let asked = object::resource_version(&new);
            if !asked.is_empty() && asked != stored.rv.to_string() {
                return Err(Status::modified(&r.group, &r.plural, &info.name));
            }
            if !object::uid(&new).is_empty() && object::uid(&new) != object::uid(&old) {
                return Err(change.invalid(
                    &info.name,
                    &[FieldError::invalid("metadata.uid", object::uid(&new), "field is immutable")],
                ));
            }
            if new["apiVersion"] != old["apiVersion"] || new["kind"] != old["kind"] {
                return Err(Status::bad_request("a patch may not change apiVersion or kind"));
            }
            conform(r, &mut new)?;
            let candidate = restricted(new, &old, info, r);
            if let Some(answer) = self.replace(&mut change, &stored, old, candidate, false).await? {
                return Ok(answer);
            }
        }
        Err(Status::modified(&r.group, &r.plural, &info.name))
    }
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

/// What the server sets on every new object.
pub fn fresh_metadata(o: &mut Value, r: &Resource) {
    let now = object::timestamp(Timestamp::now());
    let m = object::meta(o);
    for key in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "resourceVersion"] {
        m.remove(key);
    }
    m.insert("uid".into(), json!(uuid::Uuid::new_v4().to_string()));
    m.insert("creationTimestamp".into(), json!(now));
    if r.generations {
        m.insert("generation".into(), json!(1));
    }
}

/// Metadata that no client changes.
fn kept_metadata(new: &mut Value, old: &Value) {
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "resourceVersion",
        "selfLink",
    ] {
        match old["metadata"].get(key) {
            Some(v) => object::set_meta(new, key, v.clone()),
            None => object::remove_meta(new, key),
        }
    }
}

/// The part of a write that its path allows: `/status` writes status, the main resource everything else.
pub fn restricted(mut new: Value, old: &Value, info: &Info, r: &Resource) -> Value {
    if info.subresource == "finalize" {
        let mut out = old.clone();
        out["spec"]["finalizers"] = new.pointer("/spec/finalizers").cloned().unwrap_or(json!([]));
        return out;
    }
    if !r.status {
        return new;
    }
    if info.subresource == "status" {
        let mut out = old.clone();
        match new.get("status") {
            Some(s) => out["status"] = s.clone(),
            None => {
                object::map(&mut out).remove("status");
            }
        }
        if let Some(m) = object::at(&new, &["metadata", "managedFields"]) {
            object::set_meta(&mut out, "managedFields", m.clone());
        }
        if !r.custom {
            for key in ["labels", "annotations"] {
                if let Some(v) = object::at(&new, &["metadata", key]) {
                    object::set_meta(&mut out, key, v.clone());
                }
            }
        }
        return out;
    }
    match old.get("status") {
        Some(s) => new["status"] = s.clone(),
        None => {
            object::map(&mut new).remove("status");
        }
    }
    new
}

fn differs_beyond_metadata(new: &Value, old: &Value, r: &Resource) -> bool {
    let (Some(a), Some(b)) = (new.as_object(), old.as_object()) else { return true };
    let counts = |k: &str| k != "metadata" && !(r.status && k == "status");
    a.iter().filter(|(k, _)| counts(k)).any(|(k, v)| b.get(k) != Some(v))
        || b.keys().filter(|k| counts(k)).any(|k| !a.contains_key(k))
}

/// Whether a write changes nothing but the times of who manages what.
fn same(new: &Value, old: &Value) -> bool {
    let strip = |o: &Value| {
        let mut o = o.clone();
        if let Some(list) = o.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
            for e in list.iter_mut().filter_map(Value::as_object_mut) {
                e.remove("time");
            }
        }
        o
    };
    new == old || (new["spec"] == old["spec"] && new["status"] == old["status"] && strip(new) == strip(old))
}

fn strict_patch(r: &Resource, new: &Value, problems: &[String]) -> Status {
    Status::invalid(
        &r.group,
        &r.kind,
        object::name(new),
        &[FieldError::invalid("patch", new.to_string(), format!("strict decoding error: {}", problems.join(", ")))],
    )
}
