//! What is served: one entry per kind, and the table of all of them.

use crate::names::NameRule;
use crate::schema::Schema;
use crate::status::FieldError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

/// A column of `kubectl get`.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    pub format: String,
    pub description: String,
    /// 0 is always shown, more only with `-o wide`.
    pub priority: i64,
    pub cell: Cell,
}

#[derive(Debug, Clone)]
pub enum Cell {
    /// A JSON path such as `.status.phase`.
    Path(String),
    Computed(fn(&Value) -> Value),
}

impl Column {
    pub fn path(name: &str, kind: &str, path: &str) -> Self {
        Column {
            name: name.into(),
            kind: kind.into(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            cell: Cell::Path(path.into()),
        }
    }
    pub fn computed(name: &str, kind: &str, f: fn(&Value) -> Value) -> Self {
        Column { cell: Cell::Computed(f), ..Self::path(name, kind, "") }
    }
    pub fn wide(self) -> Self {
        Column { priority: 1, ..self }
    }
    pub fn described(self, text: &str) -> Self {
        Column { description: text.into(), ..self }
    }
}

/// What the owner of a kind has to say about an object before it is stored.
#[derive(Debug, Default)]
pub struct Admitted {
    pub errors: Vec<FieldError>,
    /// Doubtful, but accepted: shown by clients as `Warning:`.
    pub warnings: Vec<String>,
}

/// Looks at a new object and the one it replaces.
pub type Admit = fn(new: &Value, old: Option<&Value>) -> Admitted;
/// Completes an object at the door: defaults that a schema cannot say.
pub type Prepare = fn(new: &mut Value, old: Option<&Value>);

#[derive(Clone)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// Has a `/status` that is written apart from the rest.
    pub status: bool,
    /// Behaves as kinds of CustomResourceDefinitions do: no strategic patches, updates name a version.
    pub custom: bool,
    /// The version that objects are stored in.
    pub storage_version: String,
    pub name_rule: NameRule,
    /// Every write that changes more than metadata raises `metadata.generation`.
    pub generations: bool,
    pub schema: Arc<Schema>,
    /// The OpenAPI schema of the kind: as published, with descriptions.
    pub openapi: Published,
    pub columns: Vec<Column>,
    /// Field selectors beyond metadata.name and metadata.namespace.
    pub fields: Vec<String>,
    /// A delete answers with the object, not with a `Status`.
    pub delete_returns_object: bool,
    pub prepare: Option<Prepare>,
    pub admit: Option<Admit>,
    /// Other subresources, for discovery: (name, kind, group, version, verbs).
    pub subresources: Vec<Subresource>,
    /// Only creatable, never stored: reviews.
    pub virtual_only: bool,
    /// Its objects are stored as another kind's.
    pub face: Option<Face>,
}

/// Where a kind's published schema is found.
#[derive(Debug, Clone)]
pub enum Published {
    /// A definition of the built-in kinds, by its name.
    Builtin(String),
    /// JSON: kept as text, because it is only read to be sent.
    Own(Arc<str>),
}

/// How a kind shows objects that are stored as another kind's.
#[derive(Debug, Clone, Copy)]
pub struct Face {
    /// Where they are stored (see `Resource::key`), and the version they are stored in.
    pub key: &'static str,
    pub api_version: &'static str,
    pub show: fn(&mut Value),
    pub store: fn(&mut Value),
}

#[derive(Debug, Clone)]
pub struct Subresource {
    pub name: String,
    pub kind: String,
    pub group: String,
    pub version: String,
    pub verbs: Vec<String>,
}

impl Resource {
    /// Where its objects are stored: `plural.group`.
    pub fn key(&self) -> String {
        self.face.map_or_else(|| crate::status::qualified(&self.group, &self.plural), |f| f.key.to_owned())
    }
    /// Whether stored objects are shown as they are.
    pub fn is_stored_form(&self) -> bool {
        self.face.is_none() && self.version == self.storage_version
    }
    /// From the stored form to this kind's.
    pub fn show(&self, o: &mut Value) {
        if let Some(face) = self.face {
            (face.show)(o);
        }
        if !self.is_stored_form() {
            o["apiVersion"] = Value::from(self.api_version());
        }
    }
    /// From this kind's form to the stored one.
    pub fn store(&self, o: &mut Value) {
        if let Some(face) = self.face {
            (face.store)(o);
            o["apiVersion"] = Value::from(face.api_version);
        } else if !self.is_stored_form() {
            let group = if self.group.is_empty() { String::new() } else { format!("{}/", self.group) };
            o["apiVersion"] = Value::from(format!("{group}{}", self.storage_version));
        }
    }
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }
    pub fn field_paths(&self) -> Vec<String> {
        let mut out = vec!["metadata.name".to_owned()];
        if self.namespaced {
            out.push("metadata.namespace".into());
        }
        out.extend(self.fields.iter().cloned());
        out
    }
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// A kind that the embedding program provides, in the few words that differ from kind to kind.
pub struct Provided {
    pub group: &'static str,
    /// The version that objects are stored in.
    pub version: &'static str,
    /// Versions of the same shape that are served too.
    pub other_versions: &'static [&'static str],
    pub kind: &'static str,
    pub plural: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    pub status: bool,
    pub columns: Vec<Column>,
    /// The OpenAPI schema and the definitions that its `$ref`s name.
    pub schema: Value,
    pub definitions: Value,
    pub admit: Option<Admit>,
}

