//! Requests over HTTP: one way for all providers to connect, to trust, to go through proxies, and to tell what a failure means.

use crate::setup::{Setup, Tls};
use base64::Engine;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use reqwest::dns::Resolve;
use ring::{digest, hmac};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Bytes of an answer that are read; more is left unread.
const ANSWER: usize = 1024 * 1024;
/// Characters of an answer that are told.
const TOLD: usize = 300;
/// Redirections that are followed in a row.
const REDIRECTS: usize = 10;
/// Connections to one provider that wait to be used again.
const IDLE: usize = 32;
/// Clients that are kept: one for each combination of certificates and proxy. Beyond it all are made anew.
const CLIENTS: usize = 4096;

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Failure {
    pub why: String,
    /// It may work later; the other side may have said when.
    pub again: bool,
    pub after: Option<Duration>,
    /// What the other side answered, if it did.
    pub status: Option<u16>,
    /// It was sent, and the answer was lost: the other side may have it.
    pub unsure: bool,
}

impl Failure {
    /// It never works like this.
    pub fn never(why: impl Into<String>) -> Self {
        Failure { why: why.into(), ..Failure::default() }
    }
    pub fn again(why: impl Into<String>) -> Self {
        Failure { why: why.into(), again: true, ..Failure::default() }
    }
    /// The same, about a step of several.
    pub fn at(self, step: &str) -> Self {
        Failure { why: format!("{step}: {}", self.why), ..self }
    }
}

/// Where names lead and whom to trust. What it says goes before the system.
#[derive(Clone)]
pub struct Network {
    resolver: Option<Arc<dyn Resolve>>,
    /// Where a host and a port lead, for what is not HTTP.
    pub lookup: Option<fn(&str, u16) -> SocketAddr>,
    roots: Arc<RootCertStore>,
    clients: Arc<Mutex<HashMap<[u8; 32], reqwest::Client>>>,
    /// Servers that have been asked what they offer.
    known: Arc<Mutex<HashSet<String>>>,
}

impl Network {
    /// As the system has it.
    pub fn system() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Network { resolver: None, lookup: None, roots: Arc::new(roots), clients: Arc::default(), known: Arc::default() }
    }

    /// With names that lead elsewhere, and roots instead of the system's.
    pub fn with(
        resolver: Arc<dyn Resolve>,
        lookup: fn(&str, u16) -> SocketAddr,
        roots: Vec<CertificateDer<'static>>,
    ) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        Network {
            resolver: Some(resolver),
            lookup: Some(lookup),
            roots: Arc::new(store),
            clients: Arc::default(),
            known: Arc::default(),
        }
    }

    /// A client with a provider's certificates and proxy: the same as before where they are the same, so that connections are
    /// used again.
    fn client(&self, s: &Setup) -> Result<reqwest::Client, String> {
        let key = s.connection_key();
        let mut clients = self.clients.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(c) = clients.get(&key) {
            return Ok(c.clone());
        }
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(s.tls.as_ref())?)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(IDLE)
            .user_agent(concat!("triggerfish/", env!("CARGO_PKG_VERSION")));
        if let Some(r) = &self.resolver {
            builder = builder.dns_resolver(r.clone());
        }
        if let Some(p) = &s.proxy {
            let mut proxy = reqwest::Proxy::all(&p.url).map_err(|_| "the proxy's address cannot be used".to_owned())?;
            if let Some((user, password)) = &p.credentials {
                proxy = proxy.basic_auth(user, password);
            }
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|e| cause(&e))?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    /// Whether a server has been asked what it offers.
    pub fn knows(&self, server: &str) -> bool {
        self.known.lock().unwrap_or_else(|e| e.into_inner()).contains(server)
    }

    pub fn learn(&self, server: &str) {
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        if known.len() >= CLIENTS {
            known.clear();
        }
        known.insert(server.to_owned());
    }

    /// A client's side of TLS. A CA of one's own replaces the others.
    pub fn tls(&self, own: Option<&Tls>) -> Result<rustls::ClientConfig, String> {
        let roots = match own.and_then(|t| t.ca.as_deref()) {
            None => self.roots.clone(),
            Some(pem) => {
                let mut store = RootCertStore::empty();
                for c in certificates(pem)? {
                    store.add(c).map_err(|_| "failed to parse CA certificate".to_owned())?;
                }
                Arc::new(store)
            }
        };
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        let Some((cert, key)) = own.and_then(|t| t.identity.as_ref()) else { return Ok(config.with_no_client_auth()) };
        let wrong = |_| "failed to parse TLS certificate or key".to_owned();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(wrong)?;
        config
            .with_client_auth_cert(certificates(cert)?, key)
            .map_err(|_| wrong(rustls::pki_types::pem::Error::NoItemsFound))
    }
}

/// The certificates of a PEM text; at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(list) if !list.is_empty() => Ok(list),
        _ => Err("failed to parse CA certificate".into()),
    }
}

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Request { method, url: url.into(), ..Request::default() }
    }
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::POST, url)
    }
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    /// Sets headers: what was there under their names is replaced.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }
    pub fn json<T: serde::Serialize>(self, v: &T) -> Self {
        let body = crate::notice::go_json(v);
        self.text("application/json", body)
    }
    pub fn text(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.set("Content-Type", media)
    }
    pub fn basic(self, user: &str, password: &str) -> Self {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.set("Authorization", format!("Basic {encoded}"))
    }
    pub fn bearer(self, token: &str) -> Self {
        self.set("Authorization", format!("Bearer {token}"))
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|e| Failure {
            status: Some(self.status),
            ..Failure::never(format!("the answer is no JSON: {e}: {}", self.told()))
        })
    }

    /// The first words of the body.
    pub fn told(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().chars().take(TOLD).collect()
    }

    /// What an answer that is no success means: whether it is worth trying again, and when.
    pub fn failure(&self) -> Failure {
        let again = matches!(self.status, 408 | 425 | 429) || self.status >= 500 && self.status != 501;
        Failure {
            why: format!("request failed with status code {}: {}", self.status, self.told()),
            again,
            after: if again { self.after() } else { None },
            status: Some(self.status),
            unsure: false,
        }
    }

    /// When the other side wants to be asked again.
    pub fn after(&self) -> Option<Duration> {
        let text = self.header("retry-after");
        if let Ok(seconds) = text.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(Timestamp::now())).ok()
    }
}

