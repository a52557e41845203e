//! What is wrong or doubtful about a binding, told when it is applied.

use super::{Binding, Source};
use apiserver::{Admitted, FieldError};
use serde_json::Value;

/// What a binding's expressions may read; of the payload nothing is known yet.
fn kinds() -> expr::Kinds {
    expr::Kinds::default().text("namespace").text("discriminator").map("metadata").unknown("payload").map("event")
}

/// For servers that take over manifests as they are: what does not parse is stored with a warning, and fails the events it meets.
pub fn admit_with_warnings(new: &Value, old: Option<&Value>) -> Admitted {
    let mut out = admit(new, old);
    out.warnings.extend(out.errors.drain(..).map(|e| e.to_string().lines().next().unwrap_or("").to_owned()));
    out
}

pub fn admit(new: &Value, old: Option<&Value>) -> Admitted {
    let mut out = Admitted::default();
    let Ok(binding) = Binding::read(new) else { return out };
    let kinds = kinds();
    let before = old.and_then(|o| Binding::read(o).ok());
    for (path, parsed) in binding.expressions() {
        let stored =
            before.as_ref().is_some_and(|b| b.expressions().iter().any(|(p, e)| *p == path && same_source(e, parsed)));
        let problem = match parsed {
            Err(e) => Some(e.to_string()),
            Ok(p) => p.check_kinds(&kinds).err().map(|e| e.to_string()),
        };
        let Some(problem) = problem else { continue };
        let source = text_at(new, &path);
        // What is stored already stays: an update of something else must not be blocked by it.
        if stored {
            out.warnings.push(format!("{path}: {}", problem.lines().next().unwrap_or("")));
        } else {
            out.errors.push(FieldError::invalid(path, source, problem));
        }
    }
    if let Ok(selector) = &binding.selector {
        out.warnings.extend(doubts(selector));
    }
    if let Some(s) = &binding.submit {
        for (i, p) in s.parameters.iter().enumerate().filter(|(_, p)| matches!(p.source, Source::Missing)) {
            let what = if p.name.is_empty() { i.to_string() } else { p.name.clone() };
            out.warnings.push(format!("spec.submit.arguments.parameters[{i}]: parameter {what:?} has neither valueFrom.event nor value; every matching event will fail"));
        }
    }
    out
}

fn same_source(a: &super::Parsed, b: &super::Parsed) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => a.source() == b.source(),
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

fn text_at(o: &Value, path: &str) -> String {
    let mut v = Some(o);
    for part in path.split('.') {
        let (name, index) = part.split_once('[').map_or((part, None), |(n, i)| (n, Some(i.trim_end_matches(']'))));
        v = v.and_then(|v| v.get(name));
        if let Some(i) = index {
            v = v.and_then(|v| i.parse::<usize>().ok().and_then(|n| v.get(n)).or_else(|| v.get(i)));
        }
    }
    v.and_then(Value::as_str).unwrap_or("").to_owned()
}

/// Selectors that are legal and never do what they seem to.
fn doubts(selector: &expr::Program) -> Vec<String> {
    let mut out = Vec::new();
    for place in selector.places() {
        let names = place.names.strip_prefix(&["event".to_owned()][..]).unwrap_or(&place.names);
        let [variable, name, ..] = names else { continue };
        if variable != "metadata" {
            continue;
        }
        let mut doubt = |what: String| out.push(format!("spec.event.selector: metadata[{name:?}] {what}"));
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            doubt(format!("never matches: header names are lower-case, write {:?}", name.to_lowercase()));
        } else if !name.starts_with("x-") {
            doubt(
                "matches only events of gateways: of what is posted to the API, headers that start with x- are kept"
                    .into(),
            );
        }
        if place.against_text && names.len() == 2 {
            doubt("is a list and never equals a string: write == [\"value\"]".into());
        }
    }
    out
}
