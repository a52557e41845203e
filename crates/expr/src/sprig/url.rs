//! URLs, paths and host names.

use super::{Call, Outcome};
use crate::value::Value;
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::time::Duration;

pub fn base<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let path = c.text(0);
    let cut = path.trim_end_matches('/');
    Ok(Value::text(match (path, cut) {
        ("", _) => ".",
        (_, "") => "/",
        (_, cut) => cut.rsplit('/').next().unwrap_or(cut),
    }))
}
pub fn ext<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let name = c.text(0).rsplit('/').next().unwrap_or("");
    Ok(Value::text(name.rfind('.').map_or("", |i| &name[i..])))
}
pub fn is_absolute<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(c.text(0).starts_with('/')))
}
pub fn clean<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::text(cleaned(c.text(0))))
}
pub fn dir<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let path = c.text(0);
    Ok(Value::text(cleaned(path.rfind('/').map_or("", |i| &path[..=i]))))
}

/// The shortest path that means the same, without looking at the disk.
fn cleaned(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// How long a name may take to be found.
const LOOK_UP: Duration = Duration::from_secs(2);

/// An address of a host. The look-up runs on a thread of its own, so that a silent name server holds nobody up for long.
pub fn host_by_name<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let name = c.text(0).to_owned();
    let (send, receive) = std::sync::mpsc::channel();
    let query = name.clone();
    std::thread::Builder::new()
        .name("host-by-name".into())
        .spawn(move || send.send((query.as_str(), 0).to_socket_addrs().ok().and_then(|mut all| all.next())))
        .map_err(|e| format!("no thread to look up {name:?}: {e}"))?;
    match receive.recv_timeout(LOOK_UP) {
        Ok(Some(address)) => Ok(Value::text(address.ip().to_string())),
        _ => Err(format!("host {name:?} has no address")),
    }
}

fn part<'a>(map: &BTreeMap<String, Value<'a>>, key: &str) -> Result<String, String> {
    match map.get(key) {
        None => Ok(String::new()),
        Some(Value::Text(s)) => Ok(s.clone().into_owned()),
        Some(other) => {
            Err(format!("unable to parse {key} key, must be of type string, but {} found", super::values::kind(other)))
        }
    }
}

/// Writes bytes that may not stand in a part of a URL as `%XX`.
fn escape(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) || b"-_.~$&+,/:;=@".contains(&b) {
            out.push(b as char)
        } else {
            out.push_str(&format!("%{b:02X}"))
        }
    }
    out
}
fn unescape(text: &str) -> Result<String, String> {
    let wrong = |at: &str| format!("invalid URL escape {:?}", at.chars().take(3).collect::<String>());
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(i) = rest.find('%') {
        out.extend_from_slice(&rest.as_bytes()[..i]);
        let hex = rest
            .get(i + 1..i + 3)
            .filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or_else(|| wrong(&rest[i..]))?;
        out.push(u8::from_str_radix(hex, 16).map_err(|e| e.to_string())?);
        rest = &rest[i + 3..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(String::from_utf8_lossy(&out).into_owned())
}

pub fn join<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let map = c.dict(0);
    let get = |key: &str| part(&map, key);
    let (scheme, host, path, query) = (get("scheme")?, get("host")?, get("path")?, get("query")?);
    let (opaque, fragment, user) = (get("opaque")?, get("fragment")?, get("userinfo")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&format!("{scheme}:"));
    }
    if opaque.is_empty() {
        if !scheme.is_empty() && (!host.is_empty() || !path.is_empty() || !user.is_empty())
            || !host.is_empty()
            || !user.is_empty()
        {
            if !host.is_empty() || !user.is_empty() || path.starts_with("//") {
                out.push_str("//");
            }
            if !user.is_empty() {
                let (name, password) = user.split_once(':').map_or((user.as_str(), None), |(n, p)| (n, Some(p)));
                out.push_str(&escape(name, ""));
                out.extend(password.map(|p| format!(":{}", escape(p, ""))));
                out.push('@');
            }
            out.push_str(&host);
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        out.push_str(&escape(&path, ""));
    } else {
        out.push_str(&opaque);
    }
    if !query.is_empty() {
        out.push_str(&format!("?{query}"));
    }
    if !fragment.is_empty() {
        out.push_str(&format!("#{}", escape(&fragment, "?!()*'")));
    }
    Ok(Value::text(out))
}

pub fn parse<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let whole = c.text(0);
    let failed = |why: &str| format!("unable to parse url: parse {whole:?}: {why}");
    if whole.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(failed("net/url: invalid control character in URL"));
    }
    let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
    let (scheme, rest) = match rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))) {
        Some(0) if rest.starts_with(':') => return Err(failed("missing protocol scheme")),
        Some(i) if rest[i..].starts_with(':') && rest.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            (rest[..i].to_ascii_lowercase(), &rest[i + 1..])
        }
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut opaque = "";
    let (mut user, mut host, mut path) = (String::new(), String::new(), rest);
    if !rest.starts_with('/') && !scheme.is_empty() {
        (opaque, path) = (rest, "");
    } else if scheme.is_empty()
        && !rest.starts_with('/')
        && rest.split('/').next().is_some_and(|first| first.contains(':'))
    {
        return Err(failed("first path segment in URL cannot contain colon"));
    } else if let Some(authority) = rest.strip_prefix("//").filter(|_| !rest.starts_with("///") || !scheme.is_empty()) {
        let end = authority.find('/').unwrap_or(authority.len());
        let (name, address) = authority[..end].rsplit_once('@').unwrap_or(("", &authority[..end]));
        path = &authority[end..];
        user = unescape(name).map_err(|e| failed(&e))?;
        host = unescape(address).map_err(|e| failed(&e))?;
        if host.contains([' ', '"', '<', '>', '^', '`', '{', '|', '}', '\\']) {
            return Err(failed("invalid character in host name"));
        }
        let port = host.rsplit_once(':').filter(|(_, p)| !p.contains(']')).map_or("", |(_, p)| p);
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(failed(&format!("invalid port {:?} after host", format!(":{port}"))));
        }
    }
    let path = unescape(path).map_err(|e| failed(&e))?;
    let fragment = unescape(fragment).map_err(|e| failed(&e))?;
    let name = match host.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name),
    }
    .to_owned();
    let parts = [
        ("scheme", scheme),
        ("host", host),
        ("hostname", name),
        ("path", path),
        ("query", query.to_owned()),
        ("opaque", opaque.to_owned()),
        ("fragment", fragment),
        ("userinfo", user),
    ];
    Ok(Value::map(parts.into_iter().map(|(k, v)| (k.to_owned(), Value::text(v))).collect()))
}
