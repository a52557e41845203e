//! Datadog: an event in the event stream.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "datadog",
    title: "Datadog",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: datadog\naddress: https://api.datadoghq.com\nsecretRef: {name: datadog}\n# Secret: token, an API key\n",
    notes: "Metadata become tags, all in lower case. The text is cut at 4,000 characters.",
};

/// Characters of an event's text.
const TEXT: usize = 4000;

fn check(s: &Setup) -> Result<(), String> {
    if s.token().is_empty() {
        return Err("token cannot be empty".into());
    }
    GoUrl::parse(&s.address).map(drop).map_err(|why| format!("failed to parse address {:?}: {why}", s.address))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let (n, o) = (c.notice, &c.notice.object);
    let url = GoUrl::parse(&c.setup.address).map_err(Failure::never)?;
    // An address without a scheme is a host.
    let (scheme, host) = match (url.scheme.as_str(), url.host.as_str()) {
        ("", "") => ("https", c.setup.address.split('/').next().unwrap_or("")),
        (scheme, host) => (scheme, host),
    };
    let tags = [
        format!("flux_reporting_controller:{}", n.controller),
        format!("flux_reason:{}", n.reason),
        format!("kube_kind:{}", o.kind),
        format!("kube_name:{}", o.name),
        format!("kube_namespace:{}", o.namespace),
    ];
    let of_metadata = n.metadata.iter().map(|(k, v)| format!("{k}:{v}"));
    let tags: Vec<String> = tags.into_iter().chain(of_metadata).map(|t| t.to_lowercase()).collect();
    let title = c.title.map_or_else(|| format!("Events from the {} {}/{}", o.kind, o.name, o.namespace), str::to_owned);
    let event = json!({
        "title": title, "text": super::text::chars(&n.message, TEXT), "tags": tags, "source_type_name": "fluxcd",
        "date_happened": n.unix(), "alert_type": if n.is_error() { "error" } else { "info" },
    });
    let r = Request::post(format!("{scheme}://{host}/api/v1/events"))
        .json(&event)
        .header("DD-API-KEY", c.token())
        .header("Accept", "application/json");
    let answer = c.post(r).await?;
    answer.json().map(drop)
}
