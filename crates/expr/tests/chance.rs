//! Functions whose result is not the same twice: each gives what it promises in shape.
#![allow(clippy::unwrap_used)]

use expr::{Functions, Program, Value, Variables};
use regex::Regex;

/// An expression's value as text: a text as it is, anything else as Go prints it.
fn run(source: &str) -> String {
    let program = Program::parse_with(source, Functions::Metadata).unwrap();
    match program.run(&Variables::new()).unwrap_or_else(|e| panic!("{source}: {e}")) {
        Value::Text(s) => s.into_owned(),
        other => other.shown(),
    }
}

#[test]
fn chance_has_the_promised_shape() {
    for (source, shape) in [
        ("sprig.randAlpha(12)", "^[A-Za-z]{12}$"),
        ("sprig.randNumeric(12)", "^[0-9]{12}$"),
        ("sprig.randAlphaNum(12)", "^[A-Za-z0-9]{12}$"),
        ("sprig.randAscii(40)", "^[ -~]{40}$"),
        ("sprig.randBytes(6)", "^[A-Za-z0-9+/]{8}$"),
        ("sprig.randInt(5, 7)", "^[56]$"),
        ("sprig.uuidv4()", "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
        ("sprig.bcrypt('secret')", r"^\$2a\$10\$[./A-Za-z0-9]{53}$"),
        ("sprig.htpasswd('ann', 'secret')", r"^ann:\$2a\$10\$[./A-Za-z0-9]{53}$"),
        ("sprig.ago(sprig.now())", "^0s$"),
        ("sprig.date('2006', sprig.now())", "^20[0-9]{2}$"),
        ("sprig.getHostByName('localhost')", r"^(127\.0\.0\.1|::1)$"),
        ("sprig.genPrivateKey('ecdsa')", "^-----BEGIN PRIVATE KEY-----\n"),
        ("sprig.genPrivateKey('ed25519')", "^-----BEGIN PRIVATE KEY-----\n"),
        ("sprig.genPrivateKey('other')", "^Unknown type other$"),
    ] {
        let value = run(source);
        assert!(Regex::new(shape).unwrap().is_match(&value), "{source}: {value:?} is not {shape}");
    }
    assert_ne!(run("sprig.uuidv4()"), run("sprig.uuidv4()"));
    let mut shuffled: Vec<char> = run("sprig.shuffle('abcdefgh')").chars().collect();
    shuffled.sort_unstable();
    assert_eq!(shuffled.iter().collect::<String>(), "abcdefgh");
}

#[test]
fn what_is_encrypted_comes_back_and_certificates_chain() {
    assert_eq!(run("sprig.decryptAES('key', sprig.encryptAES('key', 'plain text'))"), "plain text");
    // Two keys of 2048 bits are made here: each counts for 300,000 steps.
    let signed = run(
        "let ca = sprig.genCA('root', 10); let c = sprig.genSignedCert('leaf', ['127.0.0.1'], ['localhost'], 5, ca); c.Cert + c.Key + ca.Cert",
    );
    assert_eq!(signed.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(signed.matches("BEGIN RSA PRIVATE KEY").count(), 1);
    let program =
        Program::parse_with("sprig.genPrivateKey('rsa') + sprig.genPrivateKey('rsa')", Functions::Metadata).unwrap();
    let limits = expr::Limits { steps: 1000, ..Default::default() };
    assert!(program.run_within(&Variables::new(), limits).unwrap_err().message.contains("step budget exceeded"));
}
