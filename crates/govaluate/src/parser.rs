//! Puts tokens together. Every operator of one level binds to the left.

use crate::DEPTH;
use crate::lexer::{Kind, Token};
use crate::value::Value;
use regex::Regex;

#[derive(Debug)]
pub enum Node {
    Value(Value),
    Variable(String),
    /// A pattern that was compiled beforehand.
    Pattern(Regex),
    Prefix(char, Box<Node>),
    Binary(String, Box<Node>, Box<Node>),
    /// Nothing between parentheses.
    Nothing,
}

impl Node {
    pub fn names<'n>(&'n self, out: &mut Vec<&'n str>) {
        match self {
            Node::Variable(name) => out.push(name),
            Node::Prefix(_, right) => right.names(out),
            Node::Binary(_, left, right) => {
                left.names(out);
                right.names(out);
            }
            Node::Value(_) | Node::Pattern(_) | Node::Nothing => {}
        }
    }
}

/// Operators by level, the loosest first.
const LEVELS: [&[&str]; 10] = [
    &[","],
    &["?", ":", "??"],
    &["||"],
    &["&&"],
    &["==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"],
    &["&", "|", "^"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
    &["**"],
];

pub fn parse(tokens: Vec<Token>) -> Result<Node, String> {
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let node = parser.level(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(node),
        Some(token) => Err(format!("Unable to plan token kind: '{}'", token.text)),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn level(&mut self, level: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.prefixed() };
        let mut left = self.level(level + 1)?;
        let mut length = 0;
        while let Some(token) = self.tokens.get(self.at) {
            let operator = matches!(
                token.kind,
                Kind::Modifier | Kind::Comparator | Kind::Logical | Kind::Ternary | Kind::Separator
            );
            if !operator || !operators.contains(&&*token.text) {
                break;
            }
            // A chain is as deep as it is long.
            length += 1;
            if length > DEPTH * 10 {
                return Err("the expression is too long".into());
            }
            let symbol = token.text.clone();
            self.at += 1;
            let right = match self.level(level + 1)? {
                Node::Value(Value::Text(pattern)) if symbol == "=~" || symbol == "!~" => {
                    Node::Pattern(re2::compile(&pattern)?)
                }
                other => other,
            };
            left = Node::Binary(symbol, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn prefixed(&mut self) -> Result<Node, String> {
        let Some(token) = self.tokens.get(self.at).cloned() else { return Ok(Node::Nothing) };
        self.at += 1;
        Ok(match token.kind {
            Kind::Prefix => {
                let symbol = token.text.chars().next().unwrap_or('!');
                Node::Prefix(symbol, Box::new(self.deeper(Self::prefixed)?))
            }
            Kind::Open => {
                let inside = self.deeper(|p| p.level(0))?;
                self.at += 1;
                inside
            }
            Kind::Close => {
                self.at -= 1;
                Node::Nothing
            }
            Kind::Numeric | Kind::Time => Node::Value(Value::Number(token.number)),
            Kind::Boolean => Node::Value(Value::Bool(token.text == "true")),
            Kind::Text => Node::Value(Value::Text(token.text)),
            Kind::Variable | Kind::Accessor => Node::Variable(token.text),
            _ => return Err(format!("Unable to plan token kind: '{}'", token.text)),
        })
    }

    fn deeper(&mut self, f: impl Fn(&mut Self) -> Result<Node, String>) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("the expression is nested more than {DEPTH} deep"));
        }
        let node = f(self);
        self.depth -= 1;
        node
    }
}
