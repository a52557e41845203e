//! Incoming webhooks: which receiver a path is, and what a request has to prove before anything happens.

mod cdevents;
mod oidc;

use crate::cel::{Expression, Type};
use crate::http::{Network, equal, hex};
use crate::setup::Secret;
use http::HeaderMap;
use ring::{digest, hmac};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every type of a receiver, and what proves that a request comes from whom it says.
pub const TYPES: [(&str, &str); 13] = [
    ("generic", "nothing but the secret path"),
    ("generic-hmac", "`X-Signature: sha256=` (or `sha1=`, `sha512=`) and the HMAC of the body"),
    ("generic-oidc", "a token of an OpenID Connect provider, and expressions about its claims"),
    ("github", "`X-Hub-Signature-256`, or the older `X-Hub-Signature`"),
    ("gitlab", "`X-Gitlab-Token`"),
    ("bitbucket", "`X-Hub-Signature`"),
    ("harbor", "`Authorization` is the token"),
    ("dockerhub", "nothing but the secret path"),
    ("quay", "nothing but the secret path"),
    ("gcr", "a token of Google's for the service account that the Secret names"),
    ("nexus", "`X-Nexus-Webhook-Signature`, the HMAC-SHA1 of the body"),
    ("acr", "nothing but the secret path"),
    ("cdevents", "nothing but the secret path; the body is a CDEvent"),
];

/// What counts of a Receiver object.
#[derive(Debug)]
pub struct Receiver {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub generation: i64,
    pub kind: String,
    pub events: Vec<String>,
    pub resources: Vec<Resource>,
    pub filter: Option<Result<Expression, String>>,
    pub secret: String,
    pub providers: Vec<Provider>,
    pub suspend: bool,
}

/// Objects that are annotated.
#[derive(Debug)]
pub struct Resource {
    pub api_version: String,
    pub kind: String,
    /// `*`: those with the labels.
    pub name: String,
    pub namespace: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub filter: Option<Result<Expression, String>>,
}

/// Whom tokens are taken from.
#[derive(Debug)]
pub struct Provider {
    pub issuer: String,
    pub audience: String,
    pub variables: Vec<(String, Result<Expression, String>)>,
    pub validations: Vec<(Result<Expression, String>, String)>,
}

/// A request.
pub struct Incoming<'a> {
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Incoming<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// The media type without its parameters, in small letters.
    fn media(&self) -> String {
        let text = self.header("content-type").unwrap_or("");
        text.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }
}

/// What a request proved, and what filters see of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proved {
    /// The body as filters see it, where it is not the request's own.
    pub body: Option<Value>,
    pub claims: Option<Value>,
}

/// The kinds whose `apiVersion` need not be given.
const KNOWN: [(&str, &str); 7] = [
    ("Bucket", "source.toolkit.fluxcd.io/v1"),
    ("HelmChart", "source.toolkit.fluxcd.io/v1"),
    ("HelmRepository", "source.toolkit.fluxcd.io/v1"),
    ("GitRepository", "source.toolkit.fluxcd.io/v1"),
    ("OCIRepository", "source.toolkit.fluxcd.io/v1"),
    ("ImageRepository", "image.toolkit.fluxcd.io/v1"),
    ("ArtifactGenerator", "source.extensions.fluxcd.io/v1beta1"),
];

/// The path of a receiver: nobody knows it who does not know the token.
pub fn webhook_path(token: &[u8], name: &str, namespace: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(token);
    hash.update(name.as_bytes());
    hash.update(namespace.as_bytes());
    format!("/hook/{}", hex(hash.finish().as_ref()))
}

