//! ClusterWorkflowTemplate: a stored specification for workflows of every namespace.

use super::{GROUP, VERSION};
use apiserver::Provided;

pub fn provided() -> Provided {
    let (schema, definitions) = super::schema_of::<super::workflow_template::WorkflowTemplateObject>();
    Provided {
        group: GROUP,
        version: VERSION,
        other_versions: &[],
        kind: "ClusterWorkflowTemplate",
        plural: "clusterworkflowtemplates",
        short_names: &["clusterwftmpl", "cwft"],
        categories: &[],
        namespaced: false,
        status: false,
        columns: Vec::new(),
        schema,
        definitions,
        admit: None,
    }
}
