//! The server itself: opens the store, tells one request from another, and asks who may do what before anything is done.

use crate::auth::authenticate::{Authenticator, impersonate};
use crate::auth::rbac::{Attributes, Rbac};
use crate::auth::token::Signer;
use crate::auth::{ClientCertificate, User, pki::Pki};
use crate::body::Body;
use crate::object::Key;
use crate::request::{Info, Query, Target, target};
use crate::resource::{Entries, Provided, Resource, Table};
use crate::respond::{self, Answer, Form, negotiate};
use crate::status::{FieldError, Status};
use crate::store::{self, Store};
use crate::{controllers, crd, discovery, openapi, openapi_v2};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};

#[derive(Debug, Clone)]
pub struct Config {
    /// Holds `api.db` and `pki/`.
    pub data_dir: PathBuf,
    /// Names and addresses that the server certificate is good for.
    pub hosts: Vec<String>,
    /// Largest request body, in bytes.
    pub max_body: usize,
    /// Watches open at the same time.
    pub max_watches: usize,
    pub store: store::Options,
    /// The kinds that the default roles `view`, `edit` and `admin` include besides the built-in ones.
    pub product_group: Option<String>,
}

impl Config {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Config {
            data_dir: data_dir.into(),
            hosts: vec!["localhost".into(), "127.0.0.1".into(), "::1".into()],
            max_body: 3 * 1024 * 1024,
            max_watches: 10_000,
            store: store::Options::default(),
            product_group: None,
        }
    }
}

/// What `GET …/pods/NAME/log` asks for.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    pub container: String,
    pub follow: bool,
    pub timestamps: bool,
    pub tail_lines: Option<u64>,
    pub since_seconds: Option<u64>,
    pub limit_bytes: Option<u64>,
    pub previous: bool,
}

/// Where the logs of Pods come from: the Pod object and what is asked, to a body.
pub type LogSource = Arc<dyn Fn(Value, LogOptions) -> BoxFuture<'static, Result<Body, Status>> + Send + Sync>;

pub struct State {
    pub config: Config,
    pub store: Arc<Store>,
    pub table: Table,
    pub rbac: Rbac,
    pub authenticator: Authenticator,
    pub signer: Arc<Signer>,
    pub pki: Pki,
    pub watches: AtomicUsize,
    pub logs: RwLock<Option<LogSource>>,
    pub cleanup: controllers::Cleanup,
}

/// A running API. Clones are handles to the same one.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) state: Arc<State>,
}

impl ApiServer {
    /// Opens the data directory, which must belong to this process alone.
    pub fn open(config: Config, provided: Vec<Provided>) -> Result<Self, String> {
        let pki = Pki::open(&config.data_dir.join("pki"), &config.hosts)?;
        let signer = Arc::new(Signer::new(&pki.token_key)?);
        let store = Arc::new(Store::open(&config.data_dir.join("api.db"), config.store.clone())?);
        let table = Table::new(provided)?;
        let state = State {
            rbac: Rbac::new(store.clone()),
            authenticator: Authenticator::new(signer.clone(), store.clone()),
            config,
            store,
            table,
            signer,
            pki,
            watches: AtomicUsize::new(0),
            logs: RwLock::default(),
            cleanup: controllers::Cleanup::default(),
        };
        let server = Self { state: Arc::new(state) };
        server.serve_definitions()?;
        Ok(server)
    }

    /// Makes stored CustomResourceDefinitions served again after a start.
    fn serve_definitions(&self) -> Result<(), String> {
        let range = store::Range { resource: crd::RESOURCE, ..store::Range::default() };
        for found in self.state.store.list(&range).map_err(|e| e.message)?.items {
            self.state.serve_definition(&found.value());
        }
        Ok(())
    }

    /// Creates the default roles and namespaces, then works in the background until dropped: owners, namespaces, accounts, tokens.
    pub async fn run_controllers(&self, namespaces: &[&str]) -> Result<(), String> {
        controllers::start(self.state.clone(), namespaces).await
    }

    pub fn set_logs(&self, source: LogSource) {
        *self.state.logs.write().unwrap_or_else(|e| e.into_inner()) = Some(source);
    }

    pub fn pki(&self) -> &Pki {
        &self.state.pki
    }

