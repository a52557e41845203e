//! Incoming webhooks: what is answered, and which objects are annotated. What the server does with its API is done here with
//! a list of objects.

use crate::suite::{Suite, lines, vectors};
use crate::world::{Script, world};
use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use triggerfish_notify::Secret;
use triggerfish_notify::receiver::{Incoming, Receiver, webhook_path};

const BODY: usize = 3 * 1024 * 1024;

pub fn receiver() {
    let Some(dir) = vectors("receiver") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut suite = Suite::new("receiver");
    for v in lines(&dir.join("vectors.jsonl")) {
        let (id, group) = (v["id"].as_str().unwrap(), v["group"].as_str().unwrap());
        let text = |k: &str| v[k].as_str().unwrap_or("");
        let outcome = if group == "webhook-path" {
            let path = webhook_path(text("token").as_bytes(), text("receiver_name"), text("receiver_namespace"));
            if path == text("webhook_path") { Ok(()) } else { Err(format!("{path} came")) }
        } else {
            runtime.block_on(one(&v))
        };
        suite.case(id, group, outcome);
    }
    suite.finish(0.97);
}

fn key(other: bool) -> &'static RsaKeyPair {
    static KEYS: OnceLock<[RsaKeyPair; 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let read = |pem: &str| {
            RsaKeyPair::from_der(PrivatePkcs1KeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_pkcs1_der())
                .unwrap()
        };
        [read(&world().secrets["@key:rsa"]), read(&crate::world::openssl(&["genrsa", "-traditional", "2048"], ""))]
    });
    &keys[usize::from(other)]
}

fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A token as a vector describes it.
fn token(jwt: &Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = jwt["claims"].clone();
    for (given, name, sign) in [("exp_in", "exp", 1), ("iat_ago", "iat", -1), ("nbf_in", "nbf", 1)] {
        if let Some(seconds) = claims.as_object_mut().unwrap().remove(given).and_then(|v| v.as_i64()) {
            claims[name] = json!(now + sign * seconds);
        }
    }
    let head = json!({"alg": jwt["alg"].as_str().unwrap_or("RS256"), "kid": jwt["kid"].as_str().unwrap_or("k1"), "typ": "JWT"});
    let text = format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let key = key(jwt["signed_by"] == "other");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", encode(&signature))
}

/// What issuers publish.
fn publish(v: &Value) {
    let mut s = world().script.lock().unwrap();
    *s = Script::default();
    let public: PublicKeyComponents<Vec<u8>> = key(false).public().into();
    let keys = json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "n": encode(&public.n), "e": encode(&public.e)}]});
    let issuer = v["jwt"]["claims"]["iss"].as_str().unwrap_or("");
    let answer =
        |v: Value| json!({"status": 200, "headers": {"Content-Type": "application/json"}, "body": v.to_string()});
    if v["receiver"]["spec"]["type"] == "generic-oidc" {
        if issuer.contains("noissuer.") {
            s.answers.push_back(json!({"status": 404, "body": ""}));
        } else {
            let said = if issuer.contains("liar.") { "https://issuer.example.com" } else { issuer };
            s.answers.push_back(answer(json!({"issuer": said, "jwks_uri": format!("{issuer}/keys")})));
        }
    }
    s.answers.push_back(answer(keys));
}

async fn one(v: &Value) -> Result<(), String> {
    publish(v);
    let (status, annotated) = answered(v).await;
    if v["response"]["status"] != status {
        return Err(format!("{} expected, {status} came", v["response"]["status"]));
    }
    let wanted: BTreeSet<String> =
        v["annotated"].as_array().into_iter().flatten().map(|a| a.as_str().unwrap().to_owned()).collect();
    if wanted == annotated { Ok(()) } else { Err(format!("{wanted:?} expected to be annotated, {annotated:?} were")) }
}

