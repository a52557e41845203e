//! Puts pieces together to a tree.

use crate::lexer::{Piece, Word, error, pieces, words};
use crate::{DEPTH, functions};

#[derive(Debug)]
pub enum Node {
    Text(String),
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

/// `$a, $b := command | command`
#[derive(Debug, Default)]
pub struct Pipeline {
    pub variables: Vec<String>,
    /// `=`: the variables are there already.
    pub assigns: bool,
    pub commands: Vec<Command>,
    pub line: usize,
}

/// A value, or a function with what it is called with.
#[derive(Debug)]
pub struct Command(pub Vec<Operand>);

#[derive(Debug)]
pub enum Operand {
    Function(&'static str),
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Fields(Vec<String>),
    Variable(String, Vec<String>),
    Nested(Box<Pipeline>, Vec<String>),
}

pub fn parse(template: &str) -> Result<Vec<Node>, String> {
    let mut parser =
        Parser { pieces: pieces(template)?.into_iter(), variables: vec!["$".into()], depth: 0, ranges: 0, line: 1 };
    match parser.list()? {
        (nodes, End::Template) => Ok(nodes),
        (_, End::Close) => Err(error(parser.line, "unexpected {{end}}")),
        (_, End::Else(_)) => Err(error(parser.line, "unexpected {{else}}")),
    }
}

struct Parser<'t> {
    pieces: std::vec::IntoIter<Piece<'t>>,
    /// Variables that can be named here.
    variables: Vec<String>,
    depth: usize,
    ranges: usize,
    line: usize,
}

/// What a list of nodes ended with.
enum End {
    Template,
    Close,
    /// The words after `else`.
    Else(Vec<Word>),
}

#[derive(Clone, Copy, PartialEq)]
enum Block {
    If,
    With,
    Range,
}

impl Parser<'_> {
    fn list(&mut self) -> Result<(Vec<Node>, End), String> {
        let mut out = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (action, line) = match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    out.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(action, line) => (action, line),
            };
            self.line = line;
            let words = words(action, line)?;
            let keyword = match words.first() {
                Some(Word::Name(name)) => name.as_str(),
                Some(_) => "",
                None => return Err(error(line, "missing value for command")),
            };
            out.push(match keyword {
                "end" => return Ok((out, End::Close)),
                "else" => return Ok((out, End::Else(words[1..].to_vec()))),
                "if" => self.block(Block::If, &words[1..])?,
                "with" => self.block(Block::With, &words[1..])?,
                "range" => self.block(Block::Range, &words[1..])?,
                "break" | "continue" if self.ranges == 0 => {
                    return Err(error(line, format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                }
                "break" => Node::Break,
                "continue" => Node::Continue,
                "define" | "template" | "block" => {
                    return Err(error(
                        line,
                        format!("{{{{{keyword}}}}} is not supported: write its text where it is used"),
                    ));
                }
                _ => Node::Action(self.whole(&words, line, false)?),
            });
        }
        Ok((out, End::Template))
    }

    fn block(&mut self, block: Block, words: &[Word]) -> Result<Node, String> {
        let line = self.line;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(error(line, format!("actions are nested more than {DEPTH} deep")));
        }
        let known = self.variables.len();
        let pipeline = self.whole(words, line, block == Block::Range)?;
        self.ranges += usize::from(block == Block::Range);
        let (body, end) = self.list()?;
        self.ranges -= usize::from(block == Block::Range);
        let otherwise = match end {
            End::Close => Vec::new(),
            End::Template => return Err(error(self.line, "unexpected EOF")),
            End::Else(words) => match words.first() {
                None => match self.list()? {
                    (nodes, End::Close) => nodes,
                    (_, End::Else(_)) => return Err(error(self.line, "expected end; found {{else}}")),
                    (_, End::Template) => return Err(error(self.line, "unexpected EOF")),
                },
                Some(Word::Name(name)) if name == "if" && block == Block::If => {
                    vec![self.block(Block::If, &words[1..])?]
                }
                Some(Word::Name(name)) if name == "with" && block == Block::With => {
                    vec![self.block(Block::With, &words[1..])?]
                }
                Some(_) => return Err(error(self.line, "unexpected words after else")),
            },
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(match block {
            Block::If => Node::If(pipeline, body, otherwise),
            Block::With => Node::With(pipeline, body, otherwise),
            Block::Range => Node::Range(pipeline, body, otherwise),
        })
    }