    /// The caller behind credentials: a `Bearer` header or a client certificate.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Arc<User>, Status> {
        self.state.authenticator.caller(headers, certificate)
    }

    /// The version of the last write to a resource (`plural.group`) since the start; 0 if there was none.
    pub fn last_change(&self, resource: &str) -> u64 {
        self.state.store.hub.last_change(resource)
    }

    /// Whether a caller may do something, without asking over HTTP: (verb, group, resource, namespace, name).
    pub fn allowed(&self, user: &User, verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        self.state.rbac.allowed(user, &Attributes { verb, group, resource, namespace, name, ..Attributes::default() })
    }

    /// Requests through this service are made by `user`; for parts of the same process.
    pub fn service_as(&self, user: User) -> Service {
        Service { server: self.clone(), user: Some(Arc::new(user)) }
    }

    /// Requests through this service bring their own credentials; for the network.
    pub fn service(&self) -> Service {
        Service { server: self.clone(), user: None }
    }

    async fn handle<B>(&self, request: Request<B>, user: Option<Arc<User>>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let form = negotiate(&parts.headers, false).unwrap_or(Form::JSON);
        let body = match Limited::new(body, self.state.config.max_body).collect().await {
            Ok(b) => b.to_bytes(),
            Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => {
                return respond::failure(&Status::too_large(self.state.config.max_body), form);
            }
            Err(e) => return respond::failure(&Status::bad_request(format!("the body could not be read: {e}")), form),
        };
        let inside = user.is_some();
        let certificate = parts.extensions.get::<ClientCertificate>();
        let caller = match user {
            Some(u) => Ok(u),
            None => self.state.authenticator.caller(&parts.headers, certificate),
        };
        let call = caller.and_then(|c| impersonate(&parts.headers, c, &self.state.rbac)).map(|user| Call {
            user,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query()),
            headers: parts.headers,
            body,
            inside,
        });
        let result = match call {
            Ok(call) => self.state.clone().answer(call).await,
            Err(e) => Err(e),
        };
        let mut answer = result.unwrap_or_else(|e| respond::failure(&e, form));
        if parts.method == Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        answer
    }
}

/// One request with everything that is known about it.
pub struct Call {
    pub user: Arc<User>,
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Made by a part of this process.
    pub inside: bool,
}

impl State {
    async fn answer(self: Arc<Self>, call: Call) -> Result<Answer, Status> {
        match target(&call.method, &call.path, &call.query) {
            Target::Other(path) => self.document(&call, &path),
            Target::Resource(info) => self.resource(call, info).await,
        }
    }

