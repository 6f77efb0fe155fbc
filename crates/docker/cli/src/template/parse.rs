//! Template text to nodes: actions between braces, split into words, grouped by their `end`.

use super::TemplateError;
use serde_json::Value;

/// One piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { arms: Vec<(Pipeline, Vec<Node>)>, otherwise: Vec<Node> },
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    With { on: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
}

/// `$a, $b := command | command`.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub assign: Vec<String>,
    pub commands: Vec<Vec<Term>>,
    pub source: String,
}

/// One word of a command.
#[derive(Debug, Clone)]
pub(super) enum Term {
    /// `.A.B` relative to the current value; empty is the value itself.
    Field(Vec<String>),
    /// `$name.A.B`; the root value is `$`.
    Variable(String, Vec<String>),
    /// A function's name.
    Word(String),
    Literal(Value),
    /// `( pipeline ).A.B`
    Group(Box<Pipeline>, Vec<String>),
}

enum Piece {
    Text(String),
    Action(String),
}

/// Parses a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut pieces = split(text)?.into_iter();
    let (nodes, stop) = block(&mut pieces)?;
    match stop {
        None => Ok(nodes),
        Some(word) => Err(TemplateError::Parse(format!("unexpected {{{{{word}}}}}"))),
    }
}

/// Splits text and actions, applying the trim markers `{{-` and `-}}`.
fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let (before, action) = match rest.find("{{") {
            None => (rest, None),
            Some(at) => {
                let end = action_end(&rest[at + 2..]).ok_or_else(|| TemplateError::Parse("unclosed action".into()))?;
                (&rest[..at], Some((&rest[at + 2..at + 2 + end], &rest[at + 4 + end..])))
            }
        };
        let mut before = if trim { before.trim_start() } else { before };
        let Some((inner, after)) = action else {
            pieces.push(Piece::Text(before.to_string()));
            return Ok(pieces);
        };
        let mut inner = inner;
        if let Some(stripped) = inner.strip_prefix("- ") {
            before = before.trim_end();
            inner = stripped;
        }
        trim = inner.ends_with(" -");
        if trim {
            inner = &inner[..inner.len() - 2];
        }
        pieces.push(Piece::Text(before.to_string()));
        if !inner.trim().starts_with("/*") {
            pieces.push(Piece::Action(inner.trim().to_string()));
        }
        rest = after;
    }
}

/// Where the closing braces are, looking past quoted strings.
fn action_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, mark @ (b'"' | b'`')) => quote = Some(mark),
            (Some(b'"'), b'\\') => at += 1,
            (Some(mark), byte) if mark == byte => quote = None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Reads nodes up to `end` or `else ...`, which is returned.
fn block(pieces: &mut std::vec::IntoIter<Piece>) -> Result<(Vec<Node>, Option<String>), TemplateError> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                if !text.is_empty() {
                    nodes.push(Node::Text(text));
                }
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            "end" | "else" => return Ok((nodes, Some(action))),
            "if" => nodes.push(parse_if(rest, pieces)?),
            "range" => {
                let (body, otherwise) = body_and_else(pieces, "range")?;
                nodes.push(Node::Range { over: pipeline(rest)?, body, otherwise });
            }
            "with" => {
                let (body, otherwise) = body_and_else(pieces, "with")?;
                nodes.push(Node::With { on: pipeline(rest)?, body, otherwise });
            }
            _ => nodes.push(Node::Print(pipeline(&action)?)),
        }
    }
    Ok((nodes, None))
}

fn parse_if(condition: &str, pieces: &mut std::vec::IntoIter<Piece>) -> Result<Node, TemplateError> {
    let mut arms = Vec::new();
    let mut condition = pipeline(condition)?;
    loop {
        let (body, stop) = block(pieces)?;
        arms.push((condition, body));
        let stop = stop.ok_or_else(|| TemplateError::Parse("unexpected EOF in if".into()))?;
        if stop == "end" {
            return Ok(Node::If { arms, otherwise: Vec::new() });
        }
        match stop.strip_prefix("else").map(str::trim) {
            Some("") => {
                let (otherwise, stop) = block(pieces)?;
                expect_end(stop, "if")?;
                return Ok(Node::If { arms, otherwise });
            }
            Some(next) => {
                let next = next
                    .strip_prefix("if ")
                    .ok_or_else(|| TemplateError::Parse(format!("unexpected {{{{{stop}}}}}")))?;
                condition = pipeline(next)?;
            }
            None => return Err(TemplateError::Parse(format!("unexpected {{{{{stop}}}}}"))),
        }
    }
}

