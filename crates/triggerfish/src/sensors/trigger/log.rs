//! Says in the server's log that it fired.

use super::{Failure, Kind};
use serde::Deserialize;

pub const KIND: Kind = Kind {
    name: "log",
    check: |s, mistakes| {
        s.read::<Log>(mistakes);
    },
    fire: |f| {
        Box::pin(async move {
            f.read::<Log>()?;
            let ids: Vec<&str> = f.events.values().map(|e| e.context.id.as_str()).collect();
            tracing::info!(
                sensor = f.sensor.name,
                namespace = f.sensor.namespace,
                trigger = f.trigger.name,
                events = ids.join(","),
                "fired"
            );
            Ok::<_, Failure>("logged".into())
        })
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    /// Each firing is a line here, however often it fires.
    #[serde(default, rename = "intervalSeconds")]
    _interval_seconds: u64,
}
