//! GJSON and SJSON.

use crate::suite::{Suite, lines, vectors};
use serde_json::{Value, json};

#[test]
fn gjson_sjson() {
    let Some(dir) = vectors("gjson-sjson") else { return };
    let mut suite = Suite::new("gjson-sjson");
    for v in lines(&dir.join("vectors.jsonl")) {
        let op = v["op"].as_str().unwrap();
        let json = v["json"].as_str().unwrap();
        let ours = answer(op, &v);
        let same = if op == "get" && !gjson::valid(json) { Ok(()) } else { compare(&ours, &v["result"]) };
        suite.case(v["id"].as_str().unwrap(), op, same);
    }
    suite.finish(0.98);
}

fn answer(op: &str, v: &Value) -> Value {
    let (json, path) = (v["json"].as_str().unwrap(), v["path"].as_str().unwrap_or(""));
    let changed =
        |r: Result<String, gjson::Error>| r.map_or_else(|e| json!({"error": e.0}), |text| json!({"json": text}));
    match op {
        "valid" => json!({"valid": gjson::valid(json)}),
        "get" => match gjson::get(json, path) {
            None => json!({"exists": false}),
            Some(f) => json!({
                "exists": true, "type": format!("{:?}", f.kind).replace("Json", "JSON"), "raw": f.raw, "string": f.text(),
                "value": f.value(), "bool": f.bool(),
            }),
        },
        "delete" => changed(gjson::delete(json, path)),
        "setraw" => changed(gjson::set(json, path, v["raw"].as_str().unwrap())),
        "set" => changed(gjson::set(
            json,
            path,
            &match &v["value"] {
                Value::String(s) => gjson::plain_quote(s),
                Value::Number(n) => gjson::go_float(n.as_f64().unwrap()),
                other => other.to_string(),
            },
        )),
        other => panic!("unknown op {other}"),
    }
}

fn compare(ours: &Value, theirs: &Value) -> Result<(), String> {
    let differs = ours.as_object().unwrap().iter().find(|(k, x)| floats(x) != floats(&theirs[k.as_str()]));
    match differs {
        None if ours.get("exists") == theirs.get("exists") => Ok(()),
        _ => Err(format!("recorded {theirs}, ours {ours}")),
    }
}

/// Numbers as floats.
fn floats(v: &Value) -> Value {
    match v {
        Value::Number(n) => json!(n.as_f64()),
        Value::Array(a) => a.iter().map(floats).collect(),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), floats(v))).collect()),
        other => other.clone(),
    }
}
