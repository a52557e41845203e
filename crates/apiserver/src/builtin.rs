//! The kinds of Kubernetes itself that are served, one entry each.

use crate::names::NameRule;
use crate::object;
use crate::resource::{Admitted, Column, Published, Resource, Subresource, all_verbs};
use crate::schema::Schema;
use crate::status::{FieldError, FieldErrorKind};
use crate::table::age_of;
use base64::Engine;
use k8s_openapi::api::{
    authentication::v1 as authn, authorization::v1 as authz, coordination::v1 as coordination, core::v1 as core,
    rbac::v1 as rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The OpenAPI documents of the built-in kinds, by definition name.
struct Documents {
    generator: SchemaGenerator,
    wanted: Vec<(String, Resource)>,
}

/// The kinds, and the names of the definitions behind them.
pub fn resources() -> Result<(Vec<Resource>, BTreeSet<String>), String> {
    let mut d = Documents { generator: generator(), wanted: Vec::new() };
    core_kinds(&mut d);
    rbac_kinds(&mut d);
    review_kinds(&mut d);
    d.add::<coordination::Lease>("coordination.k8s.io", "Lease", "leases", |r| {
        r.columns = vec![
            name(),
            Column::path("Holder", "string", ".spec.holderIdentity").described("@spec.holderIdentity"),
            age(),
        ];
    });
    d.add::<apiextensions::CustomResourceDefinition>(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        |r| {
            r.namespaced = false;
            r.short_names = vec!["crd".into(), "crds".into()];
            r.categories = vec!["api-extensions".into()];
            r.status = true;
            r.generations = true;
            r.columns = vec![
                name(),
                Column::path("Created At", "date", ".metadata.creationTimestamp")
                    .described("@metadata.creationTimestamp"),
            ];
            r.prepare = Some(crate::crd::prepare);
            r.admit = Some(crate::crd::admit);
        },
    );
    d.finish()
}

pub fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::openapi3();
    settings.definitions_path = "/components/schemas".into();
    settings.into_generator()
}

impl Documents {
    fn add<T: JsonSchema>(&mut self, group: &str, kind: &str, plural: &str, configure: impl FnOnce(&mut Resource)) {
        self.generator.subschema_for::<T>();
        let mut r = Resource {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            verbs: all_verbs(),
            status: false,
            custom: false,
            storage_version: "v1".into(),
            name_rule: NameRule::Subdomain,
            generations: false,
            schema: Arc::new(Schema::any()),
            openapi: Published::Builtin(String::new()),
            columns: vec![name(), age()],
            fields: Vec::new(),
            delete_returns_object: false,
            prepare: None,
            admit: None,
            subresources: Vec::new(),
            virtual_only: false,
            face: None,
        };
        configure(&mut r);
        self.wanted.push((T::schema_name().into_owned(), r));
    }

    fn finish(mut self) -> Result<(Vec<Resource>, BTreeSet<String>), String> {
        let mut definitions = Value::Object(self.generator.take_definitions(true));
        for definition in definitions.as_object_mut().into_iter().flatten().map(|(_, v)| v) {
            annotate(definition);
        }
        let names = definitions.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let resources = self
            .wanted
            .into_iter()
            .map(|(definition, mut r)| {
                let schema =
                    Schema::parse(&definitions[&definition], &definitions).map_err(|e| format!("{}: {e}", r.kind))?;
                for column in &mut r.columns {
                    if let Some(path) = column.description.strip_prefix('@') {
                        column.description = description_of(&definitions, &definition, path);
                    }
                }
                r.schema = Arc::new(schema);
                r.openapi = Published::Builtin(definition);
                Ok(r)
            })
            .collect::<Result<_, String>>()?;
        Ok((resources, names))
    }
}

/// The published description of a field, by its dotted path.
fn description_of(definitions: &Value, definition: &str, path: &str) -> String {
    let mut node = &definitions[definition];
    let mut text = String::new();
    for part in path.split('.') {
        let field = &node["properties"][part];
        text = object::text(field, &["description"]).to_owned();
        let target = field
            .get("$ref")
            .or_else(|| field.pointer("/allOf/0/$ref"))
            .and_then(Value::as_str)
            .and_then(|r| r.rsplit('/').next());
        node = target.map_or(field, |t| &definitions[t]);
    }
    text
}

