//! Protobuf request bodies of typed creates: kubectl 1.32 and newer sends them for every `create` of a built-in kind.
//!
//! A table of field numbers is enough: the schema of Kubernetes' own types is public and stable. Anything unknown is
//! skipped, as protobuf asks; anything malformed is an error, never a panic.

use base64::Engine;
use serde_json::{Map, Value, json};

/// The bytes before every protobuf object: `k8s\0`.
pub const MAGIC: &[u8; 4] = b"k8s\0";
/// Nesting allowed in a body.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Bool,
    Int,
    /// Seconds and nanoseconds, shown as RFC 3339.
    Time,
    MicroTime,
    /// A message that wraps one string: Quantity.
    Quantity,
    Message(&'static [Field]),
    TextMap,
    BytesMap,
    QuantityMap,
    /// A repeated string inside a message of its own: extra values.
    ListMap,
}

struct Field {
    number: u32,
    name: &'static str,
    kind: Kind,
    repeated: bool,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false }
}
const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: true }
}

use Kind::{Bool, Bytes, BytesMap, Int, ListMap, Message, MicroTime, Quantity, QuantityMap, Text, TextMap, Time};

const OWNER: &[Field] = &[
    one(5, "apiVersion", Text),
    one(1, "kind", Text),
    one(3, "name", Text),
    one(4, "uid", Text),
    one(6, "controller", Bool),
    one(7, "blockOwnerDeletion", Bool),
];
const META: &[Field] = &[
    one(1, "name", Text),
    one(2, "generateName", Text),
    one(3, "namespace", Text),
    one(4, "selfLink", Text),
    one(5, "uid", Text),
    one(6, "resourceVersion", Text),
    one(7, "generation", Int),
    one(8, "creationTimestamp", Time),
    one(9, "deletionTimestamp", Time),
    one(10, "deletionGracePeriodSeconds", Int),
    one(11, "labels", TextMap),
    one(12, "annotations", TextMap),
    many(13, "ownerReferences", Message(OWNER)),
    many(14, "finalizers", Text),
];
const NAMESPACE: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(2, "spec", Message(&[many(1, "finalizers", Text)])),
    one(3, "status", Message(&[one(1, "phase", Text)])),
];
const CONFIG_MAP: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(2, "data", TextMap),
    one(3, "binaryData", BytesMap),
    one(4, "immutable", Bool),
];
const SECRET: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(2, "data", BytesMap),
    one(3, "type", Text),
    one(4, "stringData", TextMap),
    one(5, "immutable", Bool),
];
const REFERENCE: &[Field] = &[
    one(1, "kind", Text),
    one(2, "namespace", Text),
    one(3, "name", Text),
    one(4, "uid", Text),
    one(5, "apiVersion", Text),
    one(6, "resourceVersion", Text),
    one(7, "fieldPath", Text),
];
const LOCAL_REFERENCE: &[Field] = &[one(1, "name", Text)];
const SERVICE_ACCOUNT: &[Field] = &[
    one(1, "metadata", Message(META)),
    many(2, "secrets", Message(REFERENCE)),
    many(3, "imagePullSecrets", Message(LOCAL_REFERENCE)),
    one(4, "automountServiceAccountToken", Bool),
];
const TOKEN_REQUEST: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(
        2,
        "spec",
        Message(&[
            many(1, "audiences", Text),
            one(4, "expirationSeconds", Int),
            one(
                3,
                "boundObjectRef",
                Message(&[one(1, "kind", Text), one(2, "apiVersion", Text), one(3, "name", Text), one(4, "uid", Text)]),
            ),
        ]),
    ),
    one(3, "status", Message(&[one(1, "token", Text), one(2, "expirationTimestamp", Time)])),
];
const RULE: &[Field] = &[
    many(1, "verbs", Text),
    many(2, "apiGroups", Text),
    many(3, "resources", Text),
    many(4, "resourceNames", Text),
    many(5, "nonResourceURLs", Text),
];
const SUBJECT: &[Field] =
    &[one(1, "kind", Text), one(2, "apiGroup", Text), one(3, "name", Text), one(4, "namespace", Text)];
