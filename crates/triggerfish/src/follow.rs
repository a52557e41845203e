//! Follows the objects of a kind: what is there, then every change, for as long as the program runs.

use crate::kube_api::Api;
use futures_util::{Stream, StreamExt};
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

/// Which objects are followed.
#[derive(Debug, Clone)]
pub struct Target {
    pub resource: ApiResource,
    /// Empty: of every namespace.
    pub namespace: String,
    /// A label selector; empty: all.
    pub labels: String,
}

impl Target {
    /// Objects of one of our kinds.
    pub fn ours(plural: &str, kind: &str) -> Self {
        Self::of(crate::kind::GROUP, crate::kind::VERSION, plural, kind)
    }

    /// Objects of Kubernetes' core kinds.
    pub fn core(plural: &str, kind: &str) -> Self {
        Self::of("", "v1", plural, kind)
    }

    pub fn of(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version,
            kind: kind.into(),
            plural: plural.into(),
        };
        Self { resource, namespace: String::new(), labels: String::new() }
    }

    pub fn labelled(self, labels: &str) -> Self {
        Self { labels: labels.into(), ..self }
    }
}

/// What happens to the objects: those that there are, then every change. An error is an interruption: it goes on by itself.
pub fn changes(api: &Api, target: &Target) -> impl Stream<Item = Result<Change, String>> + Send + use<> {
    let client = api.client().clone();
    let objects: kube::Api<Object> = if target.namespace.is_empty() {
        kube::Api::all_with(client, &target.resource)
    } else {
        kube::Api::namespaced_with(client, &target.namespace, &target.resource)
    };
    let config = watch::Config::default().labels(&target.labels).streaming_lists();
    watcher::watcher(objects, config).default_backoff().map(|item| match item {
        Ok(Event::Init) => Ok(Change::Restart),
        Ok(Event::InitApply(o) | Event::Apply(o)) => Ok(Change::Applied(o.value)),
        Ok(Event::Delete(o)) => Ok(Change::Deleted(o.value)),
        Ok(Event::InitDone) => Ok(Change::Complete),
        Err(e) => Err(e.to_string()),
    })
}

/// Calls `handle` for each change; returns when the stream can no longer be followed (it never should).
pub async fn follow(api: Api, target: Target, mut handle: impl FnMut(Change)) {
    let mut stream = pin!(changes(&api, &target));
    while let Some(item) = stream.next().await {
        match item {
            Ok(change) => handle(change),
            Err(error) => {
                tracing::debug!(error, kind = target.resource.kind, "a watch was interrupted; it is started again")
            }
        }
    }
}
