//! Nonsense: paths, expressions, templates, conditions and filters put together at random. Nothing panics, and nothing takes long.
#![allow(clippy::unwrap_used)]

use sensor::condition::Condition;
use sensor::filter::{Filter, filter};
use sensor::parameter::{Events, Parameter, apply, payload};
use sensor::{Context, Event};
use serde_json::json;
use std::time::{Duration, Instant};

/// Cases of each kind.
const CASES: usize = 20_000;
/// What one of them may take on a busy machine, unoptimised.
const PATIENCE: Duration = Duration::from_secs(60);

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// Up to so many of these pieces, one after the other.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.below(most) + 1).map(|_| pieces[self.below(pieces.len())]).collect()
    }
}

/// Runs cases, and says which seed one of them came from that took too long.
fn each(what: &str, mut case: impl FnMut(&mut Random)) {
    for seed in 0..CASES {
        let begun = Instant::now();
        case(&mut Random(seed as u64 ^ 0x9e37_79b9));
        assert!(begun.elapsed() < PATIENCE, "{what}: case {seed} took {:?}", begun.elapsed());
    }
}

const PATHS: [&str; 44] = [
    "a",
    "b",
    "0",
    "1",
    "-1",
    ".",
    "|",
    "#",
    "#(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "@",
    "@this",
    "@reverse",
    "@flatten",
    "@join",
    "@dig:",
    "@pretty:",
    "@tostr",
    "@fromstr",
    "@group",
    "@keys",
    "@values",
    "@valid",
    "@ugly",
    ":",
    "\\",
    "*",
    "?",
    "!",
    "\"",
    "==",
    "<",
    "%",
    "~true",
    "ü",
    "…",
    " ",
    ",",
    "..",
    "{\"deep\":true}",
];

const JSON: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"a\"",
    "\"b\":",
    "\"ü✓\"",
    "\"\\u00fc\\ud83d\"",
    "1",
    "-0",
    "1e400",
    "12345678901234567890",
    "true",
    "false",
    "null",
    " ",
    "\"",
    "\\",
    "{\"a\":{\"b\":[1,2,{\"a\":\"x\"}]}}",
    "[[],[1],[[2]]]",
    "nul",
    "tru",
];

#[test]
fn paths_over_any_text() {
    each("paths", |r| {
        let json = if r.below(2) == 0 {
            r.text(&JSON, 12)
        } else {
            r#"{"a":{"b":[{"a":1},{"b":"2"},null]},"b":"{\"a\":1}","ü":[1,[2,[3]]]}"#.into()
        };
        let path = r.text(&PATHS, 10);
        if let Some(found) = gjson::get(&json, &path) {
            let _ = (found.text().len(), found.value(), found.bool(), found.float());
        }
        let value = r.text(&JSON, 3);
        let _ = (gjson::set(&json, &path, &value), gjson::delete(&json, &path));
    });
}

#[test]
fn what_grows_is_bounded() {
    let json = r#"{"a":"\"\\","b":[1,2,3]}"#;
    for path in [
        "@this|@tostr".repeat(400),
        "@tostr|".repeat(2000),
        "{a:@this,b:@this,c:@this}|".repeat(600),
        "[@this,@this,@this,@this]|".repeat(600),
        "@dig:b|".repeat(2000),
        "#(".repeat(8000),
        "[".repeat(16_000),
        "a.".repeat(8000),
        "*".repeat(16_000),
    ] {
        let begun = Instant::now();
        let _ = gjson::get(json, &path);
        let _ = gjson::set(json, &path, "1");
        assert!(begun.elapsed() < PATIENCE, "{}: {:?}", &path[..20], begun.elapsed());
    }
    let deep = "[".repeat(200_000);
    let _ = (
        gjson::get(&deep, "0.0.0"),
        gjson::get(&deep, "@flatten:{\"deep\":true}"),
        gjson::get(&deep, "@pretty"),
        gjson::get(&deep, "@dig:a"),
    );
    let closed = format!("{deep}{}", "]".repeat(200_000));
    let _ = (
        gjson::get(&closed, "@flatten:{\"deep\":true}"),
        gjson::get(&closed, "@pretty"),
        gjson::get(&closed, "@ugly|@reverse"),
    );
    assert!(gjson::set("[]", "999999999", "1").is_err());
}

const EXPRESSIONS: [&str; 40] = [
    "a",
    "b",
    "1",
    "0x1F",
    ".5",
    "1.2.3",
    "'x'",
    "\"2026-01-01\"",
    "true",
    "false",
    "in",
    "(",
    ")",
    "[a b]",
    ",",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "&",
    "|",
    "^",
    "<<",
    ">>",
    "==",
    "!=",
    "=~",
    "!~",
    "&&",
    "||",
    "!",
    "~",
    "?",
    ":",
    "??",
    " ",
    "ü",
    "\\",
];

