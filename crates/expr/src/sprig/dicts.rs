//! Maps with text keys. Every function gives a new map.

use super::values::{is_empty, text_of};
use super::{Call, Outcome};
use crate::value::{Dict, Value};
use std::collections::BTreeMap;

pub fn get<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let found = if let Value::Map(m) = c.any(0) { m.get(c.text(1)) } else { None };
    Ok(found.unwrap_or_else(|| Value::text("")))
}
pub fn set<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut m = c.dict(0);
    m.insert(c.text(1).to_owned(), c.any(2).clone());
    Ok(Value::map(m))
}
pub fn unset<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut m = c.dict(0);
    m.remove(c.text(1));
    Ok(Value::map(m))
}
pub fn has_key<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::Bool(matches!(c.any(0), Value::Map(m) if m.get(c.text(1)).is_some())))
}
pub fn pluck<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let of = |v: &Value<'a>| if let Value::Map(m) = v { m.get(c.text(0)) } else { None };
    Ok(Value::list(c.rest(1).iter().filter_map(of).collect()))
}
pub fn keys<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::texts((0..c.values.len()).flat_map(|i| c.dict(i).into_keys())))
}
pub fn values<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::list(c.dict(0).into_values().collect()))
}
pub fn pick<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let wanted: Vec<String> = c.rest(1).iter().map(text_of).collect();
    Ok(Value::map(c.dict(0).into_iter().filter(|(k, _)| wanted.contains(k)).collect()))
}
pub fn omit<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let unwanted: Vec<String> = c.rest(1).iter().map(text_of).collect();
    Ok(Value::map(c.dict(0).into_iter().filter(|(k, _)| !unwanted.contains(k)).collect()))
}
pub fn dict<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let pair = |p: &[Value<'a>]| (text_of(&p[0]), p.get(1).cloned().unwrap_or_else(|| Value::text("")));
    let mut out = BTreeMap::new();
    out.extend(c.values.chunks(2).map(pair));
    Ok(Value::map(out))
}

/// `dig KEY… DEFAULT MAP`.
pub fn dig<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let [keys @ .., otherwise, map] = c.values else { return Err("dig needs at least three arguments".into()) };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let mut at = map.clone();
    for key in keys {
        let Value::Map(m) = &at else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
                go_name(&at)
            ));
        };
        let Value::Text(k) = key else {
            return Err(format!("interface conversion: interface {{}} is {}, not string", go_name(key)));
        };
        match m.get(k) {
            Some(v) => at = v,
            None => return Ok(otherwise.clone()),
        }
    }
    Ok(at)
}

fn go_name(v: &Value) -> &'static str {
    if v.is_nil() { "nil" } else { v.type_name() }
}

pub fn merge<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    merged(c, false)
}
pub fn merge_overwrite<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    merged(c, true)
}

fn merged<'a>(c: &Call<'_, 'a>, overwrite: bool) -> Outcome<'a> {
    let mut out = c.dict(0);
    for i in 1..c.values.len() {
        merge_into(&mut out, c.dict(i), overwrite);
    }
    Ok(Value::map(out))
}

/// Maps are merged member by member; what is empty counts as missing on both sides.
fn merge_into<'a>(to: &mut BTreeMap<String, Value<'a>>, from: BTreeMap<String, Value<'a>>, overwrite: bool) {
    for (k, new) in from {
        match (to.get(&k), &new) {
            (Some(Value::Map(old)), Value::Map(add)) => {
                let own = |m: &Dict<'a>| m.iter().map(|(k, v)| (k.into_owned(), v)).collect::<BTreeMap<_, _>>();
                let mut inner = own(old);
                merge_into(&mut inner, own(add), overwrite);
                to.insert(k, Value::map(inner));
            }
            (_, Value::Nil) if !overwrite => {}
            (_, Value::Nil) => {
                to.insert(k, new);
            }
            (Some(old), _) if !is_empty(old) && (!overwrite || is_empty(&new)) => {}
            _ => {
                to.insert(k, new);
            }
        }
    }
}
