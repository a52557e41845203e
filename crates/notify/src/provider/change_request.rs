//! What the providers that comment on change requests have in common: one comment for each object, written anew each time.

use super::Call;
use crate::http::Failure;
use crate::setup::Setup;
use serde_json::Value;

/// Characters of a comment, by the narrowest service.
const TEXT: usize = 60_000;

/// The notice as Markdown.
pub fn markdown(c: &Call) -> String {
    let n = c.notice;
    let emoji = if n.is_error() { "⚠️" } else { "ℹ️" };
    let title = c.title.map_or_else(|| n.path(), str::to_owned);
    let mut out = format!("## Flux Status\n\n{emoji} {title}\n\n{}\n", super::text::chars(&n.message, TEXT));
    out.push_str("\nMetadata:\n");
    for (k, v) in n.metadata.iter().filter(|(k, _)| k.as_str() != "change_request") {
        out.push_str(&format!("* `{k}`: {v}\n"));
    }
    out
}

/// A comment, with a line that nobody sees by which it is found again.
pub fn comment(c: &Call, prefix: &str) -> (String, String) {
    let marker = format!("<!-- {prefix}:{}/{} -->", c.setup.provider.uid, c.notice.path());
    let body = format!("{marker}\n\n{}", markdown(c));
    (marker, body)
}

/// The number of the change request.
pub fn number(c: &Call) -> Result<i64, Failure> {
    let text = c
        .notice
        .metadata
        .get("change_request")
        .ok_or_else(|| Failure::never("missing \"change_request\" metadata key"))?;
    text.parse()
        .map_err(|_| Failure::never(format!("invalid \"change_request\" metadata value {text:?}: it is no number")))
}

/// The first comment that somebody wrote about the object. `author`: where a comment says who wrote it.
pub fn found(comments: &Value, marker: &str, login: &str, author: &str) -> Result<Option<i64>, Failure> {
    let own = |c: &&Value| {
        c.pointer(author).and_then(Value::as_str) == Some(login)
            && c["body"].as_str().is_some_and(|b| b.contains(marker))
    };
    let all = comments.as_array().ok_or_else(|| Failure::never("could not list comments: no list came"))?;
    Ok(all.iter().find(own).and_then(|c| c["id"].as_i64()))
}

pub fn check(s: &Setup) -> Result<(), String> {
    if s.provider.uid.is_empty() { Err("provider UID cannot be empty".into()) } else { Ok(()) }
}
