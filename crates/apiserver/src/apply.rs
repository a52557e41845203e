//! Server-side apply: who applies what, and who had it before. How fields are merged and owned is in `managed`.

use crate::decode::{self, conform, field_problems};
use crate::managed;
use crate::object::{self, Key};
use crate::request::FieldValidation;
use crate::respond::Answer;
use crate::server::State;
use crate::status::{Cause, Details, FieldError, Status};
use crate::store::{Expect, WriteError};
use crate::write::{Change, RETRIES, fresh_metadata, restricted};
use serde_json::Value;

impl State {
    /// Server-side apply.
    pub async fn apply(&self, change: &mut Change<'_>) -> Result<Answer, Status> {
        let (call, info, r) = (change.call, change.info, change.r);
        let manager = call.query.get("fieldManager").to_owned();
        if manager.is_empty() {
            let e = FieldError::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[e]));
        }
        let mut config =
            decode::yaml(&call.body).map_err(|e| Status::bad_request(format!("error decoding YAML: {e}")))?;
        let (version, kind) =
            (object::text(&config, &["apiVersion"]).to_owned(), object::text(&config, &["kind"]).to_owned());
        if version != r.api_version() || kind != r.kind {
            let shown = if version.is_empty() { "/".to_owned() } else { version };
            return Err(Status::bad_request(format!("invalid object type: {shown}, Kind={kind}")));
        }
        if !object::text(&config, &["metadata", "name"]).is_empty() && object::name(&config) != info.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                object::name(&config),
                info.name
            )));
        }
        object::set_meta(&mut config, "name", info.name.as_str());
        self.place(&mut config, info, r)?;
        if object::at(&config, &["metadata", "managedFields"]).is_some() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        object::remove_meta(&mut config, "creationTimestamp");
        if let Some(why) =
            managed::undeclared(&r.schema, &config).filter(|_| change.validation != FieldValidation::Ignore)
        {
            let place =
                if r.namespaced { format!("{}/{}", info.namespace, info.name) } else { format!("/{}", info.name) };
            let what = if r.group.is_empty() { format!("/{}", r.version) } else { r.api_version() };
            return Err(Status::new(
                500,
                "",
                format!("failed to create typed patch object ({place}; {what}, Kind={}): {why}", r.kind),
            ));
        }
        let force = call.query.flag("force");
        for _ in 0..RETRIES {
            let found =
                self.store.get(&Key::new(&r.key(), if r.namespaced { &info.namespace } else { "" }, &info.name))?;
            let old = found.as_ref().map(|s| Self::shown(r, s));
            let api_version = r.api_version();
            let writer = change.writer(&manager, &api_version);
            let mut new =
                managed::apply(&r.schema, old.as_ref(), &config, &writer, force).map_err(|c| conflicts(&c))?;
            change.warnings.clear();
            let problems = field_problems(r, &new, &[]);
            change.judge(&problems)?;
            conform(r, &mut new)?;
            let Some((stored, old)) = found.zip(old) else {
                if info.subresource == "status" {
                    return Err(Status::not_found(&r.group, &r.plural, &info.name));
                }
                match self.create_applied(change, new).await? {
                    Some(answer) => return Ok(answer),
                    None => continue,
                }
            };
            let asked = object::resource_version(&config);
            if !asked.is_empty() && asked != stored.rv.to_string() {
                return Err(Status::modified(&r.group, &r.plural, &info.name));
            }
            let candidate = restricted(new, &old, info, r);
            if let Some(answer) = self.replace(change, &stored, old, candidate, true).await? {
                return Ok(answer);
            }
        }
        Err(Status::modified(&r.group, &r.plural, &info.name))
    }

    async fn create_applied(&self, change: &mut Change<'_>, mut new: Value) -> Result<Option<Answer>, Status> {
        let r = change.r;
        if r.namespaced {
            self.check_namespace(&new, r)?;
        }
        self.rbac.check(
            &change.call.user,
            &crate::auth::rbac::Attributes {
                verb: "create",
                group: &r.group,
                resource: &r.plural,
                namespace: &change.info.namespace,
                name: &change.info.name,
                ..Default::default()
            },
        )?;
        let managed = object::at(&new, &["metadata", "managedFields"]).cloned();
        fresh_metadata(&mut new, r);
        if let Some(prepare) = r.prepare {
            prepare(&mut new, None);
        }
        self.admit(change, &new, None)?;
        if let Some(m) = managed {
            object::set_meta(&mut new, "managedFields", m);
        }
        if change.dry_run {
            return change.answer(201, new).map(Some);
        }
        let key = Key::new(&r.key(), object::namespace(&new), object::name(&new));
        match self.put(r, key, Expect::Absent, new).await {
            Ok(stored) => self.stored_answer(change, 201, &stored).map(Some),
            Err(WriteError::Conflict) => Ok(None),
            Err(e) => Err(e.status()),
        }
    }
}

fn conflicts(list: &[managed::ApplyConflict]) -> Status {
    let plural = if list.len() == 1 { "conflict" } else { "conflicts" };
    let mut by_manager: Vec<(String, Vec<&str>)> = Vec::new();
    for c in list {
        match by_manager.iter_mut().find(|(m, _)| *m == c.described) {
            Some((_, paths)) => paths.push(&c.path),
            None => by_manager.push((c.described.clone(), vec![&c.path])),
        }
    }
    let told: Vec<String> = by_manager
        .iter()
        .map(|(m, paths)| {
            if paths.len() == 1 {
                format!("conflict with {m}: {}", paths[0])
            } else {
                format!("conflicts with {m}:\n- {}", paths.join("\n- "))
            }
        })
        .collect();
    let text = told.join("\n");
    let mut s = Status::new(409, "Conflict", format!("Apply failed with {} {plural}: {text}", list.len()));
    s.details = Some(Box::new(Details {
        causes: list
            .iter()
            .map(|c| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {}", c.described),
                field: c.path.clone(),
            })
            .collect(),
        ..Details::default()
    }));
    s
}
