//! From tokens to a tree, by operator precedence.

use crate::Functions;
use crate::ast::{Kind, Node, Op};
use crate::builtins;
use crate::error::Error;
use crate::lexer::{Spanned, Token, tokens};

/// Nesting that an expression may have.
pub const MAX_DEPTH: usize = 128;
/// Height of the tree: `a + b + c …` nests to the left without nesting in the source.
const MAX_HEIGHT: usize = 1000;
/// Parts that an expression may have.
const MAX_NODES: usize = 10_000;
/// Bytes that an expression may have.
const MAX_SOURCE: usize = 256 * 1024;

pub fn parse(source: &str, functions: Functions) -> Result<Node, Error> {
    if source.len() > MAX_SOURCE {
        return Err(Error::compile(0, format!("the expression is longer than {MAX_SOURCE} bytes")));
    }
    let tokens = tokens(source)?;
    let mut p = Parser { tokens, at: 0, closures: 0, depth: 0, nodes: 0, functions };
    let root = p.sequence()?;
    if p.token() != &Token::End {
        return Err(p.unexpected("an operator or the end"));
    }
    Ok(root)
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    /// How many predicates we are in: `#` has a meaning only there.
    closures: usize,
    depth: usize,
    nodes: usize,
    functions: Functions,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

fn binary(operator: &str) -> Option<(Op, u32, Side)> {
    Some(match operator {
        "or" | "||" => (Op::Or, 10, Side::Left),
        "and" | "&&" => (Op::And, 15, Side::Left),
        "==" => (Op::Equal, 20, Side::Left),
        "!=" => (Op::Differ, 20, Side::Left),
        "<" => (Op::Less, 20, Side::Left),
        "<=" => (Op::LessEqual, 20, Side::Left),
        ">" => (Op::Greater, 20, Side::Left),
        ">=" => (Op::GreaterEqual, 20, Side::Left),
        "in" => (Op::In, 20, Side::Left),
        "contains" => (Op::Contains, 20, Side::Left),
        "startsWith" => (Op::StartsWith, 20, Side::Left),
        "endsWith" => (Op::EndsWith, 20, Side::Left),
        "matches" => (Op::Matches, 20, Side::Left),
        ".." => (Op::Range, 25, Side::Left),
        "+" => (Op::Add, 30, Side::Left),
        "-" => (Op::Subtract, 30, Side::Left),
        "*" => (Op::Multiply, 60, Side::Left),
        "/" => (Op::Divide, 60, Side::Left),
        "%" => (Op::Modulo, 60, Side::Left),
        "**" | "^" => (Op::Power, 100, Side::Right),
        "??" => (Op::Coalesce, 500, Side::Left),
        _ => return None,
    })
}

fn is_comparison(op: Op) -> bool {
    matches!(op, Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual)
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at].token
    }
    fn position(&self) -> usize {
        self.tokens[self.at].at
    }
    fn advance(&mut self) -> Token {
        let t = self.tokens[self.at].token.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        t
    }
    fn is_operator(&self, o: &str) -> bool {
        matches!(self.token(), Token::Operator(x) if *x == o)
    }
    fn is_bracket(&self, c: char) -> bool {
        self.token() == &Token::Bracket(c)
    }
    /// What stands here is not what may; `wanted` says what is.
    fn unexpected(&self, wanted: &str) -> Error {
        let hint = match self.token() {
            Token::Operator("=") if self.at > 0 => "; to compare write `==`".to_owned(),
            Token::End => format!("; the expression ends where {wanted} is missing"),
            _ => format!(", expected {wanted}"),
        };
        Error::compile(self.position(), format!("unexpected token {}{hint}", self.token().shown()))
    }
    fn expect_operator(&mut self, o: &str) -> Result<(), Error> {
        if self.is_operator(o) {
            self.advance();
            return Ok(());
        }
        Err(self.unexpected(&if o == "," { "`,` or what closes the list".to_owned() } else { format!("`{o}`") }))
    }
    fn expect_bracket(&mut self, c: char) -> Result<(), Error> {
        if self.is_bracket(c) {
            self.advance();
            return Ok(());
        }
        Err(self.unexpected(&format!("`{c}`")))
    }
    fn expect_name(&mut self) -> Result<String, Error> {
        match self.token().clone() {
            Token::Name(n) => {
                self.advance();
                Ok(n)
            }
            _ => Err(self.unexpected("a name")),
        }
    }
    fn node(&mut self, at: usize, kind: Kind) -> Result<Node, Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Error::compile(
                at,
                format!("compilation failed: expression exceeds maximum allowed nodes ({MAX_NODES})"),
            ));
        }
        let until = self.at.checked_sub(1).map_or(0, |i| self.tokens[i].until);
        let constant = kind.is_constant();
        let mut node = Node { at, span: at..until, height: 0, constant, kind };
        node.span.start = node.children().iter().map(|c| c.span.start).fold(at, usize::min);
        node.height = 1 + node.children().iter().map(|c| c.height).max().unwrap_or(0);
        if node.height > MAX_HEIGHT {
            return Err(Error::compile(
                at,
                format!("the expression chains more than {MAX_HEIGHT} operations; split it"),
            ));
        }
        Ok(node)
    }

    fn sequence(&mut self) -> Result<Node, Error> {
        let at = self.position();
        let mut nodes = vec![self.expression(0)?];
        while self.is_operator(";") {
            self.advance();
            if self.token() == &Token::End {
                break;
            }
            nodes.push(self.expression(0)?);
        }
        match nodes.pop() {
            Some(one) if nodes.is_empty() => Ok(one),
            Some(last) => {
                nodes.push(last);
                self.node(at, Kind::Sequence(nodes))
            }
            None => Err(self.unexpected("a value")),
        }
    }

    fn expression(&mut self, precedence: u32) -> Result<Node, Error> {
        self.nested(|p| p.expression_inner(precedence))
    }

    /// Goes one level deeper.
    fn nested(&mut self, f: impl FnOnce(&mut Self) -> Result<Node, Error>) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::compile(
                self.position(),
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let out = crate::with_room(|| f(self));
        self.depth -= 1;
        out
    }

    fn expression_inner(&mut self, precedence: u32) -> Result<Node, Error> {
        if precedence == 0 && self.is_operator("let") {
            return self.variable();
        }
        if precedence == 0 && self.is_operator("if") {
            return self.if_else();
        }
        let mut left = self.primary()?;
        let mut previous = "";
        while let Token::Operator(operator) = *self.token() {
            let at = self.position();
            let mut negate = false;
            let mut name = operator;
            if operator == "not" {
                let Some(Token::Operator(next)) = self.tokens.get(self.at + 1).map(|t| t.token.clone()) else { break };
                if !matches!(next, "in" | "contains" | "startsWith" | "endsWith" | "matches") {
                    break;
                }
                negate = true;
                name = next;
            }
            if name == "|" {
                if precedence > 0 {
                    break;
                }
                self.advance();
                let at = self.position();
                let callee = self.expect_name()?;
                left = self.call(at, callee, vec![left])?;
                previous = name;
                continue;
            }
            let Some((op, strength, side)) = binary(name) else { break };
            if strength < precedence {
                break;
            }
            if negate {
                self.advance();
            }
            self.advance();
            if previous == "??" && name != "??" {
                return Err(Error::compile(
                    at,
                    format!(
                        "Operator ({name}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                    ),
                ));
            }
            left = if is_comparison(op) {
                self.comparison(left, op, at, strength)?
            } else {
                let right = self.expression(if side == Side::Left { strength + 1 } else { strength })?;
                self.operation(at, op, left, right)?
            };
            if negate {
                left = self.node(at, Kind::Not(Box::new(left)))?;
            }
            previous = name;
        }
        if precedence == 0 { self.conditional(left) } else { Ok(left) }
    }

    /// A constant pattern is compiled here, so that a bad one is refused at once.
    fn operation(&mut self, at: usize, op: Op, left: Node, right: Node) -> Result<Node, Error> {
        if op == Op::Matches
            && let Kind::Text(pattern) = &right.kind
        {
            let regex = re2::compile(pattern).map_err(|m| Error::compile(at, m))?;
            return self.node(at, Kind::Matches(Box::new(left), Box::new(regex)));
        }
        self.node(at, Kind::Binary(op, Box::new(left), Box::new(right)))
    }

    /// `a < b < c` means `a < b && b < c`.
    fn comparison(&mut self, left: Node, op: Op, at: usize, strength: u32) -> Result<Node, Error> {
        let middle_at = self.at;
        let right = self.expression(strength + 1)?;
        let mut root = self.node(at, Kind::Binary(op, Box::new(left), Box::new(right)))?;
        let mut last_operand = middle_at;
        while let Token::Operator(o) = *self.token() {
            let Some((next, _, _)) = binary(o).filter(|(op, _, _)| is_comparison(*op)) else { break };
            let at = self.position();
            self.advance();
            // The middle operand is read again: it belongs to both comparisons.
            let resume = self.at;
            self.at = last_operand;
            let again = self.expression(strength + 1)?;
            self.at = resume;
            let right = self.expression(strength + 1)?;
            last_operand = resume;
            let more = self.node(at, Kind::Binary(next, Box::new(again), Box::new(right)))?;
            root = self.node(at, Kind::Binary(Op::And, Box::new(root), Box::new(more)))?;
        }
        Ok(root)
    }

    fn variable(&mut self) -> Result<Node, Error> {
        let at = self.position();
        self.advance();
        let name_at = self.position();
        let name = self.expect_name()?;
        self.expect_operator("=")?;
        let value = self.expression(0)?;
        self.expect_operator(";")?;
        if builtins::is_builtin(&name) {
            return Err(Error::compile(name_at, format!("cannot redeclare builtin {name}")));
        }
        let body = self.sequence()?;
        self.node(at, Kind::Let { name, value: Box::new(value), body: Box::new(body) })
    }

    fn if_else(&mut self) -> Result<Node, Error> {
        let at = self.position();
        self.advance();
        let condition = self.expression(0)?;
        self.expect_bracket('{')?;
        let yes = self.sequence()?;
        self.expect_bracket('}')?;
        self.expect_operator("else")?;
        let no = if self.is_operator("if") {
            self.nested(Self::if_else)?
        } else {
            self.expect_bracket('{')?;
            let no = self.sequence()?;
            self.expect_bracket('}')?;
            no
        };
        self.node(at, Kind::Conditional(Box::new(condition), Box::new(yes), Box::new(no)))
    }

    fn conditional(&mut self, mut left: Node) -> Result<Node, Error> {
        loop {
            let at = self.position();
            if self.is_operator("?:") {
                self.advance();
                let no = self.expression(0)?;
                // The condition is also the answer; it is read once more rather than remembered.
                let source = self.copy_of(&left)?;
                left = self.node(at, Kind::Conditional(Box::new(left), Box::new(source), Box::new(no)))?;
            } else if self.is_operator("?") {
                self.advance();
                if self.is_operator(":") {
                    self.advance();
                    let no = self.expression(0)?;
                    let source = self.copy_of(&left)?;
                    left = self.node(at, Kind::Conditional(Box::new(left), Box::new(source), Box::new(no)))?;
                    continue;
                }
                let yes = self.expression(0)?;
                self.expect_operator(":")?;
                let no = self.expression(0)?;
                left = self.node(at, Kind::Conditional(Box::new(left), Box::new(yes), Box::new(no)))?;
            } else {
                return Ok(left);
            }
        }
    }

    /// The same sub-expression again, from its tokens.
    fn copy_of(&mut self, node: &Node) -> Result<Node, Error> {
        let resume = self.at;
        let first = first_position(node);
        self.at = self.tokens.iter().position(|t| t.at == first).unwrap_or(resume);
        let copy = self.expression(1);
        self.at = resume;
        copy
    }

    fn primary(&mut self) -> Result<Node, Error> {
        let at = self.position();
        if let Token::Operator(o) = *self.token() {
            let unary = match o {
                "not" | "!" => Some(50),
                "-" | "+" => Some(90),
                _ => None,
            };
            if let Some(strength) = unary {
                self.advance();
                let operand = Box::new(self.expression(strength)?);
                let kind = match o {
                    "-" => Kind::Negate(operand),
                    "+" => Kind::Plus(operand),
                    // Folded, so that it decides beside `&&` and `||` as a constant does.
                    _ if matches!(operand.kind, Kind::Bool(_)) => Kind::Bool(matches!(operand.kind, Kind::Bool(false))),
                    _ => Kind::Not(operand),
                };
                let node = self.node(at, kind)?;
                return self.postfix(node);
            }
        }
        if self.is_bracket('(') {
            self.advance();
            let mut inner = self.sequence()?;
            self.expect_bracket(')')?;
            inner.span = at..self.tokens[self.at - 1].until;
            return self.postfix(inner);
        }
        if self.closures > 0 && (self.is_operator("#") || self.is_operator(".")) {
            let mut name = String::new();
            if self.is_operator("#") {
                self.advance();
                if let Token::Name(n) = self.token().clone() {
                    name = n;
                    self.advance();
                }
            }
            let node = self.node(at, Kind::Pointer(name))?;
            return self.postfix(node);
        }
        if self.is_operator("::") {
            self.advance();
            let at = self.position();
            let name = self.expect_name()?;
            let node = self.call(at, name, Vec::new())?;
            return self.postfix(node);
        }
        self.secondary()
    }

    fn secondary(&mut self) -> Result<Node, Error> {
        let at = self.position();
        let node = match self.token().clone() {
            Token::Name(n) => {
                self.advance();
                match n.as_str() {
                    "true" | "false" => return self.node(at, Kind::Bool(n == "true")),
                    "nil" => return self.node(at, Kind::Nil),
                    _ if self.is_bracket('(') => self.call(at, n, Vec::new())?,
                    _ => self.node(at, Kind::Name(n))?,
                }
            }
            Token::Int(n) => {
                self.advance();
                return self.node(at, Kind::Int(n));
            }
            Token::Float(n) => {
                self.advance();
                return self.node(at, Kind::Float(n));
            }
            Token::Text(s) => {
                self.advance();
                self.node(at, Kind::Text(s))?
            }
            Token::Bytes(b) => {
                self.advance();
                self.node(at, Kind::Bytes(b))?
            }
            Token::Bracket('[') => self.list(at)?,
            Token::Bracket('{') => self.map(at)?,
            _ => return Err(self.unexpected("a value")),
        };
        self.postfix(node)
    }

    fn list(&mut self, at: usize) -> Result<Node, Error> {
        self.advance();
        let mut out = Vec::new();
        while !self.is_bracket(']') {
            if !out.is_empty() {
                self.expect_operator(",")?;
                if self.is_bracket(']') {
                    break;
                }
            }
            out.push(self.expression(0)?);
        }
        self.expect_bracket(']')?;
        self.node(at, Kind::List(out))
    }

    fn map(&mut self, at: usize) -> Result<Node, Error> {
        self.advance();
        let mut out = Vec::new();
        while !self.is_bracket('}') {
            if !out.is_empty() {
                self.expect_operator(",")?;
                if self.is_bracket('}') {
                    break;
                }
                if self.is_operator(",") {
                    return Err(self.unexpected("a value"));
                }
            }
            let key_at = self.position();
            let key = match self.token().clone() {
                Token::Name(n) => {
                    self.advance();
                    self.node(key_at, Kind::Text(n))?
                }
                Token::Text(s) => {
                    self.advance();
                    self.node(key_at, Kind::Text(s))?
                }
                Token::Int(n) => {
                    self.advance();
                    self.node(key_at, Kind::Text(n.to_string()))?
                }
                Token::Float(n) => {
                    self.advance();
                    self.node(key_at, Kind::Text(n.to_string()))?
                }
                Token::Bracket('(') => self.expression(0)?,
                other => {
                    let text = "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses";
                    return Err(Error::compile(key_at, format!("{text} (unexpected token {})", other.shown())));
                }
            };
            self.expect_operator(":")?;
            out.push((key, self.expression(0)?));
        }
        self.expect_bracket('}')?;
        self.node(at, Kind::Map(out))
    }

    fn call(&mut self, at: usize, name: String, mut arguments: Vec<Node>) -> Result<Node, Error> {
        if let Some(shape) = builtins::predicate(&name) {
            self.expect_bracket('(')?;
            for kind in shape.iter().skip(arguments.len()) {
                if kind.optional && self.is_bracket(')') {
                    break;
                }
                if !self.just_opened() {
                    self.expect_operator(",")?;
                    if kind.optional && self.is_bracket(')') {
                        break;
                    }
                }
                let argument = if kind.predicate { self.predicate()? } else { self.expression(0)? };
                arguments.push(argument);
            }
            if self.is_operator(",") {
                self.advance();
            }
            self.expect_bracket(')')?;
            return self.node(at, Kind::Builtin { name, arguments });
        }
        let arguments = self.arguments(arguments)?;
        if builtins::is_builtin(&name)
            || (self.functions == Functions::Metadata && builtins::is_metadata_function(&name))
        {
            return self.node(at, Kind::Builtin { name, arguments });
        }
        let callee = self.node(at, Kind::Name(name))?;
        self.node(at, Kind::Call { callee: Box::new(callee), arguments })
    }

    /// Whether the last token was the opening parenthesis: a piped call has no comma before its first own argument.
    fn just_opened(&self) -> bool {
        self.at > 0 && self.tokens[self.at - 1].token == Token::Bracket('(')
    }

    fn arguments(&mut self, mut out: Vec<Node>) -> Result<Vec<Node>, Error> {
        let piped = out.len();
        self.expect_bracket('(')?;
        while !self.is_bracket(')') {
            if out.len() > piped {
                self.expect_operator(",")?;
            }
            if self.is_bracket(')') {
                break;
            }
            out.push(self.expression(0)?);
        }
        self.expect_bracket(')')?;
        Ok(out)
    }

    fn predicate(&mut self) -> Result<Node, Error> {
        let at = self.position();
        let braces = self.is_bracket('{');
        if braces {
            self.advance();
        }
        self.closures += 1;
        let body = if braces { self.sequence() } else { self.expression(0) };
        self.closures -= 1;
        let body = body?;
        if braces {
            self.expect_bracket('}')?;
        } else if self.is_operator(";") {
            return Err(Error::compile(self.position(), "wrap predicate with brackets { and }"));
        }
        self.node(at, Kind::Predicate(Box::new(body)))
    }

    fn postfix(&mut self, mut node: Node) -> Result<Node, Error> {
        loop {
            let at = self.position();
            let optional = self.is_operator("?.");
            if optional || self.is_operator(".") {
                self.advance();
                if optional && self.is_bracket('[') {
                    node = self.index(node, true)?;
                    continue;
                }
                let name_at = self.position();
                let name = match self.advance() {
                    Token::Name(n) => n,
                    Token::Operator(o) if o.starts_with(|c: char| c.is_alphabetic()) => o.to_owned(),
                    _ => return Err(Error::compile(name_at, "expected name")),
                };
                let (inner, chained) = unchain(node);
                node = if self.is_bracket('(') {
                    let arguments = self.arguments(Vec::new())?;
                    self.node(name_at, Kind::Method { of: Box::new(inner), name, optional, arguments })?
                } else {
                    let property = self.node(name_at, Kind::Text(name))?;
                    self.node(name_at, Kind::Member { of: Box::new(inner), property: Box::new(property), optional })?
                };
                if chained || optional {
                    node = self.node(at, Kind::Chain(Box::new(node)))?;
                }
            } else if self.is_bracket('[') {
                node = self.index(node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn index(&mut self, node: Node, optional: bool) -> Result<Node, Error> {
        let at = self.position();
        self.advance();
        let (of, chained) = unchain(node);
        let of = Box::new(of);
        let end = |p: &mut Self| -> Result<Option<Box<Node>>, Error> {
            if p.is_bracket(']') { Ok(None) } else { Ok(Some(Box::new(p.expression(0)?))) }
        };
        let kind = if self.is_operator(":") {
            self.advance();
            Kind::Slice { of, from: None, to: end(self)? }
        } else {
            let first = self.expression(0)?;
            if self.is_operator(":") {
                self.advance();
                Kind::Slice { of, from: Some(Box::new(first)), to: end(self)? }
            } else {
                Kind::Member { of, property: Box::new(first), optional }
            }
        };
        self.expect_bracket(']')?;
        let node = self.node(at, kind)?;
        if chained || optional { self.node(at, Kind::Chain(Box::new(node))) } else { Ok(node) }
    }
}

/// Takes a chain apart, so that what follows becomes part of it.
fn unchain(node: Node) -> (Node, bool) {
    match node.kind {
        Kind::Chain(inner) => (*inner, true),
        kind => (Node { kind, ..node }, false),
    }
}

fn first_position(node: &Node) -> usize {
    node.children().iter().map(|c| first_position(c)).chain([node.at]).min().unwrap_or(node.at)
}
