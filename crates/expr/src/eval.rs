//! Evaluation: walks the tree over borrowed values, counting steps.

use crate::Functions;
use crate::ast::{Kind, Node, Op};
use crate::builtins;
use crate::error::Error;
use crate::place::{compare, equals};
use crate::value::{Dict, Holds, List, Object, Text, Value};
use crate::variables::Variables;
use std::rc::Rc;

/// What one evaluation may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nodes evaluated, each time they are.
    pub steps: u64,
    /// Elements and bytes produced by lists, strings and maps.
    pub produced: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps: 1_000_000, produced: 16 * 1024 * 1024 }
    }
}

pub struct Eval<'v, 'a> {
    pub variables: &'v Variables<'a>,
    pub functions: Functions,
    steps: u64,
    produced: u64,
    limits: Limits,
    /// Values of `let`, innermost last.
    pub(crate) names: Vec<(&'a str, Value<'a>)>,
    scopes: Vec<Scope<'a>>,
}

/// What `#` means inside a predicate.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    pub item: Value<'a>,
    pub index: usize,
    pub accumulated: Option<Value<'a>>,
}

pub type Outcome<'a> = Result<Value<'a>, Error>;

pub fn run<'a>(root: &'a Node, variables: &Variables<'a>, functions: Functions, limits: Limits) -> Outcome<'a> {
    let mut e = Eval { variables, functions, steps: 0, produced: 0, limits, names: Vec::new(), scopes: Vec::new() };
    match e.node(root) {
        // A chain that was cut short by nil is nil.
        Err(e) if e.message == CUT => Ok(Value::Nil),
        other => other,
    }
}

/// Levels of lists and maps in a value that an expression makes.
const MAX_VALUE_DEPTH: u32 = 256;
/// Parts of values, and constants, that are gone through in one step.
const PARTS_A_STEP: u64 = 4;
/// Steps that a pattern costs that is not known before.
const PATTERN: u64 = 2_000;

/// Trees of this height are evaluated on the caller's stack.
const LOW: usize = 24;

/// The message of the pseudo-error that `?.` leaves a chain with.
const CUT: &str = "\0cut";

