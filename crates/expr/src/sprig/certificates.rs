//! Keys and certificates, made where they are asked for.

use super::{Call, Outcome};
use crate::value::{Object, Value};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use std::rc::Rc;

/// Bits of the keys that certificates get.
const CERTIFICATE_BITS: usize = 2048;
/// Bits of a key on its own.
const KEY_BITS: usize = 4096;

fn rsa_key(bits: usize) -> Result<rsa::RsaPrivateKey, String> {
    rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).map_err(|e| e.to_string())
}

pub fn private_key<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let made = |algorithm| KeyPair::generate_for(algorithm).map(|k| k.serialize_pem()).map_err(|e| e.to_string());
    let pem = match c.text(0) {
        "" | "rsa" => rsa_key(KEY_BITS)?.to_pkcs1_pem(LineEnding::LF).map_err(|e| e.to_string())?.to_string(),
        "ecdsa" => made(&rcgen::PKCS_ECDSA_P256_SHA256)?,
        "ed25519" => made(&rcgen::PKCS_ED25519)?,
        "dsa" => return Err("genPrivateKey: dsa keys are not made here: the scheme is withdrawn (FIPS 186-5); use ecdsa, ed25519 or rsa".into()),
        other => format!("Unknown type {other}"),
    };
    Ok(Value::text(pem))
}

/// A key to sign with and its PEM.
struct Key {
    pair: KeyPair,
    pem: String,
}

impl Key {
    fn new() -> Result<Self, String> {
        let key = rsa_key(CERTIFICATE_BITS)?;
        let der = key.to_pkcs8_der().map_err(|e| e.to_string())?;
        let pair = KeyPair::try_from(der.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self { pair, pem: key.to_pkcs1_pem(LineEnding::LF).map_err(|e| e.to_string())?.to_string() })
    }
    /// A key that was given, in PKCS#8 or, for RSA, PKCS#1.
    fn read(pem: &str) -> Result<Self, String> {
        use rsa::pkcs1::DecodeRsaPrivateKey;
        let failed = |e: String| format!("error parsing private key: {e}");
        let pair = match rsa::RsaPrivateKey::from_pkcs1_pem(pem) {
            Ok(key) => {
                let der = key.to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
                KeyPair::try_from(der.as_bytes()).map_err(|e| failed(e.to_string()))?
            }
            Err(_) => KeyPair::from_pem(pem).map_err(|e| failed(e.to_string()))?,
        };
        Ok(Self { pair, pem: pem.to_owned() })
    }
    fn given(c: &Call, i: usize) -> Result<Self, String> {
        if c.text(i).is_empty() { Self::new() } else { Self::read(c.text(i)) }
    }
}

fn certificate<'a>(cert: String, key: String) -> Outcome<'a> {
    Ok(Value::Object(Rc::new(Object::Certificate { cert, key })))
}

fn params(name: &str, days: i64) -> Result<CertificateParams, String> {
    let mut p = CertificateParams::default();
    p.distinguished_name.push(DnType::CommonName, name);
    let now = rcgen::date_time_ymd(1970, 1, 1)
        + std::time::Duration::from_secs(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0));
    let span = std::time::Duration::from_secs(days.unsigned_abs().min(36_500) * 86_400);
    p.not_before = now;
    p.not_after = if days < 0 { now - span } else { now + span };
    p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(p)
}

/// Parameters of `(name, addresses, names, days, …)`.
fn leaf(c: &Call) -> Result<CertificateParams, String> {
    let mut p = params(c.text(0), c.int(3))?;
    for (i, what) in [(1, "ip"), (2, "alternate dns name")] {
        let Value::List(l) = c.any(i) else { continue };
        for v in l.iter() {
            let Value::Text(s) = &v else {
                return Err(format!("error processing {what}: {} is not a string", crate::builtins::format(&v)));
            };
            p.subject_alt_names.push(if i == 1 {
                SanType::IpAddress(s.parse().map_err(|_| format!("error parsing ip: {s}"))?)
            } else {
                SanType::DnsName(s.to_string().try_into().map_err(|e| format!("{what} {s:?}: {e}"))?)
            });
        }
    }
    Ok(p)
}

pub fn authority<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let key = Key::given(c, 2)?;
    let mut p = params(c.text(0), c.int(1))?;
    p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    p.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let cert = p.self_signed(&key.pair).map_err(|e| e.to_string())?;
    certificate(cert.pem(), key.pem)
}
pub fn self_signed<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let p = leaf(c)?;
    let key = Key::given(c, 4)?;
    let cert = p.self_signed(&key.pair).map_err(|e| e.to_string())?;
    certificate(cert.pem(), key.pem)
}
pub fn signed<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let p = leaf(c)?;
    let Value::Object(o) = c.any(4) else { return Err("unable to decode certificate".into()) };
    let Object::Certificate { cert, key } = &**o else { return Err("unable to decode certificate".into()) };
    let issuer =
        Issuer::from_ca_cert_pem(cert, Key::read(key)?.pair).map_err(|e| format!("error parsing certificate: {e}"))?;
    let key = Key::given(c, 5)?;
    let made = p.signed_by(&key.pair, &issuer).map_err(|e| e.to_string())?;
    certificate(made.pem(), key.pem)
}

/// A certificate and a key that are at hand, both in base64 of their PEM.
pub fn custom<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let decoded = |i: usize, what: &str| {
        let raw = crate::encoding::base64(c.text(i)).map_err(|_| format!("unable to decode base64 {what}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&raw).into_owned())
    };
    let (cert, key) = (decoded(0, "certificate")?, decoded(1, "private key")?);
    if !cert.contains("-----BEGIN CERTIFICATE-----") {
        return Err("unable to decode certificate".into());
    }
    Key::read(&key)?;
    certificate(cert, key)
}
