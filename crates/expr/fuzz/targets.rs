//! What the fuzz targets do with an input, and the test that runs the kept corpus with it.

use expr::index::Index;
use expr::{Functions, Kinds, Limits, Program, Value, Variables};
use serde_json::json;
use std::sync::Arc;

/// Functions that take long by nature or ask the network: what they cost is bounded otherwise.
const SLOW: [&str; 5] = ["gen", "bcrypt", "htpasswd", "getHostByName", "now"];

/// Nothing that is parsed panics, when it is looked at in any way short of evaluating it.
#[allow(dead_code)]
pub fn parse(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    for functions in [Functions::Builtins, Functions::Metadata] {
        let Ok(program) = Program::parse_with(source, functions) else { continue };
        let kinds = Kinds::default().text("discriminator").text("namespace").map("metadata").unknown("payload");
        // Refused or not: both are fine.
        let _ = program.check_kinds(&kinds);
        assert!(program.places().len() <= source.len());
        let mut index = Index::default();
        index.insert(1, Arc::new(program));
        index.remove(&1);
        assert!(index.is_empty());
    }
}

/// Nothing that is evaluated panics or passes its bounds, and the index agrees with the evaluation.
#[allow(dead_code)]
pub fn evaluate(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    if SLOW.iter().any(|f| source.contains(f)) {
        return;
    }
    let payload = json!({
        "message": "Hello, Wörld! 日本", "n": 3, "f": 1.5, "big": 1e300, "neg": -2, "nul": null, "t": true, "es": "", "list": [3, 1, 2], "strs": ["b", "a"],
        "users": [{"name": "Ann", "age": 30}, {"name": "Bob", "age": 17}], "json": "{\"a\":[1,{\"b\":null}]}", "iso": "2024-02-29T12:34:56Z", "empty": {}, "el": [],
    });
    let metadata = json!({"x-event": ["push"], "x-many": ["a", "b"]});
    let variables = Variables::new()
        .with_text("namespace", "argo")
        .with_text("discriminator", "d")
        .with("metadata", &metadata)
        .with("payload", &payload);
    for functions in [Functions::Builtins, Functions::Metadata] {
        let Ok(program) = Program::parse_with(source, functions) else { continue };
        let small = program.run_within(&variables, Limits { steps: 500, produced: 5_000 });
        let whole = program.run_within(&variables, Limits { steps: 50_000, produced: 1 << 20 });
        if let Ok(v) = &whole {
            // What can be shown is shown.
            let _ = (v.to_json_text(), v.shown(), v.type_name());
        }
        if let (Ok(a), Ok(b)) = (&small, &whole) {
            assert!(a.type_name() == b.type_name(), "{source}: the bounds change the type");
        }
        if whole.is_ok() {
            let _ = (expr::falsified(&program, &variables), expr::explain(&program, &variables).to_string());
        }
        agree(Arc::new(program), &variables);
    }
}

/// The index says what evaluating says.
fn agree(program: Arc<Program>, variables: &Variables) {
    let mut index = Index::default();
    index.insert(0, program.clone());
    let said = program.run(variables);
    // Chance gives another answer every time.
    if ["rand", "uuid", "shuffle", "AES", "ago", "htmlDate", "date"].iter().any(|f| program.source().contains(f)) {
        return;
    }
    let answer = index.ask(variables);
    let found = (answer.matched.len(), answer.others.len(), answer.failed.len());
    let expected = match &said {
        Ok(Value::Bool(true)) => (1, 0, 0),
        Ok(Value::Bool(false)) => (0, 0, 0),
        Ok(_) => (0, 1, 0),
        Err(_) => (0, 0, 1),
    };
    assert_eq!(found, expected, "{}: evaluating gives {said:?}", program.source());
}
