//! The reference of providers in the documents is what the table of providers says.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use triggerfish_notify::provider::{Group, KINDS};

fn reference() -> String {
    let mut out = String::from(
        "# Providers\n\n<!-- Made from the table of providers: TRIGGERFISH_WRITE=1 cargo test -p triggerfish-notify --test reference -->\n\n\
         What each type sends follows the original's code byte for byte as far as it was recorded (`differences.md` says where not). All types\n\
         share `timeout` (15 s), `proxy`, `proxySecretRef`, `certSecretRef`, `suspend`, and `triggerfish: {concurrency, rate, retryFor}`.\n\n\
         | type | service | gets |\n|---|---|---|\n",
    );
    let gets = |g: Group| match g {
        Group::Message => "all, but for updates of a commit's status",
        Group::Whole => "all",
        Group::CommitStatus => "what names a commit, and errors",
        Group::ChangeRequest => "what names a change request",
    };
    for k in KINDS {
        out.push_str(&format!(
            "| [`{0}`](#{1}) | {2} | {3} |\n",
            k.name,
            k.name.replace('.', ""),
            k.title,
            gets(k.group)
        ));
    }
    for k in KINDS {
        let example: String = k.example.lines().map(|l| format!("  {l}\n")).collect();
        out.push_str(&format!(
            "\n## {}\n\n{}. {}\n\n```yaml\napiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata: {{name: {}, namespace: flux-system}}\nspec:\n{example}```\n",
            k.name,
            k.title,
            k.notes,
            k.name.replace('.', "-"),
        ));
    }
    out
}

#[test]
fn the_document_of_providers_is_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    if std::env::var_os("TRIGGERFISH_WRITE").is_some() {
        std::fs::write(&file, reference()).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == reference(),
        "write it anew: TRIGGERFISH_WRITE=1 cargo test -p triggerfish-notify --test reference"
    );
}

#[test]
fn every_example_is_a_provider_of_its_type() {
    for k in KINDS {
        let spec: serde_json::Value = serde_saphyr::from_str(k.example).unwrap_or_else(|e| panic!("{}: {e}", k.name));
        assert_eq!(spec["type"], k.name);
        assert!(!k.notes.is_empty() && !k.title.is_empty(), "{}", k.name);
    }
}
