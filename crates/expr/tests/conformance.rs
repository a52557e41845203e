//! Compares the language with what the original was recorded to answer, value and type.
//!
//! `TRIGGERFISH_CONFORMANCE=DIR` names the folder of vectors. What differs knowingly stands in `differences/SUITE.txt`, an
//! expression and its reason a line; a suite fails when something else differs. `TRIGGERFISH_DIFFERENCES=DIR` has what
//! differs written there.
#![allow(clippy::unwrap_used)]

use expr::{Dict, Functions, Object, Program, Value, Variables};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn vectors(suite: &str) -> Option<PathBuf> {
    let named = std::env::var_os("TRIGGERFISH_CONFORMANCE").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance")).join(suite);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("{suite}: skipped, no vectors at {}", folder.display());
    None
}

fn lines(file: &Path) -> Vec<Json> {
    std::fs::read_to_string(file).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn environment(file: &Path) -> Json {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn variables(env: &Json) -> Variables<'_> {
    env.as_object().unwrap().iter().fold(Variables::new(), |v, (k, x)| v.with(k, x))
}

/// Counts a suite and knows its reasoned list.
struct Suite {
    name: &'static str,
    listed: BTreeMap<String, String>,
    same: usize,
    differ: Vec<String>,
    unlisted: Vec<String>,
    /// Listed, and yet the same.
    stale: Vec<String>,
    /// Fail as they should, but when checked instead of when run, or the other way round.
    swapped: Vec<String>,
    skipped: usize,
}

impl Suite {
    fn new(name: &'static str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/differences/{name}.txt"));
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let listed = text
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty())
            .map(|l| {
                l.split_once('\t')
                    .map(|(e, r)| (e.to_owned(), r.to_owned()))
                    .unwrap_or_else(|| panic!("{name}: write `expression TAB reason`, not {l:?}"))
            })
            .collect();
        Suite {
            name,
            listed,
            same: 0,
            differ: Vec::new(),
            unlisted: Vec::new(),
            stale: Vec::new(),
            swapped: Vec::new(),
            skipped: 0,
        }
    }

    fn compare(&mut self, source: &str, ours: &str, theirs: &str) {
        let listed = self.listed.contains_key(source);
        if ours == theirs {
            self.same += 1;
            if listed {
                self.stale.push(source.to_owned());
            }
            return;
        }
        let line = format!("{source}\tours {ours}\ttheirs {theirs}");
        if !listed {
            self.unlisted.push(line.clone());
        }
        self.differ.push(line);
    }

    fn finish(self, floor: f64) {
        let Suite { name, same, skipped, swapped, unlisted, .. } = &self;
        let share = 100.0 * *same as f64 / (same + self.differ.len()).max(1) as f64;
        let (differ, unreasoned) = (self.differ.len(), unlisted.len());
        println!(
            "expr/{name}: {same} same, {differ} differ ({share:.2} %), {unreasoned} of them without a reason, \
             {skipped} skipped (values that JSON cannot show); {} fail at the other stage",
            swapped.len()
        );
        if let Some(dir) = std::env::var_os("TRIGGERFISH_DIFFERENCES") {
            let write = |what: &str, lines: &[String]| {
                std::fs::write(Path::new(&dir).join(format!("expr-{name}{what}.txt")), lines.join("\n")).unwrap();
            };
            write("", &self.differ);
            write("-swapped", swapped);
        }
        assert!(share >= floor, "expr/{name}: {share:.2} % is below {floor} %:\n{}", unlisted.join("\n"));
        if std::env::var_os("TRIGGERFISH_CONFORMANCE").is_none() {
            assert!(unlisted.is_empty(), "expr/{name}: differ without a reason:\n{}", unlisted.join("\n"));
            assert!(self.stale.is_empty(), "expr/{name}: listed, and the same now:\n{}", self.stale.join("\n"));
        }
    }
}

/// A value with its Go type, as text to compare. Numbers inside are compared as numbers.
fn shown(v: &Value) -> String {
    format!("{} {}", v.type_name(), text(&comparable(v)))
}

