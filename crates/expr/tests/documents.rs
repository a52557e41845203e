//! Every example of docs/expressions.md gives what stands behind its arrow.
#![allow(clippy::unwrap_used)]

use expr::{Functions, Program, Variables};
use serde_json::Value as Json;
use std::path::Path;

#[test]
fn the_examples_of_the_document_give_what_it_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/expressions.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, after) = text.split_once("```json\n").unwrap();
    let event: Json = serde_json::from_str(after.split_once("```").unwrap().0).unwrap();
    let variables = event.as_object().unwrap().iter().fold(Variables::new(), |v, (k, x)| v.with(k, x));
    let variables = variables.clone().with_unlisted("event", variables.as_map());
    let (mut functions, mut seen, mut wrong) = (Functions::Builtins, 0, Vec::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            functions = if kind == "metadata" { Functions::Metadata } else { Functions::Builtins };
        }
        let Some((source, expected)) = line.split_once(" ⇒ ") else { continue };
        seen += 1;
        let given = Program::parse_with(source.trim(), functions)
            .and_then(|p| p.run(&variables).map(|v| v.to_json_text().unwrap()));
        let given = given.unwrap_or_else(|e| format!("error: {}", e.message));
        if given != expected.trim() {
            wrong.push(format!("{source}: {given}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} examples were found");
}