async fn answered(v: &Value) -> (u16, BTreeSet<String>) {
    let none = |status: u16| (status, BTreeSet::new());
    let q = &v["request"];
    let path = q["path"].as_str().unwrap();
    let body = match (q["body"].as_str().unwrap_or(""), &q["body_repeat"]) {
        (text, how) if how.is_object() => text
            .replace(
                how["mark"].as_str().unwrap(),
                &how["text"].as_str().unwrap().repeat(how["count"].as_u64().unwrap() as usize),
            )
            .into_bytes(),
        (text, _) => match q["body_base64"].as_str() {
            Some(b) => base64::engine::general_purpose::STANDARD.decode(b).unwrap(),
            None => text.as_bytes().to_vec(),
        },
    };
    if path == "/hook" || path.starts_with("//") {
        return none(307);
    }
    if !path.starts_with("/hook/") {
        return none(404);
    }
    if body.len() > BODY {
        return none(413);
    }
    let mut o = v["receiver"].clone();
    o["metadata"]["uid"] = json!("u");
    let r = Receiver::read(&o);
    if v["webhook_path"] != *path || v["name"] == "no webhook path in status" {
        return none(404);
    }
    if r.suspend || v["ready"] == false {
        return none(503);
    }
    let mut headers = HeaderMap::new();
    let mut proof = String::new();
    for h in q["headers"].as_array().into_iter().flatten() {
        let mut value = h[1].as_str().unwrap().to_owned();
        if value.contains("@jwt") {
            proof = token(&v["jwt"]);
            value = value.replace("@jwt", &proof);
        }
        let name = HeaderName::from_bytes(h[0].as_str().unwrap().as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let _ = proof;
    let incoming = Incoming { headers: &headers, body: &body };
    let of = |o: &Value| -> Secret {
        o.as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap_or("").as_bytes().to_vec()))
            .collect()
    };
    if r.kind != "generic-oidc" && v["secret"].is_null() {
        return none(400);
    }
    let proved = match r.prove(&of(&v["secret"]), &incoming, &world().network).await {
        Ok(p) => p,
        Err(_) => return none(400),
    };
    if r.mistake().is_some() {
        return none(500);
    }
    let filtered = r.filter.is_some() || r.resources.iter().any(|x| x.filter.is_some());
    let seen = match filtered.then(|| Receiver::body(&incoming, &proved)) {
        Some(Err(_)) => return none(500),
        Some(Ok(v)) => v,
        None => Value::Null,
    };
    let claims = proved.claims.unwrap_or_default();
    let (mut annotated, mut failed) = (BTreeSet::new(), false);
    for x in &r.resources {
        let Ok(version) = x.group_version() else {
            failed = true;
            continue;
        };
        if v["no_cross_namespace_refs"] == true && x.namespace != r.namespace {
            failed = true;
            continue;
        }
        let all = v["resources"].as_array().into_iter().flatten();
        let mut found: Vec<&Value> = all
            .filter(|o| {
                o["kind"] == *x.kind && o["apiVersion"] == *version && o["metadata"]["namespace"] == *x.namespace
            })
            .collect();
        if x.name == "*" {
            let Some(labels) = &x.labels else {
                failed = true;
                continue;
            };
            found.retain(|o| labels.iter().all(|(k, l)| o["metadata"]["labels"][k] == **l));
        } else {
            found.retain(|o| o["metadata"]["name"] == *x.name);
            failed |= found.is_empty();
        }
        for o in found {
            let about = json!({"apiVersion": version, "kind": x.kind, "metadata": o["metadata"]});
            match r.lets(x, &about, &seen, &claims) {
                Err(_) => {
                    failed = true;
                    break;
                }
                Ok(false) => {}
                Ok(true) => drop(annotated.insert(format!(
                    "{}/{}/{}",
                    x.kind,
                    x.namespace,
                    o["metadata"]["name"].as_str().unwrap()
                ))),
            }
        }
    }
    (if failed { 500 } else { 200 }, annotated)
}
