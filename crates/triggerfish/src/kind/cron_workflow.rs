//! CronWorkflow: workflows at points in time.

use super::artifact::Metadata;
use super::workflow::WorkflowSpec;
use super::{Free, GROUP, VERSION, object};
use apiserver::Provided;

pub fn provided() -> Provided {
    let (schema, definitions) = super::schema_of::<CronWorkflowObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "CronWorkflow",
        plural: "cronworkflows",
        short_names: &["cwf", "cronwf"],
        categories: &[],
        namespaced: true,
        status: false,
        columns: Vec::new(),
        schema,
        definitions,
        admit: None,
    }
}

object! {
    /// Workflows at points in time.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    CronWorkflowObject { spec: CronWorkflowSpec, status: CronWorkflowStatus }
}
object! {
    /// When, and what.
    #[schemars(extend("required" = ["schedules", "workflowSpec"]))]
    CronWorkflowSpec {
        #[schemars(extend("enum" = ["Allow", "Forbid", "Replace"]))]
        concurrency_policy: String,
        failed_jobs_history_limit: i32,
        schedules: Vec<String>,
        starting_deadline_seconds: i64,
        stop_strategy: StopStrategy,
        successful_jobs_history_limit: i32,
        suspend: bool,
        timezone: String,
        when: String,
        workflow_metadata: Metadata,
        workflow_spec: WorkflowSpec,
    }
}
object! {
    #[schemars(extend("required" = ["expression"]))]
    StopStrategy { expression: String }
}
object! {
    CronWorkflowStatus {
        active: Vec<Free>,
        conditions: Vec<super::workflow::Condition>,
        failed: i64,
        #[schemars(extend("format" = "date-time"))]
        last_scheduled_time: String,
        phase: String,
        succeeded: i64,
    }
}
