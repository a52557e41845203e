//! get and list.

use crate::object::{self, Key};
use crate::request::{Info, Query};
use crate::resource::Resource;
use crate::respond::{self, Answer, Form, Shape, negotiate};
use crate::selector::{Fields, Labels};
use crate::server::{Call, State};
use crate::status::Status;
use crate::store::{Range, Stored};
use crate::table::{self, Include};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use base64::{Engine, alphabet};
use serde_json::{Value, json};

/// Which objects of a collection are meant.
pub struct Selection {
    pub labels: Labels,
    pub fields: Fields,
}

impl Selection {
    pub fn read(query: &Query, info: &Info, r: &Resource) -> Result<Self, Status> {
        let mut text = query.get("fieldSelector").to_owned();
        if info.watch_prefix && !info.name.is_empty() {
            text = format!("metadata.name={}", info.name);
        }
        Ok(Self {
            labels: Labels::parse(query.get("labelSelector"))?,
            fields: Fields::parse(&text, &r.field_paths(), !r.custom && r.fields.is_empty())?,
        })
    }
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
    pub fn matches(&self, o: &Value) -> bool {
        self.labels.matches(o) && self.fields.matches(o)
    }
}

pub fn include(query: &Query) -> Result<Include, Status> {
    match query.get("includeObject") {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::None),
        "Object" => Ok(Include::Object),
        other => Err(Status::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

impl State {
    /// An object as its resource's version shows it.
    pub fn shown(r: &Resource, stored: &Stored) -> Value {
        let mut v = stored.value();
        r.show(&mut v);
        v
    }

    pub fn find(&self, r: &Resource, namespace: &str, name: &str) -> Result<Stored, Status> {
        let namespace = if r.namespaced { namespace } else { "" };
        let found = self.store.get(&Key::new(&r.key(), namespace, name))?;
        found.ok_or_else(|| Status::not_found(&r.group, &r.plural, name))
    }

    pub fn get(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        let form = negotiate(&call.headers, false)?;
        self.wait_for_version(&call.query, false)?;
        let stored = self.find(r, &info.namespace, &info.name)?;
        if form.is_plain() && r.is_stored_form() {
            return Ok(respond::bytes(200, "application/json", stored.json));
        }
        Ok(respond::object(200, r, Self::shown(r, &stored), form, include(&call.query)?))
    }

    /// A version that has not been reached is refused: nobody will write it soon.
    fn wait_for_version(&self, query: &Query, list: bool) -> Result<(), Status> {
        let text = query.get("resourceVersion");
        if text.is_empty() {
            return Ok(());
        }
        let wanted: u64 = text.parse().map_err(|_| invalid_version(text, list))?;
        let now = self.store.version();
        if wanted > now {
            return Err(too_large(wanted, now));
        }
        Ok(())
    }

    pub fn list(&self, call: &Call, info: &Info, r: &Resource) -> Result<Answer, Status> {
        let form = negotiate(&call.headers, true)?;
        let q = &call.query;
        let selection = Selection::read(q, info, r)?;
        check_version_match(q)?;
        self.wait_for_version(q, true)?;
        let limit = q.number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let (mut after, mut at) = (None, None);
        match q.get("continue") {
            "" => {
                if q.get("resourceVersionMatch") == "Exact" {
                    at = q.number("resourceVersion")?.and_then(|n| u64::try_from(n).ok());
                }
            }
            _ if !matches!(q.get("resourceVersion"), "" | "0") => {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            token => {
                let t = Continue::decode(token)?;
                after = Some((t.namespace, t.name));
                at = (t.rv > 0).then_some(t.rv);
            }
        }
        if let Some(version) = at
            && version < self.store.oldest()
        {
            return Err(self.expired_list(q, after));
        }
        let namespace = if r.namespaced { info.namespace.as_str() } else { "" };
        let mut items: Vec<Stored> = Vec::new();
        let (mut rv, mut next, mut remaining);
        loop {
            let page = self.store.list(&Range {
                resource: &r.key(),
                namespace,
                name: selection.fields.name(),
                limit,
                after: after.take(),
                at,
            })?;
            (rv, next, remaining) = (page.rv, page.next, page.remaining);
            items.extend(page.items.into_iter().filter(|s| selection.is_everything() || selection.matches(&s.value())));
            // A selector may leave little of a page: go on until the page is full or nothing is left.
            if next.is_none() || (limit > 0 && items.len() >= limit) {
                break;
            }
            after.clone_from(&next);
            at = Some(rv);
        }
        if limit > 0 && items.len() > limit {
            items.truncate(limit);
            next = items
                .last()
                .map(|s| s.value())
                .map(|o| (object::namespace(&o).to_owned(), object::name(&o).to_owned()));
        }
        let mut meta = json!({"resourceVersion": rv.to_string()});
        if let Some((namespace, name)) = next {
            meta["continue"] = json!(Continue { rv, namespace, name }.encode());
            if selection.is_everything() {
                meta["remainingItemCount"] = json!(remaining);
            }
        } else if r.custom && form.shape == Shape::Object {
            meta["continue"] = json!("");
        }
        render_list(call, r, &items, meta, form)
    }

    fn expired_list(&self, q: &Query, after: Option<(String, String)>) -> Status {
        if q.get("continue").is_empty() {
            return Status::expired("The resourceVersion for the provided list is too old.");
        }
        let mut s = Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        let (namespace, name) = after.unwrap_or_default();
        s.continue_token = Some(Continue { rv: 0, namespace, name }.encode());
        s
    }
}

fn render_list(call: &Call, r: &Resource, items: &[Stored], meta: Value, form: Form) -> Result<Answer, Status> {
    if form.is_plain() && r.is_stored_form() {
        // Stored objects are joined as they are: a long list costs no parsing.
        let mut out = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
            r.list_kind(),
            r.api_version()
        )
        .into_bytes();
        for (i, s) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            if r.custom {
                out.extend_from_slice(&s.json);
            } else {
                out.extend_from_slice(&without_kind(s));
            }
        }
        out.extend_from_slice(b"]}");
        return Ok(respond::bytes(200, "application/json", out));
    }
    let objects: Vec<Value> = items.iter().map(|s| State::shown(r, s)).collect();
    let shown = match form.shape {
        Shape::Table(v) => table::table(r, &objects, meta, include(&call.query)?, v, true),
        Shape::Partial(v) => {
            let list: Vec<Value> = objects.iter().map(|o| table::partial(o, v)).collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{v}"), "metadata": meta, "items": list})
        }
        Shape::Object => {
            let bare = |mut o: Value| {
                object::map(&mut o).retain(|k, _| r.custom || !matches!(k.as_str(), "kind" | "apiVersion"));
                o
            };
            let items: Vec<Value> = objects.into_iter().map(bare).collect();
            json!({"kind": r.list_kind(), "apiVersion": r.api_version(), "metadata": meta, "items": items})
        }
    };
    Ok(respond::value(200, &shown, form))
}

/// Elements of typed lists do not repeat their kind.
fn without_kind(s: &Stored) -> Vec<u8> {
    let mut v = s.value();
    let o = object::map(&mut v);
    o.remove("kind");
    o.remove("apiVersion");
    serde_json::to_vec(&v).unwrap_or_default()
}

/// A version that is no number: a bad request of a list, an internal error elsewhere, as the original has it.
pub fn invalid_version(text: &str, list: bool) -> Status {
    let why = format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
    if list { Status::bad_request(format!("invalid resource version: {why}")) } else { Status::new(500, "", why) }
}

pub fn too_large(wanted: u64, now: u64) -> Status {
    use crate::status::{Cause, Details};
    let mut s = Status::new(504, "Timeout", format!("Timeout: Too large resource version: {wanted}, current: {now}"));
    s.details = Some(Box::new(Details {
        causes: vec![Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".into(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..Details::default()
    }));
    s
}

fn check_version_match(q: &Query) -> Result<(), Status> {
    use crate::status::{FieldError, FieldErrorKind};
    let how = q.get("resourceVersionMatch");
    if q.has("sendInitialEvents") {
        let mut errors = vec![FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")];
        if !how.is_empty() && q.get("resourceVersion").is_empty() {
            errors.insert(
                0,
                FieldError::forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ),
            );
        }
        return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
    }
    if how.is_empty() {
        return Ok(());
    }
    let forbid = |why: &str| {
        Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[FieldError::forbidden("resourceVersionMatch", why)]))
    };
    if !q.get("continue").is_empty() {
        return forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if q.get("resourceVersion").is_empty() {
        return forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if !matches!(how, "Exact" | "NotOlderThan") {
        let kind = FieldErrorKind::NotSupported(json!(how), vec!["Exact".into(), "NotOlderThan".into(), String::new()]);
        return Err(Status::invalid(
            "meta.k8s.io",
            "ListOptions",
            "",
            &[FieldError { path: "resourceVersionMatch".into(), kind, detail: String::new() }],
        ));
    }
    if how == "Exact" && q.get("resourceVersion") == "0" {
        return forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
    Ok(())
}

/// Clients' tokens may carry bits behind the last byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a list goes on.
struct Continue {
    /// 0: from the newest version.
    rv: u64,
    namespace: String,
    name: String,
}

impl Continue {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(
            json!({"v": "meta.k8s.io/v1", "rv": self.rv, "start": format!("{}/{}", self.namespace, self.name)})
                .to_string(),
        )
    }
    fn decode(token: &str) -> Result<Self, Status> {
        let wrong =
            |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let foreign = || wrong("the token was not made by this server for this list".into());
        let raw = LENIENT.decode(token).map_err(|e| wrong(e.to_string()))?;
        let v: Value = serde_json::from_slice(&raw).map_err(|_| wrong(crate::gojson::error(&raw)))?;
        let (namespace, name) = object::text(&v, &["start"]).split_once('/').ok_or_else(foreign)?;
        Ok(Self { rv: v["rv"].as_u64().ok_or_else(foreign)?, namespace: namespace.into(), name: name.into() })
    }
}
