//! What the providers that set a commit's status have in common: which commit, what the status is called, and what it says.

use super::text;
use crate::cel::{Expression, Type};
use crate::http::Failure;
use crate::notice::Notice;
use crate::setup::Setup;
use ring::digest;
use serde_json::Value;

/// Characters of a commit's hash.
const HASH: usize = 40;
/// Characters of a description, by the narrowest service.
pub const DESCRIPTION: usize = 140;
/// Characters of a status' name.
pub const NAME: usize = 255;

/// The commit that a notice is about.
pub fn hash(n: &Notice) -> Result<String, Failure> {
    let found = ["commit", "originRevision", "revision"].iter().find_map(|k| n.metadata.get(*k));
    let revision = found.ok_or_else(|| Failure::never("missing revision metadata"))?;
    revision_to_hash(revision).map_err(Failure::never)
}

/// The hash in a revision: `main@sha1:…`, `main/…`, or itself.
pub fn revision_to_hash(revision: &str) -> Result<String, String> {
    let after = |separator: char| revision.rsplit_once(separator).map(|(_, hash)| hash);
    let hash = after(':').or_else(|| after('/')).unwrap_or(revision);
    // Bytes are counted, not letters.
    if hash.len() != HASH {
        return Err(format!("failed to extract commit hash from '{revision}' revision"));
    }
    Ok(hash.to_owned())
}

/// What the status says.
pub fn description(n: &Notice) -> String {
    text::chars(&n.words(), DESCRIPTION)
}

/// Whether a notice sets no status at all.
pub fn is_progress(n: &Notice) -> bool {
    n.reason == "Progressing"
}

/// One word for what went well, one for what did not.
pub fn state<'w>(n: &Notice, good: &'w str, bad: &'w str, service: &str) -> Result<&'w str, Failure> {
    match n.severity.as_str() {
        "info" => Ok(good),
        "error" => Ok(bad),
        _ => Err(Failure::never(format!("can't convert to {service} state"))),
    }
}

/// A key of forty digits, for services that allow no more.
pub fn short_key(status: &str) -> String {
    crate::http::hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, status.as_bytes()).as_ref())
}

/// A status needs a name.
pub fn check(s: &Setup) -> Result<(), String> {
    if s.commit_status.is_empty() { Err("commit status cannot be empty".into()) } else { Ok(()) }
}

/// What the status is called: what the provider's expression makes of the event, or the object and the provider's first digits.
/// `event`, `provider` and `alert` are the objects as their owners wrote them.
pub fn id(n: &Notice, provider: &Value, alert: &Value) -> Result<String, String> {
    let text = |p: &str| provider.pointer(p).and_then(Value::as_str).unwrap_or("");
    let expression = text("/spec/commitStatusExpr");
    if expression.is_empty() {
        let uid = text("/metadata/uid").split('-').next().unwrap_or("");
        return Ok(format!("{}/{}", n.name(), uid.to_lowercase()));
    }
    let fail =
        |why: String| format!("failed to evaluate the spec.commitStatusExpr CEL expression for the event: {why}");
    let compiled = Expression::compile(expression, &["event", "provider", "alert"], &Type::Str)
        .map_err(|why| fail(format!("failed to compile expression: {why}")))?;
    compiled.text(&[("event", &n.value()), ("provider", provider), ("alert", alert)]).map_err(fail)
}
