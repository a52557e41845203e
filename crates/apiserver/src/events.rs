//! Events: what happened to an object. One store, two kinds: `v1` and the newer `events.k8s.io/v1`, whose members have other names.

use crate::builtin::name;
use crate::object::{self, text};
use crate::resource::{Admitted, Column, Face, Resource};
use crate::status::{FieldError, FieldErrorKind};
use serde_json::{Value, json};

/// Members by their names in `v1` and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub fn core(r: &mut Resource) {
    r.short_names = vec!["ev".into()];
    r.columns = columns();
    r.fields = [
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ]
    .map(String::from)
    .to_vec();
    r.prepare = Some(prepare);
    r.admit = Some(admit);
}

pub fn newer(r: &mut Resource) {
    r.short_names = vec!["ev".into()];
    r.columns = columns();
    r.fields = [
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ]
    .map(String::from)
    .to_vec();
    r.face = Some(Face { key: "events", api_version: "v1", show, store });
    r.admit = Some(admit_newer);
}

/// Members that are always there.
fn prepare(o: &mut Value, _old: Option<&Value>) {
    let o = object::map(o);
    for member in ["eventTime", "firstTimestamp", "lastTimestamp"] {
        o.entry(member).or_insert(Value::Null);
    }
    for (member, value) in [
        ("reportingComponent", json!("")),
        ("reportingInstance", json!("")),
        ("source", json!({})),
        ("involvedObject", json!({})),
    ] {
        o.entry(member).or_insert(value);
    }
}

fn show(o: &mut Value) {
    let o = object::map(o);
    for (stored, shown) in NAMES {
        if let Some(v) = o.remove(stored) {
            o.insert(shown.into(), v);
        }
    }
    o.retain(|k, v| !(matches!(k.as_str(), "reportingController" | "reportingInstance") && v == ""));
}

fn store(o: &mut Value) {
    let members = object::map(o);
    for (stored, shown) in NAMES {
        if let Some(v) = members.remove(shown) {
            members.insert(stored.into(), v);
        }
    }
    prepare(o, None);
}

fn admit(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut errors = Vec::new();
    let (involved, own) = (text(new, &["involvedObject", "namespace"]), object::namespace(new));
    if involved != own && !(involved.is_empty() && own == "default") {
        errors.push(FieldError::invalid("involvedObject.namespace", involved, "does not match event.namespace"));
    }
    Admitted { errors, warnings: Vec::new() }
}

/// The newer kind asks for more; sentences name fields as they are stored, as the original's do.
fn admit_newer(new: &Value, old: Option<&Value>) -> Admitted {
    let mut stored = new.clone();
    store(&mut stored);
    let mut out = admit(&stored, old);
    if stored["eventTime"].is_null() {
        out.errors.insert(0, FieldError::required("eventTime", ""));
    } else {
        let wanted = [
            ("reportingController", "reportingComponent"),
            ("reportingInstance", "reportingInstance"),
            ("action", "action"),
            ("reason", "reason"),
        ];
        out.errors.extend(
            wanted
                .iter()
                .filter(|(_, member)| text(&stored, &[member]).is_empty())
                .map(|(field, _)| FieldError::required(*field, "")),
        );
    }
    let kind = text(new, &["type"]);
    if !matches!(kind, "Normal" | "Warning") {
        out.errors.push(FieldError {
            path: "type".into(),
            kind: FieldErrorKind::Invalid(json!(kind)),
            detail: format!("has invalid value: {kind}"),
        });
    }
    out
}

/// A member, by its name in `v1`, of an event of either kind.
fn member<'a>(o: &'a Value, name: &str) -> &'a Value {
    let other = NAMES.iter().find(|(n, _)| *n == name).map_or(name, |(_, other)| other);
    o.get(name).or_else(|| o.get(other)).unwrap_or(&Value::Null)
}

fn columns() -> Vec<Column> {
    vec![
        Column::computed("Last Seen", "string", |o| {
            let at = ["lastTimestamp", "eventTime", "firstTimestamp"].iter().find_map(|k| member(o, k).as_str());
            at.map_or(json!("<unknown>"), |t| json!(crate::table::age(t)))
        })
        .described("@lastTimestamp"),
        Column::path("Type", "string", ".type").described("@type"),
        Column::path("Reason", "string", ".reason").described("@reason"),
        Column::computed("Object", "string", |o| {
            let about = member(o, "involvedObject");
            json!(format!("{}/{}", text(about, &["kind"]).to_lowercase(), text(about, &["name"])))
        })
        .described("@involvedObject"),
        Column::computed("Subobject", "string", |o| json!(text(member(o, "involvedObject"), &["fieldPath"])))
            .wide()
            .described("@involvedObject.fieldPath"),
        Column::computed("Source", "string", |o| {
            let source = member(o, "source");
            let (component, host) = (text(source, &["component"]), text(source, &["host"]));
            json!(if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") })
        })
        .wide()
        .described("@source"),
        Column::computed("Message", "string", |o| json!(member(o, "message").as_str().unwrap_or("").trim()))
            .described("@message"),
        Column::computed("First Seen", "string", |o| {
            json!(member(o, "firstTimestamp").as_str().map_or_else(|| "<unknown>".to_owned(), crate::table::age))
        })
        .wide()
        .described("@firstTimestamp"),
        Column::computed("Count", "string", |o| {
            if member(o, "count").is_null() { json!(1) } else { member(o, "count").clone() }
        })
        .wide()
        .described("@count"),
        name().wide(),
    ]
}
