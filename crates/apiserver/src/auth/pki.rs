//! The server's own certificate authority, and the keys and certificates made from it on first start.

use super::token::Signer;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Everything in `pki/`, in PEM but for the token key.
pub struct Pki {
    pub ca: String,
    pub server_cert: String,
    pub server_key: String,
    pub admin_cert: String,
    pub admin_key: String,
    pub token_key: Vec<u8>,
}

/// Validity of everything that is made here, in days.
const DAYS: i64 = 3650;

impl Pki {
    /// Reads the folder, making what is missing. Private files are 0600.
    pub fn open(dir: &Path, hosts: &[String]) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
        let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
        if read("ca.crt").is_none() || read("ca.key").is_none() {
            make_all(dir, hosts)?;
        }
        if !dir.join("token.key").exists() {
            write_private(&dir.join("token.key"), &Signer::generate()?)?;
        }
        let need = |name: &str| {
            fs::read_to_string(dir.join(name)).map_err(|e| format!("cannot read {}: {e}", dir.join(name).display()))
        };
        Ok(Self {
            ca: need("ca.crt")?,
            server_cert: need("server.crt")?,
            server_key: need("server.key")?,
            admin_cert: need("admin.crt")?,
            admin_key: need("admin.key")?,
            token_key: fs::read(dir.join("token.key"))
                .map_err(|e| format!("cannot read {}: {e}", dir.join("token.key").display()))?,
        })
    }
}

fn make_all(dir: &Path, hosts: &[String]) -> Result<(), String> {
    let fail = |e: rcgen::Error| format!("cannot make certificates: {e}");
    let ca_key = KeyPair::generate().map_err(fail)?;
    let mut ca = params("triggerfish-ca", None)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let ca_cert = ca.self_signed(&ca_key).map_err(fail)?;
    let ca_key_pem = ca_key.serialize_pem();
    let issuer = Issuer::new(ca, ca_key);

    let mut server = params("triggerfish", None)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for host in hosts {
        server.subject_alt_names.push(match host.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(host.as_str().try_into().map_err(fail)?),
        });
    }
    let server_key = KeyPair::generate().map_err(fail)?;
    let server_cert = server.signed_by(&server_key, &issuer).map_err(fail)?;

    let mut admin = params("admin", Some(super::MASTERS))?;
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let admin_key = KeyPair::generate().map_err(fail)?;
    let admin_cert = admin.signed_by(&admin_key, &issuer).map_err(fail)?;

    write_private(&dir.join("server.key"), server_key.serialize_pem().as_bytes())?;
    write_private(&dir.join("server.crt"), server_cert.pem().as_bytes())?;
    write_private(&dir.join("admin.key"), admin_key.serialize_pem().as_bytes())?;
    write_private(&dir.join("admin.crt"), admin_cert.pem().as_bytes())?;
    write_private(&dir.join("ca.key"), ca_key_pem.as_bytes())?;
    // Written last: its presence says that the rest is complete.
    write_private(&dir.join("ca.crt"), ca_cert.pem().as_bytes())
}

fn params(name: &str, organisation: Option<&str>) -> Result<CertificateParams, String> {
    let mut p = CertificateParams::new(Vec::new()).map_err(|e| e.to_string())?;
    p.distinguished_name.push(DnType::CommonName, name);
    if let Some(o) = organisation {
        p.distinguished_name.push(DnType::OrganizationName, o);
    }
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    // A day of slack for clients whose clock is behind.
    p.not_before = (now - day).into();
    p.not_after = (now + day * DAYS as u32).into();
    Ok(p)
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), String> {
    let temporary = path.with_extension("new");
    let fail = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(fail)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&temporary, path).map_err(fail)
}
