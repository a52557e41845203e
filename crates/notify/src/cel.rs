//! CEL expressions about events and objects: compiled once, with what type they have, asked of JSON.
//!
//! The standard language with optional values, the libraries of strings, lists and encoders, `sets`, and `first()` and `last()` of
//! lists. A declared variable may be anything; what an expression makes of it has a type as far as its functions say.

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::extractors::This;
use cel::objects::OptionalValue;
use cel::{Context, Env, ExecutionError, Program, Value as Cel, extensions};
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Steps of an evaluation are bounded by the size of what it is asked about; this bounds the text.
const LONGEST: usize = 16 * 1024;

/// What an expression gives, as far as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    Str,
    Bytes,
    Null,
    List(Box<Type>),
    Map,
    Optional(Box<Type>),
    /// Of an empty list: whatever it is compared with.
    Any,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn | Type::Any => f.write_str("dyn"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::Str => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Null => f.write_str("null_type"),
            Type::List(t) => write!(f, "list({t})"),
            Type::Map => f.write_str("map(dyn, dyn)"),
            Type::Optional(t) => write!(f, "optional_type({t})"),
        }
    }
}

/// An expression that can be asked.
pub struct Expression {
    text: String,
    program: Program,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut env = Env::stdlib();
        // Each is added once, to an environment that has none of them.
        let _ = env.add_extension(extensions::strings);
        let _ = env.add_extension(extensions::lists);
        let _ = env.add_extension(extensions::encoders);
        Arc::new(env)
    })
}

impl Expression {
    /// Reads an expression about these variables that gives a value of a type; the error says what is wrong with it.
    pub fn compile(text: &str, variables: &[&str], wanted: &Type) -> Result<Self, String> {
        let (expression, made) = Self::read(text, variables)?;
        let fits = made == *wanted || made == Type::Any;
        if !fits {
            return Err(format!("CEL expression output type mismatch: expected {wanted}, got {made}"));
        }
        Ok(expression)
    }

    /// Reads an expression that may give anything.
    pub fn compile_any(text: &str, variables: &[&str]) -> Result<Self, String> {
        Self::read(text, variables).map(|(expression, _)| expression)
    }

    fn read(text: &str, variables: &[&str]) -> Result<(Self, Type), String> {
        let fail = |why: String| format!("failed to parse the CEL expression '{text}': ERROR: {why}");
        if text.len() > LONGEST {
            return Err(format!("failed to parse the CEL expression: it has more than {LONGEST} bytes"));
        }
        let program = environment().compile(text).map_err(|e| fail(e.to_string()))?;
        let mut bound = variables.iter().map(|v| ((*v).to_owned(), Type::Dyn)).collect();
        let made = kind(program.expression(), &mut bound).map_err(fail)?;
        Ok((Expression { text: text.to_owned(), program }, made))
    }

    fn ask(&self, variables: &[(&str, &Value)]) -> Result<Cel, String> {
        let fail = |why: String| format!("failed to evaluate the CEL expression '{}': {why}", self.text);
        let mut context = Context::with_env(environment().clone());
        for (name, value) in variables {
            let value = cel::to_value(value).map_err(|e| fail(e.to_string()))?;
            context.add_variable_from_value(*name, value);
        }
        add_functions(&mut context).map_err(fail)?;
        self.program.execute(&context).map_err(|e| fail(said(&e)))
    }

    pub fn text(&self, variables: &[(&str, &Value)]) -> Result<String, String> {
        match self.ask(variables)? {
            Cel::String(s) => Ok(s.to_string()),
            other => Err(format!("the CEL expression '{}' gave a {}, not a string", self.text, other.type_of())),
        }
    }

    pub fn holds(&self, variables: &[(&str, &Value)]) -> Result<bool, String> {
        match self.ask(variables)? {
            Cel::Bool(b) => Ok(b),
            other => Err(format!("the CEL expression '{}' gave a {}, not a bool", self.text, other.type_of())),
        }
    }

    pub fn value(&self, variables: &[(&str, &Value)]) -> Result<Value, String> {
        let found = self.ask(variables)?;
        json(&found).ok_or_else(|| format!("the CEL expression '{}' gave a {}", self.text, found.type_of()))
    }
}

fn json(v: &Cel) -> Option<Value> {
    Some(match v {
        Cel::Null => Value::Null,
        Cel::Bool(b) => Value::Bool(*b),
        Cel::Int(n) => (*n).into(),
        Cel::UInt(n) => (*n).into(),
        Cel::Float(n) => serde_json::Number::from_f64(*n)?.into(),
        Cel::String(s) => Value::String(s.to_string()),
        Cel::List(l) => l.iter().map(json).collect::<Option<Vec<Value>>>()?.into(),
        Cel::Map(m) => {
            let pairs = m.map.iter().map(|(k, v)| Some((k.to_string(), json(v)?)));
            Value::Object(pairs.collect::<Option<serde_json::Map<String, Value>>>()?)
        }
        _ => return None,
    })
}

