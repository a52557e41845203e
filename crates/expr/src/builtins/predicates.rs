//! Functions that take a predicate.

use super::format;
use crate::ast::{Node, Op};
use crate::error::Error;
use crate::eval::{Eval, Outcome, interface};
use crate::value::{Classes, Holds, Value};

/// Stands for what cannot be looked at.
pub const NO_ELEMENT: crate::value::Function =
    crate::value::Function { name: "\0element", signature: "", sprig: false };

/// Elements that a predicate runs over.
fn items<'a>(v: &Value<'a>, name: &str, at: usize) -> Result<Vec<Value<'a>>, Error> {
    match v {
        Value::List(l) => Ok(l.iter().collect()),
        // The members of a map have no place: they can be counted, and looking at one fails.
        Value::Map(m) => Ok(vec![Value::function(NO_ELEMENT); m.len()]),
        Value::Text(s) => Ok(s.bytes().map(Value::Byte).collect()),
        other => Err(Error::run(
            at,
            format!("builtin {name} takes only array (got {})", if other.is_nil() { "nil" } else { other.type_name() }),
        )),
    }
}

fn truth(v: &Value, at: usize) -> Result<bool, Error> {
    match v {
        Value::Bool(b) => Ok(*b),
        other => Err(interface(at, other, "bool")),
    }
}

pub fn call<'a>(e: &mut Eval<'_, 'a>, name: &str, arguments: &'a [Node], at: usize) -> Outcome<'a> {
    let over = e.node(&arguments[0])?;
    let all = items(&over, name, at)?;
    let body = arguments.get(1);
    let test = |e: &mut Eval<'_, 'a>, i: usize| -> Result<bool, Error> {
        match body {
            Some(b) => truth(&e.with_item(b, all[i].clone(), i, None)?, at),
            None => truth(&all[i], at),
        }
    };
    let n = all.len();
    Ok(match name {
        "all" => {
            for i in 0..n {
                if !test(e, i)? {
                    return Ok(Value::Bool(false));
                }
            }
            Value::Bool(true)
        }
        "none" | "any" => {
            for i in 0..n {
                if test(e, i)? {
                    return Ok(Value::Bool(name == "any"));
                }
            }
            Value::Bool(name == "none")
        }
        "one" | "count" => {
            let mut found = 0;
            for i in 0..n {
                found += i64::from(test(e, i)?);
            }
            if name == "one" { Value::Bool(found == 1) } else { Value::Int(found) }
        }
        "filter" => {
            let mut out = Vec::new();
            for (i, item) in all.iter().enumerate() {
                if test(e, i)? {
                    out.push(item.clone());
                }
            }
            e.produce(out.len(), at)?;
            Value::list(out)
        }
        "find" | "findIndex" | "findLast" | "findLastIndex" => {
            let order: Box<dyn Iterator<Item = usize>> =
                if name.starts_with("findLast") { Box::new((0..n).rev()) } else { Box::new(0..n) };
            for i in order {
                if test(e, i)? {
                    return Ok(if name.ends_with("Index") { Value::Int(i as i64) } else { all[i].clone() });
                }
            }
            Value::Nil
        }
        "map" => {
            e.produce(n, at)?;
            let mut out = Vec::with_capacity(n);
            for (i, v) in all.iter().enumerate() {
                out.push(match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                });
            }
            Value::list(out)
        }
        "sum" => {
            let mut total = Value::Int(0);
            for (i, v) in all.iter().enumerate() {
                let v = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                total = e.operate(Op::Add, total, v, at)?;
            }
            total
        }
        "groupBy" => {
            let mut out: Vec<(Value<'a>, Vec<Value<'a>>)> = Vec::new();
            let mut classes = Classes::default();
            for (i, v) in all.iter().enumerate() {
                let key = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                if matches!(key, Value::Map(_) | Value::List(_)) {
                    return Err(Error::run(
                        at,
                        format!("cannot use {} as a key for groupBy: unhashable type", key.type_name()),
                    ));
                }
                let class = classes.of(&key);
                match class.iter().find(|place| out[**place].0.same(&key)) {
                    Some(place) => out[*place].1.push(v.clone()),
                    None => {
                        class.push(out.len());
                        out.push((key, vec![v.clone()]));
                    }
                }
            }
            e.produce(n, at)?;
            Value::keyed(Holds::Lists, out.into_iter().map(|(k, v)| (k, Value::list(v))).collect())
        }
        "sortBy" => {
            let mut keyed = Vec::with_capacity(n);
            for (i, v) in all.iter().enumerate() {
                let key = match body {
                    Some(b) => e.with_item(b, v.clone(), i, None)?,
                    None => v.clone(),
                };
                keyed.push((key, v.clone()));
            }
            let down = descending(e, arguments.get(2), at)?;
            sort(&mut keyed, down, at)?;
            e.produce(n, at)?;
            Value::list(keyed.into_iter().map(|(_, v)| v).collect())
        }
        "reduce" => {
            let start = arguments.get(2).map(|a| e.node(a)).transpose()?;
            let mut rest = all.iter().enumerate();
            let mut total = match start {
                Some(v) => v,
                None => match rest.next() {
                    Some((_, v)) => v.clone(),
                    None => return Err(Error::run(at, "reduce of empty array with no initial value")),
                },
            };
            for (i, v) in rest {
                let Some(b) = body else { break };
                total = e.with_item(b, v.clone(), i, Some(total))?;
            }
            total
        }
        other => return Err(Error::run(at, format!("unknown builtin {other}"))),
    })
}

fn descending<'a>(e: &mut Eval<'_, 'a>, order: Option<&'a Node>, at: usize) -> Result<bool, Error> {
    match order.map(|o| e.node(o)).transpose()? {
        None => Ok(false),
        Some(v) => order_of(&v, at),
    }
}

pub fn order_of(v: &Value, at: usize) -> Result<bool, Error> {
    match v {
        Value::Text(s) if *s == *"asc" => Ok(false),
        Value::Text(s) if *s == *"desc" => Ok(true),
        other => Err(Error::run(at, format!("invalid order {}, expected asc or desc", format(other)))),
    }
}

pub fn sort<'a>(keyed: &mut [(Value<'a>, Value<'a>)], down: bool, at: usize) -> Result<(), Error> {
    let mut wrong = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let order = match (a, b) {
            (Value::Text(x), Value::Text(y)) => x.cmp(y),
            (Value::Time(x), Value::Time(y)) => x.timestamp().cmp(&y.timestamp()),
            (Value::Duration(x), Value::Duration(y)) => x.cmp(y),
            _ => match (a.as_number(), b.as_number()) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                _ => {
                    wrong = Some(format!("invalid operation: {} < {}", a.type_name(), b.type_name()));
                    std::cmp::Ordering::Equal
                }
            },
        };
        if down { order.reverse() } else { order }
    });
    match wrong {
        Some(text) => Err(Error::run(at, text)),
        None => Ok(()),
    }
}
