//! Templates: the units of work that a workflow is made of, and what goes in and out of them.

use super::artifact::{Artifact, ArtifactLocation, Metadata};
use super::{Free, Text, object};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMapKeySelector, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EnvFromSource, EnvVar,
    HostAlias, Lifecycle, PodResourceClaim, PodSecurityContext, Probe, ResourceRequirements, SecretKeySelector,
    SecurityContext, Toleration, Volume, VolumeDevice, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

object! {
    /// One unit of work: exactly one of its kinds (`container`, `script`, `steps`, `dag` …) is given.
    Template {
        name: String,
        inputs: Inputs,
        outputs: Outputs,
        /// A command in a container.
        container: Container,
        /// A program text, run by a command.
        script: Script,
        /// Groups that run one after another; the steps of a group run together.
        steps: Vec<Vec<Step>>,
        /// Tasks that run when those they depend on are done.
        dag: Dag,
        /// Waits for a time, or to be resumed.
        suspend: Suspend,
        resource: ResourceTemplate,
        http: Http,
        container_set: ContainerSet,
        data: Data,
        plugin: Free,
        /// Seconds that the work may take; a number or a tag.
        active_deadline_seconds: IntOrString,
        affinity: Affinity,
        annotations: BTreeMap<String, String>,
        archive_location: ArtifactLocation,
        automount_service_account_token: bool,
        daemon: bool,
        executor: Executor,
        fail_fast: bool,
        host_aliases: Vec<HostAlias>,
        init_containers: Vec<UserContainer>,
        memoize: Memoize,
        metadata: Metadata,
        metrics: Metrics,
        node_selector: BTreeMap<String, String>,
        parallelism: i64,
        pending_timeout: String,
        pod_resources: ResourceRequirements,
        pod_spec_patch: String,
        priority_class_name: String,
        resource_claims: Vec<PodResourceClaim>,
        retry_strategy: RetryStrategy,
        scheduler_name: String,
        security_context: PodSecurityContext,
        service_account_name: String,
        sidecars: Vec<UserContainer>,
        synchronization: Synchronization,
        /// The longest that the work may take, such as `10s`.
        timeout: String,
        tolerations: Vec<Toleration>,
        volumes: Vec<Volume>,
    }
}
object! {
    /// What a template is given.
    Inputs { artifacts: Vec<Artifact>, parameters: Vec<Parameter> }
}
object! {
    /// What a template gives back.
    Outputs {
        artifacts: Vec<Artifact>,
        exit_code: String,
        parameters: Vec<Parameter>,
        /// The standard output of the work.
        result: String,
    }
}
object! {
    /// What is handed to a workflow or template.
    Arguments { artifacts: Vec<Artifact>, parameters: Vec<Parameter> }
}
object! {
    /// A named text.
    #[schemars(extend("required" = ["name"]))]
    Parameter {
        name: String,
        /// The text itself.
        value: Text,
        /// The text when nothing else is given.
        default: Text,
        description: String,
        /// The only texts allowed.
        #[serde(rename = "enum")]
        allowed: Vec<Text>,
        global_name: String,
        value_from: ValueFrom,
    }
}
object! {
    /// Where a parameter's text comes from.
    ValueFrom {
        config_map_key_ref: ConfigMapKeySelector,
        default: Text,
        /// An expression over the event (`payload`, `metadata`, `discriminator`).
        event: String,
        expression: String,
        jq_filter: String,
        json_path: String,
        parameter: String,
        /// A file of the container.
        path: String,
        supplied: super::artifact::NoOptions,
    }
}

