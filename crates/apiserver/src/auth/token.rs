//! Service-account tokens: JSON Web Tokens (RFC 7519) signed with ES256 by the server's own key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://kubernetes.default.svc";
/// Every token of this server is meant for it unless the request names others.
pub const AUDIENCE: &str = ISSUER;

pub struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl Signer {
    /// `pkcs8` is the private key, as `generate` makes it.
    pub fn new(pkcs8: &[u8]) -> Result<Self, String> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map_err(|e| format!("not an ES256 key: {e}"))?;
        let key_id = crate::openapi::hex(key.public_key().as_ref())[..16].to_lowercase();
        Ok(Self { key, key_id, random })
    }

    pub fn generate() -> Result<Vec<u8>, String> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|e| e.to_string())?;
        Ok(document.as_ref().to_vec())
    }

    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let head =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&self.random, head.as_bytes()).map_err(|e| format!("cannot sign: {e}"))?;
        Ok(format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// The claims of a token that this server signed and that has not expired at `now` (Unix seconds).
    pub fn verify(&self, token: &str, now: i64) -> Option<Value> {
        let (head, signature) = token.rsplit_once('.')?;
        let (_, payload) = head.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(head.as_bytes(), &signature).ok()?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let number = |key: &str| claims.get(key).and_then(Value::as_i64);
        if number("exp").is_some_and(|exp| exp <= now) || number("nbf").is_some_and(|nbf| nbf > now + 60) {
            return None;
        }
        (claims.get("iss").and_then(Value::as_str) == Some(ISSUER)).then_some(claims)
    }
}

/// What a token is bound to besides its account; it dies with that object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// `secret` or `pod`.
    pub kind: String,
    pub name: String,
    pub uid: String,
}

pub struct Claims<'a> {
    pub namespace: &'a str,
    pub account: &'a str,
    pub account_uid: &'a str,
    pub audiences: &'a [String],
    /// Unix seconds.
    pub now: i64,
    /// Unix seconds; none for tokens that live in a Secret.
    pub expires: Option<i64>,
    pub binding: Option<&'a Binding>,
    pub id: Option<&'a str>,
}

impl Claims<'_> {
    pub fn to_json(&self) -> Value {
        let mut own =
            json!({"namespace": self.namespace, "serviceaccount": {"name": self.account, "uid": self.account_uid}});
        if let Some(b) = self.binding {
            own[&b.kind] = json!({"name": b.name, "uid": b.uid});
        }
        let mut out = json!({
            "aud": self.audiences, "iat": self.now, "nbf": self.now, "iss": ISSUER, "kubernetes.io": own,
            "sub": format!("system:serviceaccount:{}:{}", self.namespace, self.account),
        });
        if let Some(exp) = self.expires {
            out["exp"] = json!(exp);
        }
        if let Some(id) = self.id {
            out["jti"] = json!(id);
        }
        out
    }
}
