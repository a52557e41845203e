//! What the fuzzer was started with and what it found interesting stays without panics. See `fuzz/`.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

fn each(target: &str, run: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    files.map(|f| run(&std::fs::read(f).unwrap())).count()
}

#[test]
fn the_kept_corpus_parses_and_evaluates_without_panics() {
    let (parsed, evaluated) = (each("parse", targets::parse), each("evaluate", targets::evaluate));
    println!("corpus: {parsed} parsed, {evaluated} evaluated");
    assert!(parsed >= 30 && evaluated >= 30);
}
