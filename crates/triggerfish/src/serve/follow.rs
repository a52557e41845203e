//! Follows the objects of a kind: what is there, then every change, for as long as the program runs.

use crate::kube_api::Api;
use futures_util::TryStreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use serde_json::Value;
use std::pin::pin;

/// What happened to an object.
#[derive(Debug)]
pub enum Change {
    /// Everything that follows, up to `Complete`, is what there is: forget what is not named.
    Restart,
    Applied(Value),
    Deleted(Value),
    Complete,
}

pub fn resource(plural: &str, kind: &str) -> ApiResource {
    let core = plural == "pods";
    let (group, version) = if core { ("", "v1") } else { (crate::kind::GROUP, crate::kind::VERSION) };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: if core { "v1".into() } else { crate::kind::API_VERSION.into() },
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Calls `handle` for each change; returns when the stream can no longer be followed (it never should).
pub async fn follow(api: Api, plural: &str, kind: &str, labels: &str, mut handle: impl FnMut(Change)) {
    let objects: kube::Api<DynamicObject> = kube::Api::all_with(api.client().clone(), &resource(plural, kind));
    let config = watch::Config::default().labels(labels).streaming_lists();
    let mut stream = pin!(watcher::watcher(objects, config).default_backoff());
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => handle(match event {
                Event::Init => Change::Restart,
                Event::InitApply(o) | Event::Apply(o) => Change::Applied(json(o)),
                Event::Delete(o) => Change::Deleted(json(o)),
                Event::InitDone => Change::Complete,
            }),
            Ok(None) => return,
            Err(e) => tracing::debug!(error = %e, kind, "a watch was interrupted; it is started again"),
        }
    }
}

fn json(o: DynamicObject) -> Value {
    serde_json::to_value(o).unwrap_or_default()
}
