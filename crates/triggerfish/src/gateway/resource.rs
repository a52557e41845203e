//! Objects of the Kubernetes API: an event for each one that is added, modified or deleted.

use super::outlet::{Emission, Outlet, pump};
use super::{Failure, Kind, Source, settings};
use crate::follow::{self, Change, Target};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub const KIND: Kind = Kind {
    name: "resource",
    read,
    example: "namespace: argo-events\ngroup: argoproj.io\nversion: v1alpha1\nkind: Workflow\nfilter:\n  prefix: scripts-bash\n",
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    /// Empty: every namespace.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
    #[serde(default)]
    filter: Filter,
    /// Changes that are meant; none stands for all.
    #[serde(default, rename = "type", alias = "eventTypes")]
    types: Types,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Filter {
    prefix: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Objects that were created later are left out; RFC 3339.
    created_by: Option<Timestamp>,
}

/// One or several.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Types {
    #[default]
    All,
    One(String),
    Several(Vec<String>),
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Added,
    Modified,
    Deleted,
}

impl What {
    fn named(name: &str) -> Result<Self, String> {
        match name.to_ascii_uppercase().as_str() {
            "ADDED" | "ADD" => Ok(What::Added),
            "MODIFIED" | "UPDATE" => Ok(What::Modified),
            "DELETED" | "DELETE" => Ok(What::Deleted),
            _ => Err(format!("type: {name:?} is none of ADDED, MODIFIED, DELETED")),
        }
    }
    fn name(self) -> &'static str {
        match self {
            What::Added => "ADDED",
            What::Modified => "MODIFIED",
            What::Deleted => "DELETED",
        }
    }
}

struct Resource {
    settings: Settings,
    types: Vec<What>,
}

fn read(v: &Value) -> Result<Arc<dyn Source>, String> {
    let s: Settings = settings(v)?;
    let names = match &s.types {
        Types::All => &[][..],
        Types::One(t) => std::slice::from_ref(t),
        Types::Several(l) => l,
    };
    let types = names.iter().map(|n| What::named(n)).collect::<Result<Vec<_>, _>>()?;
    if s.version.is_empty() || s.kind.is_empty() {
        return Err("version and kind must not be empty".into());
    }
    Ok(Arc::new(Resource { settings: s, types }))
}

impl Source for Resource {
    fn run<'a>(&'a self, out: &'a Outlet) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let target = self.target(out).await?;
            let mut seen = Seen::from(out.position()?);
            let changes = follow::changes(&out.api, &target).filter_map(move |c| {
                let told = match c {
                    Ok(Change::Restart) => {
                        seen.listing = Some(Listing::default());
                        None
                    }
                    Ok(Change::Complete) => {
                        out.running();
                        seen.listed().map(Ok)
                    }
                    Ok(Change::Applied(o)) => seen.look(o, false, |what, o| self.fits(what, o)).map(Ok),
                    Ok(Change::Deleted(o)) => seen.look(o, true, |what, o| self.fits(what, o)).map(Ok),
                    Err(e) => Some(Err(Failure::lost("cannot watch", e))),
                };
                std::future::ready(told)
            });
            pump(out, Box::pin(changes), emission, |_| async { Ok(()) }).await
        })
    }
}

impl Resource {
    /// What is served under the group, version and kind.
    async fn target(&self, out: &Outlet) -> Result<Target, Failure> {
        let s = &self.settings;
        let groups = if !s.group.is_empty() || s.version == "v1" {
            vec![s.group.clone()]
        } else {
            // Only the core group has no name, and it has only v1: any group with this version and kind is meant.
            let all = out.api.get("/apis").await.map_err(|e| Failure::lost("cannot ask what is served", e))?;
            let groups = all["groups"].as_array().cloned().unwrap_or_default();
            groups.iter().filter_map(|g| g["name"].as_str().map(str::to_owned)).collect()
        };
        for group in groups {
            let version = if group.is_empty() { s.version.clone() } else { format!("{group}/{}", s.version) };
            let found = out.api.served(&version, &s.kind).await;
            let found = found.map_err(|e| Failure::lost("cannot ask what is served", e))?;
            if let Some((plural, _)) = found {
                let labels: Vec<String> = s.filter.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let target = Target::of(&group, &s.version, &plural, &s.kind).labelled(&labels.join(","));
                return Ok(Target { namespace: s.namespace.clone(), ..target });
            }
        }
        Err(Failure::Lost(format!(
            "nothing that can be watched is served as {}/{} {}: apply its CustomResourceDefinition, or correct group, version and kind",
            s.group, s.version, s.kind
        )))
    }