fn body_and_else(pieces: &mut std::vec::IntoIter<Piece>, what: &str) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
    let (body, stop) = block(pieces)?;
    if stop.as_deref() != Some("else") {
        expect_end(stop, what)?;
        return Ok((body, Vec::new()));
    }
    let (otherwise, stop) = block(pieces)?;
    expect_end(stop, what)?;
    Ok((body, otherwise))
}

fn expect_end(stop: Option<String>, what: &str) -> Result<(), TemplateError> {
    match stop.as_deref() {
        Some("end") => Ok(()),
        Some(other) => Err(TemplateError::Parse(format!("unexpected {{{{{other}}}}}"))),
        None => Err(TemplateError::Parse(format!("unexpected EOF in {what}"))),
    }
}

fn pipeline(text: &str) -> Result<Pipeline, TemplateError> {
    let mut words = Words { rest: text };
    let pipeline = words.pipeline(text, false)?;
    if !words.rest.trim().is_empty() {
        return Err(TemplateError::Parse(format!("unexpected {:?} in action", words.rest.trim())));
    }
    Ok(pipeline)
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn pipeline(&mut self, source: &str, grouped: bool) -> Result<Pipeline, TemplateError> {
        let mut assign = Vec::new();
        if let Some((left, right)) = self.rest.split_once(":=")
            && left.trim_start().starts_with('$')
            && !left.contains('"')
        {
            assign = left.split(',').map(|name| name.trim().trim_start_matches('$').to_string()).collect();
            self.rest = right;
        }
        let mut commands = vec![Vec::new()];
        loop {
            self.rest = self.rest.trim_start();
            let Some(next) = self.rest.chars().next() else { break };
            match next {
                '|' => {
                    self.rest = &self.rest[1..];
                    commands.push(Vec::new());
                }
                ')' if grouped => break,
                _ => {
                    let term = self.term(next)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(term);
                    }
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(TemplateError::Parse("missing value for command".into()));
        }
        Ok(Pipeline { assign, commands, source: source.trim().to_string() })
    }

    fn term(&mut self, next: char) -> Result<Term, TemplateError> {
        match next {
            '(' => {
                self.rest = &self.rest[1..];
                let source = self.rest.to_string();
                let inner = self.pipeline(&source, true)?;
                self.rest =
                    self.rest.strip_prefix(')').ok_or_else(|| TemplateError::Parse("unclosed left paren".into()))?;
                Ok(Term::Group(Box::new(inner), self.path()))
            }
            '"' => self.quoted(),
            '`' => {
                let end = self.rest[1..]
                    .find('`')
                    .ok_or_else(|| TemplateError::Parse("unterminated raw quoted string".into()))?;
                let text = self.rest[1..=end].to_string();
                self.rest = &self.rest[end + 2..];
                Ok(Term::Literal(Value::String(text)))
            }
            '.' => Ok(Term::Field(self.path())),
            '$' => {
                self.rest = &self.rest[1..];
                let name = self.name();
                Ok(Term::Variable(name, self.path()))
            }
            _ => self.word(),
        }
    }

    fn quoted(&mut self) -> Result<Term, TemplateError> {
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match stream.next() {
            Some(Ok(text)) => {
                self.rest = &self.rest[stream.byte_offset()..];
                Ok(Term::Literal(Value::String(text)))
            }
            _ => Err(TemplateError::Parse("unterminated quoted string".into())),
        }
    }

    fn word(&mut self) -> Result<Term, TemplateError> {
        let end = self.rest.find(|c: char| c.is_whitespace() || "|()".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(match word {
            "true" => Term::Literal(Value::Bool(true)),
            "false" => Term::Literal(Value::Bool(false)),
            "nil" => Term::Literal(Value::Null),
            _ if word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => {
                let number: serde_json::Number = word
                    .trim_start_matches('+')
                    .parse()
                    .map_err(|_| TemplateError::Parse(format!("bad number syntax: {word:?}")))?;
                Term::Literal(Value::Number(number))
            }
            _ if word.chars().all(|c| c.is_alphanumeric() || c == '_') && !word.is_empty() => {
                Term::Word(word.to_string())
            }
            _ => return Err(TemplateError::Parse(format!("unexpected {word:?} in operand"))),
        })
    }

    fn name(&mut self) -> String {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_string()
    }

    /// `.A.B`, or nothing.
    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            let name = self.name();
            if name.is_empty() {
                break;
            }
            path.push(name);
        }
        path
    }
}
