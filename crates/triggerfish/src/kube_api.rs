//! The Kubernetes API as the rooms use it: paths and JSON over a `kube::Client`, embedded or not.

use crate::event::Caller;
use apiserver::{ApiServer, User};
use base64::Engine;
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// An answer that is no success: HTTP code, reason and sentence, as the API gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub reason: String,
    pub message: String,
}

impl Refusal {
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }
    /// Worth trying again: overload, a timeout, a disk that refuses.
    pub fn is_transient(&self) -> bool {
        matches!(self.code, 429 | 500 | 502 | 503 | 504) || self.code == 0
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// What is read of an object that was written.
#[derive(serde::Deserialize)]
struct Written {
    metadata: WrittenMetadata,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMetadata {
    resource_version: String,
}

/// A client that acts as one caller.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

/// Where the objects of a kind are.
pub fn path(plural: &str, namespace: &str, name: &str) -> String {
    let root = match plural {
        "pods" | "secrets" | "serviceaccounts" | "events" | "configmaps" | "namespaces" => "/api/v1".to_owned(),
        "providers" | "alerts" => format!("/apis/{}", crate::kind::FLUX_API_VERSION),
        "receivers" => format!("/apis/{}/v1", crate::kind::FLUX_GROUP),
        _ => format!("/apis/{}", crate::kind::API_VERSION),
    };
    let mut out = root;
    if !namespace.is_empty() {
        out.push_str("/namespaces/");
        out.push_str(&encode(namespace));
    }
    out.push('/');
    out.push_str(plural);
    if !name.is_empty() {
        out.push('/');
        out.push_str(&encode(name));
    }
    out
}

/// What a Secret holds.
pub fn secret_data(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let engine = &base64::engine::general_purpose::STANDARD;
    let decode = |v: &Value| engine.decode(v.as_str().unwrap_or("")).unwrap_or_default();
    secret["data"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), decode(v))).collect()
}

/// What is escaped in a segment of a path: all but RFC 3986's unreserved characters.
const RESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, RESERVED).to_string()
}

/// Text as a header of a CloudEvent has it: what is not printable ASCII, blanks, quotes and `%` are percent-encoded.
pub fn encode_text(text: &str) -> String {
    const RESERVED: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'%');
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