/// The form that the recordings have for what JSON lacks.
fn comparable(v: &Value) -> Json {
    match v {
        Value::Float(f) if !f.is_finite() => json!({"$float": expr_float(*f)}),
        Value::Time(_) => json!({"$time": v.to_json().unwrap()}),
        Value::Duration(_) => json!({"$duration": v.shown()}),
        Value::Function(f) => json!({"$func": f.signature}),
        Value::Object(_) => json!({"$ptr": v.type_name(), "fmt": v.shown()}),
        Value::List(l) if !v.is_nil() => l.iter().map(|x| comparable(&x)).collect(),
        Value::Map(m @ Dict::Keyed(..)) => {
            json!({"$map": v.type_name(), "entries": m.pairs().iter().map(|(k, x)| json!([comparable(k), comparable(x)])).collect::<Vec<_>>()})
        }
        Value::Map(m) => {
            m.iter().map(|(k, x)| (k.into_owned(), comparable(&x))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.to_json().unwrap_or_else(|e| json!({"$error": e})),
    }
}

fn expr_float(f: f64) -> &'static str {
    if f.is_nan() {
        "NaN"
    } else if f > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// JSON with sorted members and every number as a float.
fn text(v: &Json) -> String {
    match v {
        // Zero has no sign here.
        Json::Number(n) => format!("{:?}", n.as_f64().unwrap() + 0.0),
        Json::Array(l) => format!("[{}]", l.iter().map(text).collect::<Vec<_>>().join(",")),
        Json::Object(m) => {
            let sorted: BTreeMap<_, _> = m.iter().collect();
            format!("{{{}}}", sorted.iter().map(|(k, v)| format!("{k:?}:{}", text(v))).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// When an expression failed, in the words of the recordings.
fn stage_of(e: &expr::Error) -> &'static str {
    if e.kind == expr::ErrorKind::Compile { "compile" } else { "run" }
}

/// Walks over a map, which the original does in random order.
fn unordered(source: &str) -> bool {
    ["keys(", "values(", "toPairs("].iter().any(|f| source.contains(f))
}
/// JSON with all lists sorted.
fn sorted(v: &Json) -> Json {
    match v {
        Json::Array(l) => {
            let mut all: Vec<Json> = l.iter().map(sorted).collect();
            all.sort_by_key(text);
            all.into()
        }
        Json::Object(m) => m.iter().map(|(k, v)| (k.clone(), sorted(v))).collect(),
        other => other.clone(),
    }
}

fn plain(file: &'static str, floor: f64) {
    let Some(dir) = vectors("expr").filter(|d| d.join(format!("{file}.jsonl")).exists()) else { return };
    let env = environment(&dir.join(format!("{file}.env.json")));
    let variables = variables(&env);
    let mut suite = Suite::new(file);
    for v in lines(&dir.join(format!("{file}.jsonl"))) {
        if v.get("opaque").is_some() {
            suite.skipped += 1;
            continue;
        }
        let source = v["expr"].as_str().unwrap();
        let program = Program::parse(source);
        let ours = program.as_ref().map_err(Clone::clone).and_then(|p| p.run(&variables));
        let shown = |kind: &str, v: &Json| {
            let v = if unordered(source) { sorted(v) } else { v.clone() };
            format!("{kind} {}", text(&v))
        };
        let theirs = match v.get("error") {
            Some(stage) => {
                if let Err(e) = &ours
                    && stage != "panic"
                    && stage != stage_of(e)
                {
                    suite.swapped.push(format!("{source}\ttheirs {stage}: {}\tours {}", v["text"], e.message));
                }
                "error".to_owned()
            }
            None => {
                let value = match &v["result"] {
                    Json::String(s) if file == "bindings" => serde_json::from_str(s).unwrap_or(Json::Null),
                    other => other.clone(),
                };
                shown(v["type"].as_str().unwrap(), &value)
            }
        };
        let ours = match ours {
            Ok(x) => x.to_json().map_or_else(|e| e, |j| shown(x.type_name(), &j)),
            Err(_) => "error".to_owned(),
        };
        suite.compare(source, &ours, &theirs);
    }
    suite.finish(floor);
}

#[test]
fn generated() {
    plain("generated", 99.0);
}

#[test]
fn bindings() {
    plain("bindings", 99.0);
}

/// Values in the notation of the hand-written ones.
fn noted(v: &Value) -> String {
    let quoted = |s: &str| Json::from(s).to_string();
    match v {
        Value::Nil => "nil".into(),
        Value::Bool(b) => b.to_string(),
        Value::Float(f) => format!("f:{:016x}", f.to_bits()),
        Value::Text(s) => format!("s:{}", quoted(s)),
        Value::Bytes(_) => format!("b:{}", v.to_json().unwrap().as_str().unwrap()),
        Value::Time(t) => format!("t:{}", t.timestamp().as_nanosecond()),
        Value::Duration(d) => format!("d:{d}"),
        Value::Object(o) if matches!(**o, Object::Month(_)) => format!("month:{}", v.to_json().unwrap()),
        Value::List(l) => format!("[{}]", l.iter().map(|x| noted(&x)).collect::<Vec<_>>().join(",")),
        Value::Map(m) => {
            let mut pairs: Vec<String> = m.pairs().iter().map(|(k, x)| format!("{}=>{}", noted(k), noted(x))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        other => other.to_json().map_or_else(|e| e, |j| format!("i:{j}")),
    }
}

#[test]
fn written() {
    let Some(file) = vectors("expr").map(|d| d.join("written.jsonl")).filter(|f| f.exists()) else { return };
    let all = lines(&file);
    let variables = variables(&all[0]["env"]);
    let mut suite = Suite::new("written");
    for v in &all[1..] {
        let source = v["expr"].as_str().unwrap();
        let program = Program::parse(source);
        let ours = program.as_ref().map_err(Clone::clone).and_then(|p| p.run(&variables));
        let theirs = v["value"].as_str().unwrap_or("error");
        suite.compare(source, &ours.map_or_else(|_| "error".to_owned(), |x| noted(&x)), theirs);
    }
    suite.finish(99.0);
}

#[test]
fn metaexpr() {
    let Some(dir) = vectors("metaexpr") else { return };
    let env = environment(&dir.join("env.json"));
    let variables = variables(&env);
    let mut suite = Suite::new("metaexpr");
    for v in lines(&dir.join("vectors.jsonl")) {
        let source = v["expr"].as_str().unwrap();
        let program = Program::parse_with(source, Functions::Metadata);
        let ours = match program.as_ref().map_err(Clone::clone).and_then(|p| p.run(&variables)) {
            Ok(x) => shown(&x),
            Err(e) => format!("error {}", stage_of(&e)),
        };
        let theirs = match v["ok"].as_bool() {
            Some(true) => format!("{} {}", v["type"].as_str().unwrap(), text(&v["value"])),
            _ => format!("error {}", v["stage"].as_str().unwrap()),
        };
        suite.compare(source, &ours, &theirs);
    }
    suite.finish(99.0);
}

/// Every function of the recorded map is there with its signature, and no other.
#[test]
fn metaexpr_functions() {
    let Some(file) = vectors("metaexpr").map(|d| d.join("functions.json")).filter(|f| f.exists()) else { return };
    let all = environment(&file);
    let mut wrong = String::new();
    for (name, signature) in all.as_object().unwrap() {
        let program = Program::parse_with(name, Functions::Metadata).unwrap();
        match program.run(&Variables::new()) {
            Ok(Value::Function(f)) if f.signature == signature.as_str().unwrap() => {}
            other => writeln!(wrong, "{name}: {signature}, not {other:?}").unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let program = Program::parse_with("len(sprig)", Functions::Metadata).unwrap();
    let listed = all.as_object().unwrap().keys().filter(|k| k.starts_with("sprig.")).count();
    assert_eq!(program.run(&Variables::new()).unwrap(), Value::Int(listed as i64));
}