/// The definitions behind the built-in kinds, for the OpenAPI documents.
pub fn definitions() -> Value {
    let mut d = Documents { generator: generator(), wanted: Vec::new() };
    core_kinds(&mut d);
    rbac_kinds(&mut d);
    review_kinds(&mut d);
    d.add::<coordination::Lease>("coordination.k8s.io", "Lease", "leases", |_| {});
    d.add::<apiextensions::CustomResourceDefinition>(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        |_| {},
    );
    d.generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>();
    let mut definitions = Value::Object(d.generator.take_definitions(true));
    for definition in definitions.as_object_mut().into_iter().flatten().map(|(_, v)| v) {
        annotate(definition);
    }
    definitions
}

/// Lists that are merged by a key, by the name of the field: what the published schemas do not carry.
const MERGED: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("ports", &["containerPort", "protocol"]),
    ("hostAliases", &["ip"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("resourceClaims", &["name"]),
];

fn annotate(definition: &mut Value) {
    // Members that the source marks because its types always have them, and clients may leave out.
    let optional = |p: &Value| object::text(p, &["description"]).contains("This field is effectively required");
    let loose: Vec<String> = definition["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, p)| *k == "metadata" || optional(p))
        .map(|(k, _)| k.clone())
        .collect();
    if let Some(required) = definition.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|r| !loose.iter().any(|l| r == l));
    }
    let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let is_service_account =
        properties.contains_key("automountServiceAccountToken") && properties.contains_key("secrets");
    for (field, schema) in properties.iter_mut() {
        let of_objects = schema.get("type").and_then(Value::as_str) == Some("array")
            && schema.pointer("/items/$ref").or(schema.pointer("/items/allOf")).is_some();
        let Some(schema) = schema.as_object_mut() else { continue };
        if field == "finalizers" {
            schema.insert("x-kubernetes-list-type".into(), json!("set"));
            schema.insert("x-kubernetes-patch-merge-key".into(), json!(""));
        } else if is_service_account && field == "secrets" {
            schema.insert("x-kubernetes-list-type".into(), json!("map"));
            schema.insert("x-kubernetes-list-map-keys".into(), json!(["name"]));
            schema.insert("x-kubernetes-patch-merge-key".into(), json!("name"));
        } else if let Some((_, keys)) = MERGED.iter().find(|(n, _)| n == field)
            && of_objects
        {
            schema.insert("x-kubernetes-list-type".into(), json!("map"));
            schema.insert("x-kubernetes-list-map-keys".into(), json!(keys));
            schema.insert("x-kubernetes-patch-merge-key".into(), json!(keys[0]));
        } else if matches!(
            field.as_str(),
            "selector"
                | "nodeSelector"
                | "resourceFieldRef"
                | "secretKeyRef"
                | "configMapKeyRef"
                | "fieldRef"
                | "secretRef"
                | "roleRef"
                | "involvedObject"
                | "labelSelector"
        ) {
            schema.insert("x-kubernetes-map-type".into(), json!("atomic"));
        }
    }
}

pub fn name() -> Column {
    let mut c = Column::path("Name", "string", ".metadata.name").described("@metadata.name");
    c.format = "name".into();
    c
}

fn age() -> Column {
    Column::computed("Age", "string", age_of).described("@metadata.creationTimestamp")
}

fn count(o: &Value, field: &str) -> Value {
    json!(o.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len))
}

