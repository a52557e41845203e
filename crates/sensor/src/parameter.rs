//! Parameters: values of events that go into what a trigger makes.

use crate::event::Event;
use gotemplate::Template;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The events that a trigger fires with, by the names of their dependencies.
pub type Events = BTreeMap<String, Event>;

/// One parameter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Parameter {
    /// Where the value comes from.
    pub src: Source,
    /// Where it goes to: a path as SJSON reads it.
    pub dest: String,
    /// `overwrite` (the default), `append` or `prepend`, to the text that is there.
    pub operation: String,
}

/// Where a value comes from. A template goes before a key, the data before the attributes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Source {
    /// The event of which dependency.
    pub dependency_name: String,
    /// A GJSON path into the event's attributes.
    pub context_key: String,
    /// A Go template over the event's attributes, as `.Input`.
    pub context_template: String,
    /// A GJSON path into the data.
    pub data_key: String,
    /// A Go template over the data, as `.Input`.
    pub data_template: String,
    /// What is taken where there is no event, or no such value.
    pub value: Option<String>,
    /// Numbers, objects and so on stay what they are; otherwise everything becomes a text.
    pub use_raw_data: bool,
}

/// A value, and what it is: `String`, `JSON`, `Number`, `True`, `False` or `Null`.
pub type Resolved = (String, &'static str);

const TEXT: &str = "String";

/// Finds the value of a source. None: its dependency has no event in this round, and there is no other value.
pub fn resolve(src: &Source, events: &Events) -> Result<Option<Resolved>, String> {
    let given = || src.value.clone().map(|v| (v, TEXT));
    let Some(event) = events.get(&src.dependency_name) else { return Ok(given()) };
    let of_data = !src.data_key.is_empty() || !src.data_template.is_empty();
    let of_context = !src.context_key.is_empty() || !src.context_template.is_empty();
    if !of_context && !of_data {
        return Ok(Some(given().unwrap_or_else(|| (whole(event), TEXT))));
    }
    let (key, template) =
        if of_data { (&src.data_key, &src.data_template) } else { (&src.context_key, &src.context_template) };
    let text = match if of_data { data_as_json(event) } else { Ok(context(event)) } {
        Ok(text) => text,
        Err(why) => return given().map(Some).ok_or(why),
    };
    let mut why = "<nil>".to_owned();
    if !template.is_empty() {
        match templated(template, &text) {
            Ok(out) => return Ok(Some((out, TEXT))),
            Err(e) => why = e,
        }
    }
    if !key.is_empty()
        && let Some(found) = gjson::get(&text, key)
    {
        let kind = match found.kind {
            gjson::Kind::String => TEXT,
            gjson::Kind::Json => "JSON",
            gjson::Kind::Number => "Number",
            gjson::Kind::True => "True",
            gjson::Kind::False => "False",
            gjson::Kind::Null => "Null",
        };
        let value = if kind == "Null" { "null".to_owned() } else { found.text().into_owned() };
        return Ok(Some((value, kind)));
    }
    match given() {
        Some(v) => Ok(Some(v)),
        None => Err(format!("unable to resolve '{}' parameter value. err: {why}", src.dependency_name)),
    }
}

/// Puts the values of parameters into an object, given as JSON text.
pub fn apply(object: &str, parameters: &[Parameter], events: &Events) -> Result<String, String> {
    let mut object = object.to_owned();
    for p in parameters {
        let Some((mut value, mut kind)) = resolve(&p.src, events)? else { continue };
        match &*p.operation {
            "" | "overwrite" => {}
            "append" | "prepend" => {
                if let Some(there) = gjson::get(&object, &p.dest) {
                    kind = TEXT;
                    let there = there.text();
                    value = if p.operation == "append" { format!("{there}{value}") } else { format!("{value}{there}") };
                }
            }
            other => return Err(format!("unsupported trigger parameter operation: {other}")),
        }
        object = gjson::set(&object, &p.dest, &written(&value, kind, p.src.use_raw_data)).map_err(|e| e.to_string())?;
    }
    Ok(object)
}

/// Makes a payload out of nothing. A parameter without a `dest` is the payload itself.
pub fn payload(parameters: &[Parameter], events: &Events) -> Result<Option<String>, String> {
    let mut out: Option<String> = None;
    for p in parameters {
        let Some((value, kind)) = resolve(&p.src, events)? else { continue };
        if p.dest.is_empty() {
            return Ok(Some(value));
        }
        let text = written(&value, kind, p.src.use_raw_data);
        out = Some(gjson::set(out.as_deref().unwrap_or(""), &p.dest, &text).map_err(|e| e.to_string())?);
    }
    Ok(out.filter(|text| !text.is_empty()))
}

/// A value as JSON text.
fn written(value: &str, kind: &str, raw: bool) -> String {
    match kind {
        kind if raw && kind != TEXT => value.to_owned(),
        _ => gjson::plain_quote(value),
    }
}

/// The attributes as JSON text, in the order of the original.
fn context(event: &Event) -> String {
    let c = &event.context;
    let members = [
        ("id", &c.id),
        ("source", &c.source),
        ("specversion", &c.specversion),
        ("type", &c.kind),
        ("datacontenttype", &c.datacontenttype),
        ("subject", &c.subject),
        ("time", &c.time),
    ];
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{}", gjson::quote(value))).collect();
    format!("{{{}}}", members.join(","))
}

/// An event as triggers see it whole: its attributes, and its data in base64.
pub fn whole(event: &Event) -> String {
    use base64::Engine;
    let data = event.data.as_ref().map(|d| base64::engine::general_purpose::STANDARD.encode(d));
    let data = data.map_or_else(|| "null".to_owned(), |d| gjson::quote(&d));
    format!("{{\"context\":{},\"data\":{data}}}", context(event))
}

fn data_as_json(event: &Event) -> Result<String, String> {
    let text = event.data.as_deref().unwrap_or("");
    match &*event.context.datacontenttype {
        "application/json" | "text/json" => {
            if gjson::valid(text) {
                Ok(text.to_owned())
            } else {
                Err("event data is not valid JSON".into())
            }
        }
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
            let value: Value = serde_saphyr::from_str(text).map_err(|e| {
                format!("failed converting yaml event data to JSON: {}", e.to_string().lines().next().unwrap_or(""))
            })?;
            Ok(as_go_writes(&value))
        }
        other => Err(format!("unsupported event content type: {other}")),
    }
}

/// JSON text with whole floats as integers.
fn as_go_writes(v: &Value) -> String {
    match v {
        Value::Number(n) => n.as_i64().map_or_else(|| gjson::go_float(n.as_f64().unwrap_or(0.0)), |n| n.to_string()),
        Value::String(s) => gjson::quote(s),
        Value::Array(a) => format!("[{}]", a.iter().map(as_go_writes).collect::<Vec<_>>().join(",")),
        Value::Object(o) => {
            let members: Vec<String> =
                o.iter().map(|(k, v)| format!("{}:{}", gjson::quote(k), as_go_writes(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

fn templated(template: &str, text: &str) -> Result<String, String> {
    let input = gjson::parse(text).map_or(Value::Null, |f| f.value());
    let out = Template::parse(template)?.render(&json!({ "Input": input }))?;
    if out.is_empty() || out == "<no value>" {
        return Err(format!("template evaluated to empty string or no value: {template}"));
    }
    Ok(out)
}
