//! CDEvents: what a body has to be to be one.

use serde_json::Value;

/// Subjects of version 0.4 of the specification, and what can happen to them.
const KNOWN: [(&str, &[&str]); 18] = [
    ("artifact", &["deleted", "downloaded", "packaged", "published", "signed"]),
    ("branch", &["created", "deleted"]),
    ("build", &["finished", "queued", "started"]),
    ("change", &["abandoned", "created", "merged", "reviewed", "updated"]),
    ("environment", &["created", "deleted", "modified"]),
    ("incident", &["detected", "reported", "resolved"]),
    ("pipelinerun", &["finished", "queued", "started"]),
    ("repository", &["created", "deleted", "modified"]),
    ("service", &["deployed", "published", "removed", "rolledback", "upgraded"]),
    ("taskrun", &["finished", "started"]),
    ("testcaserun", &["finished", "queued", "skipped", "started"]),
    ("testoutput", &["published"]),
    ("testsuiterun", &["finished", "queued", "started"]),
    ("ticket", &["closed", "created", "updated"]),
    // Earlier names of the same.
    ("testCaseRun", &["finished", "queued", "skipped", "started"]),
    ("testSuiteRun", &["finished", "queued", "started"]),
    ("taskRun", &["finished", "started"]),
    ("pipelineRun", &["finished", "queued", "started"]),
];

pub fn check(body: &[u8]) -> Result<(), String> {
    let fail = |why: String| Err(format!("unable to validate CDEvent event: {why}"));
    let v: Value = match serde_json::from_slice(body) {
        Ok(v) => v,
        Err(e) => return fail(e.to_string()),
    };
    let text = |p: &str| v.pointer(p).and_then(Value::as_str).unwrap_or("");
    let kind = text("/context/type");
    let custom = kind.starts_with("dev.cdeventsx.");
    if !custom {
        let parts: Vec<&str> = kind.splitn(5, '.').collect();
        let known = match parts[..] {
            ["dev", "cdevents", subject, predicate, version] => {
                KNOWN.iter().any(|(s, p)| *s == subject && p.contains(&predicate)) && version.split('.').count() == 3
            }
            _ => false,
        };
        if !known {
            return fail(format!("unknown event type {kind}"));
        }
    }
    // Without any subject it is one of an event that has none.
    let subject = v.get("subject").is_some();
    for place in ["/context/id", "/context/source", "/context/version", "/subject/id"] {
        if text(place).is_empty() && (subject || !place.starts_with("/subject")) {
            return fail(format!("at '{place}': expected a text that is not empty"));
        }
    }
    if text("/context/timestamp").parse::<jiff::Timestamp>().is_err() {
        return fail("at '/context/timestamp': it is no time of RFC 3339".into());
    }
    if subject && !v.pointer("/subject/content").is_some_and(Value::is_object) {
        return fail("at '/subject/content': expected an object".into());
    }
    if kind.starts_with("dev.cdevents.incident.") && subject && !text("/subject/content/artifactId").starts_with("pkg:")
    {
        return fail("at '/subject/content/artifactId': it is no package URL".into());
    }
    Ok(())
}
