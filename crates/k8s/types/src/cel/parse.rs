//! Tokens to a syntax tree; macros are recognised here.

use super::SyntaxError;
use super::ast::{Expr, Fold, Kind, Macro, Op};
use super::lex::{Spanned, Token, lex};

/// How deep an expression may nest.
const MAX_DEPTH: usize = 100;
/// How long an expression may be, in bytes.
const MAX_LENGTH: usize = 100_000;
/// How deep the tree may be; chains of operators are deep without nesting.
const MAX_TREE: usize = 250;

/// Words that no identifier may be, though they mean nothing.
pub(crate) const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

/// Parses `source`.
pub(super) fn parse(source: &str) -> Result<Expr, SyntaxError> {
    if source.len() > MAX_LENGTH {
        let message = format!("expression code point size exceeds limit: size: {}, limit {MAX_LENGTH}", source.len());
        return Err(SyntaxError { at: 0, message });
    }
    let mut parser = Parser { tokens: lex(source)?, at: 0, depth: 0 };
    let expr = parser.expr()?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => Err(parser.syntax(format!("mismatched input '{}' expecting <EOF>", other.text()))),
    }
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn here(&self) -> usize {
        self.tokens[self.at].at
    }

    fn syntax(&self, message: String) -> SyntaxError {
        SyntaxError { at: self.here(), message: format!("Syntax error: {message}") }
    }

    fn bump(&mut self) -> Token {
        let token = self.tokens[self.at].token.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = matches!(self.peek(), Token::Punct(p) if *p == punct);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, punct: &str) -> Result<(), SyntaxError> {
        if self.eat(punct) {
            return Ok(());
        }
        Err(self.syntax(format!("mismatched input '{}' expecting '{punct}'", self.peek().text())))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            let message = format!("expression recursion limit exceeded: {MAX_DEPTH}");
            return Err(SyntaxError { at: self.here(), message });
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn expr(&mut self) -> Result<Expr, SyntaxError> {
        self.nested(|p| {
            let at = p.here();
            let condition = p.or()?;
            if !p.eat("?") {
                return Ok(condition);
            }
            let yes = p.or()?;
            p.expect(":")?;
            let no = p.expr()?;
            Ok(Expr::new(at, Kind::Cond(Box::new([condition, yes, no]))))
        })
    }

    fn or(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.here();
        let mut items = vec![self.and()?];
        while self.eat("||") {
            items.push(self.and()?);
        }
        Ok(match items.len() {
            1 => items.remove(0),
            _ => Expr::new(at, Kind::Or(items)),
        })
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.here();
        let mut items = vec![self.relation()?];
        while self.eat("&&") {
            items.push(self.relation()?);
        }
        Ok(match items.len() {
            1 => items.remove(0),
            _ => Expr::new(at, Kind::And(items)),
        })
    }

    fn relation(&mut self) -> Result<Expr, SyntaxError> {
        self.chain(Self::sum, |token| {
            Some(match token {
                Token::Punct("==") => Op::Eq,
                Token::Punct("!=") => Op::Ne,
                Token::Punct("<") => Op::Lt,
                Token::Punct("<=") => Op::Le,
                Token::Punct(">") => Op::Gt,
                Token::Punct(">=") => Op::Ge,
                Token::Ident(word) if word == "in" => Op::In,
                _ => return None,
            })
        })
    }

    fn sum(&mut self) -> Result<Expr, SyntaxError> {
        self.chain(Self::product, |token| match token {
            Token::Punct("+") => Some(Op::Add),
            Token::Punct("-") => Some(Op::Sub),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Expr, SyntaxError> {
        self.chain(Self::unary, |token| match token {
            Token::Punct("*") => Some(Op::Mul),
            Token::Punct("/") => Some(Op::Div),
            Token::Punct("%") => Some(Op::Rem),
            _ => None,
        })
    }

    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Result<Expr, SyntaxError>,
        op: fn(&Token) -> Option<Op>,
    ) -> Result<Expr, SyntaxError> {
        let mut left = operand(self)?;
        while let Some(op) = op(self.peek()) {
            self.check_depth(&left)?;
            let at = self.here();
            self.bump();
            let right = operand(self)?;
            left = Expr::new(at, Kind::Binary(op, Box::new([left, right])));
        }
        Ok(left)
    }

    fn check_depth(&self, left: &Expr) -> Result<(), SyntaxError> {
        if left.depth < MAX_TREE {
            return Ok(());
        }
        Err(SyntaxError { at: self.here(), message: format!("expression recursion limit exceeded: {MAX_TREE}") })
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.here();
        if self.eat("!") {
            let of = self.nested(Self::unary)?;
            return Ok(Expr::new(at, Kind::Not(Box::new(of))));
        }
        if self.eat("-") {
            // The smallest integer exists only with its sign.
            if let Token::Int(n) = *self.peek()
                && n == i64::MAX as u64 + 1
            {
                self.bump();
                return self.postfix(Expr::new(at, Kind::Int(i64::MIN)));
            }
            let of = self.nested(Self::unary)?;
            let kind = match of.kind {
                Kind::Int(n) => Kind::Int(-n),
                Kind::Double(n) => Kind::Double(-n),
                kind => Kind::Neg(Box::new(Expr::new(of.at, kind))),
            };
            return Ok(Expr::new(at, kind));
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn postfix(&mut self, mut left: Expr) -> Result<Expr, SyntaxError> {
        loop {
            let at = self.here();
            if self.eat(".") {
                self.check_depth(&left)?;
                let optional = self.eat("?");
                let name_at = self.here();
                let field = match self.bump() {
                    Token::Ident(name) | Token::Quoted(name) => name,
                    other => {
                        let message = format!("Syntax error: no viable alternative at input '.{}'", other.text());
                        return Err(SyntaxError { at: name_at, message });
                    }
                };
                if !optional && self.eat("(") {
                    let args = self.list(")")?;
                    left = member_call(at, left, field, args)?;
                } else {
                    left = Expr::new(at, Kind::Select { of: Box::new(left), field, optional });
                }
            } else if self.eat("[") {
                self.check_depth(&left)?;
                let optional = self.eat("?");
                let index = Box::new(self.expr()?);
                self.expect("]")?;
                left = Expr::new(at, Kind::Index { of: Box::new(left), index, optional });
            } else {
                break;
            }
        }
        Ok(left)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>, SyntaxError> {
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(self.expr()?);
            if !self.eat(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.here();
        let kind = match self.bump() {
            Token::Int(n) => Kind::Int(
                i64::try_from(n)
                    .map_err(|_| SyntaxError { at, message: "Syntax error: invalid int literal".into() })?,
            ),
            Token::Uint(n) => Kind::Uint(n),
            Token::Double(n) => Kind::Double(n),
            Token::String(s) => Kind::String(s),
            Token::Bytes(b) => Kind::Bytes(b),
            Token::Punct("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Punct("[") => Kind::List(self.list_literal()?),
            Token::Punct("{") => Kind::Map(self.map_literal()?),
            Token::Punct(".") => match self.bump() {
                Token::Ident(name) => return self.name(at, name),
                other => return Err(unexpected(at, &other)),
            },
            Token::Ident(name) => return self.name(at, name),
            other => return Err(unexpected(at, &other)),
        };
        Ok(Expr::new(at, kind))
    }

    fn name(&mut self, at: usize, name: String) -> Result<Expr, SyntaxError> {
        let kind = match name.as_str() {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            _ if RESERVED.contains(&name.as_str()) => {
                return Err(SyntaxError { at, message: format!("reserved identifier: {name}") });
            }
            _ if self.eat("(") => {
                let args = self.list(")")?;
                return global_call(at, name, args);
            }
            _ => Kind::Ident(name),
        };
        Ok(Expr::new(at, kind))
    }

    fn list_literal(&mut self) -> Result<Vec<(Expr, bool)>, SyntaxError> {
        let mut items = Vec::new();
        while !self.eat("]") {
            let optional = self.eat("?");
            items.push((self.expr()?, optional));
            if !self.eat(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn map_literal(&mut self) -> Result<Vec<(Expr, Expr, bool)>, SyntaxError> {
        let mut entries = Vec::new();
        while !self.eat("}") {
            let optional = self.eat("?");
            let key = self.expr()?;
            self.expect(":")?;
            let value = self.expr()?;
            entries.push((key, value, optional));
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

fn unexpected(at: usize, token: &Token) -> SyntaxError {
    let message = match token {
        Token::End => "Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', \
                       'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
            .into(),
        other => format!("Syntax error: extraneous input '{}'", other.text()),
    };
    SyntaxError { at, message }
}

fn global_call(at: usize, function: String, mut args: Vec<Expr>) -> Result<Expr, SyntaxError> {
    if function == "has" && args.len() == 1 {
        return match args.remove(0).kind {
            Kind::Select { of, field, optional: false } => Ok(Expr::new(at, Kind::Has { of, field })),
            _ => Err(SyntaxError { at, message: "invalid argument to has() macro".into() }),
        };
    }
    Ok(Expr::new(at, Kind::Call { target: None, function, args }))
}

fn member_call(at: usize, target: Expr, function: String, args: Vec<Expr>) -> Result<Expr, SyntaxError> {
    let macro_ = match (function.as_str(), args.len()) {
        ("all", 2 | 3) => Macro::All,
        ("exists", 2 | 3) => Macro::Exists,
        ("exists_one" | "existsOne", 2 | 3) => Macro::ExistsOne,
        ("map", 2 | 3) => Macro::Map,
        ("filter", 2) => Macro::Filter,
        ("transformList", 3 | 4) => Macro::TransformList,
        ("transformMap", 3 | 4) => Macro::TransformMap,
        ("transformMapEntry", 3 | 4) => Macro::TransformMapEntry,
        ("optMap" | "optFlatMap", 2) => return opt_map(at, target, function == "optFlatMap", args),
        _ => return Ok(Expr::new(at, Kind::Call { target: Some(Box::new(target)), function, args })),
    };
    let two = match macro_ {
        Macro::All | Macro::Exists | Macro::ExistsOne => args.len() == 3,
        Macro::Map | Macro::Filter => false,
        _ => true,
    };
    let mut args = args.into_iter();
    let mut vars = Vec::new();
    for arg in args.by_ref().take(if two { 2 } else { 1 }) {
        match arg.kind {
            Kind::Ident(name) if !name.starts_with("__") && !vars.contains(&name) => vars.push(name),
            _ => return Err(SyntaxError { at: arg.at, message: "argument is not an identifier".into() }),
        }
    }
    let mut rest: Vec<Expr> = args.collect();
    let Some(body) = rest.pop() else {
        return Err(SyntaxError { at, message: "macro without a body".into() });
    };
    let fold = Fold { macro_, range: target, vars, guard: rest.pop(), body };
    Ok(Expr::new(at, Kind::Fold(Box::new(fold))))
}

fn opt_map(at: usize, target: Expr, flat: bool, args: Vec<Expr>) -> Result<Expr, SyntaxError> {
    let mut args = args.into_iter();
    match (args.next().map(|a| a.kind), args.next()) {
        (Some(Kind::Ident(var)), Some(body)) => {
            Ok(Expr::new(at, Kind::OptMap { of: Box::new(target), var, body: Box::new(body), flat }))
        }
        _ => Err(SyntaxError { at, message: "optMap() variable name must be a simple identifier".into() }),
    }
}
