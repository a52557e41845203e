//! A provider with what its Secrets hold: everything that a delivery needs.

use crate::go_url::GoUrl;
use crate::http::{certificates, sha256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a provider may take, if nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest address, in bytes.
const ADDRESS: usize = 2048;

/// What a Secret holds, decoded.
pub type Secret = BTreeMap<String, Vec<u8>>;

/// What counts of a Provider object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provider {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub kind: String,
    pub address: String,
    pub channel: String,
    pub username: String,
    pub timeout: Option<Duration>,
    pub proxy: String,
    pub proxy_secret: String,
    pub secret: String,
    pub cert_secret: String,
    pub service_account: String,
    pub suspend: bool,
    pub commit_status_expr: String,
    /// Ours: how many deliveries at once, and how many in a second.
    pub concurrency: Option<usize>,
    pub rate: Option<f64>,
    /// Ours: for how long a delivery is tried again.
    pub retry_for: Option<Duration>,
}

impl Provider {
    pub fn read(o: &Value) -> Self {
        let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let span = |p: &str| duration(o.pointer(p)?.as_str()?);
        Provider {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            kind: text("/spec/type"),
            address: text("/spec/address"),
            channel: text("/spec/channel"),
            username: text("/spec/username"),
            timeout: span("/spec/timeout"),
            proxy: text("/spec/proxy"),
            proxy_secret: text("/spec/proxySecretRef/name"),
            secret: text("/spec/secretRef/name"),
            cert_secret: text("/spec/certSecretRef/name"),
            service_account: text("/spec/serviceAccountName"),
            suspend: o.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
            commit_status_expr: text("/spec/commitStatusExpr"),
            concurrency: o.pointer("/spec/triggerfish/concurrency").and_then(Value::as_u64).map(|n| n as usize),
            rate: o.pointer("/spec/triggerfish/rate").and_then(Value::as_f64),
            retry_for: span("/spec/triggerfish/retryFor"),
        }
    }

    /// The Secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.secret, &self.proxy_secret, &self.cert_secret].into_iter().map(String::as_str).filter(|n| !n.is_empty())
    }
}

/// A duration as Go writes it: `30s`, `1m30s`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, seconds) = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * seconds;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

/// Which alert a delivery is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertRef {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    pub url: String,
    pub credentials: Option<(String, String)>,
}

/// Certificates, PEM.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tls {
    pub ca: Option<Vec<u8>>,
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// A provider that can be sent with.
#[derive(Clone, Default)]
pub struct Setup {
    pub provider: Provider,
    pub address: String,
    pub username: String,
    pub password: String,
    /// None: there is none, or its Secret's credentials are not used.
    pub token: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub timeout: Duration,
    pub proxy: Option<Proxy>,
    pub tls: Option<Tls>,
    /// Everything of the Secret, for what only some providers read.
    pub data: Secret,
    pub alert: AlertRef,
    /// What a commit's status is called, for those that set one.
    pub commit_status: String,
    /// What is not used, and why; nothing of a Secret's values is in it.
    pub doubts: Vec<String>,
}

impl Setup {
    /// Puts together what an object says and what Secrets hold; the error is said in the words of the original.
    pub fn of(p: &Provider, secrets: &BTreeMap<String, Secret>, alert: &AlertRef) -> Result<Self, String> {
        let found = |name: &str| {
            secrets
                .get(name)
                .ok_or_else(|| format!("failed to get secret '{}/{name}': secrets {name:?} not found", p.namespace))
        };
        let mut s = Setup {
            provider: p.clone(),
            address: p.address.clone(),
            username: p.username.clone(),
            timeout: p.timeout.unwrap_or(TIMEOUT),
            alert: alert.clone(),
            ..Setup::default()
        };
        if !p.proxy.is_empty() {
            s.proxy = Some(Proxy { url: p.proxy.clone(), credentials: None });
        }
        if !p.secret.is_empty() {
            let secret = found(&p.secret)?;
            s.take(secret)?;
        }
        if !p.proxy_secret.is_empty() {
            s.proxy = Some(proxy(found(&p.proxy_secret)?, &format!("{}/{}", p.namespace, p.proxy_secret))?);
        }
        let is_git = crate::provider::named(&p.kind).is_some_and(|k| k.group == crate::provider::Group::CommitStatus);
        if !p.cert_secret.is_empty() {
            s.tls = Some(tls(found(&p.cert_secret)?, &format!("{}/{}", p.namespace, p.cert_secret), true)?);
        } else if is_git && !p.secret.is_empty() {
            let place = format!("{}/{}", p.namespace, p.secret);
            if let Some(e) = s.half() {
                return Err(format!("failed to get TLS config: secret '{place}': {e}"));
            }
            let own = tls(&s.data, &place, false)?;
            s.tls = Some(own).filter(|t| *t != Tls::default());
        }
        Ok(s)
    }

