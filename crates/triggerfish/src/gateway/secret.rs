//! References to Secrets, and their values, which are in no log and no error.

use super::{Failure, Outlet};
use crate::kube_api::{Api, path};
use base64::Engine;
use serde::Deserialize;

/// `{name: minio, key: accesskey}`: one value of a Secret in the gateway's namespace.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    pub name: String,
    pub key: String,
}

impl Reference {
    /// The value now; read as the gateway's service account.
    pub async fn value(&self, out: &Outlet) -> Result<String, Failure> {
        self.value_in(&out.api, &out.gateway.namespace).await
    }

    /// The value now, of a Secret in a namespace.
    pub async fn value_in(&self, api: &Api, namespace: &str) -> Result<String, Failure> {
        let place = path("secrets", namespace, &self.name);
        let secret = api.get(&place).await.map_err(|e| {
            Failure::Lost(format!("the secret {}/{} (key {}) cannot be read: {e}", namespace, self.name, self.key))
        })?;
        let encoded = secret["data"][&self.key]
            .as_str()
            .ok_or_else(|| Failure::Lost(format!("the secret {namespace}/{} has no key {:?}", self.name, self.key)))?;
        let raw = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
        String::from_utf8(raw).map_err(|_| {
            Failure::Lost(format!("the key {:?} of the secret {namespace}/{} is no text", self.key, self.name))
        })
    }
}

/// A user name and a password, both from Secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub username: Reference,
    pub password: Reference,
}

/// Certificates for a connection, from Secrets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Tls {
    #[serde(alias = "caCertSecret")]
    pub ca_cert: Option<Reference>,
    #[serde(alias = "clientCertSecret")]
    pub client_cert: Option<Reference>,
    #[serde(alias = "clientKeySecret")]
    pub client_key: Option<Reference>,
}

impl Tls {
    /// A client's side of TLS: the certificates of the system, or those that are given.
    pub async fn client(&self, out: &Outlet) -> Result<rustls::ClientConfig, Failure> {
        self.client_in(&out.api, &out.gateway.namespace).await
    }

    /// The same, with Secrets of a namespace.
    pub async fn client_in(&self, api: &Api, namespace: &str) -> Result<rustls::ClientConfig, Failure> {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let wrong = |what: &str, e: &dyn std::fmt::Display| Failure::Lost(format!("tls.{what}: {e}"));
        let read = |pem: &str, what: &str| {
            let all = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
            match all.map_err(|e| wrong(what, &e))? {
                none if none.is_empty() => Err(wrong(what, &"it holds no certificate in PEM")),
                some => Ok(some),
            }
        };
        let mut roots = rustls::RootCertStore::empty();
        match &self.ca_cert {
            Some(r) => {
                for c in read(&r.value_in(api, namespace).await?, "caCert")? {
                    roots.add(c).map_err(|e| wrong("caCert", &e))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(config.with_no_client_auth());
        };
        let chain = read(&cert.value_in(api, namespace).await?, "clientCert")?;
        let key = PrivateKeyDer::from_pem_slice(key.value_in(api, namespace).await?.as_bytes())
            .map_err(|e| wrong("clientKey", &e))?;
        config.with_client_auth_cert(chain, key).map_err(|e| wrong("clientCert", &e))
    }
}