impl Provided {
    fn into_resource(self, builtin: &BTreeSet<String>) -> Result<Resource, String> {
        let schema =
            Schema::parse(&self.schema, &self.definitions).map_err(|e| format!("schema of {}: {e}", self.kind))?;
        Ok(Resource {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase(),
            short_names: self.short_names.iter().map(ToString::to_string).collect(),
            categories: self.categories.iter().map(ToString::to_string).collect(),
            namespaced: self.namespaced,
            verbs: all_verbs(),
            status: self.status,
            custom: true,
            storage_version: self.version.into(),
            name_rule: NameRule::Subdomain,
            generations: true,
            schema: Arc::new(schema),
            openapi: Published::Own(
                crate::openapi::inline(&self.schema, &self.definitions, builtin).to_string().into(),
            ),
            columns: if self.columns.is_empty() { crate::crd::default_columns() } else { self.columns },
            fields: Vec::new(),
            delete_returns_object: false,
            prepare: None,
            admit: self.admit,
            subresources: Vec::new(),
            virtual_only: false,
            face: None,
        })
    }
}

pub fn all_verbs() -> Vec<String> {
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"].map(String::from).to_vec()
}

/// Every served kind, by group, version and plural. CustomResourceDefinitions come and go while it is in use.
pub struct Table {
    entries: RwLock<Arc<Entries>>,
}

#[derive(Default, Clone)]
pub struct Entries {
    pub resources: BTreeMap<(String, String, String), Arc<Resource>>,
    /// Kinds that no CustomResourceDefinition may replace, as `plural.group`.
    fixed: Vec<String>,
    /// Rises with every change; part of discovery's ETag.
    pub revision: u64,
}

impl Entries {
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources.values().find(|r| r.kind == kind && r.api_version() == api_version)
    }
    /// The entry that objects stored under `plural.group` belong to, in their stored version.
    pub fn by_key(&self, key: &str) -> Option<&Arc<Resource>> {
        self.resources.values().find(|r| !r.virtual_only && r.is_stored_form() && r.key() == key)
    }
    pub fn has_group_version(&self, group: &str, version: &str) -> bool {
        self.resources.keys().any(|(g, v, _)| g == group && v == version)
    }
    pub fn is_fixed(&self, key: &str) -> bool {
        self.fixed.iter().any(|f| f == key)
    }
}

impl Table {
    pub fn new(provided: Vec<Provided>) -> Result<Self, String> {
        let mut entries = Entries::default();
        let (builtin, definitions) = crate::builtin::resources()?;
        for r in builtin {
            entries.resources.insert((r.group.clone(), r.version.clone(), r.plural.clone()), Arc::new(r));
        }
        for p in provided {
            let others = p.other_versions;
            let r = p.into_resource(&definitions)?;
            for version in others {
                let r = Resource { version: (*version).into(), ..r.clone() };
                entries.resources.insert((r.group.clone(), r.version.clone(), r.plural.clone()), Arc::new(r));
            }
            entries.resources.insert((r.group.clone(), r.version.clone(), r.plural.clone()), Arc::new(r));
        }
        entries.fixed = entries.resources.values().map(|r| r.key()).collect();
        Ok(Self { entries: RwLock::new(Arc::new(entries)) })
    }

    pub fn entries(&self) -> Arc<Entries> {
        self.entries.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Replaces every version of `plural.group` by `versions` (none: it is no longer served).
    pub fn replace(&self, key: &str, versions: Vec<Resource>) {
        let mut guard = self.entries.write().unwrap_or_else(|e| e.into_inner());
        let mut entries = (**guard).clone();
        entries.resources.retain(|_, r| r.key() != key);
        for r in versions {
            entries.resources.insert((r.group.clone(), r.version.clone(), r.plural.clone()), Arc::new(r));
        }
        entries.revision += 1;
        *guard = Arc::new(entries);
    }
}
