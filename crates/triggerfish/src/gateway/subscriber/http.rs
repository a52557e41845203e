//! Events by HTTP: a POST each.

use super::super::Failure;
use super::super::secret::{Reference, Tls};
use super::{Connection, Kind, Mode, Subscriber, settings};
use crate::event::Event;
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub const KIND: Kind = Kind { name: "http", read, example: "url: http://127.0.0.1:12000/events\nmode: binary\n" };

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Http {
    url: String,
    #[serde(default)]
    mode: Mode,
    /// A bearer token.
    auth_secret: Option<Reference>,
    tls: Option<Tls>,
}

fn read(v: &Value) -> Result<Arc<dyn Subscriber>, String> {
    let h: Http = settings(v)?;
    let known = reqwest::Url::parse(&h.url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    if !known {
        return Err(format!("url: {:?} is no address, such as http://127.0.0.1:12000/events", h.url));
    }
    Ok(Arc::new(h))
}

struct Open {
    client: reqwest::Client,
    url: String,
    mode: Mode,
    token: Option<String>,
}

impl Subscriber for Http {
    fn label(&self) -> String {
        // A query may hold what nobody should see.
        format!("http {}", self.url.split(['?', '#']).next().unwrap_or(""))
    }

    fn connect<'a>(
        &'a self,
        api: &'a Api,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Connection + 'a>, Failure>> {
        Box::pin(async move {
            let token = match &self.auth_secret {
                Some(r) => Some(r.value_in(api, namespace).await?),
                None => None,
            };
            let tls = self.tls.clone().unwrap_or_default().client_in(api, namespace).await?;
            let client = reqwest::Client::builder()
                .timeout(TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .tls_backend_preconfigured(tls)
                .build()
                .map_err(|e| Failure::lost("cannot begin", e))?;
            let open: Box<dyn Connection> = Box::new(Open { client, url: self.url.clone(), mode: self.mode, token });
            Ok(open)
        })
    }
}

impl Connection for Open {
    fn send<'a>(&'a mut self, events: &'a [Arc<Event>]) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for e in events {
                let m = self.mode.message(e);
                let mut request = self.client.post(&self.url).header("content-type", m.content_type);
                for (name, value) in &m.attributes {
                    request = request.header(format!("ce-{name}"), crate::kube_api::encode_text(value));
                }
                if let Some(token) = &self.token {
                    request = request.bearer_auth(token);
                }
                let answer =
                    request.body(m.body).send().await.map_err(|e| Failure::lost("cannot send", e.without_url()))?;
                let status = answer.status();
                if !status.is_success() {
                    return Err(Failure::Lost(format!("it answers {status}")));
                }
            }
            Ok(())
        })
    }
}
