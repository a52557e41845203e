//! Addresses of repositories, in all the forms in which people clone them.

use crate::go_url::{GoUrl, unescaped};

/// Where a repository is: the address of its host, and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub host: String,
    pub id: String,
}

const TRANSPORTS: [&str; 9] = ["ssh", "git", "git+ssh", "http", "https", "ftp", "ftps", "rsync", "file"];

/// Reads an address: a URL, `user@host:path`, or else a path on this machine, which leads nowhere.
pub fn repository(address: &str) -> Repository {
    let (scheme, host, path) = transport(address).or_else(|| scp(address)).unwrap_or_else(|| local(address));
    let scheme = if scheme == "ssh" { "https".to_owned() } else { scheme };
    let id = path.trim_start_matches('/');
    let id = id.strip_suffix(".git").unwrap_or(id);
    Repository { host: format!("{scheme}://{host}"), id: id.to_owned() }
}

fn transport(address: &str) -> Option<(String, String, String)> {
    let u = GoUrl::parse(address).ok()?;
    TRANSPORTS.contains(&u.scheme.as_str()).then(|| (u.scheme.clone(), u.host.clone(), unescaped(&u.path)))
}

/// `git@github.com:org/repo.git`; what cannot be part of such a path ends it.
fn scp(address: &str) -> Option<(String, String, String)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = match address.split_once('@') {
        Some((user, rest)) if !user.is_empty() && user.chars().all(word) => rest,
        _ => address,
    };
    let (host, path) = rest.split_once(':')?;
    let of_host = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if host.is_empty() || !host.chars().all(of_host) {
        return None;
    }
    let of_path = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
    let path: String = path.chars().take_while(|c| of_path(*c)).collect();
    if path.is_empty() {
        return None;
    }
    Some(("ssh".into(), host.into(), path))
}

fn local(address: &str) -> (String, String, String) {
    ("file".into(), String::new(), address.into())
}

/// An id of two parts.
pub fn owner_and_name(id: &str) -> Option<(&str, &str)> {
    let (owner, name) = id.split_once('/')?;
    (!name.contains('/')).then_some((owner, name))
}
