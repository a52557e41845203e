//! The rules for names, labels and annotations (RFC 1123 and what Kubernetes adds), with the sentences that explain them.

use crate::object;
use crate::status::{FieldError, FieldErrorKind};
use serde_json::Value;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// How a resource's names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    Subdomain,
    Label,
    /// Anything that is one path segment: RBAC names.
    PathSegment,
}

fn is_label(s: &str, inner: impl Fn(u8) -> bool, edge: impl Fn(u8) -> bool) -> bool {
    let b = s.as_bytes();
    matches!((b.first(), b.last()), (Some(f), Some(l)) if edge(*f) && edge(*l))
        && b.iter().all(|c| inner(*c) || edge(*c))
}

fn lower_alnum(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

pub fn dns_label_problem(s: &str) -> Option<String> {
    if s.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    (!is_label(s, |c| c == b'-', lower_alnum)).then(|| LABEL.into())
}

pub fn subdomain_problem(s: &str) -> Option<String> {
    if s.len() > 253 {
        return Some("must be no more than 253 characters".into());
    }
    (!s.split('.').all(|part| is_label(part, |c| c == b'-', lower_alnum))).then(|| SUBDOMAIN.into())
}

pub fn name_problem(rule: NameRule, s: &str) -> Option<String> {
    match rule {
        NameRule::Subdomain => subdomain_problem(s),
        NameRule::Label => dns_label_problem(s),
        NameRule::PathSegment => match s {
            "." | ".." => Some(format!("may not be '{s}'")),
            _ if s.contains('/') => Some("may not contain '/'".into()),
            _ if s.contains('%') => Some("may not contain '%'".into()),
            _ => None,
        },
    }
}

pub fn label_value_problem(s: &str) -> Option<String> {
    if s.len() > 63 {
        return Some("must be no more than 63 characters".into());
    }
    let ok = s.is_empty() || is_label(s, |c| matches!(c, b'-' | b'_' | b'.'), |c| c.is_ascii_alphanumeric());
    (!ok).then(|| LABEL_VALUE.into())
}

pub fn label_key_problem(s: &str) -> Option<String> {
    let (prefix, name) = match s.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            return Some("a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".into());
        }
        Some((p, n)) => (Some(p), n),
        None => (None, s),
    };
    if let Some(p) = prefix {
        if p.is_empty() {
            return Some("prefix part must be non-empty".into());
        }
        if let Some(why) = subdomain_problem(p) {
            return Some(format!("prefix part {why}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters".into());
    }
    (!is_label(name, |c| matches!(c, b'-' | b'_' | b'.'), |c| c.is_ascii_alphanumeric())).then(|| QUALIFIED.into())
}

/// Annotations may hold this many bytes in all.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Everything that can be wrong with `metadata`.
pub fn check_metadata(o: &Value, rule: NameRule, custom: bool, namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = object::name(o);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = name_problem(rule, name) {
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
    if namespaced && let Some(why) = dns_label_problem(object::namespace(o)) {
        errors.push(FieldError::invalid("metadata.namespace", object::namespace(o), why));
    }
    for (key, value) in object::at(o, &["metadata", "labels"]).and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = label_key_problem(key) {
            errors.push(FieldError::invalid("metadata.labels", key.as_str(), why));
        }
        if let Some(why) = value.as_str().and_then(label_value_problem) {
            errors.push(FieldError::invalid("metadata.labels", value.clone(), why));
        }
    }
    let mut size = 0;
    for (key, value) in object::at(o, &["metadata", "annotations"]).and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = label_key_problem(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", key.as_str(), why));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError {
            path: "metadata.annotations".into(),
            kind: FieldErrorKind::TooLong,
            detail: format!("may not be more than {ANNOTATIONS_LIMIT} bytes"),
        });
    }
    for (i, f) in object::finalizers(o).into_iter().enumerate() {
        if let Some(why) = label_key_problem(f) {
            errors.push(FieldError::invalid("metadata.finalizers", f, why));
        } else if !f.contains('/') && !custom && !matches!(f, "orphan" | "foregroundDeletion" | "kubernetes") {
            errors.push(FieldError::invalid(
                format!("metadata.finalizers[{i}]"),
                f,
                "name is neither a standard finalizer name nor is it fully qualified",
            ));
        }
    }
    let mut controllers = 0;
    for owner in object::owners(o) {
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if object::text(owner, &[field]).is_empty() {
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{field}"), "", why));
            }
        }
    }
    if controllers > 1 {
        let all = format!("[{}]", object::owners(o).map(owner_text).collect::<Vec<_>>().join(","));
        let names: Vec<String> = object::owners(o)
            .filter(|w| w.get("controller") == Some(&Value::Bool(true)))
            .map(|w| format!("{}/{}", object::text(w, &["kind"]), object::text(w, &["name"])))
            .collect();
        errors.push(FieldError::raw(
            "metadata.ownerReferences",
            &all,
            format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {}",
                names.join(" and ")
            ),
        ));
    }
    errors
}

/// An owner reference with its members in the order that the original prints.
fn owner_text(owner: &Value) -> String {
    let members = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let shown: Vec<String> = members.iter().filter_map(|m| owner.get(*m).map(|v| format!("{m:?}:{v}"))).collect();
    format!("{{{}}}", shown.join(","))
}
