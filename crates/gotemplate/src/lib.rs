//! Go's text templates with the sprig functions, over JSON values.
//!
//! Actions, variables, `if`, `range`, `with`, `break` and `continue`, pipelines and all builtin functions but `call` behave as
//! in `text/template`; `define`, `template` and `block` are refused by name. What a template may do is bounded ([`Limits`]).
//!
//! ```
//! use gotemplate::Template;
//! let data = serde_json::json!({"Input": {"name": "web", "tags": ["a", "b"]}});
//! let render = |text: &str| Template::parse(text).unwrap().render(&data);
//! assert_eq!(render(r#"{{ .Input.name | upper }}: {{ range .Input.tags }}<{{ . }}>{{ end }}"#).unwrap(), "WEB: <a><b>");
//! assert_eq!(Template::parse("{{ nosuch 1 }}").unwrap_err(), r#"template: :1: function "nosuch" not defined"#);
//! ```

#![warn(missing_docs)]

mod execute;
mod format;
mod functions;
mod lexer;
mod parser;

/// What rendering may do at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Actions and calls.
    pub steps: u64,
    /// Bytes of output, and of what functions produce.
    pub produced: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps: 100_000, produced: 4 << 20 }
    }
}

/// Bytes that a template may have.
pub const LENGTH: usize = 256 << 10;
/// How deep actions and parentheses may be nested.
pub const DEPTH: usize = 100;

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<parser::Node>,
}

impl Template {
    /// Parses a template; the error names the line and what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH {
            return Err(format!("the template has {} bytes, {LENGTH} are possible", text.len()));
        }
        parser::parse(text).map(|nodes| Template { nodes })
    }

    /// Renders it with `data` as dot.
    pub fn render(&self, data: &serde_json::Value) -> Result<String, String> {
        self.render_within(data, Limits::default())
    }

    /// The same within other bounds than the usual ones.
    pub fn render_within(&self, data: &serde_json::Value, limits: Limits) -> Result<String, String> {
        execute::render(&self.nodes, data, limits)
    }
}
