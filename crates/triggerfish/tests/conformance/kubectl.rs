//! The Kubernetes API as kubectl and raw requests see it; run by the vectors' own runner.

use crate::suite::listed;
use crate::suite::vectors;
use crate::support::{self, Server};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
#[test]
fn kubectl() {
    let Some(dir) = vectors("kubectl") else { return };
    let Some(kubectl) = support::kubectl() else {
        println!("kubectl: skipped, no kubectl; scripts/get-kubectl makes one");
        return;
    };
    let steps = Regex::new(r"steps: (\d+) same, (\d+) differ").unwrap();
    for file in ["raw-http", "scenarios"] {
        if !dir.join(format!("{file}.jsonl")).exists() {
            continue;
        }
        let server = Server::start(&["--without-engine"]);
        for crds in ["notification-controller", "argo-workflows-full"] {
            for entry in std::fs::read_dir(dir.join("../upstream/crds").join(crds)).into_iter().flatten().flatten() {
                let mut c = std::process::Command::new(&kubectl);
                c.args(["apply", "--server-side", "-f"]).arg(entry.path()).env("KUBECONFIG", server.kubeconfig());
                let out = support::Output::of(c);
                assert!(out.ok, "{}", out.stderr);
            }
        }
        let mut c = std::process::Command::new("python3");
        c.arg(dir.join("replay.py")).arg("--kubectl").arg(&kubectl).arg("--kubeconfig").arg(server.kubeconfig());
        c.arg("--scenarios").arg(dir.join(format!("{file}.jsonl"))).args(["--crds", "full"]);
        let out = support::Output::of(c);
        if let Some(place) = std::env::var_os("TRIGGERFISH_DIFFERENCES") {
            std::fs::write(Path::new(&place).join(format!("kubectl-{file}.out")), &out.stdout).unwrap();
        }
        let found = steps.captures(&out.stdout).unwrap_or_else(|| panic!("{}{}", out.stdout, out.stderr));
        let (same, differ): (f64, f64) = (found[1].parse().unwrap(), found[2].parse().unwrap());
        println!("kubectl/{file}: steps: {same} same, {differ} differ ({:.1} %)", same / (same + differ) * 100.0);
        assert!(same / (same + differ) >= 0.9, "kubectl/{file}: fewer than 90 % of the steps agree");
        if std::env::var_os("TRIGGERFISH_CONFORMANCE").is_none() {
            compare_steps(file, &out.stdout);
        }
    }
}

/// Every differing step must be on the list, and every listed one must differ.
fn compare_steps(file: &str, said: &str) {
    let heading = Regex::new(r"^(?:FAIL|pass) (\S+)").unwrap();
    let step = Regex::new(r"^  step (\d+): ").unwrap();
    let (mut scenario, mut differing) = (String::new(), BTreeSet::new());
    for line in said.lines() {
        if let Some(found) = heading.captures(line) {
            scenario = found[1].to_owned();
        } else if let Some(found) = step.captures(line) {
            differing.insert(format!("{scenario} step {}", &found[1]));
        }
    }
    let listed: BTreeSet<String> = listed(&format!("kubectl-{file}")).into_keys().collect();
    let unlisted: Vec<_> = differing.difference(&listed).collect();
    assert!(unlisted.is_empty(), "kubectl/{file}: these steps differ and are not on the list: {unlisted:?}\n{said}");
    let stale: Vec<_> = listed.difference(&differing).collect();
    assert!(stale.is_empty(), "kubectl/{file}: these steps agree now and can be taken off the list: {stale:?}");
}
