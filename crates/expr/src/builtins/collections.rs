//! Functions over lists and maps.

use super::format;
use super::predicates::{order_of, sort};
use crate::error::Error;
use crate::eval::{Eval, Outcome, integer, interface};
use crate::value::{Classes, Holds, Value};

pub fn statistics<'a>(name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    if let ([one], "max" | "min") = (v, name)
        && !matches!(one, Value::List(_))
    {
        return Ok(one.clone());
    }
    let mut all = Vec::new();
    flat(v, &mut all);
    let mut numbers = Vec::with_capacity(all.len());
    for x in &all {
        numbers.push(
            x.as_number()
                .ok_or_else(|| Error::run(at, format!("invalid argument for {name} (type {})", x.type_name())))?,
        );
    }
    match name {
        "max" | "min" => {
            let best = all.into_iter().reduce(|a, b| {
                let (x, y) = (a.as_number().unwrap_or(0.0), b.as_number().unwrap_or(0.0));
                if (name == "max") == (y > x) && x != y { b } else { a }
            });
            Ok(best.unwrap_or(Value::Nil))
        }
        "mean" if numbers.is_empty() => Ok(Value::Float(0.0)),
        "mean" => Ok(Value::Float(numbers.iter().sum::<f64>() / numbers.len() as f64)),
        _ if numbers.is_empty() => Ok(Value::Float(0.0)),
        _ => {
            numbers.sort_by(f64::total_cmp);
            let middle = numbers.len() / 2;
            Ok(Value::Float(if numbers.len() % 2 == 1 {
                numbers[middle]
            } else {
                (numbers[middle - 1] + numbers[middle]) / 2.0
            }))
        }
    }
}

fn flat<'a>(v: &[Value<'a>], out: &mut Vec<Value<'a>>) {
    for x in v {
        match x {
            Value::List(l) => flat(&l.iter().collect::<Vec<_>>(), out),
            other => out.push(other.clone()),
        }
    }
}

pub fn call<'a>(e: &mut Eval<'_, 'a>, name: &str, v: &[Value<'a>], at: usize) -> Outcome<'a> {
    match name {
        "sort" if !matches!(&v[0], Value::List(l) if !matches!(l.holds(), Holds::Pairs | Holds::Lists)) => {
            return Ok(Value::nil_list(Holds::Any));
        }
        "first" | "last" => {
            // What has no elements has neither.
            return Ok(
                crate::eval::fetch(&v[0], &Value::Int(if name == "first" { 0 } else { -1 }), at).unwrap_or(Value::Nil)
            );
        }
        "get" => {
            return Ok(match (&v[0], &v[1]) {
                (Value::Map(m), k) => m.at(k).unwrap_or(Value::Nil),
                (Value::List(_) | Value::Text(_), k) if integer(k).is_some() => {
                    crate::eval::fetch(&v[0], k, at).unwrap_or(Value::Nil)
                }
                _ => Value::Nil,
            });
        }
        "keys" | "values" | "toPairs" => {
            let Value::Map(m) = &v[0] else {
                return Err(Error::run(at, format!("cannot get {name} from {}", v[0].type_name())));
            };
            e.produce(m.len(), at)?;
            let pairs = m.pairs().into_iter();
            return Ok(match name {
                "keys" => Value::list(pairs.map(|(k, _)| k).collect()),
                "values" => Value::list(pairs.map(|(_, x)| x).collect()),
                _ => {
                    Value::list_of(Holds::Pairs, pairs.map(|(k, x)| Value::list_of(Holds::Pair, vec![k, x])).collect())
                }
            });
        }
        _ => {}
    }
    let l = match (&v[0], name) {
        (Value::List(l), _) => l.clone(),
        (other, "concat") => return Err(Error::run(at, format!("cannot concat {}", other.type_name()))),
        (other, _) => return Err(Error::run(at, format!("invalid argument for {name} (type {})", other.type_name()))),
    };
    e.produce(l.len(), at)?;
    Ok(match name {
        "take" => {
            let n = integer(&v[1]).ok_or_else(|| interface(at, &v[1], "int"))?;
            let n = usize::try_from(n).map_err(|_| Error::run(at, format!("cannot take {n} elements")))?;
            Value::list_of(l.holds(), l.iter().take(n).collect())
        }
        "reverse" => Value::list(l.iter().rev().collect()),
        "uniq" => {
            let mut out: Vec<Value<'a>> = Vec::new();
            let mut classes = Classes::default();
            for x in l.iter() {
                let class = classes.of(&x);
                if !class.iter().any(|place| out[*place] == x) {
                    class.push(out.len());
                    out.push(x);
                }
            }
            Value::list(out)
        }
        "flatten" => {
            let mut out = Vec::new();
            flat(&v[..1], &mut out);
            Value::list(out)
        }
        "concat" => {
            let mut out: Vec<Value<'a>> = Vec::new();
            for x in v {
                match x {
                    Value::List(l) => out.extend(l.iter()),
                    other => return Err(Error::run(at, format!("cannot concat {}", other.type_name()))),
                }
            }
            e.produce(out.len(), at)?;
            if out.is_empty() { Value::nil_list(Holds::Any) } else { Value::list(out) }
        }
        "sort" => {
            let mut keyed: Vec<_> = l.iter().map(|x| (x.clone(), x)).collect();
            let down = v.get(1).map(|o| order_of(o, at)).transpose()?.unwrap_or(false);
            sort(&mut keyed, down, at)?;
            Value::list(keyed.into_iter().map(|(_, x)| x).collect())
        }
        _ => {
            let mut out: Vec<(Value<'a>, Value<'a>)> = Vec::new();
            let mut classes = Classes::default();
            for pair in l.iter() {
                match &pair {
                    Value::List(p) if p.len() == 2 => {
                        let (key, x) = (p.get(0).unwrap_or(Value::Nil), p.get(1).unwrap_or(Value::Nil));
                        if matches!(key, Value::Map(_) | Value::List(_)) {
                            return Err(Error::run(
                                at,
                                format!("runtime error: hash of unhashable type {}", key.type_name()),
                            ));
                        }
                        let class = classes.of(&key);
                        match class.iter().find(|place| out[**place].0.same(&key)) {
                            Some(place) => out[*place].1 = x,
                            None => {
                                class.push(out.len());
                                out.push((key, x));
                            }
                        }
                    }
                    other => return Err(Error::run(at, format!("invalid pair {}", format(other)))),
                }
            }
            Value::keyed(Holds::Any, out)
        }
    })
}
