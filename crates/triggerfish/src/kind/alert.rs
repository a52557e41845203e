//! Alert: which notices go to a provider.

use super::{FLUX_GROUP, Free, NameRef, object};
use apiserver::{Admit, Column, Provided};
use std::collections::BTreeMap;

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<AlertObject>();
    Provided {
        group: FLUX_GROUP,
        version: super::FLUX_VERSION,
        other_versions: &["v1beta2", "v1beta1"],
        kind: "Alert",
        plural: "alerts",
        short_names: &[],
        categories: &["all", "fluxcd", "fluxcd-notifications"],
        namespaced: true,
        status: true,
        columns: vec![
            apiserver::name_column(),
            Column::path("Provider", "string", ".spec.providerRef.name"),
            Column::path("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status")
                .described("Whether its provider is there and its patterns can be read"),
            Column::path("Delivering", "string", ".status.conditions[?(@.type==\"Delivering\")].status")
                .described("Whether the last delivery went well"),
            Column::path("Delivered", "integer", ".status.delivered"),
            Column::path("Age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Which notices go to a provider.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    AlertObject { spec: AlertSpec, status: AlertStatus }
}
object! {
    #[schemars(extend("required" = ["providerRef", "eventSources"]))]
    AlertSpec {
        /// The provider, in the alert's namespace.
        provider_ref: NameRef,
        /// `info` is everything, `error` is errors only.
        #[schemars(extend("enum" = ["info", "error"], "default" = "info"))]
        event_severity: String,
        /// What notices are about: one of these is enough.
        event_sources: Vec<EventSource>,
        /// Regular expressions: one of them has to match the message.
        inclusion_list: Vec<String>,
        /// Regular expressions: none of them may match the message.
        exclusion_list: Vec<String>,
        /// Added to the metadata of what is sent.
        event_metadata: BTreeMap<String, String>,
        /// Sent along as the metadata `summary`.
        #[schemars(extend("maxLength" = 255))]
        summary: String,
        /// Nothing is sent while it is true.
        suspend: bool,
        /// What goes beyond the original: `when`, `title`, `text`, `body`, `channel`, `providers`, `on`, `threshold`, `group`,
        /// `quiet` and `digest`.
        triggerfish: Free,
    }
}
object! {
    #[schemars(extend("required" = ["kind", "name"]))]
    EventSource {
        api_version: String,
        kind: String,
        /// `*`: any.
        #[schemars(extend("minLength" = 1, "maxLength" = 253))]
        name: String,
        /// The alert's if not given.
        #[schemars(extend("minLength" = 1, "maxLength" = 253))]
        namespace: String,
        match_labels: BTreeMap<String, String>,
    }
}
object! {
    AlertStatus {
        observed_generation: i64,
        /// `Ready` and `Delivering`.
        conditions: Vec<Condition>,
        #[schemars(extend("format" = "date-time"))]
        last_success: String,
        last_error: LastError,
        /// Notices that it asked for.
        matched: i64,
        delivered: i64,
        failed: i64,
        dead: i64,
    }
}
object! {
    LastError {
        #[schemars(extend("format" = "date-time"))]
        time: String,
        /// What the service answered, if it did.
        code: i32,
        /// Why, with the first words of the answer; secrets are masked.
        message: String,
    }
}
object! {
    Condition {
        r#type: String,
        status: String,
        reason: String,
        message: String,
        #[schemars(extend("format" = "date-time"))]
        last_transition_time: String,
        observed_generation: i64,
    }
}
