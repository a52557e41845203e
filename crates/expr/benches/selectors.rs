//! `cargo bench -p triggerfish-expr`: parse, check and evaluate the selectors of the documents, and ask many of them.
//!
//! Times are medians; beside them stand allocations per call. Go, for comparison: the first selector compiled once runs in
//! 240–310 ns, and compiling it for every event, as Argo does, takes about 21 µs (on a like machine).
#![allow(clippy::unwrap_used)]

use divan::{Bencher, black_box};
use expr::index::Index;
use expr::{Kinds, Program, Variables};
use serde_json::{Value, json};
use std::sync::Arc;

#[global_allocator]
static COUNTED: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

/// As the documents have them.
const SELECTORS: [(&str, &str); 8] = [
    ("seed", r#"payload.message != "" && metadata["x-argo-e2e"] == ["true"] && discriminator == "my-discriminator""#),
    ("message", r#"payload.message != """#),
    ("github", r#"metadata["x-github-event"][0] == "push" && payload.repo.full_name == "o/r""#),
    ("membership", r#"payload.ref in ["refs/heads/main", "refs/heads/dev"]"#),
    ("prefix", r#"payload.ref startsWith "refs/heads/" && not (payload.ref endsWith "-wip")"#),
    ("pattern", r#"payload.ref matches "^refs/heads/(main|release-.*)$""#),
    ("closure", r#"any(payload.commits, any(.added, # endsWith ".go"))"#),
    ("optional", r#"(payload.user?.addr?.city ?? "none") == "none""#),
];

fn names() -> impl Iterator<Item = &'static str> {
    SELECTORS.iter().map(|(name, _)| *name)
}
fn source(name: &str) -> &'static str {
    SELECTORS.iter().find(|(n, _)| *n == name).unwrap().1
}

fn event() -> (Value, Value) {
    let payload = json!({
        "message": "hello", "repo": {"full_name": "o/r"}, "ref": "refs/heads/main", "user": {"name": "Ann", "addr": null},
        "commits": [{"id": "1", "added": ["a.md", "b.txt"]}, {"id": "2", "added": ["c.go"]}], "topic": "t7",
    });
    (payload, json!({"x-github-event": ["push"], "x-argo-e2e": ["true"]}))
}

fn variables<'a>(payload: &'a Value, metadata: &'a Value, discriminator: &'a str) -> Variables<'a> {
    Variables::new()
        .with_text("namespace", "argo")
        .with_text("discriminator", discriminator)
        .with("metadata", metadata)
        .with("payload", payload)
}

#[divan::bench(args = names())]
fn parse(name: &str) -> Program {
    Program::parse(black_box(source(name))).unwrap()
}

#[divan::bench(args = names())]
fn check(bencher: Bencher, name: &str) {
    let program = Program::parse(source(name)).unwrap();
    let kinds = Kinds::default().text("namespace").text("discriminator").map("metadata").map("payload");
    bencher.bench_local(|| black_box(&program).check_kinds(&kinds));
}

/// Compiled once, as a binding's selector is.
#[divan::bench(args = names())]
fn evaluate(bencher: Bencher, name: &str) {
    let program = Program::parse(source(name)).unwrap();
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "my-discriminator");
    bencher.bench_local(|| black_box(&program).run(black_box(&variables)).unwrap());
}

/// Bindings of four kinds, each looking for something of its own; one of each matches.
fn many(n: usize) -> Index<usize> {
    let mut index = Index::default();
    for i in 0..n {
        let text = match i % 4 {
            0 => format!(r#"payload.message != "" && metadata["x-argo-e2e"] == ["true"] && discriminator == "d{i}""#),
            1 => format!(r#"metadata["x-github-event"] == ["push"] && payload.repo.full_name == "o/r{i}""#),
            2 => format!(r#"payload.ref startsWith "refs/heads/team{i}/""#),
            _ => format!(r#"payload.topic == "t{i}""#),
        };
        index.insert(i, Arc::new(Program::parse(&text).unwrap()));
    }
    index
}

const MANY: [usize; 3] = [10, 1000, 100_000];

/// One event among so many bindings; one matches.
#[divan::bench(args = MANY)]
fn ask(bencher: Bencher, n: usize) {
    let index = many(n);
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "none");
    assert_eq!(index.ask(&variables).matched.len(), 1);
    bencher.bench_local(|| black_box(&index).ask(black_box(&variables)).matched.len());
}

/// What asking each one would take, for the ratio.
#[divan::bench(args = [10, 1000])]
fn ask_each(bencher: Bencher, n: usize) {
    let programs: Vec<Program> = (0..n)
        .map(|i| {
            Program::parse(&format!(
                r#"payload.message != "" && metadata["x-argo-e2e"] == ["true"] && discriminator == "d{i}""#
            ))
            .unwrap()
        })
        .collect();
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "none");
    bencher.bench_local(|| {
        black_box(&programs).iter().filter(|p| p.run(&variables) == Ok(expr::Value::Bool(true))).count()
    });
}

/// A binding changes while a reader keeps the set of before.
#[divan::bench(args = MANY)]
fn change(bencher: Bencher, n: usize) {
    let mut index = many(n);
    let program = Arc::new(Program::parse(r#"discriminator == "changed""#).unwrap());
    let (payload, metadata) = event();
    index.ask(&variables(&payload, &metadata, "none"));
    bencher.bench_local(|| {
        let kept = index.clone();
        index.insert(n / 2, program.clone());
        index.remove(&(n / 2));
        kept
    });
}