    async fn resource(self: Arc<Self>, call: Call, info: Info) -> Result<Answer, Status> {
        let attributes = Attributes {
            verb: &info.verb,
            group: &info.group,
            resource: &info.plural,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: None,
        };
        let entries = self.table.entries();
        if info.verb.is_empty() {
            let custom = entries.find(&info.group, &info.version, &info.plural).is_some_and(|r| r.custom);
            return Err(if custom { unsupported_verb(&info, "") } else { Status::method_not_allowed() });
        }
        self.rbac.check(&call.user, &attributes)?;
        let Some(r) = entries.find(&info.group, &info.version, &info.plural).cloned() else { return Ok(not_served()) };
        if !r.custom {
            let wrong_path = match info.verb.as_str() {
                "create" => !info.name.is_empty() && info.subresource.is_empty(),
                "update" | "patch" => info.name.is_empty(),
                _ => call.method == Method::HEAD,
            };
            if wrong_path {
                return Err(Status::method_not_allowed());
            }
            // A log is text, whatever is asked for.
            if info.subresource != "log" {
                respond::acceptable(&call.headers)?;
            }
        }
        if r.namespaced == (info.namespace.is_empty() || r.plural == "namespaces")
            && !(r.namespaced && matches!(info.verb.as_str(), "list" | "watch" | "deletecollection"))
            && r.plural != "namespaces"
        {
            return match (r.namespaced, info.verb.as_str()) {
                (true, "create") if !r.custom => {
                    Err(Status::bad_request("an empty namespace may not be set during creation"))
                }
                _ => Ok(not_served()),
            };
        }
        if let Some(answer) = self.special(&call, &info, &r).await {
            return answer;
        }
        match info.verb.as_str() {
            "get" => self.get(&call, &info, &r),
            "list" => self.list(&call, &info, &r),
            "watch" => self.watch(&call, &info, &r),
            "create" => self.create(&call, &info, &r).await,
            "update" => self.update(&call, &info, &r).await,
            "patch" => self.patch(&call, &info, &r).await,
            "delete" => self.delete(&call, &info, &r).await,
            "deletecollection" => self.delete_collection(&call, &info, &r).await,
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// Reviews, tokens, logs and subresources that do not exist.
    async fn special(self: &Arc<Self>, call: &Call, info: &Info, r: &Arc<Resource>) -> Option<Result<Answer, Status>> {
        if r.virtual_only {
            return Some(if info.verb == "create" {
                self.review(call, info, r)
            } else {
                Err(Status::method_not_allowed())
            });
        }
        match (r.plural.as_str(), info.subresource.as_str()) {
            (_, "") => None,
            ("serviceaccounts", "token") => Some(if info.verb == "create" {
                self.token_request(call, info)
            } else {
                Err(Status::method_not_allowed())
            }),
            ("pods", "log") => Some(if info.verb == "get" {
                self.pod_log(call, info).await
            } else {
                Err(Status::method_not_allowed())
            }),
            ("pods", "exec" | "attach" | "portforward") => Some(self.no_kubelet(info)),
            ("namespaces", "finalize") => None,
            ("pods", "eviction") => Some(if info.verb == "create" {
                self.evict(call, info, r).await
            } else {
                Err(Status::method_not_allowed())
            }),
            (_, "status") if r.status && matches!(info.verb.as_str(), "create" | "delete") => {
                Some(Err(unsupported_verb(info, &info.verb)))
            }
            (_, "status") if r.status => None,
            _ if r.custom => Some(Err(Status::not_found(&r.group, &r.plural, &info.name))),
            _ => Some(Err(Status::no_such_path())),
        }
    }

    fn review(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        let body = self.read_body(call, r)?;
        let form = negotiate(&call.headers, false)?;
        let answered =
            crate::auth::review::answer(&r.kind, body, &info.namespace, &call.user, &self.rbac, &self.authenticator);
        let answered = answered.ok_or_else(Status::method_not_allowed)??;
        Ok(respond::value(201, &answered, form))
    }

    async fn pod_log(&self, call: &Call, info: &Info) -> Result<Answer, Status> {
        let key = Key::new("pods", &info.namespace, &info.name);
        let pod = self.store.get(&key)?.ok_or_else(|| Status::not_found("", "pods", &info.name))?.value();
        let q = &call.query;
        let options = LogOptions {
            container: q.get("container").into(),
            follow: q.flag("follow"),
            timestamps: q.flag("timestamps"),
            tail_lines: log_bound(q, "tailLines", 0, &info.name)?,
            since_seconds: log_bound(q, "sinceSeconds", 1, &info.name)?,
            limit_bytes: log_bound(q, "limitBytes", 1, &info.name)?,
            previous: q.flag("previous"),
        };
        let names: Vec<&str> = ["containers", "initContainers"]
            .iter()
            .flat_map(|l| pod["spec"][l].as_array().into_iter().flatten())
            .map(|c| crate::object::text(c, &["name"]))
            .collect();
        if !options.container.is_empty() && !names.contains(&options.container.as_str()) {
            return Err(Status::bad_request(format!(
                "container {} is not valid for pod {}",
                options.container, info.name
            )));
        }
        if options.container.is_empty() && names.len() > 1 {
            let all = names.join(" ");
            return Err(Status::bad_request(format!(
                "a container name must be specified for pod {}, choose one of: [{all}]",
                info.name
            )));
        }
        let source = self.logs.read().unwrap_or_else(|e| e.into_inner()).clone();
        let assigned = !crate::object::text(&pod, &["spec", "nodeName"]).is_empty();
        let Some(source) = source.filter(|_| assigned) else {
            let mut none = Response::new(Body::empty());
            *none.status_mut() = http::StatusCode::NO_CONTENT;
            return Ok(none);
        };
        let body = source(pod, options).await?;
        let mut answer = Response::new(body);
        answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        Ok(answer)
    }

    /// A Pod is asked to go: nothing here holds it back, so it is deleted.
    async fn evict(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        self.delete(call, info, r).await?;
        Ok(respond::value(
            201,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
            negotiate(&call.headers, false)?,
        ))
    }

    fn no_kubelet(&self, info: &Info) -> Result<Answer, Status> {
        let key = Key::new("pods", &info.namespace, &info.name);
        self.store.get(&key)?.ok_or_else(|| Status::not_found("", "pods", &info.name))?;
        Err(Status::bad_request(format!("pod {} does not have a host assigned", info.name)))
    }

    fn document(&self, call: &Call, path: &str) -> Result<Answer, Status> {
        let verb = match call.method {
            Method::GET => "get",
            Method::POST => "post",
            Method::PUT => "put",
            Method::DELETE => "delete",
            Method::PATCH => "patch",
            Method::HEAD => "head",
            _ => "options",
        };
        self.rbac.check(&call.user, &Attributes { verb, path: Some(path), ..Attributes::default() })?;
        let entries = self.table.entries();
        let trimmed = path.trim_end_matches('/');
        let parts: Vec<&str> = trimmed.split('/').filter(|p| !p.is_empty()).collect();
        let form = negotiate(&call.headers, false);
        let found = match parts.as_slice() {
            ["healthz" | "livez" | "readyz"] => return Ok(respond::text(200, "ok")),
            ["healthz" | "livez" | "readyz", "ping"] => return Ok(respond::text(200, "ok")),
            ["version"] => Some(version()),
            ["openapi", "v2"] => return Ok(self.openapi_v2(call, &entries)),
            ["openapi", "v3"] => return Ok(self.tagged(call, &openapi::index(&entries))),
            ["openapi", "v3", "api", v] => openapi::document(&entries, "", v),
            ["openapi", "v3", "apis", g, v] => openapi::document(&entries, g, v),
            ["api"] | ["apis"] => return self.groups(call, parts[0] == "api"),
            ["api", v] => discovery::resource_list(&entries, "", v),
            ["apis", g] => discovery::group(&entries, g),
            ["apis", g, v] => discovery::resource_list(&entries, g, v),
            [] => Some(
                json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}),
            ),
            _ => None,
        };
        match found {
            Some(v) => Ok(respond::value(200, &v, form?)),
            None => Ok(not_served()),
        }
    }