impl Receiver {
    pub fn read(o: &Value) -> Self {
        let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let list = |p: &str| o.pointer(p).and_then(Value::as_array).into_iter().flatten();
        let (namespace, kind) = (text("/metadata/namespace"), text("/spec/type"));
        let oidc = kind == "generic-oidc";
        Receiver {
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            generation: o.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            events: list("/spec/events").filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            resources: list("/spec/resources").map(|r| Resource::read(r, &namespace, oidc)).collect(),
            filter: filter(&text("/spec/resourceFilter"), oidc),
            secret: text("/spec/secretRef/name"),
            providers: list("/spec/oidcProviders").map(Provider::read).collect(),
            suspend: o.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false),
            kind,
            namespace,
        }
    }

    /// What is wrong with its expressions, the first of them.
    pub fn mistake(&self) -> Option<String> {
        let of_resources = self.resources.iter().filter_map(|r| r.filter.as_ref());
        let of_providers = self
            .providers
            .iter()
            .flat_map(|p| p.variables.iter().map(|(_, e)| e).chain(p.validations.iter().map(|(e, _)| e)));
        let all = self.filter.iter().chain(of_resources).chain(of_providers);
        all.filter_map(|e| e.as_ref().err().cloned()).next()
    }

    fn allows(&self, event: &str, service: &str) -> Result<(), String> {
        let allowed = self.events.is_empty() || self.events.iter().any(|e| e.eq_ignore_ascii_case(event));
        if allowed { Ok(()) } else { Err(format!("the {service} event {event:?} is not authorised")) }
    }

    /// Whether a request proves that it comes from whom it should.
    pub async fn prove(&self, secret: &Secret, r: &Incoming<'_>, network: &Network) -> Result<Proved, String> {
        if self.kind == "generic-oidc" {
            return oidc::prove(self, r, network).await;
        }
        let token = secret.get("token").ok_or_else(|| {
            format!("invalid \"{}/{}\" secret data: required field 'token'", self.namespace, self.secret)
        })?;
        let signed = |name: &str| r.header(name).ok_or_else(|| format!("the {name} header is missing"));
        match self.kind.as_str() {
            "generic" => {}
            "generic-hmac" => signature(signed("X-Signature")?, token, r.body)?,
            "github" => {
                let header = r.header("X-Hub-Signature-256").or_else(|| r.header("X-Hub-Signature"));
                let header = header.ok_or("the GitHub signature header is invalid, err: missing signature")?;
                signature(header, token, r.body)?;
                match r.media().as_str() {
                    "application/json" | "application/x-www-form-urlencoded" => {}
                    "" => return Err("the GitHub signature header is invalid, err: mime: no media type".into()),
                    other => return Err(format!("the content type {other:?} is neither JSON nor a form")),
                }
                self.allows(r.header("X-GitHub-Event").unwrap_or(""), "GitHub")?;
                if r.media() == "application/x-www-form-urlencoded" {
                    return Ok(Proved { body: Some(form(r.body)?), claims: None });
                }
            }
            "bitbucket" => {
                let header = r.header("X-Hub-Signature-256").or_else(|| r.header("X-Hub-Signature"));
                signature(header.ok_or("the Bitbucket signature header is missing")?, token, r.body)?;
                if !matches!(r.media().as_str(), "application/json" | "application/x-www-form-urlencoded") {
                    return Err("the content type is neither JSON nor a form".into());
                }
                self.allows(r.header("X-Event-Key").unwrap_or(""), "Bitbucket")?;
            }
            "gitlab" => {
                same(
                    r.header("X-Gitlab-Token"),
                    token,
                    "the X-Gitlab-Token header value does not match the receiver token",
                )?;
                self.allows(r.header("X-Gitlab-Event").unwrap_or(""), "GitLab")?;
            }
            "harbor" => {
                same(
                    r.header("Authorization"),
                    token,
                    "the Harbor Authorization header value does not match the receiver token",
                )?;
            }
            "dockerhub" => decoded(
                r.body,
                "DockerHub",
                &[
                    ("push_data", Shape::Object(&[("tag", Shape::Text)])),
                    ("repository", Shape::Object(&[("repo_url", Shape::Text)])),
                ],
            )?,
            "quay" => decoded(r.body, "Quay", &[("docker_url", Shape::Text), ("updated_tags", Shape::Texts)])?,
            "acr" => decoded(
                r.body,
                "ACR",
                &[
                    ("action", Shape::Text),
                    ("target", Shape::Object(&[("repository", Shape::Text), ("tag", Shape::Text)])),
                ],
            )?,
            "nexus" => {
                let header =
                    r.header("X-Nexus-Webhook-Signature").ok_or("the Nexus signature is missing from header")?;
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, non_empty(token)?);
                let given = unhex(header).ok_or("invalid Nexus signature")?;
                hmac::verify(&key, r.body, &given).map_err(|_| "invalid Nexus signature".to_owned())?;
                decoded(r.body, "Nexus", &[("action", Shape::Text), ("repositoryName", Shape::Text)])?;
            }
            "gcr" => return oidc::prove_google(secret, r, network).await,
            "cdevents" => {
                self.allows(r.header("Ce-Type").unwrap_or(""), "CDEvent")
                    .map_err(|_| format!("the CDEvent {:?} is not authorised", r.header("Ce-Type").unwrap_or("")))?;
                cdevents::check(r.body)?;
            }
            other => return Err(format!("recevier type {other:?} not supported")),
        }
        Ok(Proved::default())
    }

    /// Whether the filters let an object through. `seen`: its metadata; `body`: what was posted.
    pub fn lets(&self, x: &Resource, seen: &Value, body: &Value, claims: &Value) -> Result<bool, String> {
        for filter in [&self.filter, &x.filter].into_iter().flatten() {
            let filter = filter.as_ref().map_err(Clone::clone)?;
            let mut variables = vec![("res", seen), ("req", body)];
            if self.kind == "generic-oidc" {
                variables.push(("claims", claims));
            }
            if !filter.holds(&variables)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The body as filters see it.
    pub fn body(r: &Incoming, proved: &Proved) -> Result<Value, String> {
        if let Some(v) = &proved.body {
            return Ok(v.clone());
        }
        if r.media() != "application/json" {
            return Ok(json!({}));
        }
        let first = serde_json::Deserializer::from_slice(r.body).into_iter::<Value>().next();
        match first {
            Some(Ok(v @ Value::Object(_))) => Ok(v),
            Some(Ok(Value::Null)) => Ok(json!({})),
            Some(Ok(_)) => Err("failed to parse request body as JSON: expected an object".into()),
            Some(Err(e)) => Err(format!("failed to parse request body as JSON: {e}")),
            None => Err("failed to parse request body as JSON: EOF".into()),
        }
    }
}

impl Resource {
    fn read(v: &Value, namespace: &str, oidc: bool) -> Self {
        let text = |k: &str| v[k].as_str().unwrap_or("").to_owned();
        let or = |given: String, default: &str| if given.is_empty() { default.to_owned() } else { given };
        let labels = v["matchLabels"].as_object();
        Resource {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            namespace: or(text("namespace"), namespace),
            labels: labels.map(|o| o.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()),
            filter: filter(&text("filter"), oidc),
        }
    }

    /// The group and version, which the kinds of Flux need not name.
    pub fn group_version(&self) -> Result<String, String> {
        if !self.api_version.is_empty() {
            return Ok(self.api_version.clone());
        }
        let known = KNOWN.iter().find(|(kind, _)| *kind == self.kind);
        known
            .map(|(_, v)| (*v).to_owned())
            .ok_or_else(|| format!("apiVersion must be specified for kind {:?}", self.kind))
    }
}

impl Provider {
    fn read(v: &Value) -> Self {
        let text = |v: &Value, k: &str| v[k].as_str().unwrap_or("").to_owned();
        let audience = text(v, "audience");
        let seen = ["claims", "vars"];
        let variables = v["variables"].as_array().into_iter().flatten();
        let validations = v["validations"].as_array().into_iter().flatten();
        Provider {
            issuer: text(v, "issuerURL"),
            audience: if audience.is_empty() { "notification-controller".into() } else { audience },
            variables: variables
                .map(|x| (text(x, "name"), Expression::compile_any(&text(x, "expression"), &seen)))
                .collect(),
            validations: validations
                .map(|x| (Expression::compile(&text(x, "expression"), &seen, &Type::Bool), text(x, "message")))
                .collect(),
        }
    }
}

fn filter(text: &str, oidc: bool) -> Option<Result<Expression, String>> {
    if text.is_empty() {
        return None;
    }
    let variables: &[&str] = if oidc { &["res", "req", "claims"] } else { &["res", "req"] };
    Some(Expression::compile(text, variables, &Type::Bool))
}

/// A key of nothing signs nothing.
fn non_empty(token: &[u8]) -> Result<&[u8], String> {
    if token.is_empty() { Err("the receiver's token is empty: give it one".into()) } else { Ok(token) }
}

/// `sha256=` and a digest in hexadecimal digits.
fn signature(header: &str, token: &[u8], body: &[u8]) -> Result<(), String> {
    let token = non_empty(token)?;
    let (algorithm, given) =
        header.split_once('=').ok_or("the signature is no algorithm and digest, such as sha256=...")?;
    let algorithm = match algorithm {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => hmac::HMAC_SHA256,
        "sha512" => hmac::HMAC_SHA512,
        other => return Err(format!("unsupported signature algorithm {other:?}")),
    };
    let given = unhex(given).ok_or("the signature is no hexadecimal digits")?;
    hmac::verify(&hmac::Key::new(algorithm, token), body, &given).map_err(|_| "payload signature check failed".into())
}

/// Compares in the same time, whatever is the same.
fn same(given: Option<&str>, token: &[u8], why: &str) -> Result<(), String> {
    let token = non_empty(token)?;
    if equal(given.unwrap_or("").as_bytes(), token) { Ok(()) } else { Err(why.to_owned()) }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    bytes.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 16).ok()).collect()
}