impl Api {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T, Refusal> {
        let request =
            Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, content_type).body(body);
        let request =
            request.map_err(|e| Refusal { code: 400, reason: "BadRequest".into(), message: e.to_string() })?;
        self.client.request::<T>(request).await.map_err(refusal)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.send("GET", path, "application/json", Vec::new()).await
    }
    /// An answer that is text, such as a log.
    pub async fn text(&self, path: &str) -> Result<String, Refusal> {
        let request = Request::builder().uri(path).body(Vec::new()).map_err(|e| Refusal {
            code: 400,
            reason: "BadRequest".into(),
            message: e.to_string(),
        })?;
        self.client.request_text(request).await.map_err(refusal)
    }

    /// A list or object as a table with columns.
    pub async fn table(&self, path: &str) -> Result<Value, Refusal> {
        let request = Request::builder()
            .uri(path)
            .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(Vec::new());
        let request =
            request.map_err(|e| Refusal { code: 400, reason: "BadRequest".into(), message: e.to_string() })?;
        self.client.request::<Value>(request).await.map_err(refusal)
    }

    /// Posts an event to the REST interface.
    pub async fn event(
        &self,
        namespace: &str,
        discriminator: &str,
        payload: &Value,
        headers: &[(&str, &str)],
    ) -> Result<Value, Refusal> {
        let mut request = Request::builder().method("POST").uri(format!(
            "/api/v1/events/{}/{}",
            encode(namespace),
            encode(discriminator)
        ));
        for (k, v) in headers {
            request = request.header(*k, *v);
        }
        let request = request.body(serde_json::to_vec(payload).unwrap_or_default()).map_err(|e| Refusal {
            code: 400,
            reason: "BadRequest".into(),
            message: e.to_string(),
        })?;
        let response = self.client.send(request.map(kube::client::Body::from)).await.map_err(refusal)?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|e| Refusal { code: 0, reason: String::new(), message: e.to_string() })?
            .to_bytes();
        let v: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            Ok(v)
        } else {
            Err(Refusal {
                code: status,
                reason: String::new(),
                message: v["message"].as_str().unwrap_or("the server refused the event").to_owned(),
            })
        }
    }

    pub async fn create(&self, path: &str, o: &Value) -> Result<Value, Refusal> {
        self.send("POST", path, "application/json", serde_json::to_vec(o).unwrap_or_default()).await
    }
    /// Creates without looking at what was made.
    pub async fn create_blindly(&self, path: &str, o: &Value) -> Result<(), Refusal> {
        self.send::<IgnoredAny>("POST", path, "application/json", serde_json::to_vec(o).unwrap_or_default())
            .await
            .map(drop)
    }
    /// Patches without looking at what became of it.
    pub async fn merge_blindly(&self, path: &str, patch: &Value) -> Result<(), Refusal> {
        self.send::<IgnoredAny>(
            "PATCH",
            path,
            "application/merge-patch+json",
            serde_json::to_vec(patch).unwrap_or_default(),
        )
        .await
        .map(drop)
    }
    /// Patches with a media type of one's own.
    pub async fn patch(&self, path: &str, media: &str, patch: &Value) -> Result<(), Refusal> {
        let path = if media.starts_with("application/apply-patch") {
            format!("{path}?fieldManager=triggerfish&force=true")
        } else {
            path.to_owned()
        };
        self.send::<IgnoredAny>("PATCH", &path, media, serde_json::to_vec(patch).unwrap_or_default()).await.map(drop)
    }
    /// What a kind is called where it is served, and whether its objects are in namespaces.
    pub async fn served(&self, api_version: &str, kind: &str) -> Result<Option<(String, bool)>, Refusal> {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let list = match self.get(&format!("/{root}/{api_version}")).await {
            Err(e) if e.code == 404 => return Ok(None),
            other => other?,
        };
        let found = list["resources"].as_array().into_iter().flatten().find_map(|r| {
            let plural = r["name"].as_str().filter(|n| !n.contains('/') && r["kind"] == kind)?;
            Some((plural.to_owned(), r["namespaced"] == true))
        });
        Ok(found)
    }
    /// Where the objects of a kind are; none if it is not served.
    pub async fn collection(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Option<String>, Refusal> {
        let Some((plural, namespaced)) = self.served(api_version, kind).await? else { return Ok(None) };
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let within = if namespaced { format!("/namespaces/{}", encode(namespace)) } else { String::new() };
        Ok(Some(format!("/{root}/{api_version}{within}/{plural}")))
    }
    /// The labels of an object of any kind; the error says why they cannot be read.
    pub async fn labels(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, String>, String> {
        let collection = self.collection(api_version, kind, namespace).await.map_err(|e| e.message)?;
        let collection = collection.ok_or_else(|| format!("{api_version} {kind} is not served"))?;
        let found = self.get(&format!("{collection}/{}", encode(name))).await.map_err(|e| e.message)?;
        Ok(serde_json::from_value(found["metadata"]["labels"].clone()).unwrap_or_default())
    }
    /// Replaces; the answer is the version that was written.
    pub async fn replace(&self, path: &str, o: &Value) -> Result<String, Refusal> {
        let written: Written =
            self.send("PUT", path, "application/json", serde_json::to_vec(o).unwrap_or_default()).await?;
        Ok(written.metadata.resource_version)
    }
    pub async fn update(&self, path: &str, o: &Value) -> Result<Value, Refusal> {
        self.send("PUT", path, "application/json", serde_json::to_vec(o).unwrap_or_default()).await
    }
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Refusal> {
        self.send("PATCH", path, "application/merge-patch+json", serde_json::to_vec(patch).unwrap_or_default()).await
    }
    /// Server-side apply; the answer is what the server warns of.
    pub async fn apply(&self, path: &str, o: &Value) -> Result<Vec<String>, Refusal> {
        let body = serde_json::to_vec(o).unwrap_or_default();
        let request = Request::builder()
            .method("PATCH")
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(body.into());
        let request =
            request.map_err(|e| Refusal { code: 400, reason: "BadRequest".into(), message: e.to_string() })?;
        let response = self.client.send(request).await.map_err(refusal)?;
        let code = response.status().as_u16();
        // `299 - "text"`
        let warnings = response.headers().get_all(http::header::WARNING).iter().filter_map(|w| {
            std::str::from_utf8(w.as_bytes())
                .ok()?
                .splitn(3, ' ')
                .nth(2)
                .and_then(|quoted| serde_json::from_str(quoted).ok())
        });
        let warnings: Vec<String> = warnings.collect();
        if code < 300 {
            return Ok(warnings);
        }
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|e| Refusal { code: 0, reason: String::new(), message: e.to_string() })?
            .to_bytes();
        let status: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |k: &str| status[k].as_str().unwrap_or("").to_owned();
        Err(Refusal { code, reason: text("reason"), message: text("message") })
    }
    pub async fn delete(&self, path: &str, options: &Value) -> Result<Value, Refusal> {
        self.send("DELETE", path, "application/json", serde_json::to_vec(options).unwrap_or_default()).await
    }
}

fn refusal(e: kube::Error) -> Refusal {
    match e {
        kube::Error::Api(s) => Refusal { code: s.code, reason: s.reason.clone(), message: s.message.clone() },
        other => Refusal { code: 0, reason: String::new(), message: other.to_string() },
    }
}

/// Callers whose clients are kept, at most.
const KEPT: usize = 1024;

/// Makes clients: one for this program's own parts, one for each caller on whose behalf something is done.
pub struct Clients {
    server: ApiServer,
    kept: Mutex<HashMap<Arc<Caller>, Api>>,
}

impl Clients {
    pub fn new(server: ApiServer) -> Self {
        Self { server, kept: Mutex::default() }
    }

    pub fn component(&self, name: &str) -> Api {
        Api::new(Client::new(self.server.service_as(User::component(name)), "default"))
    }

    pub fn as_caller(&self, caller: &Caller) -> Api {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(api) = kept.get(caller) {
            return api.clone();
        }
        let user = User {
            name: caller.name.clone(),
            uid: caller.uid.clone(),
            groups: caller.groups.clone(),
            ..User::default()
        };
        let api = Api::new(Client::new(self.server.service_as(user), "default"));
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(Arc::new(caller.clone()), api.clone());
        api
    }

    pub fn server(&self) -> &ApiServer {
        &self.server
    }
}
