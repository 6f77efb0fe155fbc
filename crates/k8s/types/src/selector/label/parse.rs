//! The text of a query: words, symbols and the requirements they make.

use super::{LabelSelector, Operator, Requirement, SelectorError, key_error};
use crate::field::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
    Bad,
    End,
}

/// What is ahead, and its text; `in` and `notin` are words unless an operator is wanted.
struct Tokens<'a> {
    rest: &'a str,
    ahead: Option<(Token, &'a str)>,
}

pub(super) fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
    let mut tokens = Tokens { rest: text, ahead: None };
    let mut requirements = Vec::new();
    loop {
        match tokens.peek() {
            (Token::End, _) => break,
            (Token::Word | Token::Not, _) => {}
            (_, found) => return Err(syntax(format!("found '{found}', expected: !, identifier, or 'end of string'"))),
        }
        let requirement =
            requirement(&mut tokens).map_err(|error| syntax(format!("unable to parse requirement: {error}")))?;
        requirements.push(requirement);
        match tokens.next() {
            (Token::End, _) => break,
            (Token::Comma, _) => {
                let (ahead, found) = tokens.peek();
                if !matches!(ahead, Token::Word | Token::Not) {
                    return Err(syntax(format!("found '{found}', expected: identifier after ','")));
                }
            }
            (_, found) => return Err(syntax(format!("found '{found}', expected: ',' or 'end of string'"))),
        }
    }
    requirements.sort_by(|a: &Requirement, b| a.key.cmp(&b.key));
    Ok(LabelSelector::All(requirements))
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, SelectorError> {
    let negated = tokens.peek().0 == Token::Not;
    if negated {
        tokens.next();
    }
    let (token, key) = tokens.next();
    if token != Token::Word {
        return Err(syntax(format!("found '{key}', expected: identifier")));
    }
    if let Some(error) = key_error(key, &Path::root()) {
        return Err(SelectorError::Requirement(error.into()));
    }
    let alone = matches!(tokens.peek().0, Token::End | Token::Comma);
    let (operator, values) = match (negated, alone) {
        (true, _) => (Operator::DoesNotExist, Vec::new()),
        (false, true) => (Operator::Exists, Vec::new()),
        (false, false) => {
            let operator = operator(tokens)?;
            let values = match operator {
                Operator::In | Operator::NotIn => values(tokens)?,
                _ => vec![exact_value(tokens)?],
            };
            (operator, values)
        }
    };
    Requirement::new(key, operator, values, &Path::root()).map_err(SelectorError::Requirement)
}

fn operator(tokens: &mut Tokens<'_>) -> Result<Operator, SelectorError> {
    Ok(match tokens.next_operator() {
        (Token::In, _) => Operator::In,
        (Token::NotIn, _) => Operator::NotIn,
        (Token::Equals, _) => Operator::Equals,
        (Token::DoubleEquals, _) => Operator::DoubleEquals,
        (Token::NotEquals, _) => Operator::NotEquals,
        (Token::Greater, _) => Operator::GreaterThan,
        (Token::Less, _) => Operator::LessThan,
        (_, found) => return Err(syntax(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"))),
    })
}

/// `(a,b)`; what is missing between commas is an empty value.
fn values(tokens: &mut Tokens<'_>) -> Result<Vec<String>, SelectorError> {
    let (token, found) = tokens.next();
    if token != Token::Open {
        return Err(syntax(format!("found '{found}' expected: '('")));
    }
    let (first, first_text) = tokens.peek();
    match first {
        Token::Word | Token::Comma => {
            let values = word_list(tokens)?;
            match tokens.next() {
                (Token::Close, _) => Ok(values),
                _ => Err(syntax(format!("found '{first_text}', expected: ')'"))),
            }
        }
        Token::Close => {
            tokens.next();
            Ok(vec![String::new()])
        }
        _ => Err(syntax(format!("found '{first_text}', expected: ',', ')' or identifier"))),
    }
}

fn word_list(tokens: &mut Tokens<'_>) -> Result<Vec<String>, SelectorError> {
    let mut values = Vec::new();
    loop {
        match tokens.next() {
            (Token::Word, text) => {
                values.push(text.to_owned());
                match tokens.peek() {
                    (Token::Comma, _) => {}
                    (Token::Close, _) => return Ok(values),
                    (_, found) => return Err(syntax(format!("found '{found}', expected: ',' or ')'"))),
                }
            }
            (Token::Comma, _) => {
                if values.is_empty() {
                    values.push(String::new());
                }
                match tokens.peek().0 {
                    Token::Close => {
                        values.push(String::new());
                        return Ok(values);
                    }
                    Token::Comma => values.push(String::new()),
                    _ => {}
                }
            }
            (_, found) => return Err(syntax(format!("found '{found}', expected: ',', or identifier"))),
        }
    }
}

fn exact_value(tokens: &mut Tokens<'_>) -> Result<String, SelectorError> {
    if matches!(tokens.peek().0, Token::End | Token::Comma) {
        return Ok(String::new());
    }
    match tokens.next() {
        (Token::Word, text) => Ok(text.to_owned()),
        (_, found) => Err(syntax(format!("found '{found}', expected: identifier"))),
    }
}

fn syntax(text: String) -> SelectorError {
    SelectorError::Syntax(text)
}

impl<'a> Tokens<'a> {
    fn next_operator(&mut self) -> (Token, &'a str) {
        match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.scan(),
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let (token, text) = self.next_operator();
        (as_value(token), text)
    }

    fn peek(&mut self) -> (Token, &'a str) {
        let (token, text) = self.next_operator();
        self.ahead = Some((token, text));
        (as_value(token), text)
    }

    fn scan(&mut self) -> (Token, &'a str) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        // Kubernetes takes a zero byte for the end
        match self.rest.chars().next() {
            None | Some('\0') => (Token::End, ""),
            Some(first) if is_symbol(first) => self.symbol(),
            Some(_) => {
                let end = self.rest.find(|c| is_symbol(c) || " \t\r\n\0".contains(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                match word {
                    "in" => (Token::In, word),
                    "notin" => (Token::NotIn, word),
                    _ => (Token::Word, word),
                }
            }
        }
    }

    /// The longest symbol ahead.
    fn symbol(&mut self) -> (Token, &'a str) {
        const SYMBOLS: [(&str, Token); 9] = [
            ("==", Token::DoubleEquals),
            ("!=", Token::NotEquals),
            ("=", Token::Equals),
            ("!", Token::Not),
            (")", Token::Close),
            ("(", Token::Open),
            (",", Token::Comma),
            (">", Token::Greater),
            ("<", Token::Less),
        ];
        let found = SYMBOLS.iter().find(|(text, _)| self.rest.starts_with(text));
        let (text, token) = found.copied().unwrap_or((self.rest, Token::Bad));
        let (text, rest) = self.rest.split_at(text.len());
        self.rest = rest;
        (token, text)
    }
}

fn is_symbol(c: char) -> bool {
    "=!(),><".contains(c)
}

fn as_value(token: Token) -> Token {
    if matches!(token, Token::In | Token::NotIn) { Token::Word } else { token }
}