const ROLE_REF: &[Field] = &[one(1, "apiGroup", Text), one(2, "kind", Text), one(3, "name", Text)];
const SELECTOR: &[Field] = &[
    one(1, "matchLabels", TextMap),
    many(2, "matchExpressions", Message(&[one(1, "key", Text), one(2, "operator", Text), many(3, "values", Text)])),
];
const ROLE: &[Field] = &[one(1, "metadata", Message(META)), many(2, "rules", Message(RULE))];
const CLUSTER_ROLE: &[Field] = &[
    one(1, "metadata", Message(META)),
    many(2, "rules", Message(RULE)),
    one(3, "aggregationRule", Message(&[many(1, "clusterRoleSelectors", Message(SELECTOR))])),
];
const BINDING: &[Field] =
    &[one(1, "metadata", Message(META)), many(2, "subjects", Message(SUBJECT)), one(3, "roleRef", Message(ROLE_REF))];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    one(1, "namespace", Text),
    one(2, "verb", Text),
    one(3, "group", Text),
    one(4, "version", Text),
    one(5, "resource", Text),
    one(6, "subresource", Text),
    one(7, "name", Text),
];
const PATH_ATTRIBUTES: &[Field] = &[one(1, "path", Text), one(2, "verb", Text)];
const SELF_ACCESS: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(
        2,
        "spec",
        Message(&[
            one(1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
            one(2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
        ]),
    ),
];
const ACCESS: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(
        2,
        "spec",
        Message(&[
            one(1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
            one(2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
            one(3, "user", Text),
            many(4, "groups", Text),
            one(5, "extra", ListMap),
            one(6, "uid", Text),
        ]),
    ),
];
const RULES_REVIEW: &[Field] =
    &[one(1, "metadata", Message(META)), one(2, "spec", Message(&[one(1, "namespace", Text)]))];
const SELF_REVIEW: &[Field] = &[one(1, "metadata", Message(META))];
const TOKEN_REVIEW: &[Field] =
    &[one(1, "metadata", Message(META)), one(2, "spec", Message(&[one(1, "token", Text), many(2, "audiences", Text)]))];
const EVENT: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(2, "involvedObject", Message(REFERENCE)),
    one(3, "reason", Text),
    one(4, "message", Text),
    one(5, "source", Message(&[one(1, "component", Text), one(2, "host", Text)])),
    one(6, "firstTimestamp", Time),
    one(7, "lastTimestamp", Time),
    one(8, "count", Int),
    one(9, "type", Text),
    one(10, "eventTime", MicroTime),
    one(11, "series", Message(&[one(1, "count", Int), one(2, "lastObservedTime", MicroTime)])),
    one(12, "action", Text),
    one(13, "related", Message(REFERENCE)),
    one(14, "reportingComponent", Text),
    one(15, "reportingInstance", Text),
];
const LEASE: &[Field] = &[
    one(1, "metadata", Message(META)),
    one(
        2,
        "spec",
        Message(&[
            one(1, "holderIdentity", Text),
            one(2, "leaseDurationSeconds", Int),
            one(3, "acquireTime", MicroTime),
            one(4, "renewTime", MicroTime),
            one(5, "leaseTransitions", Int),
        ]),
    ),
];
const KEY_REF: &[Field] =
    &[one(1, "localObjectReference", Message(LOCAL_REFERENCE)), one(2, "key", Text), one(3, "optional", Bool)];
const ENV: &[Field] = &[
    one(1, "name", Text),
    one(2, "value", Text),
    one(
        3,
        "valueFrom",
        Message(&[
            one(1, "fieldRef", Message(&[one(1, "apiVersion", Text), one(2, "fieldPath", Text)])),
            one(3, "configMapKeyRef", Message(KEY_REF)),
            one(4, "secretKeyRef", Message(KEY_REF)),
        ]),
    ),
];
const PORT: &[Field] = &[
    one(1, "name", Text),
    one(2, "hostPort", Int),
    one(3, "containerPort", Int),
    one(4, "protocol", Text),
    one(5, "hostIP", Text),
];
const RESOURCES: &[Field] = &[one(1, "limits", QuantityMap), one(2, "requests", QuantityMap)];
const MOUNT: &[Field] =
    &[one(1, "name", Text), one(2, "readOnly", Bool), one(3, "mountPath", Text), one(4, "subPath", Text)];
const CONTAINER: &[Field] = &[
    one(1, "name", Text),
    one(2, "image", Text),
    many(3, "command", Text),
    many(4, "args", Text),
    one(5, "workingDir", Text),
    many(6, "ports", Message(PORT)),
    many(7, "env", Message(ENV)),
    one(8, "resources", Message(RESOURCES)),
    many(9, "volumeMounts", Message(MOUNT)),
    one(13, "terminationMessagePath", Text),
    one(14, "imagePullPolicy", Text),
    one(16, "stdin", Bool),
    one(17, "stdinOnce", Bool),
    one(18, "tty", Bool),
    one(20, "terminationMessagePolicy", Text),
];
const VOLUME: &[Field] = &[
    one(1, "name", Text),
    one(
        2,
        "volumeSource",
        Message(&[
            one(1, "hostPath", Message(&[one(1, "path", Text), one(2, "type", Text)])),
            one(2, "emptyDir", Message(&[one(1, "medium", Text), one(2, "sizeLimit", Quantity)])),
            one(6, "secret", Message(&[one(1, "secretName", Text)])),
            one(19, "configMap", Message(&[one(1, "localObjectReference", Message(LOCAL_REFERENCE))])),
        ]),
    ),
];
const POD_SPEC: &[Field] = &[
    many(1, "volumes", Message(VOLUME)),
    many(2, "containers", Message(CONTAINER)),
    one(3, "restartPolicy", Text),
    one(4, "terminationGracePeriodSeconds", Int),
    one(5, "activeDeadlineSeconds", Int),
    one(6, "dnsPolicy", Text),
    one(7, "nodeSelector", TextMap),
    one(8, "serviceAccountName", Text),
    one(9, "serviceAccount", Text),
    one(10, "nodeName", Text),
    one(11, "hostNetwork", Bool),
    many(15, "imagePullSecrets", Message(LOCAL_REFERENCE)),
    one(16, "hostname", Text),
    one(19, "schedulerName", Text),
    many(20, "initContainers", Message(CONTAINER)),
    one(21, "automountServiceAccountToken", Bool),
    one(25, "priority", Int),
];
const POD: &[Field] = &[one(1, "metadata", Message(META)), one(2, "spec", Message(POD_SPEC))];
const PRECONDITIONS: &[Field] = &[one(1, "uid", Text), one(2, "resourceVersion", Text)];
const DELETE_OPTIONS: &[Field] = &[
    one(1, "gracePeriodSeconds", Int),
    one(2, "preconditions", Message(PRECONDITIONS)),
    one(3, "orphanDependents", Bool),
    one(4, "propagationPolicy", Text),
    many(5, "dryRun", Text),
];

const QUANTITY: &[Field] = &[one(1, "s", Text)];
const TIMESTAMP: &[Field] = &[one(1, "s", Int), one(2, "n", Int)];
const LIST: &[Field] = &[many(1, "items", Text)];

const KINDS: &[(&str, &[Field])] = &[
    ("Namespace", NAMESPACE),
    ("ConfigMap", CONFIG_MAP),
    ("Secret", SECRET),
    ("ServiceAccount", SERVICE_ACCOUNT),
    ("TokenRequest", TOKEN_REQUEST),
    ("Role", ROLE),
    ("ClusterRole", CLUSTER_ROLE),
    ("RoleBinding", BINDING),
    ("ClusterRoleBinding", BINDING),
    ("SelfSubjectAccessReview", SELF_ACCESS),
    ("SubjectAccessReview", ACCESS),
    ("LocalSubjectAccessReview", ACCESS),
    ("SelfSubjectRulesReview", RULES_REVIEW),
    ("SelfSubjectReview", SELF_REVIEW),
    ("TokenReview", TOKEN_REVIEW),
    ("Event", EVENT),
    ("Lease", LEASE),
    ("Pod", POD),
    ("DeleteOptions", DELETE_OPTIONS),
];

/// Decodes a body into the JSON that the same client would have sent.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let raw = body
        .strip_prefix(MAGIC)
        .ok_or("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")?;
    let (mut api_version, mut kind, mut inner): (String, String, &[u8]) = (String::new(), String::new(), &[]);
    for field in Fields(raw) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for part in Fields(meta) {
                    match part? {
                        (1, Wire::Bytes(v)) => api_version = utf8(v)?,
                        (2, Wire::Bytes(v)) => kind = utf8(v)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(v)) => inner = v,
            _ => {}
        }
    }
    let fields = KINDS.iter().find(|(k, _)| *k == kind).map(|(_, f)| *f);
    let fields =
        fields.ok_or_else(|| format!("protobuf bodies of kind {kind:?} are not supported: send JSON or YAML"))?;
    let mut out = message(inner, fields, 0)?;
    out.insert("apiVersion".into(), json!(api_version));
    out.insert("kind".into(), json!(kind));
    Ok(Value::Object(out))
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Fixed-width numbers: none of the fields we know.
    Skipped,
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut out = 0u64;
        for shift in (0..70).step_by(7) {
            let (first, rest) = self.0.split_first().ok_or("protobuf message ends within a number")?;
            self.0 = rest;
            if shift < 64 {
                out |= u64::from(first & 0x7f) << shift;
            }
            if first & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err("protobuf number is longer than ten bytes".into())
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).ok().filter(|n| *n <= self.0.len()).ok_or("protobuf message ends within a field")?;
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(head)
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), String> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "protobuf field number is too large")?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => self.take(8).map(|_| Wire::Skipped)?,
            2 => {
                let n = self.varint()?;
                Wire::Bytes(self.take(n)?)
            }
            5 => self.take(4).map(|_| Wire::Skipped)?,
            other => return Err(format!("protobuf wire type {other} is not used by Kubernetes")),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), String>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn utf8(v: &[u8]) -> Result<String, String> {
    std::str::from_utf8(v).map(str::to_owned).map_err(|_| "a string of the protobuf message is not UTF-8".into())
}

