//! The index says of every selector what evaluating each of them would say, errors included, while selectors come and go.
#![allow(clippy::unwrap_used)]

use expr::index::Index;
use expr::{Program, Value, Variables};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A generator that gives the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }
}

const PATHS: [&str; 20] = [
    "payload.a",
    "payload.b",
    "payload.a.b",
    "payload.a.b.c",
    "payload['x-y']",
    "payload.list",
    "payload.list[0]",
    "payload.list[-1].a",
    "payload.a?.b",
    "payload.a?.b.c",
    "payload?.b?.c",
    "payload[0]",
    "metadata['x-event']",
    "metadata['x-event'][0]",
    "metadata['x-none']",
    "metadata['x-none'][0]",
    "discriminator",
    "namespace",
    "payload",
    "payload.flag",
];
const CONSTANTS: [&str; 17] = [
    "'a'",
    "'ab'",
    "''",
    "1",
    "1.0",
    "-0.0",
    "0",
    "2.5",
    "true",
    "false",
    "nil",
    "['a']",
    "['a', 'b']",
    "[1]",
    "[]",
    "[['a']]",
    "'push'",
];

fn part(r: &mut Random) -> String {
    let p = r.of(&PATHS);
    let c = r.of(&CONSTANTS);
    match r.below(24) {
        0..=6 => format!("{p} == {c}"),
        7 => format!("{c} == {p}"),
        8 => format!("{p} != {c}"),
        9 => format!("{p} in [{c}, {}]", r.of(&CONSTANTS)),
        10 => format!("{} in {p}", r.of(&["'a'", "'push'", "1", "'b'"])),
        11 => format!("{p} startsWith {}", r.of(&["'a'", "'pu'", "''", "'ab'"])),
        12 => format!("{p} contains 'a'"),
        13 => format!("{p} matches '^a'"),
        14 => format!("{p} > 1"),
        15 => p.to_owned(),
        16 => format!("not ({})", part(r)),
        17 => format!("({} || {})", part(r), part(r)),
        18 => format!("({p} == 'a' || {p} == 'ab')"),
        19 => format!("len({p}) > 0"),
        20 => format!("({} && {})", part(r), part(r)),
        21 => r.of(&["true", "false"]).to_owned(),
        22 => format!("({p} ?? 'a') == {c}"),
        _ => format!("any({p}, # == {c})"),
    }
}

fn selector(r: &mut Random) -> String {
    let n = 1 + r.below(4);
    (0..n).map(|_| part(r)).collect::<Vec<_>>().join(" && ")
}

fn value(r: &mut Random, depth: usize) -> Json {
    match r.below(if depth == 0 { 9 } else { 14 }) {
        0 | 1 => json!("a"),
        2 => json!("ab"),
        3 => json!("push"),
        4 => json!(1),
        5 => json!(0),
        6 => json!(2.5),
        7 => json!(r.below(2) == 0),
        8 => Json::Null,
        9 | 10 => (0..r.below(3)).map(|_| value(r, depth - 1)).collect(),
        _ => object(r, depth - 1),
    }
}

fn object(r: &mut Random, depth: usize) -> Json {
    let mut m = serde_json::Map::new();
    for k in ["a", "b", "c", "x-y", "list", "flag", "other", "more", "still", "few"] {
        if r.below(3) > 0 {
            m.insert(k.into(), value(r, depth));
        }
    }
    m.into()
}

fn event(r: &mut Random) -> (Json, Json, &'static str) {
    let payload = if r.below(8) == 0 { value(r, 2) } else { object(r, 3) };
    let list = |r: &mut Random| (0..1 + r.below(2)).map(|_| json!(r.of(&["a", "push", "ab"]))).collect::<Json>();
    let mut metadata = json!({"x-event": list(r)});
    if r.below(2) == 0 {
        metadata["x-none"] = list(r);
    }
    (payload, metadata, r.of(&["a", "ab", "push", ""]))
}

/// What a selector says, in words to compare; a false one says nothing.
fn said(outcome: Result<Value, expr::Error>) -> Option<String> {
    match outcome {
        Ok(Value::Bool(false)) => None,
        Ok(Value::Bool(true)) => Some("match".into()),
        Ok(other) => Some(format!("gives {}", other.shown())),
        Err(e) => Some(format!("fails: {}", e.message)),
    }
}

