//! The Expr language over JSON: parse once, check against what is known of the variables, evaluate by reference.
//!
//! Evaluation borrows from the variables: nothing is copied to be compared, and the usual selector allocates nothing.
//! Every input has a bound (see [`Limits`]); reaching one is an ordinary error, never a panic.
//!
//! ```
//! use expr::{Program, Variables, Value};
//! let payload = serde_json::json!({"message": "hello"});
//! let program = Program::parse("payload.message != '' && len(payload.message) < 10").unwrap();
//! let variables = Variables::new().with("payload", &payload);
//! assert_eq!(program.run(&variables).unwrap(), Value::Bool(true));
//! ```

#![warn(missing_docs)]

mod ast;
mod builtins;
mod check;
mod encoding;
mod error;
mod eval;
pub mod index;
mod json;
mod jsonpath;
mod lexer;
mod parser;
mod place;
mod reads;
mod sprig;
mod time;
mod trace;
mod types;
mod value;
mod variables;

pub use error::{Details as ErrorDetails, Error, Kind as ErrorKind};
pub use eval::Limits;
pub use reads::Place;
pub use sprig::{Function as SprigFunction, function as sprig};
pub use time::parse_duration;
pub use trace::{Outcome as PartOutcome, Part, explain, falsified};
pub use types::Kinds;
pub use value::{Dict, Function, Holds, List, Object, Text, Value};
pub use variables::Variables;

use ast::Node;
use std::sync::atomic::{AtomicU64, Ordering};

/// Functions beyond the builtins that an expression may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Functions {
    /// The builtins of the language.
    #[default]
    Builtins,
    /// Also `asInt`, `asFloat`, `jsonpath`, `toJson` and the `sprig` map.
    Metadata,
}

/// A parsed expression.
#[derive(Debug)]
pub struct Program {
    source: String,
    root: Node,
    functions: Functions,
    /// The kinds of variables that the check last passed for.
    passed: AtomicU64,
}

impl Program {
    /// Parses an expression that may call the builtins of the language.
    ///
    /// ```
    /// let e = expr::Program::parse("payload.n ==").unwrap_err();
    /// assert_eq!((e.kind, e.at), (expr::ErrorKind::Compile, Some(11)));
    /// assert!(e.to_string().contains("a value is missing (1:12)\n | payload.n ==\n"), "{e}");
    /// ```
    pub fn parse(source: &str) -> Result<Self, Error> {
        Self::parse_with(source, Functions::Builtins)
    }

    /// Parses an expression that may call more than the builtins.
    ///
    /// ```
    /// use expr::{Functions, Program, Value, Variables};
    /// let program = Program::parse_with("sprig.kebabcase('HelloWorld')", Functions::Metadata).unwrap();
    /// assert_eq!(program.run(&Variables::new()).unwrap(), Value::text("hello-world"));
    /// ```
    pub fn parse_with(source: &str, functions: Functions) -> Result<Self, Error> {
        let root = parser::parse(source, functions).map_err(|e| e.within(source))?;
        Ok(Self { source: source.to_owned(), root, functions, passed: AtomicU64::new(u64::MAX) })
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The functions that it may call.
    pub fn functions(&self) -> Functions {
        self.functions
    }

    /// Refuses what can be seen to fail without running: unknown names, and operations on variables of the wrong kind.
    ///
    /// What a check needs to know of the variables is their kinds, so it is made once for those of one kind.
    pub fn check(&self, variables: &Variables) -> Result<(), Error> {
        let shape = variables.shape();
        if self.passed.load(Ordering::Relaxed) == shape {
            return Ok(());
        }
        self.check_kinds(&variables.kinds())?;
        self.passed.store(shape, Ordering::Relaxed);
        Ok(())
    }

    /// The same where only the kinds of the variables are known, or not even those.
    ///
    /// ```
    /// let kinds = expr::Kinds::default().text("discriminator").unknown("payload");
    /// let refused = |s: &str| expr::Program::parse(s).unwrap().check_kinds(&kinds).is_err();
    /// assert!(refused("discriminator == 5") && refused("paylod.x == 5"));
    /// assert!(!refused("payload.x == 5"));
    /// ```
    pub fn check_kinds(&self, kinds: &Kinds) -> Result<(), Error> {
        check::check(&self.root, kinds, self.functions).map_err(|e| e.within(&self.source))
    }

    /// Checks, then evaluates.
    pub fn run<'a>(&'a self, variables: &Variables<'a>) -> Result<Value<'a>, Error> {
        self.run_within(variables, Limits::default())
    }

    /// Checks, then evaluates, within other bounds than the usual ones.
    ///
    /// ```
    /// use expr::{Limits, Program, Variables};
    /// let program = Program::parse("filter(1..1000, # > 5)").unwrap();
    /// let e = program.run_within(&Variables::new(), Limits { steps: 100, ..Limits::default() }).unwrap_err();
    /// assert!(e.message.starts_with("step budget exceeded"));
    /// ```
    pub fn run_within<'a>(&'a self, variables: &Variables<'a>, limits: Limits) -> Result<Value<'a>, Error> {
        self.check(variables)?;
        eval::run(&self.root, variables, self.functions, limits).map_err(|e| e.within(&self.source))
    }

    /// The places that the expression reads.
    pub fn places(&self) -> Vec<Place> {
        reads::places(&self.root)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}

/// Runs a step of a recursion over the tree, on a new piece of stack where the present one ends: the tree has a bounded
/// height, the caller's stack has not a known one.
fn with_room<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 << 10, 1 << 20, f)
}
