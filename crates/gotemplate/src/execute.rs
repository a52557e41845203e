//! Renders a tree.

use crate::Limits;
use crate::functions;
use crate::lexer::error;
use crate::parser::{Command, Node, Operand, Pipeline};
use expr::Value;

/// What stops a list of nodes before its end.
enum Stop {
    Break,
    Continue,
    Failed(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Stop::Failed(why)
    }
}

type Outcome = Result<(), Stop>;

pub fn render(nodes: &[Node], data: &serde_json::Value, limits: Limits) -> Result<String, String> {
    let dot = Value::json(data);
    let mut run = Run { out: String::new(), variables: vec![("$".into(), dot.clone())], limits };
    match run.list(nodes, &dot) {
        Ok(()) | Err(Stop::Break | Stop::Continue) => Ok(run.out),
        Err(Stop::Failed(why)) => Err(why),
    }
}

struct Run<'a> {
    out: String,
    variables: Vec<(String, Value<'a>)>,
    limits: Limits,
}

impl<'a> Run<'a> {
    fn list(&mut self, nodes: &[Node], dot: &Value<'a>) -> Outcome {
        for node in nodes {
            let known = self.variables.len();
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.write(&shown(&value))?;
                    }
                }
                Node::If(pipeline, body, otherwise) => {
                    let value = self.pipeline(pipeline, dot)?;
                    self.list(if functions::truth(&value) { body } else { otherwise }, dot)?;
                    self.variables.truncate(known);
                }
                Node::With(pipeline, body, otherwise) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if functions::truth(&value) {
                        self.list(body, &value)?;
                    } else {
                        self.list(otherwise, dot)?;
                    }
                    self.variables.truncate(known);
                }
                Node::Range(pipeline, body, otherwise) => {
                    self.range(pipeline, body, otherwise, dot)?;
                    self.variables.truncate(known);
                }
                Node::Break => return Err(Stop::Break),
                Node::Continue => return Err(Stop::Continue),
            }
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        self.produce(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn produce(&mut self, n: usize) -> Result<(), String> {
        self.limits.produced = self
            .limits
            .produced
            .checked_sub(n as u64)
            .ok_or("the template produces more than it may: its output and what its functions make have a bound")?;
        self.step()
    }

    fn step(&mut self) -> Result<(), String> {
        self.limits.steps = self.limits.steps.checked_sub(1).ok_or("the template takes more steps than it may")?;
        Ok(())
    }

    fn range(&mut self, pipeline: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value<'a>) -> Outcome {
        let value = self.commands(pipeline, dot)?;
        let items: Vec<(Value<'a>, Value<'a>)> = match &value {
            Value::List(l) => l.iter().enumerate().map(|(i, v)| (Value::Int(i as i64), v)).collect(),
            Value::Map(m) => m.iter().map(|(k, v)| (Value::text(k.into_owned()), v)).collect(),
            Value::Int(n) => {
                let n = usize::try_from(*n).unwrap_or(0);
                if n as u64 > self.limits.steps {
                    return Err(Stop::Failed("the template takes more steps than it may".into()));
                }
                (0..n).map(|i| (Value::Int(i as i64), Value::Int(i as i64))).collect()
            }
            Value::Nil => Vec::new(),
            other => {
                return Err(Stop::Failed(error(pipeline.line, format!("range can't iterate over {}", other.shown()))));
            }
        };
        if items.is_empty() {
            return self.list(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, item) in items {
            match &pipeline.variables[..] {
                [] => {}
                [one] => self.set(one, item.clone(), pipeline.assigns),
                [first, second, ..] => {
                    self.set(first, key, pipeline.assigns);
                    self.set(second, item.clone(), pipeline.assigns);
                }
            }
            self.step()?;
            let done = self.list(body, &item);
            self.variables.truncate(known);
            match done {
                Ok(()) | Err(Stop::Continue) => {}
                Err(Stop::Break) => break,
                failed => return failed,
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value<'a>, assigns: bool) {
        let there = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        match there.filter(|_| assigns) {
            Some((_, v)) => *v = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value<'a>) -> Result<Value<'a>, String> {
        let value = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value<'a>) -> Result<Value<'a>, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot, pipeline.line)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Value<'a>>,
        dot: &Value<'a>,
        line: usize,
    ) -> Result<Value<'a>, String> {
        self.step()?;
        let Some((first, rest)) = command.0.split_first() else { return Ok(Value::Nil) };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || last.is_some() {
                return Err(error(line, "can't give argument to what is no function"));
            }
            if let Operand::Nil = first {
                return Err(error(line, "nil is not a command"));
            }
            return self.operand(first, dot, line);
        };
        // These look at their arguments one by one, and no further than they must.
        if matches!(*name, "and" | "or") {
            let mut value = None;
            for operand in rest {
                let v = self.operand(operand, dot, line)?;
                let decided = functions::truth(&v) == (*name == "or");
                value = Some(v);
                if decided {
                    return Ok(value.unwrap_or(Value::Nil));
                }
            }
            return last
                .or(value)
                .ok_or_else(|| error(line, format!("wrong number of args for {name}: want at least 1 got 0")));
        }
        let mut values = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            values.push(self.operand(operand, dot, line)?);
        }
        values.extend(last);
        self.call(name, &values, line)
    }

    fn call(&mut self, name: &str, values: &[Value<'a>], line: usize) -> Result<Value<'a>, String> {
        let made = functions::call(name, values, self.limits.produced, &mut self.limits.steps)
            .map_err(|why| error(line, format!("executing \"\" at <{name}>: error calling {name}: {why}")))?;
        if let Value::Text(s) = &made {
            self.produce(s.len())?;
        }
        Ok(made)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value<'a>, line: usize) -> Result<Value<'a>, String> {
        match operand {
            // A function's name as an argument is a call without any.
            Operand::Function(name) => self.call(name, &[], line),
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Bool(b) => Ok(Value::Bool(*b)),
            Operand::Int(n) => Ok(Value::Int(*n)),
            Operand::Float(f) => Ok(Value::Float(*f)),
            Operand::Text(s) => Ok(Value::text(s.clone())),
            Operand::Fields(fields) => walk(dot.clone(), fields, line),
            Operand::Variable(name, fields) => {
                let value = self.variables.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
                walk(value.unwrap_or(Value::Nil), fields, line)
            }
            Operand::Nested(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                walk(value, fields, line)
            }
        }
    }
}

/// Goes along fields. Below one that a map lacks there is nothing; below one that is `null` it is wrong to ask.
fn walk<'a>(value: Value<'a>, fields: &[String], line: usize) -> Result<Value<'a>, String> {
    let mut value = value;
    for field in fields {
        value = match &value {
            Value::Map(m) => match m.get(field) {
                Some(v) => v,
                None => return Ok(Value::Nil),
            },
            Value::Nil => return Err(error(line, format!("nil pointer evaluating interface {{}}.{field}"))),
            other => {
                return Err(error(line, format!("can't evaluate field {field} in type {}", other.type_name())));
            }
        };
    }
    Ok(value)
}

fn shown(value: &Value) -> String {
    if matches!(value, Value::Nil) { "<no value>".into() } else { value.shown() }
}
