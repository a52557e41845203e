//! The expressions of govaluate, with its odd corners: what sensors' filters and workflows' conditions are written in.
//!
//! ```
//! use govaluate::{Expression, Value};
//! let e = Expression::parse("size * 2 > 10 && name =~ '^a'").unwrap();
//! let holds = e.evaluate(&|name| match name {
//!     "size" => Some(Value::Number(6.0)),
//!     "name" => Some(Value::Text("alpha".into())),
//!     _ => None,
//! });
//! assert_eq!(holds, Ok(Value::Bool(true)));
//! assert_eq!(Expression::parse("size >").unwrap_err(), "Unexpected end of expression");
//! ```

#![warn(missing_docs)]

mod evaluate;
mod lexer;
mod parser;
mod time;
mod value;

pub use value::Value;

/// Bytes that an expression may have.
pub const LENGTH: usize = 64 << 10;
/// How deep an expression may be nested.
pub const DEPTH: usize = 200;

/// A parsed expression.
#[derive(Debug)]
pub struct Expression(parser::Node);

impl Expression {
    /// Parses an expression; the error is the sentence that the original has for it.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.len() > LENGTH {
            return Err(format!("the expression has {} bytes, {LENGTH} are possible", source.len()));
        }
        parser::parse(lexer::tokens(source)?).map(Expression)
    }

    /// The names that it reads.
    pub fn names(&self) -> Vec<&str> {
        let mut out = Vec::new();
        self.0.names(&mut out);
        out
    }

    /// Evaluates it with what `parameter` knows.
    pub fn evaluate(&self, parameter: &dyn Fn(&str) -> Option<Value>) -> Result<Value, String> {
        evaluate::evaluate(&self.0, parameter)
    }
}
