//! Provider: where notices go. All fields of the original's three versions; what is ours stands under `triggerfish` and in `status`.

use super::alert::Condition;
use super::{FLUX_GROUP, NameRef, Text, object};
use apiserver::{Admit, Column, Provided};

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<ProviderObject>();
    Provided {
        group: FLUX_GROUP,
        version: super::FLUX_VERSION,
        other_versions: &["v1beta2", "v1beta1"],
        kind: "Provider",
        plural: "providers",
        short_names: &[],
        categories: &["all", "fluxcd", "fluxcd-notifications"],
        namespaced: true,
        status: true,
        columns: vec![
            apiserver::name_column(),
            Column::path("Type", "string", ".spec.type"),
            Column::path("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status")
                .described("Whether it can be sent with"),
            Column::path("Delivering", "string", ".status.conditions[?(@.type==\"Delivering\")].status")
                .described("Whether the last delivery went well"),
            Column::path("Delivered", "integer", ".status.delivered"),
            Column::path("Waiting", "integer", ".status.waiting").described("Deliveries that are still to be made"),
            Column::path("Dead", "integer", ".status.dead")
                .described("Deliveries that were given up: `triggerfish notify list`"),
            Column::path("Age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Where notices go.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    ProviderObject { spec: ProviderSpec, status: ProviderStatus }
}
object! {
    #[schemars(extend("required" = ["type"]))]
    ProviderSpec {
        /// What kind of service it is: `slack`, `generic`, `github` ... The document of notifications lists them all.
        r#type: String,
        /// How often the original looked at it again; nothing here.
        interval: Text,
        /// The channel, room, subject or environment, as the service calls it.
        #[schemars(extend("maxLength" = 2048))]
        channel: String,
        /// The name that messages appear under.
        #[schemars(extend("maxLength" = 2048))]
        username: String,
        /// Where the service is. The Secret's `address` goes before it.
        #[schemars(extend("maxLength" = 2048))]
        address: String,
        /// How long a delivery may take: `15s` if not given.
        #[schemars(extend("pattern" = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"))]
        timeout: String,
        /// A proxy; the Secret of `proxySecretRef` goes before it.
        #[schemars(extend("maxLength" = 2048))]
        proxy: String,
        /// A Secret with `address` and, if the proxy asks who comes, `username` and `password`.
        proxy_secret_ref: NameRef,
        /// A Secret with `address`, `token`, `username` and `password`, `headers`, `proxy`, as the type needs them.
        secret_ref: NameRef,
        /// A Secret with `ca.crt` (or `caFile`), and `tls.crt` and `tls.key`.
        cert_secret_ref: NameRef,
        /// The identity of a workload is not supported.
        service_account_name: String,
        /// Nothing is sent while it is true.
        suspend: bool,
        /// What a commit's status is called, as CEL.
        commit_status_expr: String,
        /// What goes beyond the original.
        triggerfish: ProviderOptions,
    }
}
object! {
    ProviderOptions {
        /// Deliveries at the same time: 16 if not given, 256 at most.
        #[schemars(extend("minimum" = 1, "maximum" = 256))]
        concurrency: i32,
        /// Deliveries in a second, such as 0.5; no bound if not given.
        rate: f64,
        /// For how long a delivery is tried again: `24h` if not given.
        retry_for: String,
    }
}
object! {
    ProviderStatus {
        observed_generation: i64,
        /// `Ready` and `Delivering`.
        conditions: Vec<Condition>,
        #[schemars(extend("format" = "date-time"))]
        last_success: String,
        last_error: super::alert::LastError,
        delivered: i64,
        failed: i64,
        waiting: i64,
        dead: i64,
    }
}
