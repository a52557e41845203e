//! Sensor: which events together make something happen, and what. The form of the first sensors (`signals`) and the present one
//! (`dependencies`).

use super::{Free, GROUP, Text, VERSION, object};
use apiserver::{Admit, Column, Provided};

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<SensorObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "Sensor",
        plural: "sensors",
        short_names: &["sn"],
        categories: &[],
        namespaced: true,
        status: true,
        columns: vec![
            apiserver::name_column(),
            Column::path("Phase", "string", ".status.phase").described("Error when something was given up or is wrong"),
            Column::path("Events", "integer", ".status.events").described("Events that passed a dependency"),
            Column::path("Fired", "integer", ".status.fired").described("Rounds that were completed"),
            Column::path("Dead", "integer", ".status.dead")
                .described("What was given up: `triggerfish event dead-letters`"),
            Column::path("Message", "string", ".status.message").described("The last failure"),
            Column::path("Age", "date", ".metadata.creationTimestamp"),
        ],
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Which events together make something happen, and what.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    SensorObject { spec: SensorSpec, status: SensorStatus }
}
object! {
    #[schemars(extend("required" = ["triggers"]))]
    SensorSpec {
        /// The events that are waited for.
        dependencies: Vec<DependencyObject>,
        /// The earlier name of `dependencies`, with filters of the earlier form.
        signals: Vec<DependencyObject>,
        /// What happens.
        triggers: Vec<TriggerObject>,
        /// Names for groups of dependencies, all of which have to come.
        dependency_groups: Vec<DependencyGroup>,
        /// An expression of groups that all triggers wait for.
        circuit: String,
        /// Of sensors with `signals`: whether another round begins when one is complete.
        repeat: bool,
        /// The Pod that the original ran; of it the service account counts.
        template: Free,
        /// An earlier form of `template`.
        deploy_spec: Free,
        service_account_name: String,
        image_pull_policy: String,
        image_version: Text,
        env_vars: Free,
        /// How events came; here they come from the event log.
        event_protocol: Free,
        subscription: Free,
        event_bus_name: String,
        error_on_failed_round: bool,
        replicas: i32,
        revision_history_limit: i32,
        logging_fields: Free,
    }
}
object! {
    #[schemars(extend("required" = ["name"]))]
    DependencyObject {
        /// Also where the events come from if nothing else says it: `gateway/configuration`, or `gateway:configuration`.
        name: String,
        /// The gateway; with this name its events look as those of an EventSource.
        event_source_name: String,
        /// The gateway.
        gateway_name: String,
        /// The configuration.
        event_name: String,
        /// What an event has to be like.
        filters: Free,
        /// How the kinds of filters are combined.
        #[schemars(extend("enum" = ["and", "or", ""]))]
        filters_logical_operator: String,
        /// What its data becomes first: `jq` or `script`.
        transform: Free,
        /// Of the first sensors; it never had an effect.
        deadline: i64,
    }
}
object! {
    #[schemars(extend("required" = ["name"]))]
    DependencyGroup { name: String, dependencies: Vec<String> }
}
object! {
    TriggerObject {
        /// The present form: name, conditions, and one kind of trigger.
        template: Free,
        /// Of the first triggers, which made an object.
        name: String,
        resource: Free,
        message: String,
        /// What goes into the template itself.
        parameters: Free,
        template_parameters: Free,
        resource_parameters: Free,
        /// What counts as success.
        policy: Free,
        /// How often a failed one is tried again.
        retry_strategy: Free,
        /// How often it may fire.
        rate_limit: Free,
        /// Here every trigger fires at least once, and what it creates once.
        at_least_once: bool,
        dlq_trigger: Free,
    }
}
object! {
    SensorStatus {
        /// `Running`, `Complete` when it was to fire once and has, `Error` when something was given up or is wrong.
        phase: String,
        /// The last failure.
        message: String,
        observed_generation: i64,
        /// Events that passed a dependency.
        events: i64,
        /// Events that no filter let pass.
        filtered: i64,
        /// Rounds that were completed.
        fired: i64,
        /// What triggers did.
        done: i64,
        /// What was given up.
        dead: i64,
        last_event: String,
        last_fired: String,
    }
}