impl<'a> Eval<'_, 'a> {
    /// Counts what a computation produces.
    pub fn produce(&mut self, amount: usize, at: usize) -> Result<(), Error> {
        self.produced += amount as u64;
        if self.produced > self.limits.produced {
            return Err(Error::run(
                at,
                format!(
                    "memory budget exceeded: the expression produced more than {} bytes or elements",
                    self.limits.produced
                ),
            ));
        }
        Ok(())
    }

    /// What may still be produced.
    pub fn room(&self) -> u64 {
        self.limits.produced.saturating_sub(self.produced)
    }

    /// Counts what it takes to go through values as a whole.
    pub fn pass_through(&mut self, values: &[Value<'a>], at: usize) -> Result<(), Error> {
        self.spend(values.iter().map(crate::value::size).sum::<u64>() / PARTS_A_STEP, at)
    }

    /// Counts steps.
    pub fn spend(&mut self, steps: u64, at: usize) -> Result<(), Error> {
        self.steps += steps;
        if self.steps > self.limits.steps {
            return Err(Error::run(
                at,
                format!("step budget exceeded: the expression took more than {} steps", self.limits.steps),
            ));
        }
        Ok(())
    }

    pub fn node(&mut self, n: &'a Node) -> Outcome<'a> {
        self.spend(1, n.at)?;
        match &n.kind {
            // What most selectors are made of, without the room that the rest needs.
            Kind::Text(s) => Ok(Value::Text(Text::Borrowed(s))),
            Kind::Binary(op, a, b) if n.height < LOW => self.binary(*op, a, b, n.at),
            Kind::Name(name) => self.name(name),
            Kind::Member { .. } => match self.place(n) {
                Some(place) => Ok(place.value()),
                None => self.made(n),
            },
            _ => self.made(n),
        }
    }

    /// A part that may make a value of its own: not one that goes too deep.
    fn made(&mut self, n: &'a Node) -> Outcome<'a> {
        let out = if n.height < LOW { self.kind(n) } else { crate::with_room(|| self.kind(n)) }?;
        if out.depth() > MAX_VALUE_DEPTH {
            return Err(Error::run(n.at, format!("the value is nested deeper than {MAX_VALUE_DEPTH} levels")));
        }
        Ok(out)
    }

    #[inline(never)]
    fn kind(&mut self, n: &'a Node) -> Outcome<'a> {
        Ok(match &n.kind {
            Kind::Nil => Value::Nil,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::Int(*i),
            Kind::Float(f) => Value::Float(*f),
            Kind::Text(s) => Value::Text(Text::Borrowed(s)),
            Kind::Bytes(b) => Value::Bytes(Rc::new(b.clone())),
            Kind::Name(name) => return self.name(name),
            Kind::Pointer(name) => return self.pointer(name, n.at),
            Kind::Not(a) => match self.node(a)? {
                Value::Bool(b) => Value::Bool(!b),
                other => return Err(Error::run(n.at, format!("invalid operation: ! {}", other.type_name()))),
            },
            Kind::Negate(a) => match self.node(a)? {
                Value::Float(f) => Value::Float(-f),
                Value::Duration(d) => Value::Duration(d.wrapping_neg()),
                Value::Int64(i) => Value::Int64(i.wrapping_neg()),
                v if v.as_int().is_some() => Value::Int(v.as_int().unwrap_or_default().wrapping_neg()),
                other => return Err(Error::run(n.at, format!("invalid operation: - {}", other.type_name()))),
            },
            Kind::Plus(a) => match self.node(a)? {
                v if v.as_number().is_some() => v,
                other => return Err(Error::run(n.at, format!("invalid operation: + {}", other.type_name()))),
            },
            Kind::Binary(op, a, b) => return self.binary(*op, a, b, n.at),
            Kind::Matches(a, regex) => match self.node(a)? {
                Value::Nil => Value::Bool(false),
                Value::Text(s) => {
                    self.spend(s.len() as u64 / 256, n.at)?;
                    Value::Bool(regex.is_match(&s))
                }
                other => return Err(interface(n.at, &other, "string")),
            },
            Kind::Member { of, property, optional } => return self.member(of, property, *optional, n.at),
            Kind::Slice { of, from, to } => return self.slice(of, from.as_deref(), to.as_deref(), n.at),
            Kind::Chain(inner) => match self.node(inner) {
                Err(e) if e.message == CUT => Value::Nil,
                Ok(v) if v.is_nil() => Value::Nil,
                other => return other,
            },
            Kind::Method { of, name, optional, arguments } => {
                if let Some(f) = self.sprig(of, name) {
                    if f.is_nil() {
                        let hint =
                            crate::sprig::closest(name).map(|c| format!(": did you mean {c}?")).unwrap_or_default();
                        return Err(Error::run(n.at, format!("sprig has no function {name}{hint}")));
                    }
                    return self.call_value(f, arguments, n.at);
                }
                let target = self.node(of)?;
                if *optional && target.is_nil() {
                    return Err(Error::run(n.at, CUT));
                }
                if let Value::Map(m) = &target {
                    return self.call_value(m.get(name).unwrap_or(Value::Nil), arguments, n.at);
                }
                let arguments = arguments.iter().map(|a| self.node(a)).collect::<Result<Vec<_>, _>>()?;
                return builtins::method(target, name, arguments, n.at);
            }
            Kind::Call { callee, arguments } => {
                let f = self.node(callee)?;
                return self.call_value(f, arguments, n.at);
            }
            Kind::Builtin { name, arguments } => return builtins::call(self, name, arguments, n.at),
            Kind::Predicate(body) => return self.node(body),
            Kind::Conditional(c, yes, no) => match self.node(c)? {
                Value::Bool(true) => return self.node(yes),
                Value::Bool(false) => return self.node(no),
                other => return Err(interface(n.at, &other, "bool")),
            },
            Kind::List(items) => {
                self.produce(items.len(), n.at)?;
                Value::list(items.iter().map(|i| self.node(i)).collect::<Result<_, _>>()?)
            }
            Kind::Map(pairs) => {
                self.produce(pairs.len(), n.at)?;
                let mut out = std::collections::BTreeMap::new();
                for (k, v) in pairs {
                    let key = match self.node(k)? {
                        Value::Text(s) => s.into_owned(),
                        other => return Err(interface(n.at, &other, "string")),
                    };
                    let value = self.node(v)?;
                    // Of two equal keys the first stays, as in the original.
                    out.entry(key).or_insert(value);
                }
                Value::map(out)
            }
            Kind::Let { name, value, body } => {
                let v = self.node(value)?;
                self.names.push((name, v));
                let out = self.node(body);
                self.names.pop();
                return out;
            }
            Kind::Sequence(list) => {
                let mut last = Value::Nil;
                for item in list {
                    last = self.node(item)?;
                }
                last
            }
        })
    }

    fn name(&mut self, name: &str) -> Outcome<'a> {
        if let Some((_, v)) = self.names.iter().rev().find(|(n, _)| *n == name) {
            return Ok(v.clone());
        }
        if let Some(v) = self.variables.get(name) {
            return Ok(v.clone());
        }
        if name == "$env" {
            return Ok(self.variables.as_map());
        }
        if let Some(f) = builtins::function_value(name, self.functions) {
            return Ok(Value::function(f));
        }
        if name == "sprig" && self.functions == Functions::Metadata {
            return Ok(crate::sprig::map());
        }
        // Only where the check could not look: it refuses every other name that does not exist.
        Ok(Value::Nil)
    }

    fn pointer(&self, name: &str, at: usize) -> Outcome<'a> {
        let Some(scope) = self.scopes.last() else {
            return Err(Error::run(at, "cannot use pointer accessor outside predicate"));
        };
        match name {
            "" if matches!(&scope.item, Value::Function(f) if **f == builtins::NO_ELEMENT) => {
                Err(Error::run(at, "a map has no elements by index: use keys(), values() or toPairs()"))
            }
            "" => Ok(scope.item.clone()),
            "acc" => Ok(scope.accumulated.clone().unwrap_or(Value::Nil)),
            "index" => Ok(Value::Int(scope.index as i64)),
            other => Err(Error::compile(at, format!("unknown pointer {other}"))),
        }
    }

    /// Evaluates a predicate for one element.
    pub fn with_item(
        &mut self,
        body: &'a Node,
        item: Value<'a>,
        index: usize,
        accumulated: Option<Value<'a>>,
    ) -> Outcome<'a> {
        self.scopes.push(Scope { item, index, accumulated });
        let out = self.node(body);
        self.scopes.pop();
        out
    }

    fn call_value(&mut self, f: Value<'a>, arguments: &'a [Node], at: usize) -> Outcome<'a> {
        match f {
            Value::Function(f) => builtins::call_value(self, *f, arguments, at),
            Value::Nil => Err(Error::run(at, "cannot call nil")),
            other => Err(Error::run(at, format!("{} is not callable", other.type_name()))),
        }
    }

    /// A member of `sprig`, without making the whole map.
    fn sprig(&self, of: &Node, member: &str) -> Option<Value<'a>> {
        let named = matches!(&of.kind, Kind::Name(n) if n == "sprig") && self.functions == Functions::Metadata;
        let hidden = || self.names.iter().any(|(n, _)| *n == "sprig") || self.variables.get("sprig").is_some();
        if !named || hidden() {
            return None;
        }
        Some(crate::sprig::function(member).map_or(Value::Nil, crate::sprig::Function::value))
    }

    fn binary(&mut self, op: Op, a: &'a Node, b: &'a Node, at: usize) -> Outcome<'a> {
        match op {
            // A constant beside an operand decides, or leaves the operand as it is, whatever it is: the original folds it.
            Op::And | Op::Or if matches!(b.kind, Kind::Bool(_)) || matches!(a.kind, Kind::Bool(_)) => {
                let (constant, other) = if matches!(b.kind, Kind::Bool(_)) { (b, a) } else { (a, b) };
                let decides = matches!(constant.kind, Kind::Bool(x) if x == (op == Op::Or));
                return self.node(if decides { constant } else { other });
            }
            Op::And | Op::Or => {
                let left = self.node(a)?;
                let Value::Bool(x) = left else { return Err(interface(at, &left, "bool")) };
                if x == (op == Op::Or) {
                    return Ok(left);
                }
                return self.node(b);
            }
            // A constant is compared where it stands, and so is a place of the event.
            Op::Equal | Op::Differ | Op::In if b.constant => {
                if let Kind::List(items) = &b.kind {
                    self.spend(items.len() as u64 / PARTS_A_STEP, at)?;
                }
                if let Some(place) = self.place(a) {
                    self.spend(2, at)?;
                    if let Some(out) = compare(op, b, |n| place.equals(n)) {
                        return Ok(Value::Bool(out));
                    }
                }
                let left = self.node(a)?;
                if let Some(out) = compare(op, b, |n| equals(&left, n)) {
                    return Ok(Value::Bool(out));
                }
                let right = self.node(b)?;
                return self.operate(op, left, right, at);
            }
            Op::Coalesce => {
                let left = match self.node(a) {
                    Err(e) if e.message == CUT => Value::Nil,
                    other => other?,
                };
                return if left.is_nil() { self.node(b) } else { Ok(left) };
            }
            _ => {}
        }
        let left = self.node(a)?;
        let right = self.node(b)?;
        self.operate(op, left, right, at)
    }

    pub fn operate(&mut self, op: Op, a: Value<'a>, b: Value<'a>, at: usize) -> Outcome<'a> {
        // Among each other all widths are one.
        let plain = |v: Value<'a>| v.as_int().map_or(v, Value::Int);
        let (a, b) = (plain(a), plain(b));
        self.spend(gone_through(op, &a, &b) / PARTS_A_STEP, at)?;
        let wrong = |a: &Value, b: &Value| {
            Err(Error::run(at, format!("invalid operation: {} {} {}", a.type_name(), op.shown(), b.type_name())))
        };
        Ok(match op {
            Op::Equal => Value::Bool(a == b),
            Op::Differ => Value::Bool(a != b),
            Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
                let order = match (&a, &b) {
                    (Value::Text(x), Value::Text(y)) => Some(x.cmp(y)),
                    (Value::Int(x), Value::Int(y)) | (Value::Duration(x), Value::Duration(y)) => Some(x.cmp(y)),
                    (Value::Time(x), Value::Time(y)) => Some(x.timestamp().cmp(&y.timestamp())),
                    _ => match (a.as_number(), b.as_number()) {
                        (Some(x), Some(y)) => x.partial_cmp(&y),
                        _ => return wrong(&a, &b),
                    },
                };
                Value::Bool(order.is_some_and(|o| match op {
                    Op::Less => o.is_lt(),
                    Op::LessEqual => o.is_le(),
                    Op::Greater => o.is_gt(),
                    _ => o.is_ge(),
                }))
            }
            Op::In => return contains(&a, &b, at).map(Value::Bool),
            Op::Contains | Op::StartsWith | Op::EndsWith => {
                if a.is_nil() || b.is_nil() {
                    return Ok(Value::Bool(false));
                }
                let (Value::Text(x), Value::Text(y)) = (&a, &b) else {
                    return Err(interface(at, if matches!(a, Value::Text(_)) { &b } else { &a }, "string"));
                };
                Value::Bool(match op {
                    Op::Contains => x.contains(&**y),
                    Op::StartsWith => x.starts_with(&**y),
                    _ => x.ends_with(&**y),
                })
            }
            Op::Matches => {
                if a.is_nil() || b.is_nil() {
                    return Ok(Value::Bool(false));
                }
                let (Value::Text(x), Value::Text(y)) = (&a, &b) else {
                    return Err(interface(at, if matches!(a, Value::Text(_)) { &b } else { &a }, "string"));
                };
                self.spend(PATTERN, at)?;
                let regex = re2::compile(y).map_err(|m| Error::run(at, m))?;
                Value::Bool(regex.is_match(x))
            }
            Op::Range => {
                let (Some(from), Some(to)) = (integer(&a), integer(&b)) else { return wrong(&a, &b) };
                let size = to.saturating_sub(from).saturating_add(1).max(0);
                self.produce(usize::try_from(size).unwrap_or(usize::MAX), at)?;
                Value::list_of(Holds::Int, (from..=to).map(Value::Int).collect())
            }
            Op::Add => match (&a, &b) {
                (Value::Int(x), Value::Int(y)) => Value::Int(x.wrapping_add(*y)),
                (Value::Text(x), Value::Text(y)) => {
                    self.produce(x.len() + y.len(), at)?;
                    Value::text(format!("{x}{y}"))
                }
                (Value::Duration(x), Value::Duration(y)) => Value::Duration(x.wrapping_add(*y)),
                (Value::Time(t), Value::Duration(d)) | (Value::Duration(d), Value::Time(t)) => {
                    Value::time(crate::time::shift(t, *d, at)?)
                }
                _ => match (a.as_number(), b.as_number()) {
                    (Some(x), Some(y)) => Value::Float(x + y),
                    _ => return wrong(&a, &b),
                },
            },
            Op::Subtract => match (&a, &b) {
                (Value::Int(x), Value::Int(y)) => Value::Int(x.wrapping_sub(*y)),
                (Value::Duration(x), Value::Duration(y)) => Value::Duration(x.wrapping_sub(*y)),
                (Value::Time(t), Value::Duration(d)) => Value::time(crate::time::shift(t, d.wrapping_neg(), at)?),
                (Value::Time(x), Value::Time(y)) => Value::Duration(crate::time::between(y, x)),
                _ => match (a.as_number(), b.as_number()) {
                    (Some(x), Some(y)) => Value::Float(x - y),
                    _ => return wrong(&a, &b),
                },
            },
            Op::Multiply => match (&a, &b) {
                (Value::Int(x), Value::Int(y)) => Value::Int(x.wrapping_mul(*y)),
                (Value::Duration(x), Value::Int(y)) | (Value::Int(y), Value::Duration(x)) => {
                    Value::Duration(x.wrapping_mul(*y))
                }
                _ => match (a.as_number(), b.as_number()) {
                    (Some(x), Some(y)) => Value::Float(x * y),
                    _ => return wrong(&a, &b),
                },
            },
            Op::Divide => match (a.as_number(), b.as_number()) {
                (Some(x), Some(y)) => Value::Float(x / y),
                _ => return wrong(&a, &b),
            },
            Op::Modulo => match (&a, &b) {
                (Value::Int(_), Value::Int(0)) => return Err(Error::run(at, "integer divide by zero")),
                (Value::Int(x), Value::Int(y)) => Value::Int(x.wrapping_rem(*y)),
                _ => return wrong(&a, &b),
            },
            Op::Power => match (a.as_number(), b.as_number()) {
                (Some(x), Some(y)) => Value::Float(x.powf(y)),
                _ => return wrong(&a, &b),
            },
            Op::And | Op::Or | Op::Coalesce => return wrong(&a, &b),
        })
    }

    fn member(&mut self, of: &'a Node, property: &'a Node, optional: bool, at: usize) -> Outcome<'a> {
        if let Kind::Text(name) = &property.kind
            && let Some(f) = self.sprig(of, name)
        {
            return Ok(f);
        }
        let target = self.node(of)?;
        if optional && target.is_nil() {
            return Err(Error::run(at, CUT));
        }
        let key = self.node(property)?;
        fetch(&target, &key, at)
    }

    fn slice(&mut self, of: &'a Node, from: Option<&'a Node>, to: Option<&'a Node>, at: usize) -> Outcome<'a> {
        let target = self.node(of)?;
        let length = match &target {
            Value::List(l) => l.len(),
            Value::Text(s) => s.len(),
            Value::Bytes(b) => b.len(),
            other => return Err(Error::run(at, format!("cannot slice {}", other.type_name()))),
        } as i64;
        let mut bound = |n: Option<&'a Node>, default: i64| -> Result<i64, Error> {
            let Some(n) = n else { return Ok(default) };
            let v = self.node(n)?;
            integer(&v).ok_or_else(|| Error::run(at, format!("invalid operation: int({})", v.type_name())))
        };
        let (mut start, mut end) = (bound(from, 0)?, bound(to, length)?);
        if start < 0 {
            start = (length + start).max(0);
        }
        if end < 0 {
            end = (length + end).max(0);
        }
        end = end.min(length);
        start = start.min(end);
        let (start, end) = (start as usize, end as usize);
        self.produce(end - start, at)?;
        Ok(match target {
            Value::List(l) => Value::list_of(l.holds(), (start..end).filter_map(|i| l.get(i)).collect()),
            Value::Text(s) => Value::text(String::from_utf8_lossy(&s.as_bytes()[start..end])),
            Value::Bytes(b) => Value::Bytes(Rc::new(b[start..end].to_vec())),
            _ => Value::Nil,
        })
    }
}

