//! Reading a request: which verb on which resource, and its options.

use crate::status::Status;
use http::Method;
use std::collections::HashMap;

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Resource(Info),
    /// Anything that is not an object: `/version`, `/apis`, `/openapi/v3` …
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    pub verb: String,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub plural: String,
    pub name: String,
    pub subresource: String,
    /// The old `/watch/` prefix.
    pub watch_prefix: bool,
}

pub fn target(method: &Method, path: &str, query: &Query) -> Target {
    let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(decode).collect();
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match words.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Target::Other(path.to_owned()),
    };
    let mut info = Info { group: group.into(), version: version.into(), ..Info::default() };
    let mut rest = rest;
    if let ["watch", after @ ..] = rest
        && !after.is_empty()
    {
        info.watch_prefix = true;
        rest = after;
    }
    // `/namespaces/x/pods` is inside the namespace; `/namespaces/x` and its subresources are the namespace itself.
    match rest {
        ["namespaces", ns, sub @ ("status" | "finalize")] if group.is_empty() => {
            info.plural = "namespaces".into();
            info.name = (*ns).into();
            info.namespace = (*ns).into();
            info.subresource = (*sub).into();
        }
        ["namespaces", ns, plural, tail @ ..] => {
            info.namespace = (*ns).into();
            info.plural = (*plural).into();
            set_tail(&mut info, tail);
        }
        ["namespaces", ns] if group.is_empty() => {
            info.plural = "namespaces".into();
            info.name = (*ns).into();
            // A namespace is read within itself: that is what roles in it can grant.
            info.namespace = (*ns).into();
        }
        [plural, tail @ ..] => {
            info.plural = (*plural).into();
            set_tail(&mut info, tail);
        }
        [] => {}
    }
    info.verb = verb(method, &info, query);
    Target::Resource(info)
}

fn set_tail(info: &mut Info, tail: &[&str]) {
    if let [name, sub @ ..] = tail {
        info.name = (*name).into();
        info.subresource = sub.join("/");
    }
}

fn verb(method: &Method, info: &Info, query: &Query) -> String {
    let watching = info.watch_prefix || query.flag("watch");
    match *method {
        Method::GET | Method::HEAD if info.name.is_empty() && watching => "watch",
        Method::GET | Method::HEAD if info.name.is_empty() => "list",
        Method::GET | Method::HEAD if info.watch_prefix => "watch",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if info.name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
    .to_owned()
}

pub fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The query string; the first value of a name counts.
#[derive(Debug, Clone, Default)]
pub struct Query(HashMap<String, String>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let mut out = HashMap::new();
        for pair in text.unwrap_or("").split('&').filter(|p| !p.is_empty()) {
            let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
            out.entry(decode(k)).or_insert_with(|| decode(&v.replace('+', " ")));
        }
        Self(out)
    }
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|v| !matches!(v.as_str(), "0" | "false" | "f" | "F" | "FALSE" | "False"))
    }
    /// A whole number; what a negative one means is the option's matter.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.get(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        }
    }
}

/// How unknown and repeated fields are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}
