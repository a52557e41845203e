//! Workflow: a run, from its specification to the state of every node.

use super::artifact::{Metadata, WorkflowArtifactGc};
use super::template::{
    Arguments, Executor, Inputs, LifecycleHook, Metrics, Outputs, RetryStrategy, Synchronization, Template,
    TemplateRef, TransformationStep,
};
use super::{Free, GROUP, VERSION, object};
use apiserver::{Column, Provided};
use k8s_openapi::api::core::v1::{
    Affinity, HostAlias, LocalObjectReference, PersistentVolumeClaim, PodDNSConfig, PodResourceClaim,
    PodSecurityContext, ResourceRequirements, Toleration, Volume,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

pub fn provided() -> Provided {
    let (schema, definitions) = super::schema_of::<WorkflowObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "Workflow",
        plural: "workflows",
        short_names: &["wf"],
        categories: &[],
        namespaced: true,
        status: false,
        columns: vec![
            apiserver::name_column(),
            Column::path("Status", "string", ".status.phase").described("Status of the workflow"),
            started(),
            Column::path("Message", "string", ".status.message")
                .described("Human readable message indicating details about why the workflow is in this condition."),
        ],
        schema,
        definitions,
        admit: None,
    }
}

/// A workflow's age counts from its start.
fn started() -> Column {
    let mut c = Column::path("Age", "date", ".status.startedAt").described("When the workflow was started");
    c.format = "date-time".into();
    c
}

object! {
    /// A run of templates.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    WorkflowObject { spec: WorkflowSpec, status: WorkflowStatus }
}
object! {
    /// What a workflow is to do.
    WorkflowSpec {
        /// Seconds that the whole workflow may take.
        active_deadline_seconds: i64,
        affinity: Affinity,
        archive_logs: bool,
        /// Parameters and artifacts of the workflow; every template may read them.
        arguments: Arguments,
        #[serde(rename = "artifactGC")]
        artifact_gc: WorkflowArtifactGc,
        artifact_repository_ref: ArtifactRepositoryRef,
        automount_service_account_token: bool,
        dns_config: PodDNSConfig,
        dns_policy: String,
        /// The template that the run starts with.
        entrypoint: String,
        executor: Executor,
        executor_plugins: Vec<Free>,
        hooks: BTreeMap<String, LifecycleHook>,
        host_aliases: Vec<HostAlias>,
        host_network: bool,
        image_pull_secrets: Vec<LocalObjectReference>,
        metrics: Metrics,
        node_selector: BTreeMap<String, String>,
        /// A template that runs last, whatever the outcome.
        on_exit: String,
        /// Pods that may run at the same time.
        parallelism: i64,
        pod_disruption_budget: PodDisruptionBudgetSpec,
        #[serde(rename = "podGC")]
        pod_gc: PodGc,
        pod_metadata: Metadata,
        pod_priority_class_name: String,
        pod_resources: ResourceRequirements,
        pod_spec_patch: String,
        /// Higher ones start first when something is scarce.
        priority: i32,
        resource_claims: Vec<PodResourceClaim>,
        retry_strategy: RetryStrategy,
        scheduler_name: String,
        security_context: PodSecurityContext,
        service_account_name: String,
        /// `Stop` still runs exit handlers, `Terminate` starts nothing more.
        shutdown: String,
        /// Starts nothing new until taken back.
        suspend: bool,
        synchronization: Synchronization,
        template_defaults: Template,
        templates: Vec<Template>,
        tolerations: Vec<Toleration>,
        ttl_strategy: TtlStrategy,
        #[serde(rename = "volumeClaimGC")]
        volume_claim_gc: VolumeClaimGc,
        volume_claim_templates: Vec<PersistentVolumeClaim>,
        volumes: Vec<Volume>,
        workflow_metadata: WorkflowMetadata,
        /// Takes the specification from a stored WorkflowTemplate.
        workflow_template_ref: WorkflowTemplateRef,
    }
}
object! {
    /// A stored WorkflowTemplate or ClusterWorkflowTemplate.
    WorkflowTemplateRef {
        /// The name is one of a ClusterWorkflowTemplate.
        cluster_scope: bool,
        name: String,
    }
}
object! {
    ArtifactRepositoryRef { config_map: String, key: String }
}
object! {
    /// When Pods of a workflow are deleted.
    PodGc {
        delete_delay_duration: String,
        label_selector: LabelSelector,
        #[schemars(extend("enum" = ["", "OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"]))]
        strategy: String,
    }
}
object! {
    /// Seconds after which a finished workflow is deleted.
    TtlStrategy { seconds_after_completion: i32, seconds_after_failure: i32, seconds_after_success: i32 }
}
object! {
    VolumeClaimGc { strategy: String }
}
object! {
    /// Labels and annotations that the workflow gets.
    WorkflowMetadata {
        annotations: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        labels_from: BTreeMap<String, TransformationStep>,
    }
}
object! {
    /// How far a workflow is.
    WorkflowStatus {
        #[serde(rename = "artifactGCStatus")]
        artifact_gc_status: Free,
        artifact_repository_ref: Free,
        compressed_nodes: String,
        conditions: Vec<Condition>,
        estimated_duration: i64,
        #[schemars(extend("format" = "date-time"))]
        finished_at: String,
        message: String,
        /// By id.
        nodes: BTreeMap<String, NodeStatus>,
        offload_node_status_version: String,
        outputs: Outputs,
        persistent_volume_claims: Vec<Free>,
        phase: String,
        /// `N/M`: nodes done and known.
        progress: String,
        resources_duration: BTreeMap<String, i64>,
        #[schemars(extend("format" = "date-time"))]
        started_at: String,
        stored_templates: BTreeMap<String, Free>,
        stored_workflow_template_spec: Free,
        synchronization: Free,
        task_results_completion_status: BTreeMap<String, bool>,
    }
}
object! {
    Condition {
        message: String,
        status: String,
        #[serde(rename = "type")]
        kind: String,
    }
}
object! {
    /// How far a node is.
    #[schemars(extend("required" = ["id", "name", "type"]))]
    NodeStatus {
        #[serde(rename = "boundaryID")]
        boundary_id: String,
        children: Vec<String>,
        daemoned: bool,
        display_name: String,
        estimated_duration: i64,
        failed_pod_restarts: i32,
        #[schemars(extend("format" = "date-time"))]
        finished_at: String,
        host_node_name: String,
        id: String,
        inputs: Inputs,
        memoization_status: Free,
        message: String,
        name: String,
        node_flag: NodeFlag,
        outbound_nodes: Vec<String>,
        outputs: Outputs,
        phase: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        progress: String,
        resources_duration: BTreeMap<String, i64>,
        #[serde(rename = "restartingPodUID")]
        restarting_pod_uid: String,
        #[schemars(extend("format" = "date-time"))]
        started_at: String,
        synchronization_status: Free,
        task_result_synced: bool,
        template_name: String,
        template_ref: TemplateRef,
        template_scope: String,
        #[serde(rename = "type")]
        kind: String,
    }
}
object! {
    NodeFlag { hooked: bool, retried: bool }
}
