//! Filters of dependencies.

use crate::suite::{Suite, lines, vectors};
use sensor::Event;
use sensor::filter::{Filter, filter};
use serde_json::Value;

#[test]
fn filters() {
    let Some(dir) = vectors("filters") else { return };
    let mut suite = Suite::new("filters");
    for v in lines(&dir.join("vectors.jsonl")) {
        let group = v["filters"].as_object().map_or(String::new(), |f| {
            let parts: Vec<&str> = f.keys().map(String::as_str).filter(|k| !k.ends_with("Operator")).collect();
            parts.join("+")
        });
        suite.case(v["id"].as_str().unwrap(), &group, one(&v));
    }
    suite.finish(0.98);
}

fn one(v: &Value) -> Result<(), String> {
    let filters: Filter = serde_json::from_value(v["filters"].clone()).map_err(|e| e.to_string())?;
    let event: Event = serde_json::from_value(v["event"].clone()).map_err(|e| e.to_string())?;
    let ours = filter(&filters, v["filtersLogicalOperator"].as_str().unwrap_or(""), &event);
    let theirs = &v["result"];
    let error = theirs["error"].as_str();
    if Some(ours.pass) != theirs["pass"].as_bool() || ours.error.is_some() != error.is_some() {
        return Err(format!("recorded {theirs}, ours {ours:?}"));
    }
    // Texts of libraries may differ; those that name a path or a value are the contract.
    match (&ours.error, error) {
        (Some(ours), Some(theirs)) if named(theirs) && ours != theirs => {
            Err(format!("recorded {theirs:?}, ours {ours:?}"))
        }
        _ => Ok(()),
    }
}

/// Whether a text is all contract: of paths, values and types.
fn named(text: &str) -> bool {
    const LIBRARIES: [&str; 11] = [
        "template: ",
        "regexp",
        "<string>",
        "token",
        "Value '",
        "parameter",
        "expression",
        "parsing time",
        "JSON input",
        "json: ",
        "invalid character",
    ];
    !LIBRARIES.iter().any(|l| text.contains(l))
        && !text.contains("function")
        && !text.contains("arenthes")
        && !text.contains("literal")
}