fn core_kinds(d: &mut Documents) {
    d.add::<core::Namespace>("", "Namespace", "namespaces", |r| {
        r.namespaced = false;
        r.short_names = vec!["ns".into()];
        r.verbs.retain(|v| v != "deletecollection");
        r.status = true;
        r.name_rule = NameRule::Label;
        r.columns = vec![
            name(),
            Column::path("Status", "string", ".status.phase").described("The status of the namespace"),
            age(),
        ];
        r.fields = vec!["status.phase".into()];
        r.delete_returns_object = true;
        r.prepare = Some(prepare_namespace);
        r.subresources = vec![sub("finalize", "Namespace", "", "v1", &["update"])];
    });
    d.add::<core::ConfigMap>("", "ConfigMap", "configmaps", |r| {
        r.short_names = vec!["cm".into()];
        r.columns = vec![
            name(),
            Column::computed("Data", "string", |o| {
                json!(count(o, "data").as_u64().unwrap_or(0) + count(o, "binaryData").as_u64().unwrap_or(0))
            })
            .described("@data"),
            age(),
        ];
        r.admit = Some(admit_config_map);
    });
    d.add::<core::Secret>("", "Secret", "secrets", |r| {
        r.columns = vec![
            name(),
            Column::path("Type", "string", ".type").described("@type"),
            Column::computed("Data", "string", |o| count(o, "data")).described("@data"),
            age(),
        ];
        r.fields = vec!["type".into()];
        r.prepare = Some(prepare_secret);
        r.admit = Some(admit_secret);
    });
    d.add::<core::ServiceAccount>("", "ServiceAccount", "serviceaccounts", |r| {
        r.short_names = vec!["sa".into()];
        r.columns = vec![
            name(),
            Column::computed("Secrets", "string", |o| {
                json!(o.get("secrets").and_then(Value::as_array).map_or(0, Vec::len))
            })
            .described("@secrets"),
            age(),
        ];
        r.delete_returns_object = true;
        r.subresources = vec![sub("token", "TokenRequest", "authentication.k8s.io", "v1", &["create"])];
    });
    d.add::<core::Event>("", "Event", "events", crate::events::core);
    d.add::<k8s_openapi::api::events::v1::Event>("events.k8s.io", "Event", "events", crate::events::newer);
    d.add::<core::Pod>("", "Pod", "pods", |r| {
        r.short_names = vec!["po".into()];
        r.categories = vec!["all".into()];
        r.status = true;
        r.generations = true;
        r.columns = crate::pod::columns();
        r.fields = [
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ]
        .map(String::from)
        .to_vec();
        r.delete_returns_object = true;
        r.prepare = Some(crate::pod::prepare);
        r.admit = Some(crate::pod::admit);
        r.subresources =
            vec![sub("eviction", "Eviction", "policy", "v1", &["create"]), sub("log", "Pod", "", "v1", &["get"])];
    });
}

fn sub(name: &str, kind: &str, group: &str, version: &str, verbs: &[&str]) -> Subresource {
    Subresource {
        name: name.into(),
        kind: kind.into(),
        group: group.into(),
        version: version.into(),
        verbs: verbs.iter().map(ToString::to_string).collect(),
    }
}

fn rbac_kinds(d: &mut Documents) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    fn created(r: &mut Resource) {
        r.name_rule = NameRule::PathSegment;
        r.columns = vec![
            name(),
            Column::path("Created At", "date", ".metadata.creationTimestamp").described("@metadata.creationTimestamp"),
        ];
    }
    fn bound(r: &mut Resource) {
        r.name_rule = NameRule::PathSegment;
        r.prepare = Some(prepare_binding);
        r.admit = Some(admit_binding);
        r.columns = vec![
            name(),
            Column::computed("Role", "string", |o| {
                json!(format!("{}/{}", object::text(o, &["roleRef", "kind"]), object::text(o, &["roleRef", "name"])))
            })
            .described("@roleRef"),
            age(),
            Column::computed("Users", "string", |o| json!(subjects(o, "User")))
                .wide()
                .described("Users in the roleBinding"),
            Column::computed("Groups", "string", |o| json!(subjects(o, "Group")))
                .wide()
                .described("Groups in the roleBinding"),
            Column::computed("ServiceAccounts", "string", |o| json!(subjects(o, "ServiceAccount")))
                .wide()
                .described("ServiceAccounts in the roleBinding"),
        ];
    }
    d.add::<rbac::Role>(GROUP, "Role", "roles", |r| {
        created(r);
        r.prepare = Some(prepare_role);
        r.admit = Some(admit_role);
    });
    d.add::<rbac::RoleBinding>(GROUP, "RoleBinding", "rolebindings", bound);
    d.add::<rbac::ClusterRole>(GROUP, "ClusterRole", "clusterroles", |r| {
        created(r);
        r.namespaced = false;
        r.prepare = Some(prepare_role);
        r.admit = Some(admit_role);
    });
    d.add::<rbac::ClusterRoleBinding>(GROUP, "ClusterRoleBinding", "clusterrolebindings", |r| {
        bound(r);
        r.namespaced = false;
    });
}

