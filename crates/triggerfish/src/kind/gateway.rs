//! Gateway: where events come from, and who watches them. All fields of seed 003's table, and their later names.

use super::{Free, GROUP, Text, VERSION, object};
use apiserver::{Admit, Column, Provided};
use std::collections::BTreeMap;

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<GatewayObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "Gateway",
        plural: "gateways",
        short_names: &["gw"],
        categories: &[],
        namespaced: true,
        status: true,
        columns: vec![
            apiserver::name_column(),
            Column::path("Type", "string", ".spec.type").described("What the gateway's events are called"),
            Column::path("Phase", "string", ".status.phase").described("Error when a configuration is in error"),
            Column::path("Ready", "string", ".status.ready")
                .described("Configurations that run, of those that there are"),
            Column::path("Message", "string", ".status.message").described("The first configuration in error, and why"),
            Column::path("Age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Where events come from, and who watches them.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    GatewayObject { spec: GatewaySpec, status: GatewayStatus }
}
object! {
    #[schemars(extend("required" = ["type"]))]
    GatewaySpec {
        /// What the gateway's events are called: their CloudEvents type. It also names the source of configurations whose
        /// names have no prefix.
        r#type: String,
        /// The version of the events' type.
        version: Text,
        /// A later name of `version`.
        event_version: Text,
        /// The ConfigMap with the configurations, in the gateway's namespace.
        config_map: String,
        /// A later name of `configMap`.
        event_source: String,
        /// Who gets the events.
        watchers: Watchers,
        /// Who gets the events outside of this program, as CloudEvents.
        subscribers: Subscribers,
        /// The version of CloudEvents that `watchers.gateways` get: 1.0, or for watchers of that age 0.3 or 0.1.
        cloud_events: Text,
        /// The Pod that the original ran; of it the service account counts, and the image's name where nothing else says
        /// what the source is.
        deploy_spec: Free,
        /// A later name of `deploySpec`.
        template: Free,
        /// A Service is not needed here; a webhook's port is this host's.
        service_spec: Free,
        /// A later name of `serviceSpec`.
        service: Free,
        /// Where a custom gateway's gRPC server listens.
        rpc_port: Text,
        /// Where a custom gateway's HTTP server listens.
        http_server_port: Text,
        /// Where a custom gateway's gRPC server listens that speaks the later protocol, `Eventing`.
        processor_port: Text,
        /// Where a custom gateway's HTTP server posts events to; 9393 if not given.
        http_client_port: Text,
        /// Where any program may post `{src, payload}` or CloudEvents: then that is all of the gateway.
        transformer_port: Text,
        /// How the original sent events on; here they go over the event log.
        #[schemars(extend("enum" = ["HTTP", "NATSGateway", "KafkaGateway"]))]
        dispatch_mechanism: String,
        /// A later form of `dispatchMechanism`.
        event_protocol: Free,
        image_version: Text,
        replica: i32,
    }
}
object! {
    /// Who gets the events of a gateway.
    Watchers {
        /// WorkflowEventBindings of the gateway's namespace.
        bindings: Vec<BindingWatcher>,
        sensors: Vec<SensorWatcher>,
        gateways: Vec<GatewayWatcher>,
    }
}
object! {
    /// Those outside who get the events: what each needs is told by the document of gateways.
    Subscribers {
        /// Addresses, or objects with a `url`.
        http: Vec<Free>,
        nats: Vec<Free>,
        kafka: Vec<Free>,
        mqtt: Vec<Free>,
        amqp: Vec<Free>,
    }
}
object! {
    BindingWatcher {
        /// The discriminator that bindings see; the configuration's name when there is none.
        discriminator: String,
    }
}
object! {
    #[schemars(extend("required" = ["name"]))]
    SensorWatcher { name: String, namespace: String }
}
object! {
    #[schemars(extend("required" = ["name"]))]
    GatewayWatcher {
        name: String,
        namespace: String,
        port: Text,
        endpoint: String,
    }
}
object! {
    GatewayStatus {
        /// `Running`, `Error` when a configuration is in error; empty before the first look.
        phase: String,
        /// The first configuration in error, and why.
        message: String,
        /// `2/3`: configurations that run, of those that there are.
        ready: String,
        #[schemars(extend("format" = "date-time"))]
        started_at: String,
        observed_generation: i64,
        /// One for each configuration, by its id.
        nodes: BTreeMap<String, Node>,
    }
}
object! {
    /// What became of one configuration.
    Node {
        id: String,
        name: String,
        display_name: String,
        /// `Initialized`, `Running`, `Completed` or `Error`.
        phase: String,
        message: String,
        started_at: String,
        update_time: String,
        /// Events that were accepted since the configuration started.
        events: i64,
        /// When the newest of them was accepted.
        last_event: String,
    }
}