/// Parts that an operator goes through of its operands: of a map nothing to find a key, of a list each element.
fn gone_through(op: Op, a: &Value, b: &Value) -> u64 {
    use crate::value::size;
    let compound = |v: &Value| matches!(v, Value::Text(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_));
    match (op, a, b) {
        (Op::In, key, Value::Map(_)) => size(key),
        (Op::In, item, Value::List(_)) if compound(item) => size(b),
        (Op::In, _, Value::List(l)) => l.len() as u64,
        (Op::Equal | Op::Differ, Value::List(_), Value::List(_))
        | (Op::Equal | Op::Differ, Value::Map(_), Value::Map(_))
        | (_, Value::Text(_), Value::Text(_)) => size(a) + size(b),
        _ => 0,
    }
}

/// A whole number, as an index needs it; floats lose their fraction.
pub fn integer(v: &Value) -> Option<i64> {
    match v {
        Value::Float(f) => Some(crate::value::whole(*f)),
        other => other.as_int(),
    }
}

pub fn interface(at: usize, v: &Value, want: &str) -> Error {
    let have = if v.is_nil() { "nil" } else { v.type_name() };
    Error::run(at, format!("interface conversion: interface {{}} is {have}, not {want}"))
}

fn shown(v: &Value) -> String {
    match v {
        Value::Text(s) => s.clone().into_owned(),
        other => builtins::format(other),
    }
}

