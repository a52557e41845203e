//! Transformations of a dependency's events: their data becomes what jq or Lua make of it.

use crate::event::Event;
use crate::script;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How data is transformed: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transform {
    /// A jq filter; its first result counts.
    pub jq: String,
    /// A Lua script over `event`; it returns a table.
    pub script: String,
}

/// The event with its data transformed; the result must be an object.
pub fn transform(how: &Transform, event: &Event) -> Result<Event, String> {
    let data = event.data.as_deref().unwrap_or("null");
    let made = if !how.jq.is_empty() {
        jq(&how.jq, data).map_err(|e| format!("jq: {e}"))?
    } else if !how.script.is_empty() {
        script::transform(&how.script, data).map_err(|e| format!("script: {e}"))?
    } else {
        return Ok(event.clone());
    };
    if !made.is_object() {
        return Err(format!("the transformation must give an object, not {}", shown(&made)));
    }
    let mut out = event.clone();
    out.data = Some(made.to_string());
    out.context.datacontenttype = "application/json".into();
    Ok(out)
}

fn shown(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether a jq filter can be compiled; what is wrong with it otherwise.
pub fn check_jq(program: &str) -> Result<(), String> {
    compiled(program).map(drop)
}

type Filter = jaq_core::Filter<data::JustLut<Val>>;

fn compiled(program: &str) -> Result<Filter, String> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs).load(&arena, File { code: program, path: () });
    let modules = modules.map_err(|errors| {
        let place = errors.first().map(|(_, e)| match e {
            jaq_core::load::Error::Io(_) => "modules are not loaded".to_owned(),
            jaq_core::load::Error::Lex(found) => found
                .first()
                .map_or_else(String::new, |(what, at)| format!("{} is expected at {:?}", what.as_str(), cut(at))),
            jaq_core::load::Error::Parse(found) => found
                .first()
                .map_or_else(String::new, |(what, at)| format!("{} is expected at {:?}", what.as_str(), cut(at))),
        });
        place.unwrap_or_else(|| "it cannot be read".into())
    })?;
    Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
        let unknown = errors.first().and_then(|(_, found)| found.first()).map(|(name, what)| (*name, what));
        match unknown {
            Some((name, what)) => format!("{name:?}: undefined {}", what.as_str()),
            None => "it cannot be compiled".into(),
        }
    })
}

fn cut(at: &str) -> &str {
    at.char_indices().nth(24).map_or(at, |(end, _)| &at[..end])
}

fn jq(program: &str, data: &str) -> Result<Value, String> {
    let filter = compiled(program)?;
    let input = read::parse_single(data.as_bytes()).map_err(|e| format!("the data is no JSON: {e}"))?;
    let ctx = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let first = filter.id.run((ctx, input)).map(unwrap_valr).next();
    let out = first.ok_or("it gave nothing")?.map_err(|e| e.to_string())?;
    serde_json::from_str(&out.to_string()).map_err(|e| format!("its result is no JSON: {e}"))
}
