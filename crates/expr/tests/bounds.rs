//! No expression takes more than its bounds, whatever it is over: it fails with an ordinary error that says which.
#![allow(clippy::unwrap_used)]

use expr::{Functions, Limits, Program, Variables};
use serde_json::json;

fn message(source: &str) -> String {
    let numbers: Vec<u32> = (0..20_000).collect();
    let payload = json!({"numbers": numbers, "text": "a".repeat(1 << 20), "dashes": "-".repeat(1 << 20)});
    let program = match Program::parse_with(source, Functions::Metadata) {
        Ok(p) => p,
        Err(e) => return e.message.clone(),
    };
    // A fifth of the usual steps, so that reaching them is quick in a debug build.
    let limits = Limits { steps: 200_000, ..Limits::default() };
    program
        .run_within(&Variables::new().with("payload", &payload), limits)
        .map_or_else(|e| e.message.clone(), |v| format!("no error: {}", v.type_name()))
}

#[test]
fn every_bound_is_an_ordinary_error() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let chain = vec!["1"; 2000].join("+");
    for (source, said) in [
        ("let n = 1..3000; filter(n, all(n, # > 0))", "step budget exceeded"),
        ("filter(payload.numbers, # in payload.numbers)", "step budget exceeded"),
        ("filter(payload.numbers, payload.numbers == payload.numbers)", "step budget exceeded"),
        ("filter(payload.numbers, payload.text contains \"b\")", "step budget exceeded"),
        ("filter(payload.numbers, payload.text matches \"b$\")", "step budget exceeded"),
        ("filter(payload.numbers, upper(payload.text) == \"\")", "budget exceeded"),
        ("filter(payload.numbers, sprig.camelcase(payload.dashes) == \"\")", "memory budget exceeded"),
        ("filter(payload.numbers, payload.text matches (\"(a|b)*\" + string(#)))", "budget exceeded"),
        ("map(payload.numbers, upper(payload.dashes))", "memory budget exceeded"),
        ("1..100000000", "memory budget exceeded"),
        ("repeat(payload.text, 100)", "memory budget exceeded"),
        ("reduce(1..30, #acc + #acc, \"0123456789\")", "memory budget exceeded"),
        ("sprig.repeat(1000000000, \"x\")", "memory budget exceeded"),
        ("sprig.indent(1000000000, \"x\")", "memory budget exceeded"),
        ("sprig.untilStep(0, 9000000000000000000, 1)", "memory budget exceeded"),
        ("sprig.randBytes(9000000000000)", "memory budget exceeded"),
        ("reduce(1..300000, [#acc])", "nested deeper than 256 levels"),
        ("reduce(1..300000, sprig.list(#acc))", "nested deeper than 256 levels"),
        ("reduce(1..300000, sprig.dict(\"a\", #acc))", "nested deeper than 256 levels"),
        ("map(1..20, sprig.bcrypt(\"x\"))", "step budget exceeded"),
        (&deep, "nested deeper than 128 levels"),
        (&chain, "chains more than 1000 operations"),
        ("\"x\" matches \"(((a{900}){900}){900})\"", "error parsing regexp"),
    ] {
        let m = message(source);
        let shown: String = source.chars().take(60).collect();
        assert!(m.contains(said), "{shown}: {m}, not {said}");
    }
    // Ten thousand names of one large text are one large text.
    assert_eq!(message("let t = repeat(\"aaaaaaaaaa\", 800000); len(map(payload.numbers, t))"), "no error: int");
    assert!(message("len(uniq(map(payload.numbers, # > 5)))").starts_with("no error"));
    assert_eq!(message("len(groupBy(payload.numbers, #))"), "no error: int");
    assert_eq!(message("len(uniq(payload.numbers))"), "no error: int");
}