pub fn fetch<'a>(target: &Value<'a>, key: &Value<'a>, at: usize) -> Outcome<'a> {
    match (target, key) {
        (Value::Map(m @ (Dict::Json(_) | Dict::Own(..))), Value::Text(k)) => Ok(m.get(k).unwrap_or(Value::Nil)),
        // A missing member is the empty value of what the map holds.
        (Value::Map(Dict::Keyed(..)), Value::Map(_) | Value::List(_)) => {
            Err(Error::run(at, format!("runtime error: hash of unhashable type {}", key.type_name())))
        }
        (Value::Map(m @ Dict::Keyed(_, holds)), k) => {
            Ok(m.at(k).unwrap_or_else(|| if *holds == Holds::Lists { Value::nil_list(Holds::Any) } else { Value::Nil }))
        }
        (Value::Map(_), Value::Nil) => Ok(Value::Nil),
        (Value::List(l), _) if integer(key).is_some() => {
            let i = integer(key).unwrap_or(0);
            let index = if i < 0 { l.len() as i64 + i } else { i };
            usize::try_from(index)
                .ok()
                .and_then(|i| l.get(i))
                .ok_or_else(|| Error::run(at, format!("index out of range: {index} (array length is {})", l.len())))
        }
        (Value::Text(s), _) if integer(key).is_some() => {
            let i = integer(key).unwrap_or(0);
            let index = if i < 0 { s.len() as i64 + i } else { i };
            let byte = usize::try_from(index).ok().and_then(|i| s.as_bytes().get(i));
            byte.map(|b| Value::Byte(*b))
                .ok_or_else(|| Error::run(at, format!("index out of range: {index} (array length is {})", s.len())))
        }
        (Value::Object(o), Value::Text(k)) => match (&**o, &**k) {
            (Object::Certificate { cert, .. }, "Cert") => Ok(Value::text(cert)),
            (Object::Certificate { key, .. }, "Key") => Ok(Value::text(key)),
            _ => Err(Error::run(at, format!("cannot fetch {k} from {}", target.type_name()))),
        },
        (Value::List(_), other) => Err(Error::run(
            at,
            format!("invalid operation: int({})", if other.is_nil() { "<nil>" } else { other.type_name() }),
        )),
        (target, key) => {
            let what = if target.is_nil() { "<nil>".to_owned() } else { target.type_name().to_owned() };
            Err(Error::run(at, format!("cannot fetch {} from {what}", shown(key))))
        }
    }
}

/// The `in` operator.
pub fn contains(needle: &Value, haystack: &Value, at: usize) -> Result<bool, Error> {
    match haystack {
        Value::Nil => Ok(false),
        Value::List(List::Own(l, _)) => Ok(l.iter().any(|v| v == needle)),
        Value::List(l) => Ok(l.iter().any(|v| v == *needle)),
        Value::Map(m) => match needle {
            Value::Text(k) => Ok(m.get(k).is_some()),
            Value::Map(_) | Value::List(_) => {
                Err(Error::run(at, format!("runtime error: hash of unhashable type {}", needle.type_name())))
            }
            k if matches!(m, Dict::Keyed(..)) => Ok(m.at(k).is_some()),
            Value::Nil => Ok(false),
            other => {
                Err(Error::run(at, format!("cannot use {} as index to map[string]interface {{}}", other.type_name())))
            }
        },
        other => Err(Error::run(at, format!("operator \"in\" not defined on {}", other.type_name()))),
    }
}
