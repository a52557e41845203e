//! How an event looks to a sensor.

use crate::event::Event;
use serde_json::{Map, Value, json};

/// How the data of an event is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// As it came: what gateways hand over.
    Data,
    /// With what it came with beside it, as an EventSource hands it over: `body`, `header`, `topic` and so on.
    EventSource,
}

/// An event as a sensor sees it. Its data is JSON always: a text is a JSON string.
pub fn of(event: &Event, shape: Shape) -> sensor::Event {
    let origin = event.origin.as_ref();
    let ours = event.source.starts_with("/apis/");
    let data = match shape {
        Shape::Data => event.data.as_ref().map(|d| d.get().to_owned()),
        Shape::EventSource => Some(event_source(event).to_string()),
    };
    sensor::Event {
        context: sensor::Context {
            id: event.id.clone(),
            source: origin.filter(|_| ours).map_or_else(|| event.source.clone(), |o| o.gateway.clone()),
            specversion: "1.0".into(),
            kind: match (shape, origin) {
                (Shape::EventSource, Some(o)) if ours && !o.source.is_empty() => o.source.clone(),
                _ => event.kind.clone(),
            },
            datacontenttype: "application/json".into(),
            subject: if event.subject.is_empty() {
                origin.map(|o| o.configuration.clone()).unwrap_or_default()
            } else {
                event.subject.clone()
            },
            time: event.time.clone(),
        },
        data,
    }
}

/// The data with what it came with, in the shape that an EventSource of its kind gives it.
fn event_source(event: &Event) -> Value {
    let body = event.data.as_ref().map_or(Value::Null, |d| serde_json::from_str(d.get()).unwrap_or_default());
    let one = |name: &str| event.metadata.get(name).and_then(|v| v.first()).cloned().unwrap_or_default();
    let source = event.origin.as_ref().map_or("", |o| o.source.as_str());
    match source {
        "calendar" | "" => body,
        "nats" => json!({"subject": one("subject"), "body": body, "header": headers(event, &["subject"])}),
        "mqtt" => {
            json!({"topic": one("topic"), "messageId": one("message-id").parse::<i64>().unwrap_or(0), "body": body})
        }
        "kafka" => json!({
            "topic": one("topic"), "key": one("key"), "partition": one("partition").parse::<i64>().unwrap_or(0),
            "timestamp": event.time, "headers": headers(event, &["topic", "key", "partition", "offset"]), "body": body,
        }),
        "amqp" => json!({
            "contentType": event.datacontenttype, "exchange": one("exchange"), "routingKey": one("routing-key"),
            "messageId": one("message-id"), "timestamp": event.time, "body": body,
        }),
        "s3" => json!({"notification": [body]}),
        "resource" => json!({
            "type": match one("type").as_str() { "ADDED" => "ADD".to_owned(), "MODIFIED" => "UPDATE".into(), "DELETED" => "DELETE".into(), other => other.to_owned() },
            "group": one("group"), "version": one("version"), "resource": one("resource"), "body": body,
        }),
        _ => json!({"header": headers(event, &[":method", ":path"]), "body": body}),
    }
}

/// Headers as Go writes their names, each a list.
fn headers(event: &Event, but: &[&str]) -> Value {
    let all = event.metadata.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    Value::Object(all.map(|(name, values)| (canonical(name), json!(values))).collect::<Map<_, _>>())
}

/// `x-github-event` as `X-Github-Event`.
fn canonical(name: &str) -> String {
    name.split('-')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
        })
        .collect::<Vec<_>>()
        .join("-")
}
