//! What is wrong or doubtful about providers, alerts and receivers, told when they are applied.

use apiserver::{Admitted, FieldError, FieldErrorKind};
use notify::alert::Shaping;
use notify::go_url::GoUrl;
use notify::provider::{self, KINDS};
use notify::receiver::{self, Receiver};
use notify::setup::duration;
use notify::{Alert, Provider};
use serde_json::Value;

fn text<'v>(o: &'v Value, p: &str) -> &'v str {
    o.pointer(p).and_then(Value::as_str).unwrap_or("")
}

/// A value that is none of those that there are.
fn none_of(path: &str, value: &str, all: impl Iterator<Item = &'static str>) -> FieldError {
    let all = all.map(str::to_owned).collect();
    FieldError { path: path.into(), kind: FieldErrorKind::NotSupported(value.into(), all), detail: String::new() }
}

/// Durations have to be ones.
fn spans(o: &Value, paths: &[&str], out: &mut Admitted) {
    for p in paths {
        let given = text(o, p);
        if !given.is_empty() && duration(given).is_none() {
            let path = p.trim_start_matches('/').replace('/', ".");
            out.errors.push(FieldError::invalid(path, given, "expected a duration, such as 30s or 5m"));
        }
    }
}

pub fn admit_provider(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    let kind = text(new, "/spec/type");
    if provider::named(kind).is_none() {
        out.errors.push(none_of("spec.type", kind, KINDS.iter().map(|k| k.name)));
        return out;
    }
    spans(new, &["/spec/timeout", "/spec/triggerfish/retryFor"], &mut out);
    let p = Provider::read(new);
    for (path, value) in [("spec.proxy", &p.proxy)] {
        if !value.is_empty() && GoUrl::for_request(value).is_err() {
            out.errors.push(FieldError::invalid(
                path,
                value.as_str(),
                "expected an address, such as http://proxy:3128",
            ));
        }
    }
    if p.rate.is_some_and(|r| !(r > 0.0 && r.is_finite())) {
        out.errors.push(FieldError::invalid(
            "spec.triggerfish.rate",
            p.rate.unwrap_or_default(),
            "expected more than 0",
        ));
    }
    if !p.service_account.is_empty() {
        let why = "spec.serviceAccountName: the identity of a workload is not supported; give credentials in a Secret";
        out.warnings.push(why.into());
    }
    if p.secret.is_empty() && p.address.is_empty() {
        out.warnings.push("spec.address: there is none, and no secretRef that could hold one".into());
    }
    if !p.commit_status_expr.is_empty() {
        let variables = ["event", "alert", "provider"];
        if let Err(why) = notify::cel::Expression::compile(&p.commit_status_expr, &variables, &notify::cel::Type::Str) {
            out.errors.push(FieldError::invalid("spec.commitStatusExpr", p.commit_status_expr.as_str(), why));
        }
    }
    out
}

pub fn admit_alert(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    if let Some(v) = new.pointer("/spec/triggerfish")
        && let Err((path, why)) = Shaping::read(v)
    {
        out.errors.push(FieldError::invalid(path, Value::Null, why));
    }
    let a = Alert::read(new);
    // The original takes these too, and says so with every notice.
    for (field, list) in [("inclusionList", &a.inclusion), ("exclusionList", &a.exclusion)] {
        for p in list {
            if let Err(why) = &p.regex {
                out.warnings
                    .push(format!("spec.{field}: {:?} is no regular expression and never matches: {why}", p.text));
            }
        }
    }
    for (i, s) in a.sources.iter().enumerate().filter(|(_, s)| s.namespace == "*") {
        out.warnings
            .push(format!("spec.eventSources[{i}].namespace: {:?} is taken literally and never matches", s.namespace));
    }
    if !a.summary.is_empty() {
        out.warnings.push("spec.summary: deprecated; write it as spec.eventMetadata.summary".into());
    }
    out
}

pub fn admit_receiver(new: &Value, _old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    let kind = text(new, "/spec/type");
    if !receiver::TYPES.iter().any(|(name, _)| *name == kind) {
        out.errors.push(none_of("spec.type", kind, receiver::TYPES.iter().map(|(name, _)| *name)));
        return out;
    }
    let r = Receiver::read(new);
    if kind == "generic-oidc" && r.providers.is_empty() {
        out.errors
            .push(FieldError::required("spec.oidcProviders", "name at least one issuer that tokens are taken from"));
    }
    if kind != "generic-oidc" && r.secret.is_empty() {
        // In the words of the original's rule.
        let why = "secretRef is required when type is not generic-oidc";
        out.errors.push(FieldError::raw("spec", "\"object\"", why));
    }
    if let Some(why) = r.mistake() {
        out.errors.push(FieldError::invalid("spec", Value::Null, why));
    }
    for (i, resource) in r.resources.iter().enumerate() {
        if let Err(why) = resource.group_version() {
            out.errors.push(FieldError::required(format!("spec.resources[{i}].apiVersion"), why));
        }
    }
    out
}
