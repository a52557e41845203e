//! WorkflowTemplate: a stored specification that workflows are made from.

use super::workflow::WorkflowSpec;
use super::{GROUP, VERSION, object};
use apiserver::Provided;

pub fn provided() -> Provided {
    let (schema, definitions) = super::schema_of::<WorkflowTemplateObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "WorkflowTemplate",
        plural: "workflowtemplates",
        short_names: &["wftmpl"],
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
    /// A stored specification of workflows.
    #[schemars(extend("required" = ["metadata", "spec"]))]
    WorkflowTemplateObject { spec: WorkflowSpec }
}
