//! The rules of the house that can be checked by a machine.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Clippy that found nothing.
const LINTED_WITH: &str = "0.1.95";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|x| x == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn all_sources() -> Vec<PathBuf> {
    let mut out = Vec::new();
    for c in fs::read_dir(root().join("crates")).unwrap().flatten() {
        for part in ["src", "tests", "benches"] {
            if c.path().join(part).is_dir() {
                out.extend(sources(&c.path().join(part)));
            }
        }
    }
    out
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> =
        all_sources().into_iter().filter(|f| !fs::read_to_string(f).unwrap().starts_with("//!")).collect();
    assert!(silent.is_empty(), "these files do not begin with a //! line: {silent:#?}");
}

#[test]
fn the_code_is_formatted() {
    let Some(said) = cargo(&["fmt", "--all", "--check"]) else { return };
    assert!(said.is_empty(), "run `cargo fmt --all`:\n{said}");
}

/// A newer Clippy may know lints that this code has not met: what it says is printed.
#[test]
fn the_lints_say_nothing() {
    let Some(said) = cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet"]) else { return };
    let met = cargo(&["clippy", "--version"]).is_some_and(|v| v.contains(LINTED_WITH));
    assert!(said.is_empty() || !met, "{said}");
    print!("{said}");
}

/// What a cargo command says; nothing where the toolchain lacks it.
fn cargo(arguments: &[&str]) -> Option<String> {
    let run = |a: &[&str]| Command::new("cargo").args(a).current_dir(root()).output().unwrap();
    if !run(&[arguments[0], "--version"]).status.success() {
        println!("cargo {}: not in this toolchain; skipped", arguments[0]);
        return None;
    }
    let said = run(arguments);
    Some([said.stdout, said.stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat())
}

#[test]
fn no_file_is_forgotten_by_its_mod() {
    let mut forgotten = Vec::new();
    for c in fs::read_dir(root().join("crates")).unwrap().flatten() {
        let src = c.path().join("src");
        for file in sources(&src) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let folder = file.parent().unwrap();
            let (parent, module) = match (name.as_str(), folder == src) {
                ("lib" | "main", true) => continue,
                ("mod", _) => {
                    (folder.parent().unwrap().to_owned(), folder.file_name().unwrap().to_str().unwrap().to_owned())
                }
                _ => (folder.to_owned(), name),
            };
            let declared = ["lib.rs", "main.rs", "mod.rs"]
                .iter()
                .filter_map(|f| fs::read_to_string(parent.join(f)).ok())
                .any(|t| t.lines().any(|l| l.trim_end().ends_with(&format!("mod {module};"))));
            if !declared {
                forgotten.push(file);
            }
        }
    }
    assert!(forgotten.is_empty(), "no mod line names: {forgotten:#?}");
}

/// The rooms of the product in river order: each names only those before it. `serve` wires, `cli` talks to people.
const ROOMS: [(&str, &[&str]); 13] = [
    ("event", &[]),
    ("kind", &[]),
    ("cron", &["clock"]),
    ("bus", &["event", "clock"]),
    ("gateway", &["event", "cron", "clock", "kube_api", "follow", "bus"]),
    ("notices", &["event", "kind", "bus", "clock"]),
    ("route", &["event", "kind"]),
    ("sensors", &["event", "kind", "cron", "clock", "kube_api", "manifest", "gateway", "route"]),
    ("workflow", &["kind", "clock"]),
    ("runtime", &["workflow", "clock"]),
    ("api", &["event", "kind", "kube_api", "bus", "gateway", "notices", "route", "workflow", "clock", "lookup"]),
    (
        "serve",
        &[
            "event", "kind", "kube_api", "follow", "bus", "gateway", "notices", "route", "sensors", "workflow",
            "runtime", "api", "clock", "manifest", "lookup",
        ],
    ),
    (
        "cli",
        &[
            "clock", "event", "gateway", "kind", "kube_api", "manifest", "notices", "route", "runtime", "serve",
            "workflow",
        ],
    ),
];

