//! What is wrong with an expression, and where.

use std::fmt;

/// When an expression failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The text is no expression, or can be seen to fail without running.
    Compile,
    /// Its evaluation failed.
    Run,
}

/// Behind a pointer, so that what nearly always goes well stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

/// What an [`Error`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// When it failed.
    pub kind: Kind,
    /// What is wrong, without the place.
    pub message: String,
    /// Byte offset into the source; none when the error has no place.
    pub at: Option<usize>,
    /// The source line and a mark under the place.
    picture: String,
}

impl std::ops::Deref for Error {
    type Target = Details;
    fn deref(&self) -> &Details {
        &self.0
    }
}

impl Error {
    /// An error that is seen without running.
    pub(crate) fn compile(at: usize, message: impl Into<String>) -> Self {
        Self::new(Kind::Compile, at, message.into())
    }
    /// An error of the evaluation.
    #[cold]
    pub(crate) fn run(at: usize, message: impl Into<String>) -> Self {
        Self::new(Kind::Run, at, message.into())
    }
    fn new(kind: Kind, at: usize, message: String) -> Self {
        Self(Box::new(Details { kind, message, at: Some(at), picture: String::new() }))
    }

    /// Draws the place: `(line:column)`, the line, and a caret under it.
    pub(crate) fn within(mut self, source: &str) -> Self {
        let Some(at) = self.at else { return self };
        if source.is_empty() || !self.picture.is_empty() {
            return self;
        }
        let at = at.min(source.len());
        let before = &source[..floor(source, at)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before[start..].chars().count();
        let text = source[start..].lines().next().unwrap_or("");
        self.0.picture = format!(" ({line}:{})\n | {text}\n | {}^", column + 1, ".".repeat(column));
        self
    }
}

fn floor(s: &str, mut at: usize) -> usize {
    while !s.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.message, self.picture)
    }
}

impl std::error::Error for Error {}
