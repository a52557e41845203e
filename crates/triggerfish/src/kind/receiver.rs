//! Receiver: webhooks from outside that have objects looked at again, and are events.

use super::alert::Condition;
use super::{FLUX_GROUP, Free, NameRef, Text, object};
use apiserver::{Admit, Column, Provided};
use std::collections::BTreeMap;

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<ReceiverObject>();
    Provided {
        group: FLUX_GROUP,
        version: "v1",
        other_versions: &["v1beta2", "v1beta1"],
        kind: "Receiver",
        plural: "receivers",
        short_names: &[],
        categories: &["all", "fluxcd", "fluxcd-notifications"],
        namespaced: true,
        status: true,
        columns: vec![
            apiserver::name_column(),
            Column::path("Type", "string", ".spec.type"),
            Column::path("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
            Column::path("Status", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
            Column::path("Age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Webhooks from outside that have objects looked at again.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    ReceiverObject {
        spec: ReceiverSpec,
        #[schemars(extend("default" = {"observedGeneration": -1}))]
        status: ReceiverStatus,
    }
}
object! {
    #[schemars(extend("required" = ["type", "resources"]))]
    ReceiverSpec {
        /// Who posts: it decides what a request has to prove.
        r#type: String,
        #[schemars(extend("default" = "10m"))]
        interval: Text,
        /// The service's names of events that count; none: all.
        events: Vec<String>,
        /// What is annotated.
        resources: Vec<ReceiverResource>,
        /// CEL about `res` and `req`: objects for which it is false are left alone.
        resource_filter: String,
        /// A Secret with `token`.
        secret_ref: NameRef,
        /// Of `generic-oidc`: whom tokens are taken from.
        oidc_providers: Vec<Free>,
        suspend: bool,
    }
}
object! {
    #[schemars(extend("required" = ["kind", "name"]))]
    ReceiverResource {
        api_version: String,
        kind: String,
        /// `*`: those with the labels.
        #[schemars(extend("minLength" = 1, "maxLength" = 253))]
        name: String,
        #[schemars(extend("minLength" = 1, "maxLength" = 253))]
        namespace: String,
        match_labels: BTreeMap<String, String>,
        filter: String,
    }
}
object! {
    ReceiverStatus {
        observed_generation: i64,
        conditions: Vec<Condition>,
        /// Where it listens, at the port of receivers.
        webhook_path: String,
    }
}