    /// What a Secret says of the provider itself.
    fn take(&mut self, secret: &Secret) -> Result<(), String> {
        let place = format!("{}/{}", self.provider.namespace, self.provider.secret);
        let text = |key: &str| secret.get(key).map(|v| String::from_utf8_lossy(v).into_owned());
        self.data = secret.clone();
        if let Some(address) = text("address") {
            if address.len() > ADDRESS {
                return Err("invalid address in secret: address exceeds maximum length of 2048 bytes".into());
            }
            self.address = address.trim().to_owned();
        }
        if let Some(p) = text("proxy") {
            if GoUrl::parse(&p).is_err() {
                return Err(format!("invalid 'proxy' in secret '{place}'"));
            }
            self.proxy = Some(Proxy { url: p, credentials: None });
        }
        if let Some(h) = text("headers") {
            self.headers = headers(&h)?;
        }
        if let Some(u) = text("username") {
            self.username = u;
        }
        let spoilt = self.half().map(str::to_owned).or_else(|| {
            let ca = secret.get("ca.crt").filter(|ca| certificates(ca).is_err());
            ca.map(|_| "its ca.crt is no certificate".to_owned())
        });
        match spoilt {
            Some(why) => self.doubts.push(format!("the credentials of the secret {place} are not used: {why}")),
            None => {
                self.token = text("token");
                self.password = text("password").unwrap_or_default();
            }
        }
        Ok(())
    }

    /// What is missing of a user and a password in the Secret.
    fn half(&self) -> Option<&'static str> {
        match (self.data.contains_key("username"), self.data.contains_key("password")) {
            (true, false) => Some("malformed basic auth - has 'username' but missing 'password'"),
            (false, true) => Some("malformed basic auth - has 'password' but missing 'username'"),
            _ => None,
        }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// A user and a password that are whole.
    pub fn basic(&self) -> Option<(&str, &str)> {
        let whole = !self.username.is_empty() && !self.password.is_empty();
        whole.then_some((self.username.as_str(), self.password.as_str()))
    }

    /// A text value of the Secret.
    pub fn value(&self, key: &str) -> Option<String> {
        self.data.get(key).map(|v| String::from_utf8_lossy(v).into_owned())
    }

    /// What connections are told apart by.
    pub fn connection_key(&self) -> [u8; 32] {
        let tls = self.tls.clone().unwrap_or_default();
        let (cert, key) = tls.identity.unwrap_or_default();
        let proxy = self.proxy.clone();
        let (user, password) = proxy.as_ref().and_then(|p| p.credentials.clone()).unwrap_or_default();
        let url = proxy.map(|p| p.url).unwrap_or_default();
        sha256(&[
            tls.ca.as_deref().unwrap_or_default(),
            &cert,
            &key,
            url.as_bytes(),
            user.as_bytes(),
            password.as_bytes(),
        ])
    }

    /// Text without any value of a Secret, and without what an address may hold beyond its host.
    pub fn masked(&self, text: &str) -> String {
        let mut hidden: Vec<String> = self
            .data
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "username" | "address" | "proxy"))
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect();
        hidden.extend(self.headers.values().cloned());
        hidden.extend(self.proxy.iter().filter_map(|p| p.credentials.as_ref().map(|(_, password)| password.clone())));
        let mut addresses = vec![self.address.clone(), self.provider.address.clone()];
        addresses.extend(self.proxy.iter().map(|p| p.url.clone()));
        let mut out = text.to_owned();
        // The longest first: one may be part of another.
        hidden.retain(|h| h.trim().len() >= SHORTEST);
        hidden.sort_by_key(|h| std::cmp::Reverse(h.len()));
        for h in &hidden {
            out = out.replace(h.as_str(), MASK).replace(h.trim(), MASK);
        }
        for a in &addresses {
            for part in private_parts(a) {
                out = out.replace(&part, MASK);
            }
        }
        out
    }
}