/// What GitHub posts as a form: the event is its field `payload`.
fn form(body: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(body);
    let payload = text.split('&').find_map(|p| p.strip_prefix("payload=")).unwrap_or("");
    if payload.is_empty() {
        return Ok(json!({}));
    }
    let decoded = crate::go_url::unescaped(&payload.replace('+', " "));
    serde_json::from_str(&decoded).map_err(|e| format!("failed to parse request body as JSON: {e}"))
}

/// What a member has to be, if it is there.
enum Shape {
    Text,
    Texts,
    Object(&'static [(&'static str, Shape)]),
}

fn decoded(body: &[u8], service: &str, members: &[(&str, Shape)]) -> Result<(), String> {
    let fail = |why: String| format!("cannot decode {service} webhook payload: {why}");
    // What follows the first value is nobody's.
    let first = serde_json::Deserializer::from_slice(body).into_iter::<Value>().next();
    let v = first.ok_or_else(|| fail("EOF".into()))?.map_err(|e| fail(e.to_string()))?;
    if v.is_null() {
        return Ok(());
    }
    if !v.is_object() {
        return Err(fail("expected an object".into()));
    }
    shaped(&v, members).map_err(fail)
}

fn shaped(v: &Value, members: &[(&str, Shape)]) -> Result<(), String> {
    for (name, shape) in members {
        let Some(m) = v.get(name).filter(|m| !m.is_null()) else { continue };
        let right = match shape {
            Shape::Text => m.is_string(),
            Shape::Texts => m.as_array().is_some_and(|l| l.iter().all(|v| v.is_string() || v.is_null())),
            Shape::Object(inner) if m.is_object() => {
                shaped(m, inner)?;
                true
            }
            Shape::Object(_) => false,
        };
        if !right {
            return Err(format!("{name}: it is of the wrong type"));
        }
    }
    Ok(())
}