#[test]
fn the_index_says_what_evaluating_all_would_say() {
    let seed = std::env::var("TRIGGERFISH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let rounds: usize = std::env::var("TRIGGERFISH_ROUNDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let (mut asked, mut evaluated) = (0u64, 0u64);
    for round in 0..rounds {
        let mut r = Random(seed + round as u64 * 7919);
        let mut index = Index::default();
        let mut all: BTreeMap<usize, Arc<Program>> = BTreeMap::new();
        let mut kept = Vec::new();
        for step in 0..30 {
            for _ in 0..12 {
                let owner = r.below(200);
                if r.below(4) == 0 {
                    index.remove(&owner);
                    all.remove(&owner);
                } else if let Ok(p) = Program::parse(&selector(&mut r)) {
                    let p = Arc::new(p);
                    index.insert(owner, p.clone());
                    all.insert(owner, p);
                }
            }
            assert_eq!(index.len(), all.len());
            if step % 10 == 0 {
                kept.push((index.clone(), all.clone()));
            }
            for _ in 0..4 {
                let (payload, metadata, discriminator) = event(&mut r);
                let variables = Variables::new()
                    .with_text("namespace", "a")
                    .with_text("discriminator", discriminator)
                    .with("metadata", &metadata)
                    .with("payload", &payload);
                // What was cloned earlier still answers as it did then.
                for (index, all) in kept.iter().chain([&(index.clone(), all.clone())]) {
                    let answer = index.ask(&variables);
                    asked += all.len() as u64;
                    evaluated += answer.evaluated as u64;
                    let mut ours = BTreeMap::new();
                    let mut tell = |s: &expr::index::Selector<usize>, what: String| {
                        for owner in s.owners() {
                            assert_eq!(ours.insert(*owner, what.clone()), None, "{owner} is told twice");
                        }
                    };
                    answer.matched.iter().for_each(|s| tell(s, "match".into()));
                    answer.others.iter().for_each(|(s, v)| tell(s, format!("gives {}", v.shown())));
                    answer
                        .failed
                        .iter()
                        .for_each(|(e, group)| group.iter().for_each(|s| tell(s, format!("fails: {}", e.message))));
                    for (owner, p) in all {
                        let theirs = said(p.run(&variables));
                        assert_eq!(
                            ours.get(owner),
                            theirs.as_ref(),
                            "round {round}: {} for payload {payload}, metadata {metadata}, discriminator {discriminator:?}",
                            p.source()
                        );
                    }
                    assert!(ours.keys().all(|o| all.contains_key(o)));
                }
            }
        }
    }
    println!("{asked} outcomes compared, {evaluated} selectors evaluated for them");
}

#[test]
fn only_what_can_match_is_evaluated() {
    let mut index = Index::default();
    for n in 0..10_000 {
        let source = match n % 4 {
            0 => format!("payload.message != '' && metadata['x-argo-e2e'] == ['true'] && discriminator == 'd-{n}'"),
            1 => format!("payload.repo.full_name == 'o/r{n}' and payload.ref matches '^refs/heads/'"),
            2 => format!("payload.ref startsWith 'refs/heads/team-{n}/'"),
            _ => format!("'topic-{n}' in payload.topics"),
        };
        index.insert(n, Arc::new(Program::parse(&source).unwrap()));
    }
    let ask = |payload: Json, discriminator: &str| {
        let metadata = json!({"x-argo-e2e": ["true"]});
        let variables = Variables::new()
            .with_text("discriminator", discriminator)
            .with("metadata", &metadata)
            .with("payload", &payload);
        let answer = index.ask(&variables);
        let mut matched: Vec<i32> = answer.matched.iter().flat_map(|s| s.owners().copied()).collect();
        matched.sort_unstable();
        // One selector, the first, is found by what all of its kind have: nothing told it apart then.
        assert!(answer.evaluated <= matched.len() + answer.failed.len() + 1, "{} evaluated", answer.evaluated);
        (matched, answer.failed.iter().map(|(e, group)| (e.message.clone(), group.len())).collect::<Vec<_>>())
    };
    let full = json!({"message": "m", "repo": {"full_name": "o/r5"}, "ref": "refs/heads/team-6/x", "topics": ["topic-7", "t"]});
    assert_eq!(ask(full.clone(), "d-8"), (vec![5, 6, 7, 8], vec![]));
    assert_eq!(ask(full, "none"), (vec![5, 6, 7], vec![]));
    // An event without a repository fails a quarter of them, for one reason, found once.
    assert_eq!(
        ask(json!({"message": "m"}), "d-0"),
        (vec![0], vec![("cannot fetch full_name from <nil>".into(), 2500)])
    );
    // So does one that is no object, before anything is evaluated.
    let (matched, failed) = ask(json!("text"), "d-0");
    assert!(matched.is_empty());
    assert_eq!(failed.iter().map(|(_, n)| n).sum::<usize>(), 10_000);
}
