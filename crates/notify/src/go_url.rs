//! Addresses as Go's `net/url` reads them: what is refused and what is made of the rest is part of what providers send.

/// An address in its parts, as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoUrl {
    pub scheme: String,
    pub user: Option<String>,
    /// With its port.
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub fragment: Option<String>,
}

impl GoUrl {
    /// Any address, relative ones too.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let (rest, fragment) = match raw.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment.to_owned())),
            None => (raw, None),
        };
        let mut url = read(rest, false).map_err(|why| format!("parse \"{raw}\": {why}"))?;
        url.fragment = fragment;
        Ok(url)
    }

    /// An address that a request can be sent to: absolute, or a path.
    pub fn for_request(raw: &str) -> Result<Self, String> {
        read(raw, true).map_err(|why| format!("parse \"{raw}\": {why}"))
    }

    /// The host without its port and brackets.
    pub fn hostname(&self) -> &str {
        let host = match self.host.rfind(':') {
            Some(i) if self.host[i + 1..].bytes().all(|b| b.is_ascii_digit()) => &self.host[..i],
            _ => &self.host,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The address as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some() {
            out.push_str("//");
            if let Some(user) = &self.user {
                out.push_str(user);
                out.push('@');
            }
            out.push_str(&self.host);
        }
        if !self.path.is_empty() && !self.path.starts_with('/') && !self.host.is_empty() {
            out.push('/');
        }
        out.push_str(&escaped(&self.path));
        if let Some(q) = &self.query {
            out.push('?');
            out.push_str(q);
        }
        out
    }
}

fn read(raw: &str, for_request: bool) -> Result<GoUrl, String> {
    if raw.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    if raw.is_empty() {
        return if for_request { Err("empty url".into()) } else { Ok(GoUrl::default()) };
    }
    let (scheme, rest) = scheme(raw)?;
    let mut url = GoUrl { scheme: scheme.to_lowercase(), ..GoUrl::default() };
    let rest = match rest.split_once('?') {
        Some((rest, query)) => {
            url.query = Some(query.to_owned());
            rest
        }
        None => rest,
    };
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            // Opaque: nothing of it is a host or a path.
            return Ok(url);
        }
        if for_request {
            return Err("invalid URI for request".into());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    let mut path = rest;
    if (!url.scheme.is_empty() || !for_request && !rest.starts_with("///")) && rest.starts_with("//") {
        let (authority, after) = match rest[2..].find('/') {
            Some(i) => (&rest[2..2 + i], &rest[2 + i..]),
            None => (&rest[2..], ""),
        };
        let (user, host) = match authority.rfind('@') {
            Some(i) => (Some(authority[..i].to_owned()), &authority[i + 1..]),
            None => (None, authority),
        };
        check_host(host)?;
        if let Some(user) = &user {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            if !user.chars().all(allowed) {
                return Err("net/url: invalid userinfo".into());
            }
            check_escapes(user)?;
        }
        url.user = user;
        url.host = host.to_owned();
        path = after;
    }
    check_escapes(path)?;
    url.path = path.to_owned();
    Ok(url)
}

fn scheme(raw: &str) -> Result<(&str, &str), String> {
    for (i, c) in raw.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            '0'..='9' | '+' | '-' | '.' => return Ok(("", raw)),
            ':' if i == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok((&raw[..i], &raw[i + 1..])),
            _ => return Ok(("", raw)),
        }
    }
    Ok(("", raw))
}

fn check_host(host: &str) -> Result<(), String> {
    let port = |text: &str| -> Result<(), String> {
        let valid = text.is_empty() || text.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
        if valid { Ok(()) } else { Err(format!("invalid port {text:?} after host")) }
    };
    if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return Err("missing ']' in host".into()) };
        port(&host[end + 1..])?;
    } else if let Some(i) = host.rfind(':') {
        port(&host[i..])?;
    }
    check_escapes(host)?;
    let mut bytes = host.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let code: Vec<u8> = bytes.by_ref().take(2).collect();
            let code = String::from_utf8_lossy(&code).into_owned();
            // A host may hold bytes beyond ASCII, and the zone of an address.
            if u8::from_str_radix(&code, 16).is_ok_and(|b| b < 0x80) && code != "25" {
                return Err(format!("invalid URL escape \"%{code}\""));
            }
            continue;
        }
        let allowed = b >= 0x80 || b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&b);
        if !allowed {
            return Err(format!("invalid character {:?} in host name", (b as char).to_string()));
        }
    }
    Ok(())
}

fn check_escapes(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'%') {
        let code = bytes.get(i + 1..i + 3);
        if !code.is_some_and(|c| c.iter().all(u8::is_ascii_hexdigit)) {
            let shown = String::from_utf8_lossy(&bytes[i..bytes.len().min(i + 3)]).into_owned();
            return Err(format!("invalid URL escape {shown:?}"));
        }
    }
    Ok(())
}

/// What an escaped path stands for.
pub fn unescaped(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// A path with what may not stand in one escaped; one that is written right stays as it is.
pub fn escaped(path: &str) -> String {
    let right = |b: u8| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]/%".contains(&b);
    if path.bytes().all(right) {
        return path.to_owned();
    }
    escape_path(&unescaped(path))
}

/// Text as a path.
pub fn escape_path(text: &str) -> String {
    escape(text, b"-_.~$&+,/:;=@")
}

/// Text as one segment of a path.
pub fn escape_segment(text: &str) -> String {
    escape(text, b"-_.~$&+:=@")
}

/// Text in a query.
pub fn escape_query(text: &str) -> String {
    escape(text, b"-_.~ ").replace(' ', "+")
}

fn escape(text: &str, stays: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || stays.contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}
