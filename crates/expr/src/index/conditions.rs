//! What must hold for a selector to be true, as far as an index can use it.
//!
//! A selector is a conjunction `c₁ && c₂ && …`. If `cₖ` is false for an event, the whole is false, provided that nothing
//! before `cₖ` fails. So from each selector come the tests it could be found by, each with the guards under which the
//! parts before it, and itself, cannot fail. Where a guard does not hold, the selector is evaluated.

use crate::ast::{Kind, Node, Op};
use std::sync::Arc;

/// A place in the variables: `payload.repo.full_name`, `metadata["x-github-event"][0]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    pub root: Arc<str>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    pub key: Key,
    /// `?.`: nil before it ends the path with nil.
    pub optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Name(Arc<str>),
    Place(i64),
}

/// A constant that values are looked up by. Equal values of the language have equal constants, not always the reverse.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Constant {
    Text(Arc<str>),
    Scalar(Scalar),
    List(Vec<Constant>),
}

/// What is no text: numbers by the bits of their float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    Bool(bool),
    Number(u64),
}

impl Scalar {
    pub fn number(f: f64) -> Self {
        // Zero has no sign here.
        Scalar::Number((f + 0.0).to_bits())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The value is one of these.
    AnyOf(Vec<Constant>),
    /// The value, a list or a map, contains this.
    Contains(Constant),
    /// The value begins with this.
    Prefix(Arc<str>),
}

/// What a value must be for the evaluation not to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Anything: the way to it must exist.
    Reachable,
    TextOrNil,
    ContainerOrNil,
    Number,
    Bool,
}

pub const GUARDS: [Guard; 5] = [Guard::Reachable, Guard::TextOrNil, Guard::ContainerOrNil, Guard::Number, Guard::Bool];

/// One way to find a selector.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub path: Path,
    pub test: Test,
    pub guards: Vec<(Path, Guard)>,
}

/// The ways to find a selector; none if it has to be evaluated always.
pub fn conditions(root: &Node) -> Vec<Condition> {
    let mut parts = Vec::new();
    flatten(root, &mut parts);
    let mut out = Vec::new();
    let mut guards = Vec::new();
    for part in parts {
        let Some(()) = truth(part, &mut guards) else { break };
        if let Some((path, test)) = test(part) {
            out.push(Condition { path, test, guards: guards.clone() });
        }
    }
    out
}

/// The place that is read before anything else: if it cannot be reached, the selector fails, whatever else it says.
pub fn leading(n: &Node) -> Option<Path> {
    if let Some(p) = path(n) {
        return Some(p);
    }
    match &n.kind {
        Kind::Not(a) | Kind::Matches(a, _) => leading(a),
        Kind::Binary(Op::And | Op::Or, a, b) if is_bool(a) || is_bool(b) => None,
        Kind::Binary(op, a, b) if constant(a).is_some() && !matches!(op, Op::And | Op::Or | Op::Coalesce) => leading(b),
        Kind::Binary(op, a, _) if *op != Op::Coalesce => leading(a),
        _ => None,
    }
}

fn is_bool(n: &Node) -> bool {
    matches!(n.kind, Kind::Bool(_))
}

fn flatten<'n>(n: &'n Node, out: &mut Vec<&'n Node>) {
    match &n.kind {
        // Beside a literal the operator is folded away and checks nothing.
        Kind::Binary(Op::And, a, b) if !is_bool(a) && !is_bool(b) => {
            flatten(a, out);
            flatten(b, out);
        }
        _ => out.push(n),
    }
}

pub fn path(n: &Node) -> Option<Path> {
    match &n.kind {
        Kind::Chain(inner) => steps(inner),
        _ => steps(n).filter(|p| p.steps.iter().all(|s| !s.optional)),
    }
}

fn steps(n: &Node) -> Option<Path> {
    match &n.kind {
        Kind::Name(name) if name != "$env" => Some(Path { root: name.as_str().into(), steps: Vec::new() }),
        Kind::Member { of, property, optional } => {
            let mut path = steps(of)?;
            let key = match &property.kind {
                Kind::Text(k) => Key::Name(k.as_str().into()),
                Kind::Int(i) => Key::Place(*i),
                _ => return None,
            };
            path.steps.push(Step { key, optional: *optional });
            Some(path)
        }
        _ => None,
    }
}