fn subjects(o: &Value, kind: &str) -> String {
    let list = o
        .get("subjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|s| object::text(s, &["kind"]) == kind);
    let names: Vec<String> = list
        .map(|s| {
            if kind == "ServiceAccount" {
                format!("{}/{}", object::text(s, &["namespace"]), object::text(s, &["name"]))
            } else {
                object::text(s, &["name"]).to_owned()
            }
        })
        .collect();
    names.join(", ")
}

fn review_kinds(d: &mut Documents) {
    fn review(namespaced: bool) -> impl FnOnce(&mut Resource) {
        move |r| {
            r.namespaced = namespaced;
            r.virtual_only = true;
            r.verbs = vec!["create".into()];
        }
    }
    d.add::<authz::SubjectAccessReview>(
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
        review(false),
    );
    d.add::<authz::SelfSubjectAccessReview>(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        review(false),
    );
    d.add::<authz::SelfSubjectRulesReview>(
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        review(false),
    );
    d.add::<authz::LocalSubjectAccessReview>(
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        review(true),
    );
    d.add::<authn::TokenReview>("authentication.k8s.io", "TokenReview", "tokenreviews", review(false));
    d.add::<authn::SelfSubjectReview>(
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        review(false),
    );
}

fn prepare_namespace(o: &mut Value, old: Option<&Value>) {
    let name = object::name(o).to_owned();
    if let Some(labels) = object::meta(o).entry("labels").or_insert_with(|| json!({})).as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".into(), json!(name));
    }
    if old.is_none() {
        o["spec"] = json!({"finalizers": ["kubernetes"]});
        o["status"] = json!({"phase": "Active"});
    }
}

