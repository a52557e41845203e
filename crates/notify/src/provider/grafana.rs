//! Grafana: an annotation, to be seen on dashboards.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request};
use crate::setup::Setup;
use serde_json::json;

pub const KIND: Kind = Kind {
    name: "grafana",
    title: "Grafana",
    group: Group::Message,
    check,
    post: |c| Box::pin(post(c)),
    example: "type: grafana\naddress: https://grafana.example.com/api/annotations\nsecretRef: {name: grafana}\n# Secret: token, a service account's; or username and password\n",
    notes: "The annotation's text is the object; what happened is in its tags.",
};

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::for_request(&s.address).map(drop).map_err(|_| format!("invalid Grafana URL {}", s.address))
}

async fn post(c: &Call<'_>) -> Result<(), Failure> {
    let (n, o) = (c.notice, &c.notice.object);
    let mut tags = vec!["flux".to_owned(), n.controller.clone()];
    // A colon would part a tag in two.
    let plain = |text: &str| text.replace(':', "|");
    tags.extend(n.metadata.iter().map(|(k, v)| format!("{}: {}", plain(k), plain(v))));
    tags.extend([format!("kind: {}", o.kind), format!("name: {}", o.name), format!("namespace: {}", o.namespace)]);
    let annotation = json!({"when": n.unix(), "text": c.title(), "tags": tags});
    let mut r = Request::post(&c.setup.address).json(&annotation);
    if !c.token().is_empty() {
        r = r.bearer(c.token());
    } else if let Some((user, password)) = c.setup.basic() {
        r = r.basic(user, password);
    }
    c.post(r).await.map(drop)
}