/// One request and what became of it, for people.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub request: Request,
    pub answer: Result<Answer, Failure>,
}

/// How a provider sends.
pub struct Http {
    client: reqwest::Client,
    timeout: Duration,
    /// What was sent; kept only where somebody looks on.
    transcript: Option<Mutex<Vec<Exchange>>>,
    /// Nothing is sent: everything is answered with an empty success.
    dry: bool,
}

impl Http {
    pub fn new(network: &Network, s: &Setup) -> Result<Self, String> {
        Ok(Http { client: network.client(s)?, timeout: s.timeout, transcript: None, dry: false })
    }

    /// Keeps what is sent; `dry`: nothing is.
    pub fn watched(self, dry: bool) -> Self {
        Http { transcript: Some(Mutex::default()), dry, ..self }
    }

    pub fn transcript(&self) -> Vec<Exchange> {
        let kept = self.transcript.as_ref().map(|t| t.lock().unwrap_or_else(|e| e.into_inner()).clone());
        kept.unwrap_or_default()
    }

    /// Sends, and wants a success.
    pub async fn deliver(&self, r: Request) -> Result<Answer, Failure> {
        let answer = self.send(r).await?;
        if answer.is_success() { Ok(answer) } else { Err(answer.failure()) }
    }

    /// Sends, and follows where it is sent on to.
    pub async fn send(&self, mut r: Request) -> Result<Answer, Failure> {
        for _ in 0..REDIRECTS {
            let answer = self.once(&r).await?;
            let place = answer.header("location");
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) || place.is_empty() {
                return Ok(answer);
            }
            if answer.status == 303 && r.method != Method::HEAD {
                // It has what was sent, and says elsewhere what became of it (RFC 9110, section 15.4.4).
                r = Request { method: Method::GET, body: Vec::new(), ..r };
                r.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            }
            let whole = matches!(answer.status, 307 | 308) || matches!(r.method, Method::GET | Method::HEAD);
            if !whole {
                // A client that follows asks the other place for a page, and nothing is delivered.
                let why = format!("it answers {} and names another place: give that one as the address", answer.status);
                return Err(Failure { status: Some(answer.status), ..Failure::never(why) });
            }
            let wrong = || Failure::never("it names another place that is no address");
            let from = reqwest::Url::parse(&r.url).map_err(|_| wrong())?;
            let to = from.join(place).map_err(|_| wrong())?;
            if to.host_str() != from.host_str() || to.scheme() != from.scheme() {
                // What proves who we are is for the first place alone.
                r.headers
                    .retain(|(name, _)| ["content-type", "accept"].iter().any(|kept| name.eq_ignore_ascii_case(kept)));
            }
            r.url = to.to_string();
        }
        Err(Failure::never(format!("stopped after {REDIRECTS} redirects")))
    }

    async fn once(&self, r: &Request) -> Result<Answer, Failure> {
        let answer = if self.dry { Ok(Answer { status: 200, ..Answer::default() }) } else { self.exchange(r).await };
        if let Some(t) = &self.transcript {
            let kept = Exchange { request: r.clone(), answer: answer.clone() };
            t.lock().unwrap_or_else(|e| e.into_inner()).push(kept);
        }
        answer
    }

    async fn exchange(&self, r: &Request) -> Result<Answer, Failure> {
        let mut url =
            reqwest::Url::parse(&r.url).map_err(|e| Failure::never(format!("the address cannot be used: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::never(format!("unsupported protocol scheme {:?}", url.scheme())));
        }
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        // Who cannot be without either is no user.
        let _ = (url.set_username(""), url.set_password(None));
        let mut request = self.client.request(r.method.clone(), url).timeout(self.timeout);
        let given = r.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("authorization"));
        if !given && (!user.is_empty() || password.is_some()) {
            request = request.basic_auth(user, password);
        }
        for (name, value) in &r.headers {
            let wrong = || Failure::never(format!("net/http: invalid header field value for {name:?}"));
            let field = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::never(format!("net/http: invalid header field name {name:?}")))?;
            request = request.header(field, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        if !r.body.is_empty() || r.method == Method::POST {
            request = request.body(r.body.clone());
        }
        let mut answer = request.send().await.map_err(|e| failed(&e))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while body.len() < ANSWER {
            match answer.chunk().await {
                Ok(Some(more)) => body.extend_from_slice(&more),
                Ok(None) => break,
                Err(e) => return Err(failed(&e)),
            }
        }
        Ok(Answer { status, headers, body: body.into() })
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn failed(e: &reqwest::Error) -> Failure {
    if e.is_builder() {
        return Failure::never(cause(e));
    }
    let why = if e.is_timeout() { "it did not answer in time".to_owned() } else { cause(e) };
    // What was not connected was not sent.
    Failure { unsure: !e.is_connect(), ..Failure::again(why) }
}

/// The innermost reason, without the address: that may hold a secret.
fn cause(e: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether two texts are the same, in a time that says nothing of where they differ: both are made to tags with a key of this
/// moment.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()) else { return false };
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

/// SHA-256, for names of what should not be kept itself.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        // Lengths keep parts apart.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(hash.finish().as_ref());
    out
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