#[test]
fn expressions_of_any_shape() {
    use govaluate::{Expression, Value};
    each("expressions", |r| {
        let text = r.text(&EXPRESSIONS, 14);
        if let Ok(e) = Expression::parse(&text) {
            let _ = e.evaluate(&|name| (name != "b").then(|| Value::from(json!({"n": [1, "x", null]}))));
            let _ = e.evaluate(&|_| Some(Value::Number(1e300)));
        }
    });
    for long in [
        "(".repeat(60_000),
        "!".repeat(60_000),
        "-".repeat(60_000),
        "1+".repeat(30_000),
        "a,".repeat(30_000),
        "a ? b : ".repeat(6000),
    ] {
        let _ = Expression::parse(&long);
    }
}

const TEMPLATES: [&str; 46] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{ .Input }}",
    ".Input.a",
    "$",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    "if ",
    "else",
    "end",
    "range ",
    "with ",
    "break",
    "continue",
    "{{ range .Input.l }}",
    "{{ if .Input }}",
    "{{ end }}",
    "{{ else }}",
    "printf ",
    "\"%d%s%v\"",
    "\"%9999999s\"",
    "upper ",
    "repeat 99999999 ",
    "index ",
    "slice ",
    "len ",
    "eq ",
    "and ",
    "1",
    "-1",
    "1.5",
    "'x'",
    "`raw`",
    "\"ü\"",
    " ",
    ",",
    "nil",
    "true",
    "/* c */",
    "until 99999999 ",
];

#[test]
fn templates_of_any_shape() {
    let data = json!({"Input": {"a": "text", "l": [1, 2, {"x": "y"}], "m": {"k": null}}});
    each("templates", |r| {
        let text = r.text(&TEMPLATES, 12);
        if let Ok(t) = gotemplate::Template::parse(&text) {
            let _ = t.render(&data);
        }
    });
    for long in [
        "{{ if 1 }}".repeat(9000),
        "(".repeat(9000),
        format!("{{{{ {} }}}}", "(".repeat(9000)),
        "{{ range .Input.l }}".repeat(90),
    ] {
        if let Ok(t) = gotemplate::Template::parse(&long) {
            let _ = t.render(&data);
        }
    }
    let nested = format!("{}x{}", "{{ range until 1000 }}".repeat(3), "{{ end }}".repeat(3));
    assert!(gotemplate::Template::parse(&nested).unwrap().render(&data).unwrap_err().contains("more steps"));
}

#[test]
fn conditions_and_filters_of_any_shape() {
    const CONDITIONS: [&str; 12] = ["a", "b", "a-b", "&&", "||", "(", ")", "!", " ", "ü", "&", "="];
    each("conditions", |r| {
        let text = r.text(&CONDITIONS, 12);
        if let Ok(c) = Condition::parse(&text, &["a", "b", "a-b", "ü"]) {
            let _ = c.holds(&|name| name != "a");
        }
    });
    let _ = Condition::parse(&"(".repeat(16_000), &["a"]);
    each("filters", |r| {
        let f: Filter = serde_json::from_value(json!({
            "exprs": [{"expr": r.text(&EXPRESSIONS, 8), "fields": [{"name": "a", "path": r.text(&PATHS, 4)}]}],
            "data": [{"path": r.text(&PATHS, 6), "type": (["string", "number", "bool", "x"][r.below(4)]), "value": [r.text(&EXPRESSIONS, 4)],
                "comparator": (["", "=", "<", "!="][r.below(4)]), "template": if r.below(3) == 0 { r.text(&TEMPLATES, 6) } else { String::new() }}],
            "time": {"start": r.text(&["12", ":", "00", "-", ".5", "ü"], 5), "stop": "23:00:00", "timezone": r.text(&["Europe/", "Berlin", "UTC", "x"], 2)},
        }))
        .unwrap();
        let event = Event {
            context: Context { time: "2026-01-01T12:00:00Z".into(), ..Context::default() },
            data: Some(r.text(&JSON, 8)),
        };
        let _ = filter(&f, ["", "or"][r.below(2)], &event);
    });
}

#[test]
fn parameters_of_any_shape() {
    each("parameters", |r| {
        let event = Event {
            context: Context {
                datacontenttype: ["application/json", "text/yaml", ""][r.below(3)].into(),
                ..Context::default()
            },
            data: Some(r.text(&JSON, 8)),
        };
        let events = Events::from([("d".to_owned(), event)]);
        let parameters: Vec<Parameter> = (0..r.below(3) + 1)
            .map(|_| {
                serde_json::from_value(json!({
                    "src": {"dependencyName": "d", "dataKey": r.text(&PATHS, 4), "dataTemplate": if r.below(3) == 0 { r.text(&TEMPLATES, 6) } else { String::new() },
                        "useRawData": r.below(2) == 0, "value": "v"},
                    "dest": r.text(&PATHS, 5), "operation": (["", "append", "prepend", "x"][r.below(4)]),
                }))
                .unwrap()
            })
            .collect();
        let _ = apply(&r.text(&JSON, 8), &parameters, &events);
        let _ = payload(&parameters, &events);
    });
}
