//! The variables of an evaluation.

use crate::types::{Kinds, kind_number};
use crate::value::{Text, Value};

/// The variables of an evaluation, by name.
#[derive(Debug, Clone, Default)]
pub struct Variables<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
    /// Those from here on are not in `$env`.
    unlisted: Vec<(&'a str, Value<'a>)>,
    shape: u64,
}

impl<'a> Variables<'a> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a variable that borrows JSON.
    #[must_use]
    pub fn with(self, name: &'a str, v: &'a serde_json::Value) -> Self {
        self.with_value(name, Value::json(v))
    }
    /// Adds a variable that is a text.
    #[must_use]
    pub fn with_text(self, name: &'a str, v: &'a str) -> Self {
        self.with_value(name, Value::Text(Text::Borrowed(v)))
    }
    /// Adds a variable.
    #[must_use]
    pub fn with_value(mut self, name: &'a str, v: Value<'a>) -> Self {
        self.note(name, &v);
        self.entries.push((name, v));
        self
    }
    /// A variable that `$env` does not show.
    #[must_use]
    pub fn with_unlisted(mut self, name: &'a str, v: Value<'a>) -> Self {
        self.note(name, &v);
        self.unlisted.push((name, v));
        self
    }
    /// A variable by its name.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
    /// All variables, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &Value<'a>)> {
        self.entries.iter().chain(&self.unlisted).map(|(n, v)| (*n, v))
    }
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(n, _)| n)
    }

    /// Names and kinds as one number, made up as variables are added.
    fn note(&mut self, name: &str, v: &Value) {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let start = self.shape ^ 0xcbf2_9ce4_8422_2325;
        let named = name.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(PRIME));
        self.shape = (named ^ kind_number(v)).wrapping_mul(PRIME);
    }
    pub(crate) fn shape(&self) -> u64 {
        self.shape
    }
    pub(crate) fn kinds(&self) -> Kinds {
        Kinds::of(self)
    }
    /// All of them as one map: `$env`.
    pub fn as_map(&self) -> Value<'a> {
        Value::map(self.entries.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect())
    }
}
