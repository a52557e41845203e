//! One file per API kind: its fields, its columns, what is wrong with an object of it.

pub mod alert;
pub mod artifact;
pub mod cluster_workflow_template;
pub mod cron_workflow;
pub mod gateway;
pub mod provider;
pub mod receiver;
pub mod sensor;
pub mod template;
pub mod workflow;
pub mod workflow_event_binding;
pub mod workflow_template;

use apiserver::{Admit, Provided};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;

pub const GROUP: &str = "argoproj.io";
pub const VERSION: &str = "v1alpha1";
pub const API_VERSION: &str = "argoproj.io/v1alpha1";
/// The group of notifications, and the version that its objects are stored in.
pub const FLUX_GROUP: &str = "notification.toolkit.fluxcd.io";
pub const FLUX_VERSION: &str = "v1beta3";
pub const FLUX_API_VERSION: &str = "notification.toolkit.fluxcd.io/v1beta3";

/// Functions that look at objects before they are stored.
pub struct Admits {
    pub binding: Admit,
    pub gateway: Admit,
    pub sensor: Admit,
    pub provider: Admit,
    pub alert: Admit,
    pub receiver: Admit,
}

/// Every kind that this program provides.
pub fn all(admit: &Admits) -> Vec<Provided> {
    vec![
        workflow::provided(),
        workflow_template::provided(),
        cluster_workflow_template::provided(),
        cron_workflow::provided(),
        workflow_event_binding::provided(admit.binding),
        gateway::provided(admit.gateway),
        sensor::provided(admit.sensor),
        provider::provided(admit.provider),
        alert::provided(admit.alert),
        receiver::provided(admit.receiver),
    ]
}

/// A kind's object as its manifest has it: every member may be missing, unknown ones are left alone.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$kind>,)*
        }
    };
}
pub(crate) use object;

object! {
    /// An object of the same namespace.
    #[schemars(extend("required" = ["name"]))]
    NameRef { name: String }
}

/// Free-form JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Free(pub Value);

impl JsonSchema for Free {
    fn schema_name() -> Cow<'static, str> {
        "Free".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

/// A value that templates treat as text. Numbers and booleans are read as the text they are written as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Text(match Value::deserialize(d)? {
            Value::String(s) => s,
            Value::Null => String::new(),
            // The original reads structured values as empty.
            Value::Array(_) | Value::Object(_) => String::new(),
            other => other.to_string(),
        }))
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

/// The schema of a kind, in the form that the API server reads: the schema and the definitions that it refers to.
pub fn schema_of<T: JsonSchema>() -> (Value, Value) {
    let mut generator = apiserver::schema_generator();
    let schema = serde_json::to_value(generator.root_schema_for::<T>()).unwrap_or(json!({}));
    let mut definitions = schema.pointer("/components/schemas").cloned().unwrap_or(json!({}));
    let mut schema = schema;
    if let Some(o) = schema.as_object_mut() {
        for key in ["components", "$schema", "title"] {
            o.remove(key);
        }
    }
    tidy(&mut schema);
    tidy(&mut definitions);
    (schema, definitions)
}

/// Optional members are simply not required: the "or null" that optional Rust fields add is taken out again.
fn tidy(v: &mut Value) {
    match v {
        Value::Object(o) => {
            o.remove("nullable");
            if let Some(Value::Array(list)) = o.get("anyOf")
                && let [one, other] = list.as_slice()
                && (other.get("type").is_some_and(|t| t == "null")
                    || other.get("enum").is_some_and(|e| *e == json!([null]))
                    || *other == json!({"const": null}))
            {
                let one = one.clone();
                o.remove("anyOf");
                if let Value::Object(inner) = one {
                    for (k, x) in inner {
                        o.entry(k).or_insert(x);
                    }
                }
            }
            if let Some(Value::Array(types)) = o.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    o.insert("type".into(), one);
                }
            }
            if o.get("format").is_some_and(|f| matches!(f.as_str(), Some("uint64" | "uint32" | "double"))) {
                o.remove("format");
                o.remove("minimum");
            }
            o.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}
