//! Who is calling, and what they may do.

pub mod authenticate;
pub mod defaults;
pub mod pki;
pub mod rbac;
pub mod review;
pub mod token;

use std::collections::BTreeMap;

pub const MASTERS: &str = "system:masters";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const ANONYMOUS: &str = "system:anonymous";

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub fn anonymous() -> Self {
        User { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..User::default() }
    }

    /// A part of this program: may do everything.
    pub fn component(name: &str) -> Self {
        User { name: format!("system:{name}"), groups: vec![MASTERS.into(), AUTHENTICATED.into()], ..User::default() }
    }

    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.into(),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                AUTHENTICATED.into(),
            ],
            extra: BTreeMap::new(),
        }
    }

    /// Namespace and name, when this is a service account.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }
}

/// The certificate a client showed during the TLS handshake (DER), put into a request's extensions by who terminates TLS.
#[derive(Debug, Clone)]
pub struct ClientCertificate(pub Vec<u8>);
