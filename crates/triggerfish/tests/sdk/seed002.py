"""Seed 002 with the PyPI SDK, strict typing on: list bindings with every option, post an event."""
import sys
import argo_workflows
from argo_workflows.api import event_service_api, workflow_service_api
from argo_workflows.model.io_argoproj_workflow_v1alpha1_workflow_create_request import IoArgoprojWorkflowV1alpha1WorkflowCreateRequest

host, token = sys.argv[1], sys.argv[2]
configuration = argo_workflows.Configuration(host=host)
configuration.api_key["BearerToken"] = token
with argo_workflows.ApiClient(configuration) as client:
    events = event_service_api.EventServiceApi(client)
    found = events.list_workflow_event_bindings("argo")
    assert [b.metadata.name for b in found.items] == ["hello"], found
    found = events.list_workflow_event_bindings(
        "argo", list_options_label_selector="a!=b", list_options_field_selector="metadata.name=hello", list_options_watch=False,
        list_options_allow_watch_bookmarks=True, list_options_resource_version="0", list_options_resource_version_match="NotOlderThan",
        list_options_timeout_seconds="5", list_options_limit="10")
    assert len(found.items) == 1, found
    assert events.receive_event("argo", "my-discriminator", {"message": "from the sdk"}) == {}
    for body in ("text", 5, 1.5, True, [1, "two"], {}):
        events.receive_event("argo", "other", body)
    empty = events.list_workflow_event_bindings("default")
    assert empty.items == [], empty
    workflows = workflow_service_api.WorkflowServiceApi(client)
    listed = workflows.list_workflows("argo")
    assert any(w.metadata.name.startswith("hello-") for w in listed.items), listed
print("ok")
