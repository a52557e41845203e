//! CustomResourceDefinitions: checked, and turned into served kinds while the server runs.

use crate::names::{NameRule, dns_label_problem};
use crate::object::{self, text};
use crate::resource::{Admitted, Cell, Column, Published, Resource, all_verbs};
use crate::schema::Schema;
use crate::status::FieldError;
use crate::table::age_of;
use serde_json::{Value, json};
use std::sync::Arc;

pub const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Defaults of a definition, and the conditions that say it is served.
pub fn prepare(o: &mut Value, _old: Option<&Value>) {
    let names = o.pointer("/spec/names").cloned().unwrap_or_default();
    let kind = text(&names, &["kind"]).to_owned();
    if let Some(target) = o.pointer_mut("/spec/names").and_then(Value::as_object_mut) {
        target.entry("singular").or_insert_with(|| json!(kind.to_lowercase()));
        target.entry("listKind").or_insert_with(|| json!(format!("{kind}List")));
    }
    if let Some(spec) = o.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
    let stored: Vec<Value> =
        versions(o).filter(|v| v.get("storage") == Some(&json!(true))).map(|v| v["name"].clone()).collect();
    let accepted = o.pointer("/spec/names").cloned().unwrap_or_default();
    let known = o.pointer("/status/conditions").filter(|c| c.as_array().is_some_and(|l| l.len() == 2)).cloned();
    let now = object::timestamp(jiff::Timestamp::now());
    let conditions = known.unwrap_or_else(|| {
        json!([
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found", "lastTransitionTime": now},
            {"type": "Established", "status": "True", "reason": "InitialNamesAccepted", "message": "the initial names have been accepted", "lastTransitionTime": now},
        ])
    });
    o["status"] = json!({"acceptedNames": accepted, "conditions": conditions, "storedVersions": stored});
}

fn versions(o: &Value) -> impl Iterator<Item = &Value> {
    o.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten()
}

pub fn admit(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    let (group, plural) = (text(new, &["spec", "group"]), text(new, &["spec", "names", "plural"]));
    let wanted = format!("{plural}.{group}");
    if object::name(new) != wanted {
        errors.push(FieldError::invalid(
            "metadata.name",
            object::name(new),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for (field, value) in [("plural", plural), ("singular", text(new, &["spec", "names", "singular"]))] {
        if let Some(why) = dns_label_problem(value) {
            errors.push(FieldError::invalid(format!("spec.names.{field}"), value, why));
        }
    }
    if !matches!(text(new, &["spec", "scope"]), "Namespaced" | "Cluster") {
        errors.push(FieldError::invalid("spec.scope", text(new, &["spec", "scope"]), "must be Namespaced or Cluster"));
    }
    if text(new, &["spec", "conversion", "strategy"]) == "Webhook" {
        errors.push(FieldError::forbidden(
            "spec.conversion.strategy",
            "conversion webhooks are not supported by this server; use None",
        ));
    }
    let stored = versions(new).filter(|v| v.get("storage") == Some(&json!(true))).count();
    if stored != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            json!(stored),
            "must have exactly one version marked as storage version",
        ));
    }
    let mut warnings = Vec::new();
    for (i, v) in versions(new).enumerate() {
        let path = format!("spec.versions[{i}].schema.openAPIV3Schema");
        match Schema::parse(v.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null), &Value::Null) {
            Err(why) => errors.push(FieldError::invalid(path, "", why)),
            Ok(schema) => warnings.extend(
                schema
                    .unasked_rules()
                    .into_iter()
                    .map(|why| format!("{path}: a validation rule is not checked: {why}")),
            ),
        }
    }
    Admitted { errors, warnings }
}

/// The kinds that a definition serves, one for each served version.
pub fn resources(definition: &Value) -> Vec<Resource> {
    let spec = definition.get("spec").cloned().unwrap_or_default();
    let names = spec.get("names").cloned().unwrap_or_default();
    let list = |key: &str| object::strings(names.get(key)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let storage =
        versions(definition).find(|v| v.get("storage") == Some(&json!(true))).map_or("", |v| text(v, &["name"]));
    versions(definition)
        .filter(|v| v.get("served") == Some(&json!(true)))
        .map(|v| {
            let openapi = v.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
            let schema = Schema::parse(&openapi, &Value::Null).unwrap_or_else(|_| Schema::any());
            Resource {
                group: text(&spec, &["group"]).into(),
                version: text(v, &["name"]).into(),
                kind: text(&names, &["kind"]).into(),
                plural: text(&names, &["plural"]).into(),
                singular: text(&names, &["singular"]).into(),
                short_names: list("shortNames"),
                categories: list("categories"),
                namespaced: text(&spec, &["scope"]) == "Namespaced",
                verbs: all_verbs(),
                status: v.pointer("/subresources/status").is_some(),
                custom: true,
                storage_version: storage.into(),
                name_rule: NameRule::Subdomain,
                generations: true,
                schema: Arc::new(schema),
                openapi: Published::Own(openapi.to_string().into()),
                columns: columns(v),
                fields: v
                    .get("selectableFields")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(|f| text(f, &["jsonPath"]).trim_start_matches('.').to_owned())
                    .collect(),
                delete_returns_object: false,
                prepare: None,
                admit: None,
                subresources: Vec::new(),
                virtual_only: false,
                face: None,
            }
        })
        .collect()
}

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The first column of every custom kind.
pub fn name_column() -> Column {
    let mut name = Column::path("Name", "string", ".metadata.name").described(NAME);
    name.format = "name".into();
    name
}

const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The columns of a kind that names none.
pub fn default_columns() -> Vec<Column> {
    vec![name_column(), Column::computed("Age", "date", age_of).described(CREATED)]
}

fn columns(version: &Value) -> Vec<Column> {
    let own = version.get("additionalPrinterColumns").and_then(Value::as_array).cloned().unwrap_or_default();
    if own.is_empty() {
        return default_columns();
    }
    let mut out = vec![name_column()];
    for c in &own {
        let path = text(c, &["jsonPath"]);
        out.push(Column {
            name: text(c, &["name"]).into(),
            kind: text(c, &["type"]).into(),
            format: text(c, &["format"]).into(),
            description: match text(c, &["description"]) {
                "" => format!("Custom resource definition column (in JSONPath format): {path}"),
                given => given.to_owned(),
            },
            priority: c.get("priority").and_then(Value::as_i64).unwrap_or(0),
            cell: Cell::Path(path.into()),
        });
    }
    out
}
