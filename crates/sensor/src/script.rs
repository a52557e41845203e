//! Lua: scripts of filters and of transformations. No files, no processes, no modules; bounded in time and memory.

use crate::event::Event;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, Value, VmState};
use serde_json::Value as Json;

/// Bytes that a script may hold.
const MEMORY: usize = 32 << 20;
/// Instructions that a script may take.
const INSTRUCTIONS: u32 = 5_000_000;
/// Instructions between two looks at how many there were.
const LOOK: u32 = 10_000;
/// How deep what a script returns may be nested.
const DEPTH: usize = 64;

/// Whether a filter's script returns true.
pub fn ask(script: &str, event: &Event) -> Result<Result<(), String>, String> {
    let Some(data) = &event.data else { return Ok(Ok(())) };
    let lua = machine(data)?;
    match lua.load(script).set_name("=<string>").eval::<mlua::MultiValue>() {
        // Of several values the last one counts.
        Ok(values) => Ok(match values.back() {
            Some(Value::Boolean(true)) => Ok(()),
            Some(Value::Boolean(false)) => Err("the script returned false".into()),
            other => Err(format!("the script returned {}", other.map_or("nothing", Value::type_name))),
        }),
        Err(e) => Err(short(&e)),
    }
}

/// What a transformation's script returns.
pub fn transform(script: &str, data: &str) -> Result<Json, String> {
    let lua = machine(data)?;
    let out: Value = lua.load(script).set_name("=<string>").eval().map_err(|e| short(&e))?;
    match to_json(&out, 0)? {
        object @ Json::Object(_) => Ok(object),
        _ => Err("the script must return a table with names".into()),
    }
}

/// A Lua with the data as `event`.
fn machine(data: &str) -> Result<Lua, String> {
    let event: Option<serde_json::Map<String, Json>> = serde_json::from_str(data).map_err(|e| e.to_string())?;
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
    let lua = Lua::new_with(libraries, LuaOptions::default()).map_err(|e| short(&e))?;
    lua.set_memory_limit(MEMORY).map_err(|e| short(&e))?;
    let looks = std::cell::Cell::new(INSTRUCTIONS / LOOK);
    lua.set_hook(HookTriggers::new().every_nth_instruction(LOOK), move |_, _| {
        looks.set(looks.get().saturating_sub(1));
        if looks.get() == 0 {
            Err(mlua::Error::runtime("the script takes too many steps"))
        } else {
            Ok(VmState::Continue)
        }
    })
    .map_err(|e| short(&e))?;
    confine(&lua).map_err(|e| short(&e))?;
    let event = to_lua(&lua, &Json::Object(event.unwrap_or_default())).map_err(|e| short(&e))?;
    lua.globals().set("event", event).map_err(|e| short(&e))?;
    Ok(lua)
}

/// Takes away what reaches outside: of `os` the clock stays, and nothing loads files.
fn confine(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    for name in ["dofile", "loadfile", "print", "collectgarbage", "newproxy"] {
        globals.set(name, Value::Nil)?;
    }
    let os: mlua::Table = globals.get("os")?;
    for name in ["execute", "exit", "remove", "rename", "setlocale", "tmpname"] {
        os.set(name, Value::Nil)?;
    }
    os.set("getenv", lua.create_function(|_, _: mlua::MultiValue| Ok(Value::Nil))?)?;
    // Precompiled code is not checked by Lua, and a pattern can take for ever within one instruction.
    let string: mlua::Table = globals.get("string")?;
    string.set("dump", Value::Nil)?;
    let load: mlua::Function = globals.get("loadstring")?;
    let checked = lua.create_function(move |_, text: mlua::LuaString| {
        if text.as_bytes().starts_with(b"\x1b") {
            return Err(mlua::Error::runtime("precompiled code is not loaded"));
        }
        load.call::<mlua::MultiValue>(text)
    })?;
    globals.set("loadstring", checked)?;
    globals.set("load", Value::Nil)
}

fn to_lua(lua: &Lua, v: &Json) -> mlua::Result<Value> {
    Ok(match v {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => Value::Number(n.as_f64().unwrap_or(0.0)),
        Json::String(s) => Value::String(lua.create_string(s)?),
        Json::Array(a) => {
            let table = lua.create_table()?;
            // A list has no holes.
            for (i, v) in a.iter().filter(|v| !v.is_null()).enumerate() {
                table.raw_set(i + 1, to_lua(lua, v)?)?;
            }
            Value::Table(table)
        }
        Json::Object(o) => {
            let table = lua.create_table()?;
            for (k, v) in o {
                table.raw_set(k.as_str(), to_lua(lua, v)?)?;
            }
            Value::Table(table)
        }
    })
}

fn to_json(v: &Value, depth: usize) -> Result<Json, String> {
    if depth > DEPTH {
        return Err(format!("what the script returned is nested more than {DEPTH} deep"));
    }
    Ok(match v {
        Value::Nil => Json::Null,
        Value::Boolean(b) => Json::Bool(*b),
        Value::Integer(n) => Json::from(*n),
        Value::Number(n) if n.fract() == 0.0 && n.abs() < 9e15 => Json::from(*n as i64),
        Value::Number(n) => Json::from(*n),
        Value::String(s) => Json::String(s.to_string_lossy()),
        Value::Table(t) => {
            let length = t.raw_len();
            if length > 0 {
                let mut out = Vec::with_capacity(length);
                for i in 1..=length {
                    out.push(to_json(&t.raw_get(i).map_err(|e| short(&e))?, depth + 1)?);
                }
                return Ok(Json::Array(out));
            }
            let mut out = serde_json::Map::new();
            for pair in t.pairs::<Value, Value>() {
                let (k, v) = pair.map_err(|e| short(&e))?;
                out.insert(k.to_string().map_err(|e| short(&e))?, to_json(&v, depth + 1)?);
            }
            Json::Object(out)
        }
        other => return Err(format!("a {} cannot be part of an event", other.type_name())),
    })
}

/// The first line of an error says what is wrong.
fn short(e: &mlua::Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}
