//! `cargo bench -p triggerfish-expr`: parse, check and evaluate the selectors of the documents, and ask many of them.
//!
//! Times are medians; beside them stand allocations per call. Go, for comparison: the first selector compiled once runs in
//! 240–310 ns, and compiling it for every event, as Argo does, takes about 21 µs (on a like machine).
#![allow(clippy::unwrap_used)]

use divan::{Bencher, black_box};
use expr::index::Index;
use expr::{Kinds, Program, Variables};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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

/// The selectors of the recorded dispatches that parse, each once; none where the recordings are not there.
fn recorded() -> Vec<String> {
    let named = std::env::var_os("TRIGGERFISH_CONFORMANCE").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"));
    let text = std::fs::read_to_string(folder.join("dispatch/vectors.jsonl")).unwrap_or_default();
    let vectors = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let bindings = vectors.flat_map(|v| v["input"]["bindings"].as_array().cloned().unwrap_or_default());
    let selectors = bindings.filter_map(|b| Some(b.pointer("/spec/event/selector")?.as_str()?.to_owned()));
    selectors.filter(|s| Program::parse(s).is_ok()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// All recorded selectors, one after the other: divide by their number.
#[divan::bench]
fn recorded_parse(bencher: Bencher) {
    let all = recorded();
    bencher.counter(all.len()).bench_local(|| all.iter().filter(|s| Program::parse(black_box(s)).is_ok()).count());
}

#[divan::bench]
fn recorded_check(bencher: Bencher) {
    let all: Vec<Program> = recorded().iter().map(|s| Program::parse(s).unwrap()).collect();
    let kinds = Kinds::default().text("namespace").text("discriminator").map("metadata").map("payload").map("event");
    bencher.counter(all.len()).bench_local(|| all.iter().filter(|p| p.check_kinds(black_box(&kinds)).is_ok()).count());
}

#[divan::bench]
fn recorded_evaluate(bencher: Bencher) {
    let all: Vec<Program> = recorded().iter().map(|s| Program::parse(s).unwrap()).collect();
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "my-discriminator");
    bencher.counter(all.len()).bench_local(|| all.iter().filter(|p| p.run(black_box(&variables)).is_ok()).count());
}

/// The selector of a binding, by equality, membership or prefix. The first `matches` of them fit the event.
fn selector(i: usize, matches: usize) -> String {
    let hit = i < matches;
    match i % 3 {
        0 if hit => format!(r#"payload.topic == "t7" && payload.message != "{i}""#),
        0 => format!(r#"payload.topic == "t7-{i}" && payload.message != "{i}""#),
        1 if hit => format!(r#"payload.ref in ["refs/heads/main", "{i}"] && metadata["x-argo-e2e"] == ["true"]"#),
        1 => format!(r#"payload.ref in ["refs/heads/a{i}", "{i}"] && metadata["x-argo-e2e"] == ["true"]"#),
        _ if hit => format!(r#"payload.ref startsWith "refs/heads/" && payload.message != "{i}""#),
        _ => format!(r#"payload.ref startsWith "refs/heads/team{i}/""#),
    }
}

/// So many bindings, of which so many fit the event; as many as there are if those are fewer.
fn many(n: usize, matches: usize) -> Index<usize> {
    let mut index = Index::default();
    for i in 0..n {
        index.insert(i, Arc::new(Program::parse(&selector(i, matches)).unwrap()));
    }
    index
}

const MANY: [usize; 4] = [1, 100, 10_000, 100_000];

/// One event among so many bindings, with so many matches.
#[divan::bench(args = MANY, consts = [0, 1, 10])]
fn ask<const MATCHES: usize>(bencher: Bencher, n: usize) {
    let index = many(n, MATCHES);
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "none");
    assert_eq!(index.ask(&variables).matched.len(), MATCHES.min(n));
    bencher.bench_local(|| black_box(&index).ask(black_box(&variables)).matched.len());
}

/// Selectors that no index can help: all are evaluated. Divide by their number.
#[divan::bench(args = [100, 10_000])]
fn ask_unindexable(bencher: Bencher, n: usize) {
    let mut index = Index::default();
    for i in 0..n {
        let text = format!("len(payload.commits) > {}", i + 2);
        index.insert(i, Arc::new(Program::parse(&text).unwrap()));
    }
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "none");
    assert_eq!(index.ask(&variables).evaluated, n);
    bencher.counter(n).bench_local(|| black_box(&index).ask(black_box(&variables)).matched.len());
}

/// All bindings from their texts to the first answer. What it holds at the end, divided by their number, is memory per
/// binding: see `max alloc`.
#[divan::bench(args = MANY, sample_count = 5, sample_size = 1)]
fn load(bencher: Bencher, n: usize) {
    let texts: Vec<String> = (0..n).map(|i| selector(i, 1)).collect();
    let (payload, metadata) = event();
    let variables = variables(&payload, &metadata, "none");
    bencher.counter(n).bench_local(|| {
        let mut index = Index::default();
        for (i, text) in texts.iter().enumerate() {
            index.insert(i, Arc::new(Program::parse(text).unwrap()));
        }
        assert_eq!(index.ask(&variables).matched.len(), 1);
        index
    });
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
    let mut index = many(n, 1);
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