/// What stands for a secret.
pub const MASK: &str = "*****";
/// A shorter value is no secret: it would hide parts of words.
const SHORTEST: usize = 4;

/// What an address may hold that nobody should see: a password, a path, a query. Hosts may be seen.
fn private_parts(address: &str) -> Vec<String> {
    let mut out = Vec::new();
    if address.contains("SharedAccessKey") {
        out.extend(address.split(';').filter_map(|p| Some(p.split_once("SharedAccessKey=")?.1.to_owned())));
        return out;
    }
    let Ok(u) = GoUrl::parse(address) else { return out };
    out.extend(u.user.as_ref().and_then(|u| Some(u.split_once(':')?.1.to_owned())));
    out.extend(u.query.clone());
    // A short path such as `/v2/alerts` is no secret; webhooks keep theirs in long segments.
    out.extend(u.path.split('/').filter(|s| s.len() >= 8).map(str::to_owned));
    out.retain(|p| p.len() >= SHORTEST);
    out.sort_by_key(|p| std::cmp::Reverse(p.len()));
    out
}

fn headers(text: &str) -> Result<BTreeMap<String, String>, String> {
    let wrong = |what: &str| {
        format!(
            "failed to read headers from secret: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {what}"
        )
    };
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let v: Value = serde_saphyr::from_str(text)
        .map_err(|e| format!("failed to read headers from secret: {}", e.to_string().lines().next().unwrap_or("")))?;
    let o = match v {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(o) => o,
        Value::Array(_) => return Err(wrong("array into Go value of type map[string]string")),
        Value::String(_) => return Err(wrong("string into Go value of type map[string]string")),
        _ => return Err(wrong("number into Go value of type map[string]string")),
    };
    let of = |(k, v): (String, Value)| match v {
        Value::String(s) => Ok((k, s)),
        Value::Null => Ok((k, String::new())),
        Value::Object(_) => Err(wrong("object into Go value of type string")),
        Value::Array(_) => Err(wrong("array into Go value of type string")),
        Value::Bool(_) => Err(wrong("bool into Go value of type string")),
        Value::Number(_) => Err(wrong("number into Go value of type string")),
    };
    o.into_iter().map(of).collect()
}

fn proxy(secret: &Secret, place: &str) -> Result<Proxy, String> {
    let text = |key: &str| secret.get(key).map(|v| String::from_utf8_lossy(v).into_owned());
    let fail = |why: String| format!("failed to get proxy URL: secret '{place}': {why}");
    let url = text("address").ok_or_else(|| fail("key 'address' not found".into()))?;
    let url = url.trim().to_owned();
    if url.len() > ADDRESS {
        return Err(fail("address exceeds maximum length of 2048 bytes".into()));
    }
    let parsed = GoUrl::parse(&url).map_err(|_| fail("failed to parse proxy address".into()))?;
    if !matches!(parsed.scheme.as_str(), "http" | "https" | "socks5") {
        return Err(fail(format!(
            "proxy URL must use one of the supported schemes (http, https, socks5), got '{}'",
            parsed.scheme
        )));
    }
    let credentials = text("username").map(|user| (user, text("password").unwrap_or_default()));
    Ok(Proxy { url, credentials })
}

/// Certificates of a Secret, under their present or their earlier names.
fn tls(secret: &Secret, place: &str, required: bool) -> Result<Tls, String> {
    let get = |name: &str, earlier: &str| secret.get(name).or_else(|| secret.get(earlier)).cloned();
    let (ca, cert, key) = (get("ca.crt", "caFile"), get("tls.crt", "certFile"), get("tls.key", "keyFile"));
    let fail = |why: &str| Err(format!("failed to get TLS config: secret '{place}' {why}"));
    let identity = match (cert, key) {
        (Some(c), Some(k)) => Some((c, k)),
        (Some(_), None) if required => return fail("contains 'tls.crt' but missing 'tls.key'"),
        (None, Some(_)) if required => return fail("contains 'tls.key' but missing 'tls.crt'"),
        (None, None) if required && ca.is_none() => {
            return fail("must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'");
        }
        _ => None,
    };
    if let Some(pem) = &ca {
        certificates(pem).map_err(|e| format!("failed to get TLS config: {e}"))?;
    }
    if let Some((c, _)) = &identity {
        certificates(c).map_err(|_| "failed to get TLS config: failed to parse TLS certificate and key".to_owned())?;
    }
    Ok(Tls { ca, identity })
}