    fn fits(&self, what: What, o: &Value) -> bool {
        let f = &self.settings.filter;
        let meta = &o["metadata"];
        let has = |part: &str, wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(k, v)| meta[part].get(k).and_then(Value::as_str) == Some(v))
        };
        let created: Option<Timestamp> = meta["creationTimestamp"].as_str().and_then(|t| t.parse().ok());
        (self.types.is_empty() || self.types.contains(&what))
            && meta["name"].as_str().is_some_and(|n| n.starts_with(&f.prefix))
            && has("labels", &f.labels)
            && has("annotations", &f.annotations)
            && f.created_by.is_none_or(|limit| created.is_none_or(|c| c <= limit))
    }
}

/// A change that is told.
struct Told {
    what: What,
    object: Value,
    /// Whether every change up to its version is told with it.
    whole: bool,
}

/// What was told already, so that a watch that starts again tells nothing twice.
struct Seen {
    /// Versions up to this one were told; by an earlier life, the last of them at this time.
    version: u64,
    until: Option<Timestamp>,
    known: HashSet<String>,
    /// While the objects that there are come.
    listing: Option<Listing>,
}

/// Objects that there are come in no order.
#[derive(Default)]
struct Listing {
    highest: u64,
    /// The newest of those that are told; it waits for the others.
    newest: Option<Told>,
}

impl Seen {
    /// From a position: `VERSION TIME`.
    fn from(position: Option<String>) -> Self {
        let (version, until) = position.as_deref().and_then(|p| p.split_once(' ')).unwrap_or(("0", ""));
        let (version, until) = (version.parse().unwrap_or(0), until.parse().ok());
        Self { version, until, known: HashSet::new(), listing: None }
    }

    /// All that there is was named.
    fn listed(&mut self) -> Option<Told> {
        let Listing { highest, newest } = self.listing.take()?;
        self.version = self.version.max(highest);
        newest.map(|t| Told { whole: true, ..t })
    }

    /// What is to be told now that an object changed.
    fn look(&mut self, object: Value, deleted: bool, fits: impl Fn(What, &Value) -> bool) -> Option<Told> {
        let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_owned();
        let was_known = if deleted { self.known.remove(&uid) } else { !self.known.insert(uid) };
        let version = version(&object);
        if version <= self.version {
            return None;
        }
        let created: Option<Timestamp> = object["metadata"]["creationTimestamp"].as_str().and_then(|t| t.parse().ok());
        // One that this life sees first may be older than what the last one told.
        let older = created.zip(self.until).is_some_and(|(c, u)| c < u);
        let what = match (deleted, was_known || older) {
            (true, _) => What::Deleted,
            (false, true) => What::Modified,
            (false, false) => What::Added,
        };
        let told = fits(what, &object).then_some(Told { what, object, whole: self.listing.is_none() });
        let Some(listing) = &mut self.listing else {
            self.version = version;
            return told;
        };
        listing.highest = listing.highest.max(version);
        let told = told?;
        match &listing.newest {
            Some(n) if self::version(&n.object) > version => Some(told),
            _ => listing.newest.replace(told),
        }
    }
}

fn version(o: &Value) -> u64 {
    o["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn emission(t: &Told) -> Emission {
    let text = |k: &str| t.object["metadata"][k].as_str().unwrap_or("").to_owned();
    Emission {
        data: t.object.to_string().into_bytes(),
        content_type: "application/json".into(),
        identity: Some(format!("{} {}", text("uid"), text("resourceVersion"))),
        position: t.whole.then(|| format!("{} {}", version(&t.object), Timestamp::now())),
        metadata: BTreeMap::from([("type".to_owned(), vec![t.what.name().to_owned()])]),
        ..Emission::default()
    }
}
