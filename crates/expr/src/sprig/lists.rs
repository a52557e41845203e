//! Lists.

use super::values::{NIL, elements, is_empty, kind, text_of, texts_of};
use super::{Call, Outcome};
use crate::value::{Classes, Holds, Value};

pub fn list<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::list(c.values.to_vec()))
}
pub fn push<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all = elements(c.any(0), "push on type")?;
    all.push(c.any(1).clone());
    Ok(Value::list(all))
}
pub fn prepend<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all = elements(c.any(0), "prepend on type")?;
    all.insert(0, c.any(1).clone());
    Ok(Value::list(all))
}
pub fn chunk<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let all = elements(c.any(1), "chunk type")?;
    let size = c.int(0);
    if size == 0 {
        return Err("runtime error: makeslice: len out of range".into());
    }
    if all.is_empty() {
        return Ok(Value::list_of(Holds::Lists, Vec::new()));
    }
    let size = usize::try_from(size).map_err(|_| "runtime error: makeslice: len out of range")?;
    Ok(Value::list_of(Holds::Lists, all.chunks(size).map(|part| Value::list(part.to_vec())).collect()))
}
pub fn first<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(elements(c.any(0), "find first on type")?.into_iter().next().unwrap_or(Value::Nil))
}
pub fn last<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(elements(c.any(0), "find last on type")?.pop().unwrap_or(Value::Nil))
}
pub fn initial<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all = elements(c.any(0), "find initial on type")?;
    Ok(if all.pop().is_none() { Value::nil_list(Holds::Any) } else { Value::list(all) })
}
pub fn rest<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let all = elements(c.any(0), "find rest on type")?;
    Ok(if all.is_empty() { Value::nil_list(Holds::Any) } else { Value::list(all[1..].to_vec()) })
}
pub fn reverse<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all = elements(c.any(0), "find reverse on type")?;
    all.reverse();
    Ok(Value::list(all))
}
pub fn compact<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::list(elements(c.any(0), "compact on type")?.into_iter().filter(|v| !is_empty(v)).collect()))
}
pub fn uniq<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut out: Vec<Value<'a>> = Vec::new();
    let mut classes = Classes::default();
    for v in elements(c.any(0), "find uniq on type")? {
        let class = classes.of(&v);
        if !class.iter().any(|place| out[*place].same(&v)) {
            class.push(out.len());
            out.push(v);
        }
    }
    Ok(Value::list(out))
}
pub fn without<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let all = elements(c.any(0), "find without on type")?;
    Ok(Value::list(all.into_iter().filter(|v| !c.rest(1).iter().any(|x| x.same(v))).collect()))
}
pub fn has<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    if c.any(1).is_nil() {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(elements(c.any(1), "find has on type")?.iter().any(|v| v.same(c.any(0)))))
}
pub fn slice<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let l = match c.any(0) {
        Value::List(l) => l,
        Value::Nil => return Err(NIL.into()),
        other => return Err(format!("list should be type of slice or array but {}", kind(other))),
    };
    if l.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |i: usize, otherwise: usize| c.rest(i).first().map_or(otherwise as i64, |v| super::numbers::int_of(v));
    let (from, to) = (bound(1, 0), bound(2, l.len()));
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= l.len() => {
            Ok(Value::list_of(l.holds(), l.iter().skip(from).take(to - from).collect()))
        }
        _ => Err("reflect.Value.Slice: slice index out of bounds".into()),
    }
}
pub fn concat<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut out = Vec::new();
    for v in c.values {
        out.extend(elements(v, "concat type").map_err(|e| format!("{e} as list"))?);
    }
    if out.is_empty() {
        return Ok(Value::nil_list(Holds::Any));
    }
    Ok(Value::list(out))
}
pub fn sort_alpha<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    let mut all = match c.any(0) {
        v @ Value::List(_) => texts_of(v),
        other => vec![text_of(other)],
    };
    all.sort();
    Ok(Value::texts(all))
}
pub fn to_strings<'a>(c: &Call<'_, 'a>) -> Outcome<'a> {
    Ok(Value::texts(texts_of(c.any(0))))
}
