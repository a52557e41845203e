//! When a trigger fires: dependencies joined by `&&`, `||` and parentheses.

use std::collections::BTreeSet;

/// How deep a condition may be nested.
const DEPTH: usize = 100;
/// Bytes that a condition may have.
const LENGTH: usize = 16 << 10;

/// A condition over the names of dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The dependency has an event.
    Dependency(String),
    /// All of them.
    All(Vec<Condition>),
    /// One of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// All dependencies: what a trigger without a condition waits for.
    pub fn all<S: Into<String>>(dependencies: impl IntoIterator<Item = S>) -> Self {
        Condition::All(dependencies.into_iter().map(|d| Condition::Dependency(d.into())).collect())
    }

    /// Parses a condition; every name in it must be one of `dependencies`. `&&` binds closer than `||`.
    ///
    /// ```
    /// use sensor::condition::Condition;
    /// let condition = Condition::parse("(push || tag) && nightly", &["push", "tag", "nightly"]).unwrap();
    /// assert!(condition.holds(&|name| name != "push"));
    /// assert_eq!(Condition::parse("a && ", &["a"]).unwrap_err(), "the name of a dependency is missing at the end");
    /// ```
    pub fn parse(text: &str, dependencies: &[&str]) -> Result<Self, String> {
        if text.len() > LENGTH {
            return Err(format!("it has {} bytes, {LENGTH} are possible", text.len()));
        }
        let mut parser = Parser { text, at: 0, depth: 0, dependencies };
        let out = parser.any()?;
        parser.blanks();
        match parser.rest() {
            "" => Ok(out),
            rest => Err(format!(
                "{:?} at position {} is not expected: join dependencies with && and ||",
                first(rest),
                parser.at + 1
            )),
        }
    }

    /// Whether it holds, given which dependencies have an event.
    pub fn holds(&self, has: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Condition::Dependency(name) => has(name),
            Condition::All(parts) => parts.iter().all(|p| p.holds(has)),
            Condition::Any(parts) => parts.iter().any(|p| p.holds(has)),
        }
    }

    /// The dependencies that it names.
    pub fn names(&self) -> BTreeSet<&str> {
        match self {
            Condition::Dependency(name) => BTreeSet::from([name.as_str()]),
            Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(Condition::names).collect(),
        }
    }
}

fn first(rest: &str) -> String {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    rest[..end].to_owned()
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    dependencies: &'t [&'t str],
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(sign);
        self.at += if there { sign.len() } else { 0 };
        there
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err(format!("parentheses are nested more than {DEPTH} deep"));
            }
            let opened = self.at;
            let inside = self.any()?;
            self.depth -= 1;
            return if self.take(")") {
                Ok(inside)
            } else {
                Err(format!("the parenthesis at position {opened} is not closed"))
            };
        }
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "()&|!^=".contains(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        match name {
            "" if rest.is_empty() => Err("the name of a dependency is missing at the end".into()),
            "" => {
                Err(format!("the name of a dependency is expected at position {}, not {:?}", self.at + 1, first(rest)))
            }
            name if self.dependencies.contains(&name) => {
                self.at += end;
                Ok(Condition::Dependency(name.to_owned()))
            }
            name => Err(format!(
                "{name:?} at position {} is no dependency: there is {}",
                self.at + 1,
                self.dependencies.join(", ")
            )),
        }
    }
}
