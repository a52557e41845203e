//! The tree of an expression.

use regex::Regex;

#[derive(Debug)]
pub struct Node {
    /// Byte offset in the source: that of the operator, where there is one.
    pub at: usize,
    /// The whole of it.
    pub span: std::ops::Range<usize>,
    /// Levels of nodes from here down.
    pub height: usize,
    /// A literal, or a list of such: it can be compared where it stands.
    pub constant: bool,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Name(String),
    /// `#`, or `#acc` and the like.
    Pointer(String),
    Not(Box<Node>),
    Negate(Box<Node>),
    Plus(Box<Node>),
    Binary(Op, Box<Node>, Box<Node>),
    /// `matches` with a constant pattern, compiled once.
    Matches(Box<Node>, Box<Regex>),
    Member {
        of: Box<Node>,
        property: Box<Node>,
        optional: bool,
    },
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    /// Where `?.` stops: nil inside makes the whole chain nil.
    Chain(Box<Node>),
    Method {
        of: Box<Node>,
        name: String,
        optional: bool,
        arguments: Vec<Node>,
    },
    Call {
        callee: Box<Node>,
        arguments: Vec<Node>,
    },
    Builtin {
        name: String,
        arguments: Vec<Node>,
    },
    Predicate(Box<Node>),
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Let {
        name: String,
        value: Box<Node>,
        body: Box<Node>,
    },
    Sequence(Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Or,
    And,
    Equal,
    Differ,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Op {
    pub fn shown(self) -> &'static str {
        match self {
            Op::Or => "||",
            Op::And => "&&",
            Op::Equal => "==",
            Op::Differ => "!=",
            Op::Less => "<",
            Op::LessEqual => "<=",
            Op::Greater => ">",
            Op::GreaterEqual => ">=",
            Op::In => "in",
            Op::Contains => "contains",
            Op::StartsWith => "startsWith",
            Op::EndsWith => "endsWith",
            Op::Matches => "matches",
            Op::Range => "..",
            Op::Add => "+",
            Op::Subtract => "-",
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Modulo => "%",
            Op::Power => "**",
            Op::Coalesce => "??",
        }
    }
}

impl Kind {
    /// Whether a node of this kind is a constant.
    pub fn is_constant(&self) -> bool {
        match self {
            Kind::List(items) => items.iter().all(|i| i.constant),
            kind => matches!(kind, Kind::Nil | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_)),
        }
    }
}

impl Node {
    pub fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Not(a)
            | Kind::Negate(a)
            | Kind::Plus(a)
            | Kind::Chain(a)
            | Kind::Predicate(a)
            | Kind::Matches(a, _) => vec![a],
            Kind::Binary(_, a, b) => vec![a, b],
            Kind::Member { of, property, .. } => vec![of, property],
            Kind::Slice { of, from, to } => {
                std::iter::once(&**of).chain(from.as_deref()).chain(to.as_deref()).collect()
            }
            Kind::Method { of, arguments, .. } => std::iter::once(&**of).chain(arguments).collect(),
            Kind::Call { callee, arguments } => std::iter::once(&**callee).chain(arguments).collect(),
            Kind::Builtin { arguments, .. } => arguments.iter().collect(),
            Kind::Conditional(a, b, c) => vec![a, b, c],
            Kind::List(l) | Kind::Sequence(l) => l.iter().collect(),
            Kind::Map(l) => l.iter().flat_map(|(k, v)| [k, v]).collect(),
            Kind::Let { value, body, .. } => vec![value, body],
            _ => Vec::new(),
        }
    }
}
