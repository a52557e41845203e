//! Role-based access control over the stored roles and bindings, kept in memory and renewed when they change.

use super::{MASTERS, User};
use crate::object;
use crate::selector;
use crate::status::Status;
use crate::store::{Range, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

pub const GROUP: &str = "rbac.authorization.k8s.io";
const RESOURCES: [&str; 4] = [
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
];

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    /// A path that is no resource, such as `/metrics`.
    pub path: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub paths: Vec<String>,
}

impl Rule {
    pub fn read(v: &Value) -> Self {
        let list = |key: &str| object::strings(v.get(key)).into_iter().map(str::to_owned).collect();
        Rule {
            verbs: list("verbs"),
            groups: list("apiGroups"),
            resources: list("resources"),
            names: list("resourceNames"),
            paths: list("nonResourceURLs"),
        }
    }

    fn allows(&self, a: &Attributes) -> bool {
        if !any(&self.verbs, a.verb) {
            return false;
        }
        if let Some(path) = a.path {
            return self
                .paths
                .iter()
                .any(|p| p == "*" || p == path || p.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix)));
        }
        let combined;
        let resource = if a.subresource.is_empty() {
            a.resource
        } else {
            combined = format!("{}/{}", a.resource, a.subresource);
            &combined
        };
        let resource_fits = self.resources.iter().any(|r| {
            r == "*" || r == resource || (!a.subresource.is_empty() && r.strip_prefix("*/") == Some(a.subresource))
        });
        resource_fits && any(&self.groups, a.group) && (self.names.is_empty() || self.names.iter().any(|n| n == a.name))
    }

    /// Whether holding this rule alone implies everything that `other` grants.
    fn covers(&self, other: &Rule) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|t| any(mine, t));
        if !other.paths.is_empty() {
            let covered = |t: &String| {
                self.paths.iter().any(|m| m == "*" || m == t || m.strip_suffix('*').is_some_and(|p| t.starts_with(p)))
            };
            return all(&self.verbs, &other.verbs) && other.paths.iter().all(covered);
        }
        let names =
            self.names.is_empty() || (!other.names.is_empty() && other.names.iter().all(|n| self.names.contains(n)));
        let resources = other.resources.iter().all(|t| {
            any(&self.resources, t)
                || t.split_once('/')
                    .is_some_and(|(_, sub)| self.resources.iter().any(|m| m.strip_prefix("*/") == Some(sub)))
        });
        all(&self.verbs, &other.verbs) && all(&self.groups, &other.groups) && resources && names
    }

    /// The smallest parts of a rule: one verb, group, resource and name each.
    fn parts(&self) -> Vec<Rule> {
        let mut out = Vec::new();
        for verb in &self.verbs {
            for path in &self.paths {
                out.push(Rule { verbs: vec![verb.clone()], paths: vec![path.clone()], ..Rule::default() });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let one = Rule {
                        verbs: vec![verb.clone()],
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Rule::default()
                    };
                    if self.names.is_empty() {
                        out.push(one);
                    } else {
                        out.extend(self.names.iter().map(|n| Rule { names: vec![n.clone()], ..one.clone() }));
                    }
                }
            }
        }
        out
    }

    /// The way refusals write a rule.
    fn compact(&self) -> String {
        let list = |l: &[String]| l.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" ");
        let mut parts = Vec::new();
        for (name, values) in [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.names),
            ("NonResourceURLs", &self.paths),
            ("Verbs", &self.verbs),
        ] {
            if !values.is_empty() {
                parts.push(format!("{name}:[{}]", list(values)));
            }
        }
        format!("{{{}}}", parts.join(", "))
    }

    pub fn to_json(&self) -> Value {
        let mut o = json!({"verbs": self.verbs});
        for (name, values) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ] {
            if !values.is_empty() {
                o[name] = json!(values);
            }
        }
        o
    }
}

fn any(list: &[String], want: &str) -> bool {
    list.iter().any(|x| x == "*" || x == want)
}

/// A binding as seen from one of its subjects.
#[derive(Debug, Clone)]
struct Grant {
    /// Where it holds; empty is everywhere.
    namespace: String,
    rules: Arc<Vec<Rule>>,
    /// `RoleBinding "b/ns" of Role "r" to ServiceAccount "s/ns"`.
    source: String,
}

#[derive(Debug, Default)]
struct Index {
    /// By `u:NAME` and `g:NAME`.
    grants: HashMap<String, Vec<Grant>>,
    /// Rules by `namespace/name`; cluster roles have an empty namespace.
    roles: HashMap<(String, String), Arc<Vec<Rule>>>,
    /// Versions of the four resources that this was made from.
    made_from: [u64; 4],
}

