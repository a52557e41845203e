//! `exprs`

use super::{ExpressionFilter, Part, combined, json};
use crate::event::Event;
use govaluate::{Expression, Value};
use std::collections::HashMap;

pub fn ask(filters: &[ExpressionFilter], operator: &str, event: &Event) -> Part {
    let data = match json("expr", event) {
        None => return Ok(Ok(())),
        Some(data) => data?,
    };
    // The original evaluates an expression for the sake of its fields only: one without any counts for nothing.
    let asked: Vec<&ExpressionFilter> = filters.iter().filter(|f| !f.fields.is_empty()).collect();
    if asked.is_empty() {
        return Ok(Ok(()));
    }
    combined("expr", &asked, operator, |f| one(f, data))
}

fn one(f: &ExpressionFilter, data: &str) -> Part {
    let mut values = HashMap::new();
    for field in &f.fields {
        let found = gjson::get(data, &field.path).ok_or_else(|| format!("path '{}' does not exist", field.path))?;
        values.insert(field.name.as_str(), Value::from(found.value()));
    }
    let value = Expression::parse(&f.expr)?.evaluate(&|name| values.get(name).cloned())?;
    Ok(match value {
        Value::Bool(true) => Ok(()),
        other => {
            let with: Vec<String> =
                f.fields.iter().map(|field| format!("{} = {}", field.name, values[&*field.name])).collect();
            Err(format!("expr {:?} is {other} with {}", f.expr, with.join(", ")))
        }
    })
}
