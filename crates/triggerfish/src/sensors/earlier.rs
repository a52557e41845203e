//! The forms of earlier sensors, put into the present one.

use super::specification::{Mistake, strict};
use sensor::condition::Condition;
use sensor::filter::Filter;
use serde_json::{Map, Value, json};

/// The message of the first policy of escalation in filters of the first form.
pub fn escalation(filters: &Value) -> Option<String> {
    match filters {
        Value::Object(o) => match o.get("escalationPolicy") {
            Some(p) => Some(p["message"].as_str().or(p["name"].as_str()).unwrap_or("an event was rejected").to_owned()),
            None => o.values().find_map(escalation),
        },
        Value::Array(a) => a.iter().find_map(escalation),
        _ => None,
    }
}

fn without_escalation(v: &mut Value) {
    match v {
        Value::Object(o) => {
            o.remove("escalationPolicy");
            o.values_mut().for_each(without_escalation);
        }
        Value::Array(a) => a.iter_mut().for_each(without_escalation),
        _ => {}
    }
}

/// Filters of either form.
pub fn filters(v: &mut Value, dependency: &str, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Filter> {
    if v.is_null() {
        return None;
    }
    without_escalation(v);
    let first_form = v["data"].is_object();
    if let Some(o) = v.as_object_mut() {
        // Its name was for messages.
        o.remove("name");
        if let Some(Value::Object(data)) = o.get_mut("data")
            && let Some(inner) = data.remove("filters")
        {
            if let Some(unknown) = data.keys().next() {
                mistakes.push((format!("{path}.data.{unknown}"), "it is not known here".into()));
            }
            o.insert("data".into(), inner);
        }
        context(o, dependency, path, mistakes);
        for f in o.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
            data(f, first_form);
        }
        if let Some(Value::Object(time)) = o.get_mut("time") {
            // One end alone: to the end of the day, or from its beginning.
            for (name, otherwise) in [("start", "00:00:00"), ("stop", "00:00:00")] {
                time.entry(name).or_insert_with(|| json!(otherwise));
            }
        }
    }
    let filter: Filter = strict(v, path, mistakes)?;
    checked(&filter, path, mistakes);
    Some(filter)
}

/// What can be seen to fail without an event.
fn checked(f: &Filter, path: &str, mistakes: &mut Vec<Mistake>) {
    for (i, d) in f.data.iter().flatten().enumerate() {
        let at = format!("{path}.data[{i}]");
        let mut wrong = |field: &str, why: String| mistakes.push((format!("{at}.{field}"), why));
        match &*d.kind {
            "string" => d.value.iter().filter_map(|v| re2::compile(v).err()).for_each(|why| wrong("value", why)),
            "bool" | "number" => {}
            other => wrong("type", format!("expected bool, number or string, not {other:?}")),
        }
        if d.value.is_empty() {
            wrong("value", "give at least one value".into());
        }
        if !matches!(&*d.comparator, "" | "=" | "!=" | "<" | "<=" | ">" | ">=") {
            wrong("comparator", format!("expected =, !=, <, <=, > or >=, not {:?}", d.comparator));
        }
        if !d.template.is_empty()
            && let Err(why) = gotemplate::Template::parse(&d.template)
        {
            wrong("template", why);
        }
    }
    for (i, e) in f.exprs.iter().flatten().enumerate() {
        let at = format!("{path}.exprs[{i}]");
        match govaluate::Expression::parse(&e.expr) {
            Err(why) => mistakes.push((format!("{at}.expr"), why)),
            Ok(parsed) => {
                if let Some(name) = parsed.names().into_iter().find(|n| !e.fields.iter().any(|f| f.name == *n)) {
                    mistakes.push((
                        format!("{at}.fields"),
                        format!("no field is named {name:?}, which the expression reads"),
                    ));
                }
            }
        }
        if e.fields.is_empty() {
            mistakes.push((
                format!("{at}.fields"),
                "an expression without fields is never evaluated: name what it reads".into(),
            ));
        }
    }
    if let Some(t) = &f.time
        && let Err(why) = sensor::filter::check_time(t)
    {
        mistakes.push((format!("{path}.time"), why));
    }
}

/// Attributes as the first sensors named them.
fn context(filters: &mut Map<String, Value>, dependency: &str, path: &str, mistakes: &mut Vec<Mistake>) {
    let Some(Value::Object(c)) = filters.get_mut("context") else { return };
    for (earlier, present) in [("eventType", "type"), ("contentType", "datacontenttype")] {
        if let Some(v) = c.remove(earlier) {
            c.insert(present.into(), v);
        }
    }
    // Where an event comes from is what the dependency's name says.
    if let Some(Value::Object(source)) = c.get("source") {
        let host = source.get("host").and_then(Value::as_str).unwrap_or("");
        if source.len() > 1 || (host != dependency && host.replace(':', "/") != dependency.replace(':', "/")) {
            let why = format!("it can be nothing but {{host: {dependency}}}, which the dependency's name says already");
            mistakes.push((format!("{path}.context.source"), why));
        }
        c.remove("source");
    }
    for name in ["eventTypeVersion", "cloudEventsVersion", "schemaURL", "extensions", "eventID", "eventTime"] {
        if c.remove(name).is_some() {
            let why = "events are CloudEvents 1.0, which have no such attribute: compare type, subject, source or datacontenttype";
            mistakes.push((format!("{path}.context.{name}"), why.into()));
        }
    }
}

