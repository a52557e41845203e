//! OpenTelemetry: a span for each notice; those of one revision are one trace.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use prost::Message;
use ring::digest;
use traces::{AnyValue, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span, Status, Traces};

pub const KIND: Kind = Kind {
    name: "otel",
    title: "OpenTelemetry",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: otel\naddress: http://otel-collector.example.com:4318/v1/traces\nsecretRef: {name: otel}\n# Secret: token, or username and password; headers as YAML\n",
    notes: "OTLP over HTTP, in protobuf. Notices of a HelmRepository are not sent.",
};

/// Where traces are taken if the address has no path.
const PATH: &str = "/v1/traces";
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.34.0";
/// The span is sampled, and its parent is known to be none.
const FLAGS: u32 = 0x301;
const INTERNAL: i32 = 1;
const OK: i32 = 1;
const ERROR: i32 = 2;

/// The messages of OTLP, as far as they are sent.
pub mod traces {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub struct Traces {
        #[prost(message, repeated, tag = "1")]
        pub resource_spans: Vec<ResourceSpans>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_spans: Vec<ScopeSpans>,
        #[prost(string, tag = "3")]
        pub schema_url: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub spans: Vec<Span>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Scope {
        #[prost(string, tag = "1")]
        pub name: String,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub name: String,
        #[prost(int32, tag = "6")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub attributes: Vec<KeyValue>,
        #[prost(message, optional, tag = "15")]
        pub status: Option<Status>,
        #[prost(fixed32, tag = "16")]
        pub flags: u32,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct Status {
        #[prost(string, tag = "2")]
        pub message: String,
        #[prost(int32, tag = "3")]
        pub code: i32,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub struct AnyValue {
        #[prost(string, optional, tag = "1")]
        pub string_value: Option<String>,
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { string_value: Some(value.to_owned()) }) }
}

fn check(s: &Setup) -> Result<(), String> {
    place(s).map(drop)
}

/// Where spans go: over TLS if the address says so.
fn place(s: &Setup) -> Result<String, String> {
    let url = GoUrl::parse(&s.address).map_err(|why| format!("invalid OTLP endpoint: {why}"))?;
    let scheme = if url.scheme == "https" { "https" } else { "http" };
    if url.host.is_empty() {
        return Err(format!("invalid OTLP endpoint {:?}: it names no host", s.address));
    }
    let path = if url.path.is_empty() { PATH.to_owned() } else { crate::go_url::escaped(&url.path) };
    Ok(format!("{scheme}://{}{path}", url.host))
}

/// The trace that a notice belongs to.
pub fn trace_id(c: &Call) -> Vec<u8> {
    let n = c.notice;
    let revision = match (n.meta("app-version"), n.meta("oci-digest"), n.meta("revision")) {
        (version, digest, _) if !version.is_empty() && !digest.is_empty() => format!("{version}@{digest}"),
        (_, _, "") => "unknown".to_owned(),
        (_, _, revision) => revision.to_owned(),
    };
    let text = format!("{}:{revision}", c.setup.alert.uid);
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16].to_vec()
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let (n, o, alert) = (c.notice, &c.notice.object, &c.setup.alert);
    if o.kind == "HelmRepository" {
        return Ok(());
    }
    let now = jiff::Timestamp::now();
    let nanoseconds = |t: jiff::Timestamp| t.as_nanosecond() as u64;
    let mut attributes = vec![
        attribute("object.uid", &o.uid),
        attribute("object.kind", &o.kind),
        attribute("object.name", &o.name),
        attribute("object.namespace", &o.namespace),
    ];
    attributes.extend(n.metadata.iter().map(|(k, v)| attribute(k, v)));
    let status = if n.is_error() {
        Status { message: n.message.clone(), code: ERROR }
    } else {
        Status { message: String::new(), code: OK }
    };
    let span = Span {
        trace_id: trace_id(c),
        span_id: uuid::Uuid::new_v4().as_bytes()[..8].to_vec(),
        name: c.title.map_or_else(|| format!("{}: {}/{}", o.kind, o.namespace, o.name), str::to_owned),
        kind: INTERNAL,
        start_time_unix_nano: nanoseconds(n.timestamp.unwrap_or(now)),
        end_time_unix_nano: nanoseconds(now),
        attributes,
        status: Some(status),
        flags: FLAGS,
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.instance.id", &alert.uid),
            attribute("service.name", &format!("{}/{}", alert.namespace, alert.name)),
            attribute("service.namespace", &alert.namespace),
        ],
    };
    let scope = Some(Scope { name: "flux:notification-controller".into() });
    let scope_spans = vec![ScopeSpans { scope, spans: vec![span] }];
    let traces = Traces {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: SCHEMA.into() }],
    };
    let mut r =
        Request::post(place(c.setup).map_err(Failure::never)?).text("application/x-protobuf", traces.encode_to_vec());
    if let Some(token) = &c.setup.token {
        r = r.header("Authorization", format!("Bearer {token}"));
    } else if let Some((user, password)) = c.setup.basic() {
        r = r.basic(user, password);
    }
    for (name, value) in &c.setup.headers {
        r = r.set(name, value);
    }
    c.post(r).await.map(drop)
}
