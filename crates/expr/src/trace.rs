//! Why an expression gave what it gave: the values of its parts, and the part that decided.

use crate::Program;
use crate::ast::{Kind, Node, Op};
use crate::eval::{Limits, run};
use crate::value::Value;
use crate::variables::Variables;
use std::fmt;

/// What is shown of a value, in characters.
const SHOWN: usize = 60;
/// Parts of an explanation, at most.
const PARTS: usize = 200;

/// An expression, or a part of one, with what it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its text.
    pub source: String,
    /// What it gave.
    pub outcome: Outcome,
    /// Whether this part made the whole false, or fail.
    pub decisive: bool,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// What a part gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As JSON, cut after some characters.
    Value(String),
    /// Why it failed.
    Failed(String),
    /// What came before it had decided.
    NotEvaluated,
}

/// Evaluates the parts of an expression one by one.
///
/// ```
/// let program = expr::Program::parse("discriminator == 'd' && payload.n > 2").unwrap();
/// let payload = serde_json::json!({"n": 1});
/// let variables = expr::Variables::new().with_text("discriminator", "d").with("payload", &payload);
/// let text = expr::explain(&program, &variables).to_string();
/// assert!(text.contains("▶ payload.n > 2"), "{text}");
/// ```
pub fn explain<'a>(program: &'a Program, variables: &Variables<'a>) -> Part {
    let mut explainer = Explainer { program, variables, left: PARTS };
    match program.check(variables) {
        Ok(()) => explainer.part(program.root(), true),
        Err(e) => Part {
            source: program.source().to_owned(),
            outcome: Outcome::Failed(e.to_string()),
            decisive: true,
            parts: Vec::new(),
        },
    }
}

/// The smallest part that made the whole false, such as `payload.message == "x" (payload.message is "hello")`.
pub fn falsified(program: &Program, variables: &Variables) -> String {
    let node = narrow(program.root(), program, variables);
    let mut seen: Vec<String> = Vec::new();
    for place in operands(node).into_iter().filter(|n| is_place(n)) {
        if let Ok(v) = run(place, variables, program.functions, Limits::default()) {
            seen.push(format!("{} is {}", text(place, program), short(&v)));
        }
    }
    let text = text(node, program);
    if seen.is_empty() { text.to_owned() } else { format!("{text} ({})", seen.join(", ")) }
}

fn narrow<'a>(node: &'a Node, program: &Program, variables: &Variables<'a>) -> &'a Node {
    if let Kind::Binary(Op::And, a, b) = &node.kind {
        let left = run(a, variables, program.functions, Limits::default());
        return narrow(if left == Ok(Value::Bool(false)) { a } else { b }, program, variables);
    }
    node
}

fn text<'p>(node: &Node, program: &'p Program) -> &'p str {
    program.source().get(node.span.clone()).unwrap_or("").trim()
}

fn short(v: &Value) -> String {
    let whole = v.to_json_text().unwrap_or_else(|_| v.shown());
    let cut: String = whole.chars().take(SHOWN).collect();
    if cut.len() < whole.len() { format!("{cut}…") } else { cut }
}

fn is_place(n: &Node) -> bool {
    matches!(n.kind, Kind::Member { .. } | Kind::Chain(_) | Kind::Name(_))
}

/// The parts that a part is made of and that have a value of their own.
fn operands(n: &Node) -> Vec<&Node> {
    match &n.kind {
        // A place is looked at as a whole, and what is inside a predicate has a value per element.
        Kind::Member { .. } | Kind::Chain(_) | Kind::Predicate(_) | Kind::Let { .. } | Kind::Sequence(_) => Vec::new(),
        _ => n
            .children()
            .into_iter()
            .filter(|c| {
                !matches!(
                    c.kind,
                    Kind::Predicate(_) | Kind::Nil | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_)
                )
            })
            .collect(),
    }
}

struct Explainer<'v, 'a> {
    program: &'a Program,
    variables: &'v Variables<'a>,
    /// Parts that may still be shown.
    left: usize,
}

impl<'a> Explainer<'_, 'a> {
    fn part(&mut self, n: &'a Node, decisive: bool) -> Part {
        self.left = self.left.saturating_sub(1);
        let found = run(n, self.variables, self.program.functions, Limits::default());
        // Only truth values and failures decide; a place only tells what it held.
        let decisive = decisive && matches!(found, Ok(Value::Bool(false)) | Err(_));
        let mut parts: Vec<Part> = Vec::new();
        let mut decided = false;
        for child in operands(n) {
            if self.left == 0 {
                break;
            }
            let part = match decided {
                true => Part {
                    source: text(child, self.program).to_owned(),
                    outcome: Outcome::NotEvaluated,
                    decisive: false,
                    parts: Vec::new(),
                },
                // What is false decides where truth values meet; what fails does anywhere.
                false => self
                    .part(child, decisive && (found.is_err() || matches!(n.kind, Kind::Binary(Op::And | Op::Or, ..)))),
            };
            // The operators that stop at the first part that decides.
            let stops = match &n.kind {
                Kind::Binary(Op::And, ..) => "false",
                Kind::Binary(Op::Or, ..) => "true",
                _ => "",
            };
            decided |=
                matches!(&part.outcome, Outcome::Value(v) if v == stops) || matches!(part.outcome, Outcome::Failed(_));
            parts.push(part);
        }
        let outcome = match found {
            Ok(v) => Outcome::Value(short(&v)),
            Err(e) => Outcome::Failed(e.message.clone()),
        };
        Part { source: text(n, self.program).to_owned(), outcome, decisive, parts }
    }
}

impl Part {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        // Marked is the smallest part that decided.
        let smallest = self.decisive && !self.parts.iter().any(|p| p.decisive);
        let mark = if smallest { "▶ " } else { "" };
        let source: Vec<&str> = self.source.split_whitespace().collect();
        write!(f, "{}{mark}{}  ", "  ".repeat(depth), source.join(" "))?;
        match &self.outcome {
            Outcome::Value(v) => writeln!(f, "= {v}")?,
            Outcome::Failed(e) => writeln!(f, "failed: {}", e.lines().next().unwrap_or(""))?,
            Outcome::NotEvaluated => writeln!(f, "not evaluated")?,
        }
        self.parts.iter().try_for_each(|p| p.write(f, depth + 1))
    }
}

/// One line a part, those it is made of indented below it.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