fn prepare_secret(o: &mut Value, old: Option<&Value>) {
    if let Some(plain) = object::map(o).remove("stringData")
        && let Value::Object(plain) = plain
    {
        let data = object::map(o).entry("data").or_insert_with(|| json!({}));
        for (k, v) in plain {
            let bytes = v.as_str().unwrap_or_default();
            object::map(data).insert(k, json!(base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
    }
    if object::text(o, &["type"]).is_empty() {
        let kept = old.map(|x| object::text(x, &["type"])).filter(|t| !t.is_empty()).unwrap_or("Opaque");
        o["type"] = json!(kept);
    }
}

fn prepare_role(o: &mut Value, _old: Option<&Value>) {
    if o.get("rules").is_none_or(|r| r.as_array().is_some_and(Vec::is_empty)) {
        o["rules"] = Value::Null;
    }
}

fn prepare_binding(o: &mut Value, _old: Option<&Value>) {
    if let Some(role) = object::map(o).entry("roleRef").or_insert_with(|| json!({})).as_object_mut() {
        let group = role.entry("apiGroup").or_insert_with(|| json!(""));
        if group == "" {
            *group = json!("rbac.authorization.k8s.io");
        }
    }
    for s in o.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        let kind = object::text(s, &["kind"]).to_owned();
        if matches!(kind.as_str(), "User" | "Group") && object::text(s, &["apiGroup"]).is_empty() {
            s["apiGroup"] = json!("rbac.authorization.k8s.io");
        }
    }
}

fn admit_config_map(new: &Value, old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (k, v) in new.get(field).and_then(Value::as_object).into_iter().flatten() {
            size += v.as_str().map_or(0, str::len);
            if let Some(why) = data_key_problem(k) {
                errors.push(FieldError::invalid(format!("{field}[{k}]"), k.as_str(), why));
            }
        }
    }
    if size > DATA_LIMIT {
        errors.push(FieldError {
            path: String::new(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {DATA_LIMIT} bytes"),
        });
    }
    if let Some(old) = old.filter(|o| o.get("immutable") == Some(&json!(true))) {
        if new.get("immutable") != Some(&json!(true)) {
            errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for field in ["data", "binaryData"] {
            if new.get(field) != old.get(field) {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    Admitted { errors, warnings: Vec::new() }
}

/// What a ConfigMap or Secret may hold, in bytes.
const DATA_LIMIT: usize = 1024 * 1024;

fn data_key_problem(k: &str) -> Option<String> {
    let ok = !k.is_empty() && k.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    if !ok {
        return Some("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".into());
    }
    (k.len() > 253).then(|| "must be no more than 253 characters".to_owned())
}

fn admit_secret(new: &Value, old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    let kind = object::text(new, &["type"]);
    let size: usize = new
        .get("data")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(_, v)| v.as_str().map_or(0, str::len) * 3 / 4)
        .sum();
    if size > DATA_LIMIT {
        errors.push(FieldError {
            path: "data".into(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {DATA_LIMIT} bytes"),
        });
    }
    for k in new.get("data").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k) {
        if let Some(why) = data_key_problem(k) {
            errors.push(FieldError::invalid(format!("data[{k}]"), k.as_str(), why));
        }
    }
    if let Some(old) = old {
        if object::text(old, &["type"]) != kind {
            errors.push(FieldError::invalid("type", kind, "field is immutable"));
        }
        if old.get("immutable") == Some(&json!(true))
            && (new.get("immutable") != Some(&json!(true)) || new.get("data") != old.get("data"))
        {
            errors.push(FieldError::forbidden("data", "field is immutable when `immutable` is set"));
        }
    }
    let required: &[&str] = match kind {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in required {
        if new.get("data").and_then(|d| d.get(*key)).is_none() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    }
    if kind == "kubernetes.io/service-account-token"
        && object::text(new, &["metadata", "annotations", "kubernetes.io/service-account.name"]).is_empty()
    {
        errors.push(FieldError::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
    }
    Admitted { errors, warnings: Vec::new() }
}

fn admit_role(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    for (i, rule) in new.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let has = |k: &str| rule.get(k).and_then(Value::as_array).is_some_and(|l| !l.is_empty());
        if !has("verbs") {
            errors.push(FieldError::required(format!("rules[{i}].verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            if has("resources") || has("apiGroups") || has("resourceNames") {
                errors.push(FieldError::invalid(
                    format!("rules[{i}].nonResourceURLs"),
                    rule["nonResourceURLs"].clone(),
                    "rules cannot apply to both regular resources and non-resource URLs",
                ));
            }
            continue;
        }
        if !has("apiGroups") {
            errors.push(FieldError::required(
                format!("rules[{i}].apiGroups"),
                "resource rules must supply at least one api group",
            ));
        }
        if !has("resources") {
            errors.push(FieldError::required(
                format!("rules[{i}].resources"),
                "resource rules must supply at least one resource",
            ));
        }
    }
    Admitted { errors, warnings: Vec::new() }
}

fn admit_binding(new: &Value, old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    let role = new.get("roleRef").cloned().unwrap_or_default();
    if let Some(old) = old
        && old.get("roleRef") != Some(&role)
    {
        errors.push(FieldError::invalid("roleRef", role.clone(), "cannot change roleRef"));
    }
    let group = object::text(&role, &["apiGroup"]);
    if group != crate::auth::rbac::GROUP {
        let kind = FieldErrorKind::NotSupported(json!(group), vec![crate::auth::rbac::GROUP.into()]);
        errors.push(FieldError { path: "roleRef.apiGroup".into(), kind, detail: String::new() });
    }
    let kind = object::text(&role, &["kind"]);
    let allowed: &[&str] = if object::namespace(new).is_empty() { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    if !allowed.contains(&kind) {
        let kind = FieldErrorKind::NotSupported(json!(kind), allowed.iter().map(ToString::to_string).collect());
        errors.push(FieldError { path: "roleRef.kind".into(), kind, detail: String::new() });
    }
    if object::text(&role, &["name"]).is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    for (i, s) in new.get("subjects").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if object::text(s, &["name"]).is_empty() {
            errors.push(FieldError::required(format!("subjects[{i}].name"), ""));
        }
        match object::text(s, &["kind"]) {
            "ServiceAccount" | "User" | "Group" => {}
            other => {
                let kind = FieldErrorKind::NotSupported(
                    json!(other),
                    ["ServiceAccount", "User", "Group"].map(String::from).to_vec(),
                );
                errors.push(FieldError { path: format!("subjects[{i}].kind"), kind, detail: String::new() });
            }
        }
    }
    Admitted { errors, warnings: Vec::new() }
}