pub struct Rbac {
    store: Arc<Store>,
    index: RwLock<Arc<Index>>,
}

impl Rbac {
    pub fn new(store: Arc<Store>) -> Self {
        // No version is ever u64::MAX, so the first question reads everything.
        let index = Index { made_from: [u64::MAX; 4], ..Index::default() };
        Self { store, index: RwLock::new(Arc::new(index)) }
    }

    fn index(&self) -> Arc<Index> {
        let now = RESOURCES.map(|r| self.store.hub.last_change(r));
        let current = self.index.read().unwrap_or_else(|e| e.into_inner()).clone();
        if current.made_from == now {
            return current;
        }
        match build(&self.store, now) {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                *self.index.write().unwrap_or_else(|e| e.into_inner()) = fresh.clone();
                fresh
            }
            Err(e) => {
                // Nobody gains rights by a broken disk: without roles nothing but system:masters is allowed.
                tracing::error!(error = %e, "cannot read roles; refusing everything until they can be read");
                Arc::new(Index { made_from: [u64::MAX; 4], ..Index::default() })
            }
        }
    }

    /// The binding that allows it, in words; none if nothing does.
    pub fn reason(&self, user: &User, a: &Attributes) -> Option<String> {
        if user.groups.iter().any(|g| g == MASTERS) {
            return Some(String::new());
        }
        let index = self.index();
        let found = grants(&index, user)
            .find(|g| (g.namespace.is_empty() || g.namespace == a.namespace) && g.rules.iter().any(|r| r.allows(a)))?;
        Some(format!("RBAC: allowed by {}", found.source))
    }

    pub fn allowed(&self, user: &User, a: &Attributes) -> bool {
        self.reason(user, a).is_some()
    }

    /// Refuses unless allowed.
    pub fn check(&self, user: &User, a: &Attributes) -> Result<(), Status> {
        if self.allowed(user, a) { Ok(()) } else { Err(self.refusal(user, a)) }
    }

    pub fn refusal(&self, user: &User, a: &Attributes) -> Status {
        if let Some(path) = a.path {
            let mut s = Status::new(
                403,
                "Forbidden",
                format!("forbidden: User {:?} cannot {} path {path:?}", user.name, a.verb),
            );
            s.details = Some(Box::default());
            return s;
        }
        let resource =
            if a.subresource.is_empty() { a.resource.to_owned() } else { format!("{}/{}", a.resource, a.subresource) };
        let scope = if a.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", a.namespace)
        };
        let why =
            format!("User {:?} cannot {} resource {resource:?} in API group {:?} {scope}", user.name, a.verb, a.group);
        Status::forbidden(a.group, a.resource, a.name, &why)
    }

    /// Every rule that holds for a user in a namespace.
    pub fn rules(&self, user: &User, namespace: &str) -> Vec<Rule> {
        if user.groups.iter().any(|g| g == MASTERS) {
            let star = || vec!["*".to_owned()];
            let mut all = vec![
                Rule { verbs: star(), groups: star(), resources: star(), ..Rule::default() },
                Rule { verbs: star(), paths: star(), ..Rule::default() },
            ];
            all.extend(self.granted(user, namespace));
            return all;
        }
        self.granted(user, namespace)
    }

    fn granted(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let index = self.index();
        let held = grants(&index, user).filter(|g| g.namespace.is_empty() || g.namespace == namespace);
        held.flat_map(|g| g.rules.iter().cloned()).collect()
    }

    /// Nobody hands out rights that they do not hold, unless they may `escalate` or `bind`.
    pub fn check_escalation(&self, user: &User, plural: &str, new: &Value) -> Result<(), Status> {
        let (namespace, name) = (object::namespace(new), object::name(new));
        let binding = plural.ends_with("bindings");
        let verb = if binding { "bind" } else { "escalate" };
        let (wanted, resource, target) = if binding {
            let kind = object::text(new, &["roleRef", "kind"]);
            let target = object::text(new, &["roleRef", "name"]);
            let resource = if kind == "Role" { "roles" } else { "clusterroles" };
            let home = if kind == "Role" { namespace } else { "" };
            let rules = self.index().roles.get(&(home.to_owned(), target.to_owned())).cloned();
            match rules {
                Some(r) => (r, resource, target),
                None if user.groups.iter().any(|g| g == MASTERS) => return Ok(()),
                None => {
                    let a =
                        Attributes { verb, group: GROUP, resource, namespace, name: target, ..Attributes::default() };
                    return if self.allowed(user, &a) {
                        Ok(())
                    } else {
                        Err(Status::not_found(GROUP, resource, target))
                    };
                }
            }
        } else {
            let rules = new.get("rules").and_then(Value::as_array).into_iter().flatten().map(Rule::read).collect();
            (Arc::new(rules), plural, name)
        };
        let a = Attributes { verb, group: GROUP, resource, namespace, name: target, ..Attributes::default() };
        if self.allowed(user, &a) {
            return Ok(());
        }
        let held = self.rules(user, namespace);
        let missing: Vec<Rule> =
            wanted.iter().flat_map(Rule::parts).filter(|part| !held.iter().any(|h| h.covers(part))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<String> = gather(missing).iter().map(Rule::compact).collect();
        lines.sort();
        let why = format!(
            "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            user.groups,
            lines.join("\n")
        )
        .replace("\", \"", "\" \"");
        Err(Status::forbidden(GROUP, plural, name, &why))
    }
}