fn constant(n: &Node) -> Option<Constant> {
    Some(match &n.kind {
        Kind::Text(s) => Constant::Text(s.as_str().into()),
        Kind::Bool(b) => Constant::Scalar(Scalar::Bool(*b)),
        Kind::Int(i) => Constant::Scalar(Scalar::number(*i as f64)),
        Kind::Float(f) if !f.is_nan() => Constant::Scalar(Scalar::number(*f)),
        Kind::List(items) => Constant::List(items.iter().map(constant).collect::<Option<_>>()?),
        _ => return None,
    })
}

fn constants(n: &Node) -> Option<Vec<Constant>> {
    let Kind::List(items) = &n.kind else { return None };
    items.iter().map(constant).collect()
}

/// What a part looks up, if it is of a form that an index knows.
fn test(n: &Node) -> Option<(Path, Test)> {
    match &n.kind {
        Kind::Binary(Op::Equal, a, b) => match (path(a), constant(b)) {
            (Some(p), Some(c)) => Some((p, Test::AnyOf(vec![c]))),
            _ => Some((path(b)?, Test::AnyOf(vec![constant(a)?]))),
        },
        Kind::Binary(Op::In, a, b) => match (path(a), constants(b)) {
            (Some(p), Some(all)) => Some((p, Test::AnyOf(all))),
            _ => Some((path(b)?, Test::Contains(constant(a).filter(|c| matches!(c, Constant::Text(_)))?))),
        },
        Kind::Binary(Op::StartsWith, a, b) => match &b.kind {
            Kind::Text(prefix) if !prefix.is_empty() => Some((path(a)?, Test::Prefix(prefix.as_str().into()))),
            _ => None,
        },
        // Either of several values of one place.
        Kind::Binary(Op::Or, a, b) if !is_bool(a) && !is_bool(b) => match (test(a)?, test(b)?) {
            ((p, Test::AnyOf(mut all)), (q, Test::AnyOf(more))) if p == q => {
                all.extend(more);
                Some((p, Test::AnyOf(all)))
            }
            _ => None,
        },
        _ => Some((path(n)?, Test::AnyOf(vec![Constant::Scalar(Scalar::Bool(true))]))),
    }
}

type Guards = Vec<(Path, Guard)>;

/// The guards under which a part gives a truth value; none if it may fail for other reasons.
fn truth(n: &Node, guards: &mut Guards) -> Option<()> {
    if let Some(p) = path(n) {
        guards.push((p, Guard::Bool));
        return Some(());
    }
    match &n.kind {
        Kind::Not(a) => truth(a, guards),
        Kind::Binary(Op::And | Op::Or, a, b) if !is_bool(a) && !is_bool(b) => {
            truth(a, guards)?;
            truth(b, guards)
        }
        Kind::Binary(Op::Equal | Op::Differ, a, b) => {
            value(a, guards)?;
            value(b, guards)
        }
        Kind::Binary(Op::In, a, b) if constants(b).is_some() => value(a, guards),
        Kind::Binary(Op::In, a, b) if matches!(a.kind, Kind::Text(_)) => guarded(b, Guard::ContainerOrNil, guards),
        Kind::Binary(Op::Contains | Op::StartsWith | Op::EndsWith, a, b) if matches!(b.kind, Kind::Text(_)) => {
            guarded(a, Guard::TextOrNil, guards)
        }
        Kind::Matches(a, _) => guarded(a, Guard::TextOrNil, guards),
        Kind::Binary(Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual, a, b)
            if matches!(b.kind, Kind::Int(_) | Kind::Float(_)) =>
        {
            guarded(a, Guard::Number, guards)
        }
        _ => None,
    }
}

fn guarded(n: &Node, guard: Guard, guards: &mut Guards) -> Option<()> {
    guards.push((path(n)?, guard));
    Some(())
}

fn value(n: &Node, guards: &mut Guards) -> Option<()> {
    if constant(n).is_some() || matches!(n.kind, Kind::Nil) {
        return Some(());
    }
    guarded(n, Guard::Reachable, guards)
}
