//! From a request to a caller: certificate, token, impersonation.

use super::rbac::{Attributes, Rbac};
use super::token::{AUDIENCE, Signer};
use super::{AUTHENTICATED, ClientCertificate, User};
use crate::object::{self, Key};
use crate::status::Status;
use crate::store::Store;
use http::HeaderMap;
use ring::digest;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a token that was found good is trusted without another look.
const TRUST: Duration = Duration::from_secs(10);
/// Tokens remembered, at most; beyond it the memory is emptied.
const REMEMBERED: usize = 4096;

/// Whom a token named, and when it was looked up.
type Seen = (Instant, Arc<User>);

pub struct Authenticator {
    signer: Arc<Signer>,
    store: Arc<Store>,
    seen: Mutex<HashMap<[u8; 32], Seen>>,
}

impl Authenticator {
    pub fn new(signer: Arc<Signer>, store: Arc<Store>) -> Self {
        Self { signer, store, seen: Mutex::default() }
    }

    /// The caller behind the credentials of a request, before impersonation.
    pub fn caller(&self, headers: &HeaderMap, certificate: Option<&ClientCertificate>) -> Result<Arc<User>, Status> {
        if let Some(text) = headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok())
            && let Some(token) = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "))
        {
            return self.token(token.trim()).ok_or_else(Status::unauthorized);
        }
        match certificate {
            Some(c) => certificate_user(c).map(Arc::new).ok_or_else(Status::unauthorized),
            None => Ok(Arc::new(User::anonymous())),
        }
    }

    /// The account behind a token that is good for this server.
    pub fn token(&self, token: &str) -> Option<Arc<User>> {
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some((at, user)) = self.seen.lock().unwrap_or_else(|e| e.into_inner()).get(&id)
            && at.elapsed() < TRUST
        {
            return Some(user.clone());
        }
        let (user, audiences) = self.check(token).ok()?;
        if !audiences.iter().any(|a| a == AUDIENCE) {
            return None;
        }
        let user = Arc::new(user);
        let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(id, (Instant::now(), user.clone()));
        Some(user)
    }

    /// The account behind a token, whatever its audience, with its audiences; or why it is no longer good ("" if it never was).
    pub fn check(&self, token: &str) -> Result<(User, Vec<String>), String> {
        let claims = self.signer.verify(token, jiff::Timestamp::now().as_second()).ok_or("")?;
        let own = claims.get("kubernetes.io").ok_or("")?;
        let namespace = object::text(own, &["namespace"]);
        let account = own.get("serviceaccount").ok_or("")?;
        let (name, uid) = (object::text(account, &["name"]), object::text(account, &["uid"]));
        let gone = |plural: &str, name: &str| format!("{plural} {name:?} not found");
        if self.uid_of("serviceaccounts", namespace, name).as_deref() != Some(uid) {
            return Err(gone("serviceaccounts", name));
        }
        let mut user = User::service_account(namespace, name, uid);
        for (kind, plural) in [("secret", "secrets"), ("pod", "pods")] {
            let Some(bound) = own.get(kind) else { continue };
            let bound_name = object::text(bound, &["name"]);
            if self.uid_of(plural, namespace, bound_name).as_deref() != Some(object::text(bound, &["uid"])) {
                return Err(gone(plural, bound_name));
            }
            if kind == "pod" {
                user.extra.insert(
                    "authentication.kubernetes.io/pod-name".into(),
                    vec![object::text(bound, &["name"]).into()],
                );
                user.extra
                    .insert("authentication.kubernetes.io/pod-uid".into(), vec![object::text(bound, &["uid"]).into()]);
            }
        }
        if let Some(id) = claims.get("jti").and_then(Value::as_str) {
            user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]);
        }
        let audiences = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            list => object::strings(list).into_iter().map(str::to_owned).collect(),
        };
        Ok((user, audiences))
    }

    fn uid_of(&self, plural: &str, namespace: &str, name: &str) -> Option<String> {
        let found = self.store.get(&Key::new(plural, namespace, name)).ok()??.value();
        (!object::is_deleting(&found)).then(|| object::uid(&found).to_owned())
    }
}

/// Subject of a certificate: common name is the user, organisations are groups.
fn certificate_user(c: &ClientCertificate) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&c.0).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    groups.push(AUTHENTICATED.into());
    let mut user = User { name, groups, ..User::default() };
    let fingerprint = format!("X509SHA256={}", crate::openapi::hex(&c.0).to_lowercase());
    user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![fingerprint]);
    Some(user)
}

/// Applies `Impersonate-*` headers, if the caller may.
pub fn impersonate(headers: &HeaderMap, caller: Arc<User>, rbac: &Rbac) -> Result<Arc<User>, Status> {
    let all = |name: &str| {
        headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let Some(name) = all("impersonate-user").into_iter().next() else {
        if headers.contains_key("impersonate-group") || headers.contains_key("impersonate-uid") {
            return Err(Status::internal("requested [{Group  }] without impersonating a user"));
        }
        return Ok(caller);
    };
    let (account_ns, account) = match name.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':')) {
        Some((ns, sa)) => (ns.to_owned(), Some(sa.to_owned())),
        None => (String::new(), None),
    };
    let may = |resource: &str, namespace: &str, subject: &str| {
        let a = Attributes { verb: "impersonate", resource, namespace, name: subject, ..Attributes::default() };
        if rbac.allowed(&caller, &a) { Ok(()) } else { Err(rbac.refusal(&caller, &a)) }
    };
    match &account {
        Some(sa) => may("serviceaccounts", &account_ns, sa)?,
        None => may("users", "", &name)?,
    }
    let mut groups = all("impersonate-group");
    for g in &groups {
        may("groups", "", g)?;
    }
    let mut user = match &account {
        Some(sa) if groups.is_empty() => User::service_account(&account_ns, sa, ""),
        _ => User { name: name.clone(), ..User::default() },
    };
    if let Some(uid) = all("impersonate-uid").into_iter().next() {
        may("uids", "", &uid)?;
        user.uid = uid;
    }
    if !groups.is_empty() {
        user.groups.append(&mut groups);
    }
    if name != super::ANONYMOUS && !user.groups.iter().any(|g| g == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    for (header, value) in headers {
        if let Some(key) = header.as_str().strip_prefix("impersonate-extra-") {
            let key = crate::request::decode(key);
            user.extra.entry(key).or_default().push(value.to_str().unwrap_or("").to_owned());
        }
    }
    Ok(Arc::new(user))
}