fn message(raw: &[u8], fields: &[Field], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("protobuf message is nested deeper than {MAX_DEPTH} levels"));
    }
    let mut out = Map::new();
    for field in Fields(raw) {
        let (number, wire) = field?;
        let Some(f) = fields.iter().find(|f| f.number == number) else { continue };
        if let Wire::Bytes(entry) = wire
            && matches!(f.kind, TextMap | BytesMap | QuantityMap | ListMap)
        {
            let (key, value) = map_entry(entry, f.kind)?;
            if let Some(o) = out.entry(f.name).or_insert_with(|| json!({})).as_object_mut() {
                o.insert(key, value);
            }
            continue;
        }
        let Some(value) = value(wire, f.kind, depth)? else { continue };
        if f.repeated {
            if let Some(list) = out.entry(f.name).or_insert_with(|| json!([])).as_array_mut() {
                list.push(value);
            }
        } else if matches!(f.name, "localObjectReference" | "volumeSource") {
            // Embedded structs: their members belong to the parent in JSON.
            if let Value::Object(members) = value {
                out.extend(members);
            }
        } else if !(is_empty_text(&value) && f.name != "value" || f.name == "generation" && value == 0) {
            out.insert(f.name.into(), value);
        }
    }
    Ok(out)
}

/// Go's protobuf writes empty strings; JSON leaves them out.
fn is_empty_text(v: &Value) -> bool {
    v.as_str() == Some("")
}

