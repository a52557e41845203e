//! The questions that clients ask about themselves and others: access reviews, rules reviews, token reviews.

use super::authenticate::Authenticator;
use super::rbac::{Attributes, Rbac, Rule};
use super::token::AUDIENCE;
use super::{AUTHENTICATED, User};
use crate::object::text;
use crate::status::{FieldError, Status};
use serde_json::{Value, json};

/// Answers a review; `None` when the kind is none of them.
pub fn answer(
    kind: &str,
    mut body: Value,
    namespace: &str,
    user: &User,
    rbac: &Rbac,
    authenticator: &Authenticator,
) -> Option<Result<Value, Status>> {
    let status = match kind {
        "SelfSubjectAccessReview" => access(&body, user, rbac, "", None),
        "SubjectAccessReview" => access(&body, &subject(&body), rbac, "", Some(kind)),
        "LocalSubjectAccessReview" => access(&body, &subject(&body), rbac, namespace, Some(kind)),
        "SelfSubjectRulesReview" => rules(&body, user, rbac),
        "SelfSubjectReview" => Ok(json!({"userInfo": info(user)})),
        "TokenReview" if text(&body, &["spec", "token"]).is_empty() => {
            Err(Status::bad_request("token is required for TokenReview in authentication"))
        }
        "TokenReview" => Ok(token(&body, authenticator)),
        _ => return None,
    };
    Some(status.map(|s| {
        body["status"] = s;
        crate::object::meta(&mut body).retain(|_, v| !v.is_null());
        if kind == "SelfSubjectReview" {
            body["metadata"]["creationTimestamp"] = json!(crate::object::timestamp(jiff::Timestamp::now()));
        }
        body
    }))
}

fn subject(body: &Value) -> User {
    let groups = crate::object::strings(body.pointer("/spec/groups")).into_iter().map(str::to_owned).collect();
    User { name: text(body, &["spec", "user"]).into(), groups, ..User::default() }
}

fn access(
    body: &Value,
    user: &User,
    rbac: &Rbac,
    namespace: &str,
    about_others: Option<&str>,
) -> Result<Value, Status> {
    let spec = body.get("spec").cloned().unwrap_or_default();
    let group = "authorization.k8s.io";
    let mut errors = Vec::new();
    if about_others.is_some() && user.name.is_empty() && user.groups.is_empty() {
        errors.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
    }
    let (resource, path) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    if resource.is_some() && path.is_some() {
        errors.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            path.cloned().unwrap_or_default(),
            "cannot be specified in combination with resourceAttributes",
        ));
    }
    if resource.is_none() && path.is_none() {
        errors.push(FieldError::invalid(
            "spec.resourceAttributes",
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ));
    }
    let inner = resource.map_or("", |r| text(r, &["namespace"]));
    if about_others == Some("LocalSubjectAccessReview") && inner != namespace {
        errors.push(FieldError::invalid("spec.resourceAttributes.namespace", inner, "must match metadata.namespace"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid(group, about_others.unwrap_or("SelfSubjectAccessReview"), "", &errors));
    }
    let attributes = match (resource, path) {
        (Some(r), _) => Attributes {
            verb: text(r, &["verb"]),
            group: text(r, &["group"]),
            resource: text(r, &["resource"]),
            subresource: text(r, &["subresource"]),
            namespace: text(r, &["namespace"]),
            name: text(r, &["name"]),
            path: None,
        },
        (None, p) => Attributes {
            verb: p.map_or("", |p| text(p, &["verb"])),
            path: p.map(|p| text(p, &["path"])),
            ..Attributes::default()
        },
    };
    Ok(match rbac.reason(user, &attributes) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    })
}

fn rules(body: &Value, user: &User, rbac: &Rbac) -> Result<Value, Status> {
    let namespace = text(body, &["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let all = rbac.rules(user, namespace);
    let (paths, resources): (Vec<&Rule>, Vec<&Rule>) = all.iter().partition(|r| !r.paths.is_empty());
    let list = |rules: Vec<&Rule>| rules.iter().map(|r| r.to_json()).collect::<Vec<_>>();
    Ok(json!({"resourceRules": list(resources), "nonResourceRules": list(paths), "incomplete": false}))
}

fn info(user: &User) -> Value {
    let mut o = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        o["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        o["extra"] = json!(user.extra);
    }
    o
}

fn token(body: &Value, authenticator: &Authenticator) -> Value {
    let wanted = crate::object::strings(body.pointer("/spec/audiences"));
    let (mut user, audiences) = match authenticator.check(text(body, &["spec", "token"])) {
        Ok(found) => found,
        Err(why) if why.is_empty() => return json!({"user": {}, "error": "invalid bearer token"}),
        Err(why) => return json!({"user": {}, "error": format!("[invalid bearer token, {why}]")}),
    };
    let accepted: Vec<&str> = if wanted.is_empty() {
        audiences.iter().map(String::as_str).filter(|a| *a == AUDIENCE).collect()
    } else {
        wanted.into_iter().filter(|w| audiences.iter().any(|a| a == w)).collect()
    };
    if accepted.is_empty() {
        let why = format!(
            "[invalid bearer token, token audiences {audiences:?} is invalid for the target audiences [{AUDIENCE:?}]]"
        );
        return json!({"user": {}, "error": why});
    }
    if !user.groups.iter().any(|g| g == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    json!({"authenticated": true, "user": info(&user), "audiences": accepted})
}
