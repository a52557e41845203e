//! What can be seen to fail without running, given the kinds of the variables.
//!
//! A variable's kind is known; what is inside maps and lists is not. So `payload.x` is fine when `payload` is a map, and
//! refused when it is a string.

use crate::Functions;
use crate::ast::{Kind, Node, Op};
use crate::builtins;
use crate::error::Error;
use crate::types::{Element, Kinds, LIST, Type};

pub fn check(root: &Node, variables: &Kinds, functions: Functions) -> Result<(), Error> {
    Checker { variables, functions, names: Vec::new(), scopes: Vec::new() }.visit(root).map(|_| ())
}

struct Checker<'a> {
    variables: &'a Kinds,
    functions: Functions,
    names: Vec<(&'a str, Type)>,
    /// The functions whose predicates are being looked at and the types of their elements, innermost last.
    scopes: Vec<(&'a str, Type)>,
}

fn mismatch(n: &Node, op: Op, a: Type, b: Type) -> Error {
    Error::compile(
        n.at,
        format!("invalid operation: {} (mismatched types {} and {})", op.shown(), a.shown(), b.shown()),
    )
}

impl<'a> Checker<'a> {
    fn visit(&mut self, n: &'a Node) -> Result<Type, Error> {
        crate::with_room(|| self.kind(n))
    }

    fn kind(&mut self, n: &'a Node) -> Result<Type, Error> {
        Ok(match &n.kind {
            Kind::Nil => Type::Nil,
            Kind::Bool(_) => Type::Bool,
            Kind::Int(_) => Type::Int,
            Kind::Float(_) => Type::Float,
            Kind::Text(_) => Type::Text,
            Kind::Bytes(_) => Type::Other,
            Kind::Pointer(name) => match name.as_str() {
                "" => self.scopes.last().map_or(Type::Unknown, |(_, element)| *element),
                "acc" if matches!(self.scopes.last(), Some(("reduce", _))) => Type::Unknown,
                "index" if matches!(self.scopes.last(), Some(("reduce" | "map", _))) => Type::Int,
                other => return Err(Error::compile(n.at, format!("unknown pointer #{other}"))),
            },
            Kind::Name(name) => self.name(name, n)?,
            Kind::Not(a) => {
                let t = self.visit(a)?;
                if !t.is(Type::Bool) {
                    return Err(Error::compile(n.at, format!("invalid operation: ! (mismatched type {})", t.shown())));
                }
                Type::Bool
            }
            Kind::Negate(a) | Kind::Plus(a) => {
                let t = self.visit(a)?;
                let sign = if matches!(n.kind, Kind::Negate(_)) { "-" } else { "+" };
                let signed = t.is_number() || (t == Type::Duration && sign == "-");
                if !signed {
                    return Err(Error::compile(
                        n.at,
                        format!("invalid operation: {sign} (mismatched type {})", t.shown()),
                    ));
                }
                t
            }
            Kind::Matches(a, _) => {
                let t = self.visit(a)?;
                if !t.is(Type::Text) && t != Type::Nil {
                    return Err(mismatch(n, Op::Matches, t, Type::Text));
                }
                Type::Bool
            }
            Kind::Binary(op, a, b) => {
                let (x, y) = (self.visit(a)?, self.visit(b)?);
                // Of two constants the result is known.
                if let (Op::Modulo, Kind::Int(_), Kind::Int(0)) = (op, &a.kind, &b.kind) {
                    return Err(Error::compile(n.at, "integer divide by zero"));
                }
                self.operator(n, *op, x, y)?
            }
            Kind::Member { of, property, optional } => self.member(of, property, *optional)?,
            Kind::Slice { of, from, to } => {
                let t = self.visit(of)?;
                // Of what is not known nothing more is asked; so it is for members, methods and calls below.
                if t == Type::Unknown {
                    return Ok(t);
                }
                if !matches!(t, Type::List(_) | Type::Text) {
                    return Err(Error::compile(n.at, format!("cannot slice {}", t.shown())));
                }
                for part in [from, to].into_iter().flatten() {
                    let index = self.visit(part)?;
                    if !index.is(Type::Int) {
                        return Err(Error::compile(
                            part.at,
                            format!("invalid operation: non-integer slice index {}", index.shown()),
                        ));
                    }
                }
                t
            }
            Kind::Chain(inner) => self.visit(inner)?,
            Kind::Method { of, name, arguments, .. } => {
                let t = self.visit(of)?;
                if t != Type::Unknown {
                    for a in arguments {
                        self.visit(a)?;
                    }
                }
                match t {
                    Type::Unknown
                    | Type::Time
                    | Type::Duration
                    | Type::Functions
                    | Type::Map
                    | Type::Keyed
                    | Type::Other => Type::Unknown,
                    other => return Err(Error::compile(n.at, format!("type {} has no method {name}", other.shown()))),
                }
            }
            Kind::Call { callee, .. } => {
                let t = self.visit(callee)?;
                if t != Type::Unknown {
                    return Err(Error::compile(n.at, format!("{} is not callable", t.shown())));
                }
                Type::Unknown
            }
            Kind::Builtin { name, arguments } => self.builtin(n, name, arguments)?,
            Kind::Predicate(body) => self.visit(body)?,
            Kind::Conditional(c, yes, no) => {
                let t = self.visit(c)?;
                if !t.is(Type::Bool) {
                    return Err(Error::compile(
                        c.at,
                        format!("non-bool expression (type {}) used as condition", t.shown()),
                    ));
                }
                let (x, y) = (self.visit(yes)?, self.visit(no)?);
                if x == y { x } else { Type::Unknown }
            }
            Kind::List(items) => {
                let mut element = None;
                for i in items {
                    let e = Element::of(self.visit(i)?);
                    element = Some(if element.is_none_or(|known| known == e) { e } else { Element::Any });
                }
                Type::List(element.unwrap_or(Element::Any))
            }
            Kind::Map(pairs) => {
                for (k, v) in pairs {
                    self.visit(k)?;
                    self.visit(v)?;
                }
                Type::Map
            }
            Kind::Let { name, value, body } => {
                if self.variables.get(name).is_some() {
                    return Err(Error::compile(n.at, format!("cannot redeclare {name}")));
                }
                if self.names.iter().any(|(x, _)| x == name) {
                    return Err(Error::compile(n.at, format!("cannot redeclare variable {name}")));
                }
                let t = self.visit(value)?;
                self.names.push((name, t));
                let out = self.visit(body);
                self.names.pop();
                out?
            }
            Kind::Sequence(list) => {
                let mut last = Type::Nil;
                for i in list {
                    last = self.visit(i)?;
                }
                last
            }
        })
    }

    fn name(&self, name: &str, n: &Node) -> Result<Type, Error> {
        if let Some((_, t)) = self.names.iter().rev().find(|(x, _)| *x == name) {
            return Ok(*t);
        }
        if let Some(t) = self.variables.get(name) {
            return Ok(t);
        }
        if name == "$env" {
            return Ok(Type::Unknown);
        }
        if builtins::function_value(name, self.functions).is_some() {
            return Ok(Type::Other);
        }
        if name == "sprig" && self.functions == Functions::Metadata {
            return Ok(Type::Functions);
        }
        let mut known: Vec<&str> = Vec::new();
        self.variables.names().for_each(|n| known.push(n));
        builtins::names(self.functions).for_each(|n| known.push(n));
        self.names.iter().for_each(|(n, _)| known.push(n));
        let hint = if name == "sprig" || builtins::is_metadata_function(name) {
            ": it is known in submit.metadata only".to_owned()
        } else {
            closest(name, known.into_iter()).map(|c| format!(": did you mean {c}?")).unwrap_or_default()
        };
        Err(Error::compile(n.at, format!("unknown name {name}{hint}")))
    }

    fn member(&mut self, of: &'a Node, property: &'a Node, optional: bool) -> Result<Type, Error> {
        let at = property.at;
        if let Kind::Name(name) = &of.kind
            && name == "$env"
        {
            let Kind::Text(k) = &property.kind else { return Ok(Type::Unknown) };
            return match self.variables.get(k) {
                Some(t) => Ok(t),
                None if optional => Ok(Type::Unknown),
                None => Err(Error::compile(at, format!("unknown name {k}"))),
            };
        }
        let (t, key) = (self.visit(of)?, self.visit(property)?);
        match (t, key) {
            (Type::Unknown | Type::Keyed, _) | (Type::Map | Type::Functions, Type::Text | Type::Unknown) => {
                Ok(Type::Unknown)
            }
            (Type::List(e), Type::Int | Type::Unknown) => Ok(e.kind()),
            (Type::Text, Type::Int | Type::Float) => {
                Err(Error::compile(at, format!("type string[{}] is undefined", key.shown())))
            }
            (Type::Text, Type::Unknown) => Ok(Type::Unknown),
            (Type::Map, other) => {
                Err(Error::compile(at, format!("cannot use {} to get an element from {}", other.shown(), t.shown())))
            }
            (Type::List(_), other) => Err(Error::compile(
                at,
                format!("array elements can only be selected using an integer (got {})", other.shown()),
            )),
            (other, _) => {
                let name = match &property.kind {
                    Kind::Text(s) => s.clone(),
                    _ => String::new(),
                };
                Err(Error::compile(at, format!("type {} has no field {name}", other.shown())))
            }
        }
    }

    fn operator(&self, n: &Node, op: Op, a: Type, b: Type) -> Result<Type, Error> {
        let fine = match op {
            Op::And | Op::Or => {
                return if a.is(Type::Bool) && b.is(Type::Bool) {
                    Ok(if a == Type::Unknown || b == Type::Unknown { Type::Unknown } else { Type::Bool })
                } else {
                    Err(mismatch(n, op, a, b))
                };
            }
            Op::Equal | Op::Differ => comparable(a, b),
            Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => {
                (a.is_number() && b.is_number())
                    || (a.is(Type::Text) && b.is(Type::Text))
                    || (a.is(Type::Time) && b.is(Type::Time))
                    || (a.is(Type::Duration) && b.is(Type::Duration))
            }
            Op::In => match b {
                Type::Map => a.is(Type::Text),
                Type::Keyed => true,
                Type::List(e) if !comparable(a, e.kind()) => {
                    return Err(Error::compile(
                        n.at,
                        format!("cannot use {} as type {} in array", a.shown(), e.kind().shown()),
                    ));
                }
                Type::List(_) | Type::Unknown => true,
                _ => a == Type::Unknown,
            },
            Op::Contains | Op::StartsWith | Op::EndsWith | Op::Matches => {
                (a.is(Type::Text) || a == Type::Nil) && (b.is(Type::Text) || b == Type::Nil)
            }
            Op::Range => {
                if a.is(Type::Int) && b.is(Type::Int) {
                    return Ok(Type::List(Element::Int));
                }
                false
            }
            Op::Add => {
                if a == Type::Text && b == Type::Text {
                    return Ok(Type::Text);
                }
                let out = arithmetic(a, b);
                if out != Type::Other {
                    return Ok(out);
                }
                return match (a, b) {
                    (Type::Unknown, _) | (_, Type::Unknown)
                        if a != Type::Map
                            && b != Type::Map
                            && !matches!(a, Type::List(_))
                            && !matches!(b, Type::List(_))
                            && a != Type::Nil
                            && b != Type::Nil
                            && a != Type::Bool
                            && b != Type::Bool =>
                    {
                        Ok(Type::Unknown)
                    }
                    (Type::Time, Type::Duration) | (Type::Duration, Type::Time) => Ok(Type::Time),
                    (Type::Duration, Type::Duration) => Ok(Type::Duration),
                    _ => Err(mismatch(n, op, a, b)),
                };
            }
            Op::Subtract => {
                let out = arithmetic(a, b);
                if out != Type::Other {
                    return Ok(out);
                }
                return match (a, b) {
                    (Type::Time, Type::Time) | (Type::Duration, Type::Duration) => Ok(Type::Duration),
                    (Type::Time, Type::Duration) => Ok(Type::Time),
                    (Type::Time | Type::Duration, Type::Unknown) | (Type::Unknown, Type::Time | Type::Duration) => {
                        Ok(Type::Unknown)
                    }
                    _ => Err(mismatch(n, op, a, b)),
                };
            }
            Op::Multiply => {
                let out = arithmetic(a, b);
                if out != Type::Other {
                    return Ok(out);
                }
                return if matches!(
                    (a, b),
                    (Type::Duration, Type::Int | Type::Float | Type::Unknown)
                        | (Type::Int | Type::Float | Type::Unknown, Type::Duration)
                ) {
                    Ok(Type::Duration)
                } else {
                    Err(mismatch(n, op, a, b))
                };
            }
            Op::Divide | Op::Power => {
                if a.is_number() && b.is_number() {
                    return Ok(Type::Float);
                }
                false
            }
            Op::Modulo => {
                if a.is(Type::Int) && b.is(Type::Int) {
                    return Ok(Type::Int);
                }
                false
            }
            Op::Coalesce => return Ok(if a == b { a } else { Type::Unknown }),
        };
        if fine { Ok(Type::Bool) } else { Err(mismatch(n, op, a, b)) }
    }

    fn builtin(&mut self, n: &Node, name: &'a str, arguments: &'a [Node]) -> Result<Type, Error> {
        if let Some((min, max)) = builtins::arity(name) {
            if arguments.len() < min {
                return Err(Error::compile(
                    n.at,
                    format!("not enough arguments to call {name} (expected {min}, got {})", arguments.len()),
                ));
            }
            if arguments.len() > max {
                return Err(Error::compile(
                    n.at,
                    format!("too many arguments to call {name} (expected {max}, got {})", arguments.len()),
                ));
            }
        }
        let mut types: Vec<Type> = Vec::with_capacity(arguments.len());
        for (i, a) in arguments.iter().enumerate() {
            // The list itself is outside of the scope that its elements make.
            let inner = i > 0 && builtins::predicate(name).is_some();
            if inner {
                self.scopes.push((name, types[0].element()));
            }
            let t = self.visit(a);
            if inner {
                self.scopes.pop();
            }
            types.push(t?);
        }
        let first = types.first().copied().unwrap_or(Type::Unknown);
        let refuse = |t: Type| Err(Error::compile(n.at, format!("invalid argument for {name} (type {})", t.shown())));
        if builtins::predicate(name).is_some() && !matches!(first, Type::List(_) | Type::Unknown) {
            return Err(Error::compile(n.at, format!("builtin {name} takes only array (got {})", first.shown())));
        }
        if matches!(
            name,
            "all" | "none" | "any" | "one" | "filter" | "find" | "findIndex" | "findLast" | "findLastIndex" | "count"
        ) && let Some(t) = types.get(1).filter(|t| !t.is(Type::Bool))
        {
            return Err(Error::compile(
                arguments[1].at,
                format!("predicate should return boolean (got {})", t.shown()),
            ));
        }
        for ((t, want), a) in types.iter().zip(parameters(name)).zip(arguments) {
            if !t.is(*want) {
                return Err(Error::compile(
                    a.at,
                    format!("cannot use {} as argument (type {}) to call {name}", t.shown(), want.shown()),
                ));
            }
        }
        Ok(match name {
            "len" => match first {
                Type::Text
                | Type::List(_)
                | Type::Map
                | Type::Keyed
                | Type::Functions
                | Type::Unknown
                | Type::Other => Type::Int,
                Type::Nil => return Err(Error::compile(n.at, "invalid argument for len (type %!s(<nil>))")),
                other => return refuse(other),
            },
            "upper" | "lower" | "trim" | "trimPrefix" | "trimSuffix" | "replace" | "repeat" => Type::Text,
            "split" | "splitAfter" => Type::List(Element::Strings),
            "hasPrefix" | "hasSuffix" => Type::Bool,
            "indexOf" | "lastIndexOf" => Type::Int,
            "abs" => {
                if !first.is_number() {
                    return refuse(first);
                }
                first
            }
            "ceil" | "floor" | "round" => {
                if !first.is_number() {
                    return refuse(first);
                }
                Type::Float
            }
            "int" | "asInt" | "float" | "asFloat" => {
                if !first.is_number() && !matches!(first, Type::Text | Type::Duration) && !name.starts_with("as") {
                    return refuse(first);
                }
                if name.ends_with("nt") { Type::Int } else { Type::Float }
            }
            "string" | "type" | "toJSON" | "toJson" | "join" | "toBase64" | "fromBase64" => Type::Text,
            "now" | "date" => Type::Time,
            "duration" => Type::Duration,
            "keys" | "values" | "toPairs" => {
                if !first.is(Type::Map) && !matches!(first, Type::Keyed | Type::Functions) {
                    return Err(Error::compile(n.at, format!("cannot get {name} from {}", first.shown())));
                }
                LIST
            }
            "map" => Type::List(Element::of(types.get(1).copied().unwrap_or(Type::Unknown))),
            "take" if first == Type::Unknown => Type::Unknown,
            "filter" => first.or_list(),
            "sortBy" => first,
            "take" if !types[1].is(Type::Int) => {
                return Err(Error::compile(arguments[1].at, format!("cannot take {} elements", types[1].shown())));
            }
            "take" if first == Type::List(Element::Strings) => first,
            "sort" if !matches!(first, Type::List(_) | Type::Unknown) => {
                return Err(Error::compile(n.at, format!("cannot sort {}", first.shown())));
            }
            "uniq" | "reverse" | "take" | "sort" => LIST,
            "sum" => types.get(1).copied().unwrap_or(first.element()),
            "first" | "last" if !matches!(first, Type::Unknown | Type::List(_)) => {
                return Err(Error::compile(n.at, format!("cannot get {name} element from {}", first.shown())));
            }
            "find" | "findLast" | "first" | "last" => first.element(),
            "max" | "min" | "mean" | "median" => {
                let numbers = types.iter().take_while(|t| !matches!(t, Type::Unknown | Type::List(_))).count();
                if let Some(t) = types[..numbers].iter().find(|t| !t.is_number()) {
                    return refuse(*t);
                }
                if numbers == types.len() { first } else { Type::Unknown }
            }
            "reduce" => types.get(1).copied().unwrap_or(Type::Unknown),
            "concat" | "flatten" => LIST,
            "all" | "none" | "any" | "one" => Type::Bool,
            "count" | "findIndex" | "findLastIndex" => Type::Int,
            "groupBy" | "fromPairs" => Type::Keyed,
            _ if name.starts_with("bit") => Type::Int,
            _ => Type::Unknown,
        })
    }
}

/// The types of the parameters of functions that take certain ones.
fn parameters(name: &str) -> &'static [Type] {
    match name {
        "upper" | "lower" | "toBase64" | "fromBase64" | "fromJSON" | "timezone" => &[Type::Text],
        "trim" | "trimPrefix" | "trimSuffix" | "hasPrefix" | "hasSuffix" | "indexOf" | "lastIndexOf" | "jsonpath" => {
            &[Type::Text, Type::Text]
        }
        "split" | "splitAfter" => &[Type::Text, Type::Text, Type::Int],
        "replace" => &[Type::Text, Type::Text, Type::Text, Type::Int],
        "repeat" => &[Type::Text, Type::Int],
        "join" => &[Type::Unknown, Type::Text],
        name if name.starts_with("bit") => &[Type::Int, Type::Int],
        _ => &[],
    }
}

/// The type of `a + b` for numbers; `Other` if they are none.
fn arithmetic(a: Type, b: Type) -> Type {
    match (a, b) {
        (Type::Int, Type::Int) => Type::Int,
        (Type::Int | Type::Float, Type::Int | Type::Float) => Type::Float,
        (Type::Unknown, Type::Int | Type::Float | Type::Unknown) | (Type::Int | Type::Float, Type::Unknown) => {
            Type::Unknown
        }
        _ => Type::Other,
    }
}

fn comparable(a: Type, b: Type) -> bool {
    a == b
        || (matches!(a, Type::List(_)) && matches!(b, Type::List(_)))
        || a == Type::Unknown
        || b == Type::Unknown
        || a == Type::Nil
        || b == Type::Nil
        || (matches!(a, Type::Int | Type::Float) && matches!(b, Type::Int | Type::Float))
}

/// The name that is meant, if one is so near that it must be.
pub fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    known.map(|k| (distance(k, name), k)).filter(|(d, _)| *d <= allowed).min().map(|(_, k)| k)
}

/// How many letters have to change to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut previous = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = previous + usize::from(x != *y);
            previous = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