#[test]
fn no_room_reaches_backwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, may) in ROOMS {
        let files =
            if src.join(room).is_dir() { sources(&src.join(room)) } else { vec![src.join(format!("{room}.rs"))] };
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for used in named_rooms(&text) {
                if used != room && !may.contains(&used.as_str()) {
                    wrong.push(format!("{} names {used}", file.strip_prefix(&src).unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn named_rooms(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let known: BTreeSet<&str> =
        ROOMS.iter().map(|(r, _)| *r).chain(["clock", "kube_api", "manifest", "lookup", "follow"]).collect();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            let names = if let Some(group) = part.strip_prefix('{') {
                group.split('}').next().unwrap_or("").to_owned()
            } else {
                part.to_owned()
            };
            for n in names.split(',') {
                let word: String = n.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if known.contains(word.as_str()) {
                    out.insert(word);
                }
            }
        }
    }
    out
}

#[test]
fn the_libraries_know_nothing_of_the_product() {
    for (crate_name, words) in [
        ("expr", &["tokio", "kube", "workflow", "argoproj"][..]),
        ("apiserver", &["argoproj", "WorkflowTemplate", "triggerfish::"][..]),
    ] {
        for file in sources(&root().join("crates").join(crate_name).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
                assert!(!words.iter().any(|w| line.contains(w)), "{}:{}: {line}", file.display(), i + 1);
            }
        }
    }
}

#[test]
fn loops_that_outlive_a_request_start_in_serve_or_the_api_server() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // A stream's task ends with its reader; a Pod's thread with its Pod.
    let allowed = [
        "serve/",
        "api/workflows.rs",
        "runtime/logs.rs",
        "runtime/process.rs",
        "runtime/mod.rs",
        "bus/writer.rs",
        "cli/serve.rs",
    ];
    for file in sources(&src) {
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        let spawns = fs::read_to_string(&file).unwrap().lines().any(|l| {
            l.contains("spawn(")
                && !l.trim_start().starts_with("//")
                && !l.contains("Command")
                && !l.contains("command.spawn")
                && !l.contains("fn spawn")
                && !l.contains("= match spawn")
        });
        assert!(!spawns || allowed.iter().any(|a| name.starts_with(a)), "{name} spawns");
    }
}

#[test]
fn nothing_panics_without_a_reason() {
    let mut found = Vec::new();
    for file in all_sources().into_iter().filter(|f| {
        !f.to_str().unwrap().contains("/tests/")
            && ["/bench/", "/benches/"].iter().all(|d| !f.to_str().unwrap().contains(d))
    }) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (i, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
            let bare = [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "dbg!("].iter().any(|w| line.contains(w));
            // `expect` and `unreachable` carry their reason in words.
            if bare && !line.contains("// ") {
                found.push(format!("{}:{}: {}", file.display(), i + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn there_is_no_drawer_for_odds_and_ends() {
    for file in all_sources() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(!["util", "utils", "common", "helpers", "misc"].contains(&name.as_str()), "{}", file.display());
    }
}

/// Licences that may be linked into an Apache-2.0 program without further duties.
const LICENCES: [&str; 14] = [
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "MIT-0",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "Apache-2.0 WITH LLVM-exception",
];
/// TLS is rustls with ring, nothing else; SQLite is the only other C.
const UNWANTED: [&str; 6] = ["openssl-sys", "openssl", "native-tls", "aws-lc-rs", "aws-lc-sys", "cmake"];

#[test]
fn dependencies_have_known_licences_and_no_second_tls() {
    // Only what this platform links is here without a network.
    let platform =
        format!("{}-unknown-linux-{}", std::env::consts::ARCH, if cfg!(target_env = "musl") { "musl" } else { "gnu" });
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut wrong = Vec::new();
    let used: BTreeSet<&str> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
    for p in metadata["packages"].as_array().unwrap().iter().filter(|p| used.contains(p["id"].as_str().unwrap())) {
        let (name, licence) = (p["name"].as_str().unwrap(), p["license"].as_str().unwrap_or(""));
        let free = licence.replace('/', " OR ").replace(['(', ')'], "").split(" OR ").any(|choice| {
            LICENCES.contains(&choice.trim()) || choice.split(" AND ").all(|l| LICENCES.contains(&l.trim()))
        });
        if !free {
            wrong.push(format!("{name}: {licence:?}"));
        }
        if UNWANTED.contains(&name) {
            wrong.push(format!("{name} must not be linked"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