fn said(e: &ExecutionError) -> String {
    match e {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::DivisionByZero(_) => "division by zero".into(),
        other => other.to_string(),
    }
}

fn add_functions(context: &mut Context) -> Result<(), String> {
    let optional =
        |v: Option<&Cel>| Cel::Opaque(Arc::new(v.map_or_else(OptionalValue::none, |v| OptionalValue::of(v.clone()))));
    let added = context.add_function("first", move |This(l): This<Arc<Vec<Cel>>>| optional(l.first()));
    added.map_err(|e| format!("{e:?}"))?;
    let added = context.add_function("last", move |This(l): This<Arc<Vec<Cel>>>| optional(l.last()));
    added.map_err(|e| format!("{e:?}"))?;
    let contains = |a: Arc<Vec<Cel>>, b: Arc<Vec<Cel>>| b.iter().all(|v| a.contains(v));
    let equivalent =
        |a: Arc<Vec<Cel>>, b: Arc<Vec<Cel>>| b.iter().all(|v| a.contains(v)) && a.iter().all(|v| b.contains(v));
    let intersects = |a: Arc<Vec<Cel>>, b: Arc<Vec<Cel>>| b.iter().any(|v| a.contains(v));
    context.add_function("sets.contains", contains).map_err(|e| format!("{e:?}"))?;
    context.add_function("sets.equivalent", equivalent).map_err(|e| format!("{e:?}"))?;
    context.add_function("sets.intersects", intersects).map_err(|e| format!("{e:?}"))
}

/// Names that stand before functions.
const NAMESPACES: [&str; 6] = ["optional", "sets", "strings", "base64", "lists", "cel"];
/// Functions of these names give text.
const TEXTS: [&str; 15] = [
    "string",
    "lowerAscii",
    "upperAscii",
    "replace",
    "substring",
    "charAt",
    "join",
    "format",
    "trim",
    "quote",
    "strings.quote",
    "getFullYearText",
    "base64.encode",
    "encode",
    "type",
];
const INTS: [&str; 7] = ["int", "size", "indexOf", "lastIndexOf", "getFullYear", "getMonth", "getDate"];
const BOOLS: [&str; 20] = [
    "bool",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "hasValue",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "_&&_",
    "_||_",
    "!_",
    "@in",
    "@not_strictly_false",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
];
/// Names of macros and functions that there are besides.
const OTHERS: [&str; 31] = [
    "uint",
    "double",
    "bytes",
    "dyn",
    "duration",
    "timestamp",
    "first",
    "last",
    "value",
    "orValue",
    "or",
    "split",
    "reverse",
    "sort",
    "distinct",
    "flatten",
    "slice",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "of",
    "none",
    "ofNonZeroValue",
    "_+_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "-_",
    "_[_]",
    "base64.decode",
];
const MORE: [&str; 6] = ["_[?_]", "_?._", "_?_:_", "min", "max", "decode"];

/// The type of an expression. `bound`: the variables that there are, and their types.
fn kind(e: &IdedExpr, bound: &mut Vec<(String, Type)>) -> Result<Type, String> {
    Ok(match &e.expr {
        Expr::Literal(l) => match l {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Bytes(_) => Type::Bytes,
            LiteralValue::Double(_) => Type::Double,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::Null => Type::Null,
            LiteralValue::String(_) => Type::Str,
            LiteralValue::UInt(_) => Type::Uint,
        },
        Expr::Ident(name) => match bound.iter().rev().find(|(n, _)| n == name) {
            Some((_, known)) => known.clone(),
            None if name.starts_with('@') || NAMESPACES.contains(&name.as_str()) => Type::Dyn,
            None => return Err(format!("undeclared reference to '{name}' (in container '')")),
        },
        Expr::Select(s) => {
            let of = kind(&s.operand, bound)?;
            match (s.test, of) {
                (true, _) => Type::Bool,
                (false, Type::Optional(_)) => Type::Optional(Box::new(Type::Dyn)),
                (false, Type::Dyn | Type::Map | Type::Any) => Type::Dyn,
                (false, other) => return Err(format!("type '{other}' does not support field selection")),
            }
        }
        Expr::List(l) => {
            let mut of = Type::Any;
            for element in &l.elements {
                of = joined(of, kind(element, bound)?);
            }
            Type::List(Box::new(of))
        }
        Expr::Map(_) | Expr::Struct(_) => Type::Map,
        Expr::Unspecified => Type::Dyn,
        Expr::Comprehension(c) => {
            let range = kind(&c.iter_range, bound)?;
            let element = match range {
                Type::List(t) => *t,
                _ => Type::Dyn,
            };
            let start = kind(&c.accu_init, bound)?;
            let depth = bound.len();
            bound.push((c.iter_var.clone(), element));
            bound.extend(c.iter_var2.clone().map(|v| (v, Type::Dyn)));
            bound.push((c.accu_var.clone(), start.clone()));
            let step = kind(&c.loop_step, bound)?;
            let made = joined(start, step);
            bound.push((c.accu_var.clone(), made));
            let result = kind(&c.result, bound);
            bound.truncate(depth);
            result?
        }
        Expr::Call(c) => {
            let name = c.func_name.as_str();
            let mut of = Vec::new();
            // What stands before a function may be part of its name.
            let space =
                c.target.as_ref().filter(|t| matches!(&t.expr, Expr::Ident(n) if NAMESPACES.contains(&n.as_str())));
            if let Some(target) = c.target.as_ref().filter(|_| space.is_none()) {
                of.push(kind(target, bound)?);
            }
            for a in &c.args {
                of.push(kind(a, bound)?);
            }
            called(name, &of)?
        }
    })
}

