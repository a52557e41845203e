//! WorkflowEventBinding: which events start which template, with which arguments.

use super::template::Arguments;
use super::workflow::WorkflowTemplateRef;
use super::{Free, GROUP, VERSION, object};
use apiserver::{Admit, Provided};
use std::collections::BTreeMap;

pub fn provided(admit: Admit) -> Provided {
    let (schema, definitions) = super::schema_of::<WorkflowEventBindingObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "WorkflowEventBinding",
        plural: "workfloweventbindings",
        short_names: &["wfeb"],
        categories: &[],
        namespaced: true,
        status: true,
        columns: Vec::new(),
        schema,
        definitions,
        admit: Some(admit),
    }
}

object! {
    /// Which events start which template.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    WorkflowEventBindingObject { spec: WorkflowEventBindingSpec, status: BindingStatus }
}
object! {
    /// The events that are meant, and what they start.
    #[schemars(extend("required" = ["event"]))]
    WorkflowEventBindingSpec {
        /// Which events are meant.
        event: EventSelector,
        /// What they start; without it the selector is only evaluated.
        submit: Submit,
    }
}
object! {
    /// Which events are meant.
    #[schemars(extend("required" = ["selector"]))]
    EventSelector {
        /// An expression over `payload`, `metadata`, `discriminator` and `namespace` that is true for the events that are meant.
        selector: String,
    }
}
object! {
    /// What is started.
    #[schemars(extend("required" = ["workflowTemplateRef"]))]
    Submit {
        /// Parameters whose values are expressions over the event.
        arguments: Arguments,
        /// Name, labels and annotations as expressions.
        metadata: SubmitMetadata,
        /// The template that is started.
        workflow_template_ref: WorkflowTemplateRef,
    }
}
object! {
    /// Each value is an expression that gives a string.
    SubmitMetadata {
        annotations: BTreeMap<String, String>,
        finalizers: Vec<String>,
        generate_name: String,
        labels: BTreeMap<String, String>,
        name: String,
        namespace: String,
    }
}
object! {
    /// What became of the binding.
    BindingStatus {
        conditions: Vec<Free>,
        observed_generation: i64,
    }
}
