//! Tokens of OpenID Connect: found, verified with the keys that their issuer publishes, and asked about.

use super::{Incoming, Proved, Receiver};
use crate::http::{Http, Network, Request};
use crate::setup::{Secret, Setup, TIMEOUT};
use base64::Engine;
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

/// Google's own keys.
const GOOGLE: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// A token in its parts.
struct Token {
    head: Value,
    claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Token {
    fn read(text: &str) -> Option<Self> {
        let decode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok();
        let (signed, signature) = text.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        Some(Token {
            head: serde_json::from_slice(&decode(head)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed: signed.to_owned(),
            signature: decode(signature)?,
        })
    }

    fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or("")
    }

    fn is_for(&self, audience: &str) -> bool {
        match &self.claims["aud"] {
            Value::String(s) => s == audience,
            Value::Array(l) => l.iter().any(|v| v == audience),
            _ => false,
        }
    }

    /// Whether one of an issuer's keys signed it, and it counts now.
    fn verify(&self, keys: &Value) -> Result<(), String> {
        let algorithm = self.head["alg"].as_str().unwrap_or("");
        let named = &self.head["kid"];
        let all = keys["keys"].as_array().into_iter().flatten();
        let fitting = all.filter(|k| named.is_null() || k["kid"] == *named);
        if !fitting.clone().any(|_| true) {
            return Err("none of the issuer's keys has the token's key id".into());
        }
        if !fitting.into_iter().any(|k| self.signed_by(k, algorithm)) {
            return Err(format!("none of the issuer's keys signed it ({algorithm:?})"));
        }
        let now = Timestamp::now().as_second();
        let seconds = |name: &str| self.claims[name].as_f64().map(|n| n as i64);
        if seconds("exp").is_none_or(|t| t < now) {
            return Err("the token has expired".into());
        }
        if seconds("nbf").is_some_and(|t| t > now + SKEW) {
            return Err("the token does not count yet".into());
        }
        Ok(())
    }

    fn signed_by(&self, key: &Value, algorithm: &str) -> bool {
        let part = |name: &str| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(key[name].as_str().unwrap_or(""))
                .unwrap_or_default()
        };
        let text = self.signed.as_bytes();
        let rsa = match algorithm {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "RS384" => &RSA_PKCS1_2048_8192_SHA384,
            "RS512" => &RSA_PKCS1_2048_8192_SHA512,
            "ES256" if key["kty"] == "EC" => {
                let point = [vec![4], part("x"), part("y")].concat();
                return UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, &self.signature).is_ok();
            }
            _ => return false,
        };
        let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
        key.verify(rsa, text, &self.signature).is_ok()
    }
}

/// Clocks may differ so much, in seconds.
const SKEW: i64 = 300;

fn bearer<'r>(r: &'r Incoming) -> Option<&'r str> {
    r.header("authorization")?.strip_prefix("Bearer ").map(str::trim).filter(|t| !t.is_empty())
}

async fn fetch(network: &Network, url: &str) -> Result<Value, String> {
    let setup = Setup { timeout: TIMEOUT, ..Setup::default() };
    let answer =
        Http::new(network, &setup)?.deliver(Request::get(url)).await.map_err(|e| format!("{url}: {}", e.why))?;
    answer.json().map_err(|e| format!("{url}: {}", e.why))
}

/// A token of a provider that the receiver names.
pub async fn prove(receiver: &Receiver, r: &Incoming<'_>, network: &Network) -> Result<Proved, String> {
    let token = bearer(r).ok_or("the Authorization header is missing or malformed")?;
    let token = Token::read(token).ok_or("the token is none of three parts of base64")?;
    let issuer = token.claim("iss");
    let provider = receiver
        .providers
        .iter()
        .find(|p| p.issuer == issuer)
        .ok_or_else(|| format!("no OIDC provider of the receiver has the issuer {issuer:?}"))?;
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let about = fetch(network, &place).await?;
    if about["issuer"] != *issuer {
        return Err(format!("{place} names another issuer"));
    }
    let keys = about["jwks_uri"].as_str().ok_or_else(|| format!("{place} names no keys"))?;
    token.verify(&fetch(network, keys).await?)?;
    if !token.is_for(&provider.audience) {
        return Err(format!("the token is not for {:?}", provider.audience));
    }
    let mut vars = Value::Object(Map::new());
    for (name, expression) in &provider.variables {
        let expression = expression.as_ref().map_err(Clone::clone)?;
        let value = expression.value(&[("claims", &token.claims), ("vars", &vars)])?;
        vars[name] = value;
    }
    let mut failed = Vec::new();
    for (expression, message) in &provider.validations {
        let expression = expression.as_ref().map_err(Clone::clone)?;
        if !expression.holds(&[("claims", &token.claims), ("vars", &vars)])? {
            failed.push(message.clone());
        }
    }
    if failed.is_empty() { Ok(Proved { body: None, claims: Some(token.claims) }) } else { Err(failed.join("; ")) }
}

/// A token of Google's for a service account, with a message of Pub/Sub around the body.
pub async fn prove_google(secret: &Secret, r: &Incoming<'_>, network: &Network) -> Result<Proved, String> {
    let text = |key: &str| secret.get(key).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
    let fail = |why: String| format!("cannot authenticate GCR request: {why}");
    let token = bearer(r).ok_or_else(|| fail("the Authorization header is missing or malformed".into()))?;
    let token = Token::read(token).ok_or_else(|| fail("the token is none of three parts of base64".into()))?;
    token.verify(&fetch(network, GOOGLE).await.map_err(fail)?).map_err(fail)?;
    let audience = text("audience");
    if !token.is_for(&audience) {
        return Err(fail(format!("the token is not for {audience:?}")));
    }
    if !matches!(token.claim("iss"), "accounts.google.com" | "https://accounts.google.com") {
        return Err(fail(format!("token issuer is '{}'", token.claim("iss"))));
    }
    if token.claim("email") != text("email") {
        return Err(fail(format!("token email is '{}'", token.claim("email"))));
    }
    if token.claims["email_verified"] != true {
        return Err(fail("the token's email is not verified".into()));
    }
    let wrong = |why: &str| format!("cannot decode GCR webhook payload: {why}");
    let push: Value = serde_json::from_slice(r.body).map_err(|e| wrong(&e.to_string()))?;
    let data = push.pointer("/message/data").and_then(Value::as_str).unwrap_or("");
    let data =
        base64::engine::general_purpose::STANDARD.decode(data).map_err(|_| wrong("message.data is no base64"))?;
    let inner: Value = serde_json::from_slice(&data).map_err(|e| wrong(&e.to_string()))?;
    let plain = |k: &str| inner.get(k).is_none_or(|v| v.is_string() || v.is_null());
    if !inner.is_object() || !["action", "digest", "tag"].iter().all(|k| plain(k)) {
        return Err(wrong("expected an object with action, digest and tag"));
    }
    Ok(Proved { body: Some(inner), claims: None })
}
