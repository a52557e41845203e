//! Evaluates what was parsed.

use crate::parser::Node;
use crate::value::Value;
use regex::Regex;

type Parameter<'p> = &'p dyn Fn(&str) -> Option<Value>;

pub fn evaluate(node: &Node, parameter: Parameter) -> Result<Value, String> {
    match node {
        Node::Value(v) => Ok(v.clone()),
        Node::Nothing => Ok(Value::Nil),
        Node::Pattern(p) => Ok(Value::Text(p.as_str().to_owned())),
        Node::Variable(name) => parameter(name).ok_or_else(|| format!("No parameter '{name}' found.")),
        Node::Prefix(symbol, right) => prefix(*symbol, evaluate(right, parameter)?),
        Node::Binary(symbol, left, right) => {
            let left = evaluate(left, parameter)?;
            match (&**symbol, &left) {
                ("&&", Value::Bool(false)) | ("||", Value::Bool(true)) => return Ok(left),
                ("?", Value::Bool(false)) => return Ok(Value::Nil),
                (":" | "??", v) if *v != Value::Nil => return Ok(left),
                ("?", Value::Bool(true)) | (":" | "??", _) => return evaluate(right, parameter),
                ("?", _) => return Err(unfit(&left, "ternary operator", "?", "bool")),
                _ => {}
            }
            if let ("=~" | "!~", Node::Pattern(pattern)) = (&**symbol, &**right) {
                return matches(symbol, left, pattern);
            }
            binary(symbol, left, evaluate(right, parameter)?)
        }
    }
}

fn unfit(v: &Value, what: &str, symbol: &str, wanted: &str) -> String {
    format!("Value '{v}' cannot be used with the {what} '{symbol}', it is not a {wanted}")
}

fn prefix(symbol: char, right: Value) -> Result<Value, String> {
    match (symbol, right) {
        ('!', Value::Bool(b)) => Ok(Value::Bool(!b)),
        ('-', Value::Number(n)) => Ok(Value::Number(-n)),
        ('~', Value::Number(n)) => Ok(Value::Number(!(n as i64) as f64)),
        (_, v) => Err(format!("Value '{v}' cannot be used with the prefix '{symbol}'")),
    }
}

fn matches(symbol: &str, left: Value, pattern: &Regex) -> Result<Value, String> {
    match left {
        Value::Text(s) => Ok(Value::Bool(pattern.is_match(&s) == (symbol == "=~"))),
        v => Err(unfit(&v, "comparator", symbol, "string")),
    }
}

fn binary(symbol: &str, left: Value, right: Value) -> Result<Value, String> {
    match symbol {
        "," => {
            let mut list = match left {
                Value::List(l) => l,
                v => vec![v],
            };
            list.push(right);
            Ok(Value::List(list))
        }
        "==" => Ok(Value::Bool(left == right)),
        "!=" => Ok(Value::Bool(left != right)),
        "&&" | "||" => match (left, right) {
            // Where the left one had decided, this is not reached.
            (Value::Bool(_), Value::Bool(b)) => Ok(Value::Bool(b)),
            (Value::Bool(_), v) | (v, _) => Err(unfit(&v, "logical operator", symbol, "bool")),
        },
        "in" => match right {
            Value::List(l) => Ok(Value::Bool(l.contains(&left))),
            v => Err(unfit(&v, "comparator", symbol, "array")),
        },
        "=~" | "!~" => match right {
            Value::Text(pattern) => matches(symbol, left, &re2::compile(&pattern)?),
            v => Err(unfit(&v, "comparator", symbol, "string")),
        },
        ">" | ">=" | "<" | "<=" => {
            let order = match (&left, &right) {
                (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
                (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
                _ => return Err(unfit(&left, "comparator", symbol, "number")),
            };
            Ok(Value::Bool(order.is_some_and(|o| match symbol {
                ">" => o.is_gt(),
                ">=" => o.is_ge(),
                "<" => o.is_lt(),
                _ => o.is_le(),
            })))
        }
        "+" if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            Ok(Value::Text(format!("{left}{right}")))
        }
        _ => match (left, right) {
            (Value::Number(a), Value::Number(b)) => Ok(Value::Number(arithmetic(symbol, a, b))),
            (Value::Number(_), v) | (v, _) => Err(unfit(&v, "modifier", symbol, "number")),
        },
    }
}

fn arithmetic(symbol: &str, a: f64, b: f64) -> f64 {
    let shift = |n: f64| u32::try_from(n as u64).unwrap_or(u32::MAX);
    match symbol {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        "%" => a % b,
        "**" => a.powf(b),
        "&" => ((a as i64) & (b as i64)) as f64,
        "|" => ((a as i64) | (b as i64)) as f64,
        "^" => ((a as i64) ^ (b as i64)) as f64,
        "<<" => (a as u64).checked_shl(shift(b)).unwrap_or(0) as f64,
        _ => (a as u64).checked_shr(shift(b)).unwrap_or(0) as f64,
    }
}
