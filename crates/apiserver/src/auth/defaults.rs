//! The roles and bindings that every server starts with.

use serde_json::{Value, json};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const RBAC: &str = "rbac.authorization.k8s.io";

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn paths(paths: &[&str]) -> Value {
    json!({"verbs": ["get"], "nonResourceURLs": paths})
}

fn role(name: &str, rules: &[Value], aggregate_to: Option<&str>) -> Value {
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    if let Some(to) = aggregate_to {
        labels[format!("rbac.authorization.k8s.io/aggregate-to-{to}")] = json!("true");
    }
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "rules": rules,
        "metadata": {"name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
    })
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups.iter().map(|g| json!({"kind": "Group", "apiGroup": RBAC, "name": g})).collect();
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "subjects": subjects,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
    })
}

/// Cluster roles: `view` within `edit` within `admin`. `product` is the group whose kinds these roles include.
pub fn cluster_roles(product: Option<(&str, &[String])>) -> Vec<Value> {
    let mut view = vec![
        rule(READ, "", &["configmaps", "events", "namespaces", "pods", "pods/log", "pods/status", "serviceaccounts"]),
        rule(READ, "coordination.k8s.io", &["leases"]),
    ];
    let mut edit = vec![
        rule(READ, "", &["secrets"]),
        rule(&["impersonate"], "", &["serviceaccounts"]),
        rule(WRITE, "", &["pods", "configmaps", "secrets", "serviceaccounts", "events"]),
        rule(&["create"], "", &["serviceaccounts/token"]),
        rule(WRITE, "coordination.k8s.io", &["leases"]),
    ];
    if let Some((group, plurals)) = product {
        let names: Vec<&str> = plurals.iter().map(String::as_str).collect();
        view.push(rule(READ, group, &names));
        edit.push(rule(WRITE, group, &names));
    }
    let admin = vec![
        rule(&["create"], "authorization.k8s.io", &["localsubjectaccessreviews"]),
        rule(&[READ, WRITE].concat(), RBAC, &["rolebindings", "roles"]),
    ];
    let all = |parts: &[&[Value]]| parts.concat();
    let mut aggregated = Vec::new();
    for (name, rules, from) in [
        ("admin", all(&[&admin, &edit, &view]), "admin"),
        ("edit", all(&[&edit, &view]), "edit"),
        ("view", view.clone(), "view"),
    ] {
        let up = match name {
            "view" => Some("edit"),
            "edit" => Some("admin"),
            _ => None,
        };
        let mut r = role(name, &rules, up);
        r["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{from}"): "true"}}]});
        aggregated.push(r);
    }
    let everything = vec![
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ];
    let basic = vec![
        rule(&["create"], "authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        rule(&["create"], "authentication.k8s.io", &["selfsubjectreviews"]),
    ];
    let mut out = vec![
        role("cluster-admin", &everything, None),
        role("system:basic-user", &basic, None),
        role(
            "system:discovery",
            &[paths(&[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ])],
            None,
        ),
        role("system:public-info-viewer", &[paths(&["/healthz", "/livez", "/readyz", "/version", "/version/"])], None),
        role(
            "system:service-account-issuer-discovery",
            &[paths(&[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ])],
            None,
        ),
        role("system:aggregate-to-admin", &admin, Some("admin")),
        role("system:aggregate-to-edit", &edit, Some("edit")),
        role("system:aggregate-to-view", &view, Some("view")),
    ];
    out.extend(aggregated);
    out
}

pub fn cluster_role_bindings() -> Vec<Value> {
    vec![
        binding("cluster-admin", &[super::MASTERS]),
        binding("system:basic-user", &[super::AUTHENTICATED]),
        binding("system:discovery", &[super::AUTHENTICATED]),
        binding("system:service-account-issuer-discovery", &["system:serviceaccounts"]),
        binding("system:public-info-viewer", &[super::AUTHENTICATED, super::UNAUTHENTICATED]),
    ]
}
