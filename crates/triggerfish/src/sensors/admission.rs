//! What is wrong with a sensor, told when it is applied.

use super::Sensor;
use apiserver::{Admitted, FieldError};
use serde_json::Value;

/// Fields that have no effect here, and why.
const IDLE: [(&str, &str); 4] = [
    ("/spec/eventBusName", "spec.eventBusName: there is one event log, and all events are in it"),
    ("/spec/replicas", "spec.replicas: sensors run in this process"),
    (
        "/spec/errorOnFailedRound",
        "spec.errorOnFailedRound: what fails is tried again and then given up; nothing else stops",
    ),
    ("/spec/eventProtocol", "spec.eventProtocol: events come from the event log"),
];

pub fn admit(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    if let Err(mistakes) = Sensor::read(new) {
        for (path, why) in mistakes {
            let value = at(new, &path).cloned().unwrap_or_default();
            out.errors.push(FieldError::invalid(path, value, why));
        }
    }
    let given = |p: &str| new.pointer(p).is_some_and(|v| !v.is_null());
    out.warnings.extend(IDLE.iter().filter(|(p, _)| given(p)).map(|(_, why)| (*why).to_owned()));
    out
}

/// The value at a path such as `spec.triggers[0].template`; none where it is large or missing.
fn at<'v>(o: &'v Value, path: &str) -> Option<&'v Value> {
    let mut v = o;
    for part in path.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        v = v.get(name)?;
        for i in indices.split('[').filter_map(|i| i.trim_end_matches(']').parse::<usize>().ok()) {
            v = v.get(i)?;
        }
    }
    (!v.is_object() && !v.is_array()).then_some(v)
}