/// A filter of data as the first sensors had it: one value, and a text that has to be equal.
fn data(f: &mut Value, first_form: bool) {
    let one = match &f["value"] {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    };
    let exact = |s: &str| format!("^(?:{})$", regex::escape(s));
    if let Some(s) = one {
        f["value"] = json!([if f["type"] == "string" { exact(&s) } else { s }]);
    } else if first_form && f["type"] == "string" {
        for v in f["value"].as_array_mut().into_iter().flatten() {
            *v = json!(exact(v.as_str().unwrap_or("")));
        }
    }
}

/// What all triggers wait for by the groups of a sensor.
pub fn circuit(spec: &Value, dependencies: &[&str], mistakes: &mut Vec<Mistake>) -> Option<Condition> {
    let groups = spec["dependencyGroups"].as_array().filter(|g| !g.is_empty())?;
    let mut known = Vec::new();
    for (i, g) in groups.iter().enumerate() {
        let members: Vec<&str> = g["dependencies"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(unknown) = members.iter().find(|m| !dependencies.contains(m)) {
            mistakes.push((format!("spec.dependencyGroups[{i}]"), format!("{unknown:?} is no dependency")));
        }
        known.push((g["name"].as_str().unwrap_or(""), Condition::all(members)));
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let circuit = spec["circuit"].as_str().unwrap_or("");
    if circuit.is_empty() {
        return Some(Condition::All(known.into_iter().map(|(_, c)| c).collect()));
    }
    match Condition::parse(circuit, &names) {
        Ok(c) => Some(replaced(c, &known)),
        Err(why) => {
            mistakes.push(("spec.circuit".into(), why));
            None
        }
    }
}

/// Groups by what they stand for.
fn replaced(c: Condition, groups: &[(&str, Condition)]) -> Condition {
    match c {
        Condition::Dependency(name) => groups
            .iter()
            .find(|(known, _)| *known == name)
            .map_or_else(|| Condition::Dependency(name.clone()), |(_, c)| c.clone()),
        Condition::All(parts) => Condition::All(parts.into_iter().map(|p| replaced(p, groups)).collect()),
        Condition::Any(parts) => Condition::Any(parts.into_iter().map(|p| replaced(p, groups)).collect()),
    }
}

/// A trigger in the present form. The first triggers made an object: `resource`.
pub fn trigger(v: &Value, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Value> {
    let mut v = v.clone();
    let Some(o) = v.as_object_mut() else {
        mistakes.push((path.to_owned(), "expected a trigger".into()));
        return None;
    };
    if let Some(resource) = o.remove("resource") {
        let name = o.remove("name").unwrap_or_default();
        // Declared, and never used.
        o.remove("message");
        let mut k8s = resource;
        let parameters = k8s.as_object_mut().and_then(|r| r.remove("parameters")).unwrap_or(json!([]));
        k8s["parameters"] = parameters.as_array().into_iter().flatten().map(parameter).collect();
        o.insert("template".into(), json!({"name": name, "k8s": k8s}));
        return Some(v);
    }
    for (earlier, inside) in [("templateParameters", false), ("resourceParameters", true)] {
        if let Some(list) = o.remove(earlier) {
            let list: Value = list.as_array().into_iter().flatten().map(parameter).collect();
            if inside {
                o["template"]["parameters"] = list;
            } else {
                o.insert("parameters".into(), list);
            }
        }
    }
    // A template that is itself the object's description, as they were between the first form and the present one.
    if let Some(Value::Object(template)) = o.get_mut("template")
        && template.contains_key("source")
    {
        let mut k8s = Map::new();
        for key in ["group", "version", "kind", "resource", "namespace", "labels", "source", "operation", "parameters"]
        {
            if let Some(x) = template.remove(key) {
                k8s.insert(key.into(), x);
            }
        }
        template.insert("k8s".into(), Value::Object(k8s));
    }
    if let Some(Value::Object(template)) = o.get_mut("template") {
        // Any or all of groups, by name.
        for word in ["when", "switch"] {
            let Some(when) = template.remove(word) else { continue };
            let names =
                |k: &str| when[k].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
            let (any, all) = (names("any").join(" || "), names("all").join(" && "));
            let conditions =
                [any, all].into_iter().filter(|c| !c.is_empty()).map(|c| format!("({c})")).collect::<Vec<_>>();
            template.insert("conditions".into(), json!(conditions.join(" && ")));
        }
    }
    Some(v)
}

/// A parameter as the first triggers had it: `signal` (or `event`) and `path`.
fn parameter(p: &Value) -> Value {
    let mut p = p.clone();
    if let Some(Value::Object(src)) = p.get_mut("src") {
        for (earlier, present) in [("signal", "dependencyName"), ("event", "dependencyName"), ("path", "dataKey")] {
            if let Some(v) = src.remove(earlier) {
                src.insert(present.into(), v);
            }
        }
        // Without a path the whole payload was meant.
        if !["dataKey", "dataTemplate", "contextKey", "contextTemplate"]
            .iter()
            .any(|k| src.get(*k).is_some_and(|v| *v != ""))
        {
            src.insert("dataKey".into(), json!("@this"));
        }
    }
    p
}