    fn groups(&self, call: &Call, core: bool) -> Result<Answer, Status> {
        let entries = self.table.entries();
        if let Some(version) = respond::wants_aggregated(&call.headers)? {
            let mut answer = self.tagged(call, &discovery::aggregated(&entries, version, core));
            let kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
            return Ok(answer);
        }
        let host = call.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        let plain = if core {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]})
        } else {
            discovery::group_list(&entries)
        };
        Ok(respond::value(200, &plain, negotiate(&call.headers, false)?))
    }

    fn openapi_v2(&self, call: &Call, entries: &Entries) -> Answer {
        let document = openapi_v2::document(entries);
        let accept = call.headers.get(http::header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or("");
        if accept.contains(openapi_v2::ASKED) || accept.contains(openapi_v2::PROTOBUF) {
            return respond::bytes(200, openapi_v2::PROTOBUF, openapi_v2::protobuf(&document));
        }
        self.tagged(call, &document)
    }

    /// JSON with an ETag; 304 when the client has it.
    fn tagged(&self, call: &Call, v: &Value) -> Answer {
        let text = v.to_string();
        let tag = format!("\"{}\"", openapi::hex(text.as_bytes()));
        let same = call.headers.get(http::header::IF_NONE_MATCH).and_then(|t| t.to_str().ok()) == Some(&tag);
        let mut answer = if same {
            respond::bytes(304, "application/json", "")
        } else {
            respond::bytes(200, "application/json", text)
        };
        if let Ok(tag) = http::HeaderValue::from_str(&tag) {
            answer.headers_mut().insert(http::header::ETAG, tag);
        }
        answer.headers_mut().insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
        answer
    }

    /// Serves the kinds of a definition; those that the program provides keep their own schema.
    pub fn serve_definition(&self, definition: &Value) {
        let name = crate::object::name(definition);
        if self.table.entries().is_fixed(name) {
            return;
        }
        self.table.replace(name, crd::resources(definition));
        self.store.hub.close(name);
    }
}

/// A bound of a log request, at least `least`.
fn log_bound(q: &Query, name: &str, least: i64, pod: &str) -> Result<Option<u64>, Status> {
    let Some(n) = q.number(name)? else { return Ok(None) };
    match u64::try_from(n) {
        Ok(bound) if n >= least => Ok(Some(bound)),
        _ => {
            let how = if least == 0 { "greater than or equal to 0" } else { "greater than 0" };
            Err(Status::invalid("", "PodLogOptions", pod, &[FieldError::invalid(name, n, format!("must be {how}"))]))
        }
    }
}

pub fn not_served() -> Answer {
    respond::text(404, "404 page not found\n")
}

fn unsupported_verb(info: &Info, verb: &str) -> Status {
    let what = crate::status::qualified(&info.group, &info.plural);
    Status::new(405, "MethodNotAllowed", format!("{verb} is not supported on resources of kind {what:?}")).about(
        &info.group,
        &info.plural,
        "",
    )
}

fn version() -> Value {
    let mut numbers = crate::KUBERNETES.trim_start_matches('v').split('.');
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    json!({
        "major": numbers.next(), "minor": numbers.next(), "gitVersion": format!("{}+triggerfish-{}", crate::KUBERNETES, crate::VERSION),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "rustc", "platform": platform,
    })
}

/// The API as a tower service.
#[derive(Clone)]
pub struct Service {
    server: ApiServer,
    user: Option<Arc<User>>,
}

impl<B> tower::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (server, user) = (self.server.clone(), self.user.clone());
        Box::pin(async move { Ok(server.handle(request, user).await) })
    }
}
