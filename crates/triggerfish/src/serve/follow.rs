//! Follows the objects of a kind: what is there, then every change, for as long as the program runs.

use crate::kube_api::Api;
use futures_util::TryStreamExt;
use kube::api::{ApiResource, ObjectMeta};
use kube::core::Resource;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
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

/// An object as it came, with the little that following it asks for.
#[derive(Debug, Clone)]
struct Object {
    meta: ObjectMeta,
    value: Value,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(d)?;
        let text = |name: &str| value["metadata"][name].as_str().map(str::to_owned);
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Object { meta, value })
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;
    fn group(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.group)
    }
    fn version(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.version)
    }
    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.kind)
    }
    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.api_version)
    }
    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&kind.plural)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
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
    let objects: kube::Api<Object> = kube::Api::all_with(api.client().clone(), &resource(plural, kind));
    let config = watch::Config::default().labels(labels).streaming_lists();
    let mut stream = pin!(watcher::watcher(objects, config).default_backoff());
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => handle(match event {
                Event::Init => Change::Restart,
                Event::InitApply(o) | Event::Apply(o) => Change::Applied(o.value),
                Event::Delete(o) => Change::Deleted(o.value),
                Event::InitDone => Change::Complete,
            }),
            Ok(None) => return,
            Err(e) => tracing::debug!(error = %e, kind, "a watch was interrupted; it is started again"),
        }
    }
}