/// Puts the verbs of equal parts together again.
fn gather(parts: Vec<Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for part in parts {
        match out.iter_mut().find(|r| {
            r.groups == part.groups && r.resources == part.resources && r.names == part.names && r.paths == part.paths
        }) {
            Some(r) => r.verbs.extend(part.verbs),
            None => out.push(part),
        }
    }
    out
}

fn grants<'a>(index: &'a Index, user: &User) -> impl Iterator<Item = &'a Grant> {
    let mut keys = vec![format!("u:{}", user.name)];
    keys.extend(user.groups.iter().map(|g| format!("g:{g}")));
    keys.into_iter().flat_map(|k| index.grants.get(&k).map(Vec::as_slice).unwrap_or_default())
}

fn build(store: &Store, made_from: [u64; 4]) -> Result<Index, Status> {
    let all = |resource: &str| -> Result<Vec<Value>, Status> {
        Ok(store.list(&Range { resource, ..Range::default() })?.items.iter().map(|s| s.value()).collect())
    };
    let mut index = Index { made_from, ..Index::default() };
    let read_rules = |role: &Value| {
        role.get("rules").and_then(Value::as_array).into_iter().flatten().map(Rule::read).collect::<Vec<_>>()
    };
    for role in all(RESOURCES[0])? {
        index.roles.insert((object::namespace(&role).into(), object::name(&role).into()), Arc::new(read_rules(&role)));
    }
    let cluster = all(RESOURCES[2])?;
    for role in &cluster {
        let mut rules = read_rules(role);
        for s in object::at(role, &["aggregationRule", "clusterRoleSelectors"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let wanted = selector::from_object(s);
            rules.extend(
                cluster
                    .iter()
                    .filter(|c| wanted.matches(c) && object::name(c) != object::name(role))
                    .flat_map(read_rules),
            );
        }
        index.roles.insert((String::new(), object::name(role).into()), Arc::new(rules));
    }
    for resource in [RESOURCES[3], RESOURCES[1]] {
        for binding in all(resource)? {
            add_binding(&mut index, &binding);
        }
    }
    Ok(index)
}

fn add_binding(index: &mut Index, binding: &Value) {
    let namespace = object::namespace(binding);
    let (kind, role) = (object::text(binding, &["roleRef", "kind"]), object::text(binding, &["roleRef", "name"]));
    let home = if kind == "Role" { namespace } else { "" };
    let Some(rules) = index.roles.get(&(home.to_owned(), role.to_owned())).cloned() else { return };
    let own = if namespace.is_empty() {
        format!("ClusterRoleBinding {:?}", object::name(binding))
    } else {
        format!("RoleBinding \"{}/{namespace}\"", object::name(binding))
    };
    for s in binding.get("subjects").and_then(Value::as_array).into_iter().flatten() {
        let name = object::text(s, &["name"]);
        let (key, shown) = match object::text(s, &["kind"]) {
            "ServiceAccount" => {
                let ns = object::text(s, &["namespace"]);
                (format!("u:system:serviceaccount:{ns}:{name}"), format!("ServiceAccount \"{name}/{ns}\""))
            }
            "Group" => (format!("g:{name}"), format!("Group {name:?}")),
            _ => (format!("u:{name}"), format!("User {name:?}")),
        };
        let source = format!("{own} of {kind} {role:?} to {shown}");
        index.grants.entry(key).or_default().push(Grant { namespace: namespace.into(), rules: rules.clone(), source });
    }
}
