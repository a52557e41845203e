//! Why a selector was false: the part that made it so, with the values it saw.

use crate::Program;
use crate::ast::{Kind, Node, Op};
use crate::eval::{Limits, run};
use crate::value::{Value, Variables};

/// What is shown of a value, in characters.
const SHOWN: usize = 60;

/// The smallest part that made the whole false, such as `payload.message == "x" (payload.message is "hello")`.
pub fn falsified(program: &Program, variables: &Variables) -> String {
    let node = narrow(program.root(), program, variables);
    let text = source_of(node, program);
    let mut seen: Vec<String> = Vec::new();
    operands(node, program, variables, &mut seen);
    if seen.is_empty() { text } else { format!("{text} ({})", seen.join(", ")) }
}

fn narrow<'a>(node: &'a Node, program: &Program, variables: &Variables<'a>) -> &'a Node {
    if let Kind::Binary(Op::And, a, b) = &node.kind {
        let left = run(a, variables, program.functions, Limits::default());
        return narrow(if left == Ok(Value::Bool(false)) { a } else { b }, program, variables);
    }
    node
}

/// The source between the first and the last token of a node, as far as it can be told.
fn source_of(node: &Node, program: &Program) -> String {
    let (start, mut end) = (extent(node).0, extent(node).1);
    let source = program.source();
    while end < source.len() && !source.is_char_boundary(end) {
        end += 1;
    }
    // Up to the next operator that joins parts.
    let tail = &source[end..];
    let stop = ["&&", "||", " and ", " or ", ";", "\n"].iter().filter_map(|s| tail.find(s)).min().unwrap_or(tail.len());
    source[start..end + stop].trim().to_owned()
}

fn extent(node: &Node) -> (usize, usize) {
    node.children().into_iter().map(extent).fold((node.at, node.at), |(a, b), (c, d)| (a.min(c), b.max(d)))
}

fn operands<'a>(node: &'a Node, program: &'a Program, variables: &Variables<'a>, out: &mut Vec<String>) {
    let sides: Vec<&Node> = match &node.kind {
        Kind::Binary(_, a, b) => vec![a, b],
        Kind::Matches(a, _) | Kind::Not(a) => vec![a],
        _ => return,
    };
    for side in sides {
        let place = match &side.kind {
            Kind::Member { .. } | Kind::Chain(_) | Kind::Name(_) => path_of(side),
            _ => None,
        };
        let Some(place) = place else { continue };
        if let Ok(v) = run(side, variables, program.functions, Limits::default()) {
            let text = v.to_json_text().unwrap_or_else(|_| v.type_name().into());
            let short: String = text.chars().take(SHOWN).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            out.push(format!("{place} is {short}{dots}"));
        }
    }
}

fn path_of(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Name(n) => Some(n.clone()),
        Kind::Chain(inner) => path_of(inner),
        Kind::Member { of, property, .. } => {
            let base = path_of(of)?;
            match &property.kind {
                Kind::Text(k) if k.chars().all(|c| c.is_alphanumeric() || c == '_') => Some(format!("{base}.{k}")),
                Kind::Text(k) => Some(format!("{base}[{k:?}]")),
                Kind::Int(i) => Some(format!("{base}[{i}]")),
                _ => None,
            }
        }
        _ => None,
    }
}