fn value(wire: Wire, kind: Kind, depth: usize) -> Result<Option<Value>, String> {
    Ok(Some(match (kind, wire) {
        (Text, Wire::Bytes(v)) => json!(utf8(v)?),
        (Bytes, Wire::Bytes(v)) => json!(base64::engine::general_purpose::STANDARD.encode(v)),
        (Bool, Wire::Number(n)) => json!(n != 0),
        (Int, Wire::Number(n)) => json!(n.cast_signed()),
        (Message(fields), Wire::Bytes(v)) => Value::Object(message(v, fields, depth + 1)?),
        (Time, Wire::Bytes(v)) => return time(v, false),
        (MicroTime, Wire::Bytes(v)) => return time(v, true),
        (Quantity, Wire::Bytes(v)) => message(v, QUANTITY, depth + 1)?.remove("s").unwrap_or(json!("0")),
        _ => return Ok(None),
    }))
}

fn time(raw: &[u8], micro: bool) -> Result<Option<Value>, String> {
    let m = message(raw, TIMESTAMP, 0)?;
    let number = |k: &str| m.get(k).and_then(Value::as_i64).unwrap_or(0);
    if number("s") == 0 && number("n") == 0 {
        return Ok(None);
    }
    let nanos = i32::try_from(number("n")).unwrap_or(0);
    let t = jiff::Timestamp::new(number("s"), nanos)
        .map_err(|e| format!("a time of the protobuf message is out of range: {e}"))?;
    Ok(Some(json!(if micro { t.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string() } else { crate::object::timestamp(t) })))
}

fn map_entry(raw: &[u8], kind: Kind) -> Result<(String, Value), String> {
    let (mut key, mut content): (String, &[u8]) = (String::new(), &[]);
    for field in Fields(raw) {
        match field? {
            (1, Wire::Bytes(v)) => key = utf8(v)?,
            (2, Wire::Bytes(v)) => content = v,
            _ => {}
        }
    }
    let inner = match kind {
        BytesMap => Bytes,
        QuantityMap => Quantity,
        ListMap => Message(LIST),
        _ => Text,
    };
    let mut v = value(Wire::Bytes(content), inner, 0)?.unwrap_or(Value::Null);
    if matches!(kind, ListMap) {
        v = v.get("items").cloned().unwrap_or(json!([]));
    }
    Ok((key, v))
}