/// A container of a Pod; `$extra` are the fields of its flavour.
macro_rules! container {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $extra:ident : $kind:ty),* $(,)? }) => {
        object! {
            $(#[$meta])*
            $name {
                args: Vec<String>,
                command: Vec<String>,
                env: Vec<EnvVar>,
                env_from: Vec<EnvFromSource>,
                image: String,
                image_pull_policy: String,
                lifecycle: Lifecycle,
                liveness_probe: Probe,
                name: String,
                ports: Vec<ContainerPort>,
                readiness_probe: Probe,
                resize_policy: Vec<ContainerResizePolicy>,
                resources: ResourceRequirements,
                restart_policy: String,
                restart_policy_rules: Vec<ContainerRestartRule>,
                security_context: SecurityContext,
                startup_probe: Probe,
                stdin: bool,
                stdin_once: bool,
                termination_message_path: String,
                termination_message_policy: String,
                tty: bool,
                volume_devices: Vec<VolumeDevice>,
                volume_mounts: Vec<VolumeMount>,
                working_dir: String,
                $($(#[$field_meta])* $extra: $kind,)*
            }
        }
    };
}
container! {
    /// A command in a container.
    Container {}
}
container! {
    /// A program text, run by a command.
    Script {
        /// The text; the command is called with the path of a file that holds it.
        source: String,
    }
}
container! {
    /// A container beside or before the main one.
    #[schemars(extend("required" = ["name"]))]
    UserContainer { mirror_volume_mounts: bool }
}
container! {
    /// A container of a set.
    #[schemars(extend("required" = ["name"]))]
    ContainerNode { dependencies: Vec<String> }
}
object! {
    /// Containers of one Pod that run in an order.
    #[schemars(extend("required" = ["containers"]))]
    ContainerSet { containers: Vec<ContainerNode>, retry_strategy: ContainerSetRetry, volume_mounts: Vec<VolumeMount> }
}
object! {
    #[schemars(extend("required" = ["retries"]))]
    ContainerSetRetry { duration: String, retries: IntOrString }
}
object! {
    /// A step of a group.
    Step {
        name: String,
        arguments: Arguments,
        continue_on: ContinueOn,
        hooks: BTreeMap<String, LifecycleHook>,
        inline: Free,
        on_exit: String,
        template: String,
        template_ref: TemplateRef,
        when: String,
        with_items: Free,
        with_param: String,
        with_sequence: Sequence,
    }
}
object! {
    /// Tasks and what they wait for.
    #[schemars(extend("required" = ["tasks"]))]
    Dag { fail_fast: bool, target: String, tasks: Vec<DagTask> }
}
object! {
    /// A task of a graph.
    #[schemars(extend("required" = ["name"]))]
    DagTask {
        name: String,
        arguments: Arguments,
        continue_on: ContinueOn,
        dependencies: Vec<String>,
        depends: String,
        hooks: BTreeMap<String, LifecycleHook>,
        inline: Free,
        on_exit: String,
        template: String,
        template_ref: TemplateRef,
        when: String,
        with_items: Free,
        with_param: String,
        with_sequence: Sequence,
    }
}
object! {
    /// Which outcomes do not stop what follows.
    ContinueOn { error: bool, failed: bool }
}
object! {
    /// A template of a stored WorkflowTemplate.
    TemplateRef { cluster_scope: bool, name: String, template: String }
}
object! {
    /// Work at a point of another's life.
    LifecycleHook { arguments: Arguments, expression: String, template: String, template_ref: TemplateRef }
}
object! {
    /// Numbers to repeat over.
    Sequence { count: IntOrString, start: IntOrString, end: IntOrString, format: String }
}
object! {
    /// A wait.
    Suspend {
        /// Such as `20s` or `2m`; without it until resumed.
        duration: Text,
    }
}
object! {
    /// An operation on an object of the Kubernetes API.
    #[schemars(extend("required" = ["action"]))]
    ResourceTemplate {
        #[schemars(extend("enum" = ["get", "create", "apply", "delete", "replace", "patch"]))]
        action: String,
        failure_condition: String,
        flags: Vec<String>,
        manifest: String,
        manifest_from: ManifestFrom,
        #[schemars(extend("enum" = ["strategic", "merge", "json"]))]
        merge_strategy: String,
        set_owner_reference: bool,
        success_condition: String,
    }
}
object! {
    #[schemars(extend("required" = ["artifact"]))]
    ManifestFrom { artifact: Artifact }
}
object! {
    /// A request over HTTP.
    #[schemars(extend("required" = ["url"]))]
    Http {
        body: String,
        body_from: HttpBodySource,
        headers: Vec<HttpHeader>,
        insecure_skip_verify: bool,
        method: String,
        success_condition: String,
        timeout_seconds: i64,
        url: String,
    }
}
object! {
    HttpBodySource { #[schemars(extend("format" = "byte"))] bytes: String }
}
object! {
    #[schemars(extend("required" = ["name"]))]
    HttpHeader { name: String, value: String, value_from: HttpHeaderSource }
}
object! {
    HttpHeaderSource { secret_key_ref: SecretKeySelector }
}
object! {
    /// A transformation of data.
    #[schemars(extend("required" = ["source", "transformation"]))]
    Data { source: DataSource, transformation: Vec<TransformationStep> }
}
object! {
    DataSource { artifact_paths: Artifact }
}
object! {
    #[schemars(extend("required" = ["expression"]))]
    TransformationStep { expression: String }
}
object! {
    Executor { service_account_name: String }
}
object! {
    /// Remembers outputs by a key.
    #[schemars(extend("required" = ["cache", "key", "maxAge"]))]
    Memoize { cache: Cache, key: String, max_age: String }
}
object! {
    #[schemars(extend("required" = ["configMap"]))]
    Cache { config_map: CacheConfigMap }
}
object! {
    CacheConfigMap { name: String }
}
object! {
    #[schemars(extend("required" = ["prometheus"]))]
    Metrics { prometheus: Vec<Prometheus> }
}
object! {
    #[schemars(extend("required" = ["help", "name"]))]
    Prometheus {
        counter: Counter,
        gauge: Gauge,
        help: String,
        histogram: Histogram,
        labels: Vec<MetricLabel>,
        name: String,
        when: String,
    }
}
object! {
    #[schemars(extend("required" = ["key", "value"]))]
    MetricLabel { key: String, value: String }
}
object! {
    #[schemars(extend("required" = ["value"]))]
    Counter { value: String }
}
object! {
    #[schemars(extend("required" = ["realtime", "value"]))]
    Gauge {
        #[schemars(extend("enum" = ["Set", "Add", "Sub"]))]
        operation: String,
        realtime: bool,
        value: String,
    }
}
object! {
    #[schemars(extend("required" = ["buckets", "value"]))]
    Histogram { buckets: Vec<f64>, value: String }
}
object! {
    /// When and how often failed work is tried again.
    RetryStrategy {
        affinity: RetryAffinity,
        backoff: Backoff,
        expression: String,
        limit: IntOrString,
        #[schemars(extend("enum" = ["Always", "OnFailure", "OnError", "OnTransientError"]))]
        retry_policy: String,
    }
}
object! {
    RetryAffinity { node_anti_affinity: super::artifact::NoOptions }
}
object! {
    Backoff { cap: String, duration: Text, factor: IntOrString, max_duration: Text }
}
object! {
    /// Locks that are held while the work runs.
    Synchronization { mutexes: Vec<Mutex>, semaphores: Vec<Semaphore> }
}
object! {
    Mutex { database: bool, name: String, namespace: String }
}
object! {
    Semaphore { config_map_key_ref: ConfigMapKeySelector, database: SyncDatabase, namespace: String }
}
object! {
    #[schemars(extend("required" = ["key"]))]
    SyncDatabase { key: String }
}