    /// A pipeline that takes all the words.
    fn whole(&mut self, words: &[Word], line: usize, range: bool) -> Result<Pipeline, String> {
        let mut at = 0;
        let pipeline = self.pipeline(words, &mut at, line, range)?;
        if at < words.len() {
            return Err(error(line, "unexpected right paren"));
        }
        Ok(pipeline)
    }

    fn pipeline(&mut self, words: &[Word], at: &mut usize, line: usize, range: bool) -> Result<Pipeline, String> {
        let mut out = Pipeline { line, ..Pipeline::default() };
        let bare = |i: usize| match words.get(i) {
            Some(Word::Variable(name, fields)) if fields.is_empty() => Some(name.clone()),
            _ => None,
        };
        if let (Some(name), Some(Word::Declare | Word::Assign)) = (bare(*at), words.get(*at + 1)) {
            out.variables = vec![name];
            *at += 1;
        } else if let (Some(first), Some(Word::Comma), Some(second), true) =
            (bare(*at), words.get(*at + 1), bare(*at + 2), range)
        {
            out.variables = vec![first, second];
            *at += 3;
        }
        if !out.variables.is_empty() {
            out.assigns = match words.get(*at) {
                Some(Word::Assign) => true,
                Some(Word::Declare) => false,
                _ => return Err(error(line, "expected := or = after the variables")),
            };
            *at += 1;
            if out.assigns {
                self.known(&out.variables[0], line)?;
            }
        }
        loop {
            let command = self.command(words, at, line)?;
            if !out.commands.is_empty()
                && !matches!(command.0.first(), Some(Operand::Function(_) | Operand::Fields(_) | Operand::Variable(..)))
            {
                return Err(error(line, "non executable command in pipeline"));
            }
            out.commands.push(command);
            match words.get(*at) {
                Some(Word::Pipe) => *at += 1,
                _ => break,
            }
        }
        if !out.assigns {
            self.variables.extend(out.variables.iter().cloned());
        }
        Ok(out)
    }

    fn known(&self, name: &str, line: usize) -> Result<(), String> {
        if self.variables.iter().any(|v| v == name) {
            Ok(())
        } else {
            Err(error(line, format!("undefined variable {name:?}")))
        }
    }

    fn command(&mut self, words: &[Word], at: &mut usize, line: usize) -> Result<Command, String> {
        let mut out = Vec::new();
        while let Some(word) = words.get(*at) {
            *at += 1;
            out.push(match word {
                Word::Pipe | Word::Close(_) => {
                    *at -= 1;
                    break;
                }
                Word::Name(name) => match &**name {
                    "true" => Operand::Bool(true),
                    "false" => Operand::Bool(false),
                    "nil" => Operand::Nil,
                    name => Operand::Function(
                        functions::known(name).ok_or_else(|| error(line, format!("function {name:?} not defined")))?,
                    ),
                },
                Word::Field(fields) if fields.is_empty() => Operand::Dot,
                Word::Field(fields) => Operand::Fields(fields.clone()),
                Word::Variable(name, fields) => {
                    self.known(name, line)?;
                    Operand::Variable(name.clone(), fields.clone())
                }
                Word::Text(s) => Operand::Text(s.clone()),
                Word::Int(n) => Operand::Int(*n),
                Word::Float(f) => Operand::Float(*f),
                Word::Open => {
                    self.depth += 1;
                    if self.depth > DEPTH {
                        return Err(error(line, format!("parentheses are nested more than {DEPTH} deep")));
                    }
                    let inside = self.pipeline(words, at, line, false)?;
                    self.depth -= 1;
                    let Some(Word::Close(fields)) = words.get(*at) else {
                        return Err(error(line, "unclosed left paren"));
                    };
                    *at += 1;
                    Operand::Nested(Box::new(inside), fields.clone())
                }
                Word::Comma | Word::Declare | Word::Assign => return Err(error(line, "unexpected sign in operand")),
            });
        }
        if out.is_empty() {
            return Err(error(line, "missing value for command"));
        }
        Ok(Command(out))
    }
}
