//! The places that an expression reads, for who wants to say something about them.

use crate::ast::{Kind, Node, Op};

/// A variable or a member of one: `metadata["x-event"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The variable, then the members on the way.
    pub names: Vec<String>,
    /// Whether it is compared with a text by `==` or `!=`.
    pub against_text: bool,
}

/// Every place with constant names, in order; a place inside another one is not told again.
pub fn places(root: &Node) -> Vec<Place> {
    let mut out = Vec::new();
    visit(root, false, &mut out);
    out
}

fn visit(n: &Node, against_text: bool, out: &mut Vec<Place>) {
    if let Some(names) = names(n) {
        out.push(Place { names, against_text });
        return;
    }
    let sides = match &n.kind {
        Kind::Binary(Op::Equal | Op::Differ, a, b) => Some((a, b)),
        _ => None,
    };
    let is_text = |n: &Node| matches!(n.kind, Kind::Text(_));
    crate::with_room(|| match sides {
        Some((a, b)) => {
            visit(a, is_text(b), out);
            visit(b, is_text(a), out);
        }
        None => n.children().into_iter().for_each(|c| visit(c, false, out)),
    });
}

fn names(n: &Node) -> Option<Vec<String>> {
    match &n.kind {
        Kind::Name(name) => Some(vec![name.clone()]),
        Kind::Chain(inner) => names(inner),
        Kind::Member { of, property, .. } => {
            let mut all = names(of)?;
            let Kind::Text(key) = &property.kind else { return None };
            all.push(key.clone());
            Some(all)
        }
        _ => None,
    }
}