fn called(name: &str, of: &[Type]) -> Result<Type, String> {
    let arg = |i: usize| of.get(i).cloned().unwrap_or(Type::Dyn);
    let known =
        [&TEXTS[..], &INTS, &BOOLS, &OTHERS, &MORE].iter().any(|names| names.contains(&name)) || name.starts_with('@');
    if !known {
        return Err(format!("undeclared reference to '{name}' (in container '')"));
    }
    if matches!(name, "_==_" | "_!=_") {
        let (a, b) = (arg(0), arg(1));
        let flexible = |t: &Type| matches!(t, Type::Dyn | Type::Any | Type::Null);
        let same = std::mem::discriminant(&a) == std::mem::discriminant(&b);
        if !same && !flexible(&a) && !flexible(&b) {
            return Err(format!("found no matching overload for '{name}' applied to '({a}, {b})'"));
        }
    }
    Ok(match name {
        "reverse" if arg(0) == Type::Dyn => Type::Str,
        "reverse" => arg(0),
        _ if TEXTS.contains(&name) => Type::Str,
        _ if INTS.contains(&name) => Type::Int,
        _ if BOOLS.contains(&name) => Type::Bool,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "bytes" | "base64.decode" | "decode" => Type::Bytes,
        "split" => Type::List(Box::new(Type::Str)),
        "first" | "last" => match arg(0) {
            Type::List(t) => Type::Optional(t),
            _ => Type::Optional(Box::new(Type::Dyn)),
        },
        "optional.of" | "of" | "optional.ofNonZeroValue" | "ofNonZeroValue" => Type::Optional(Box::new(arg(0))),
        "optional.none" | "none" => Type::Optional(Box::new(Type::Dyn)),
        "value" => match arg(0) {
            Type::Optional(t) => *t,
            _ => Type::Dyn,
        },
        "orValue" => match arg(0) {
            Type::Optional(t) if *t == Type::Any => arg(1),
            Type::Optional(t) => joined(*t, arg(1)),
            _ => Type::Dyn,
        },
        "or" | "sort" | "distinct" | "slice" => arg(0),
        "_[_]" => match arg(0) {
            Type::List(t) => *t,
            _ => Type::Dyn,
        },
        "_[?_]" | "_?._" => Type::Optional(Box::new(Type::Dyn)),
        "_?_:_" => joined(arg(1), arg(2)),
        "_+_" => match (arg(0), arg(1)) {
            (Type::List(a), Type::List(b)) => Type::List(Box::new(joined(*a, *b))),
            (Type::Dyn | Type::Any, Type::Dyn | Type::Any) => Type::Dyn,
            (Type::Dyn | Type::Any, t) | (t, Type::Dyn | Type::Any) => t,
            (a, b) if a == b => a,
            (a, b) => return Err(format!("found no matching overload for '_+_' applied to '({a}, {b})'")),
        },
        "_-_" | "_*_" | "_/_" | "_%_" => match (arg(0), arg(1)) {
            (Type::Dyn, t) | (t, _) => t,
        },
        "-_" => arg(0),
        _ => Type::Dyn,
    })
}

/// The type of what may be either.
fn joined(a: Type, b: Type) -> Type {
    match (a, b) {
        (a, b) if a == b => a,
        (Type::Any, t) | (t, Type::Any) => t,
        (Type::List(a), Type::List(b)) => Type::List(Box::new(joined(*a, *b))),
        _ => Type::Dyn,
    }
}
