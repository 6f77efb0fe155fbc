//! Source text to tokens.

use super::SyntaxError;

/// One token and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    pub at: usize,
    pub token: Token,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Ident(String),
    /// A name in back-ticks, allowed where a field is selected.
    Quoted(String),
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Punct(&'static str),
    End,
}

impl Token {
    /// How the token is named in a message.
    pub fn text(&self) -> String {
        match self {
            Token::Ident(name) => name.clone(),
            Token::Quoted(name) => format!("`{name}`"),
            Token::Int(n) => n.to_string(),
            Token::Uint(n) => format!("{n}u"),
            Token::Double(n) => n.to_string(),
            Token::String(s) => format!("{s:?}"),
            Token::Bytes(_) => "bytes".into(),
            Token::Punct(p) => (*p).into(),
            Token::End => "<EOF>".into(),
        }
    }
}

const PUNCTS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*", "/", "%",
    "<", ">",
];

/// Reads the whole source.
pub(super) fn lex(source: &str) -> Result<Vec<Spanned>, SyntaxError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let token = lexer.next()?;
        let end = token == Token::End;
        tokens.push(Spanned { at, token });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !self.rest().starts_with("//") {
                return;
            }
            let line = self.rest().find('\n').unwrap_or(self.rest().len());
            self.at += line;
        }
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if let Some(token) = self.prefixed_string()? {
            return Ok(token);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let len = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest().len());
            let name = self.rest()[..len].to_owned();
            self.at += len;
            return Ok(Token::Ident(name));
        }
        let after_dot = self.rest()[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || first == '.' && after_dot {
            return self.number();
        }
        if first == '`' {
            return self.quoted();
        }
        for punct in PUNCTS {
            if self.rest().starts_with(punct) {
                self.at += punct.len();
                return Ok(Token::Punct(punct));
            }
        }
        Err(self.error(format!("token recognition error at: '{first}'")))
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { at: self.at, message: format!("Syntax error: {}", message.into()) }
    }

    fn quoted(&mut self) -> Result<Token, SyntaxError> {
        let rest = &self.source[self.at + 1..];
        let Some(len) = rest.find('`') else { return Err(self.error("token recognition error at: '`'")) };
        let name = rest[..len].to_owned();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c)) {
            return Err(self.error("token recognition error at: '`'"));
        }
        self.at += len + 2;
        Ok(Token::Quoted(name))
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let bad = |text: &str| format!("invalid number literal '{text}'");
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let len = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            let value = u64::from_str_radix(&hex[..len], 16).map_err(|_| self.error(bad(&rest[..len + 2])))?;
            return Ok(self.integer(len + 2, value));
        }
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let mut len = digits(rest);
        let mut double = false;
        if rest[len..].starts_with('.') && rest[len + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            len += 1 + digits(&rest[len + 1..]);
            double = true;
        }
        if rest[len..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[len + 1..].starts_with(['+', '-']));
            let exponent = digits(&rest[len + 1 + sign..]);
            if exponent > 0 {
                len += 1 + sign + exponent;
                double = true;
            }
        }
        let text = &rest[..len];
        if double {
            let value = text.parse().map_err(|_| self.error(bad(text)))?;
            self.at += len;
            return Ok(Token::Double(value));
        }
        let value = text.parse().map_err(|_| self.error(bad(text)))?;
        Ok(self.integer(len, value))
    }

    fn integer(&mut self, len: usize, value: u64) -> Token {
        self.at += len;
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            return Token::Uint(value);
        }
        Token::Int(value)
    }

    /// A string or bytes literal with its prefixes `r` and `b`, or nothing.
    fn prefixed_string(&mut self) -> Result<Option<Token>, SyntaxError> {
        let (mut raw, mut bytes) = (false, false);
        let mut len = 0;
        for c in self.rest().chars().take(2) {
            match c {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                _ => break,
            }
            len += 1;
        }
        let body = &self.source[self.at + len..];
        let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| body.starts_with(q)) else {
            return Ok(None);
        };
        let start = self.at + len + quote.len();
        let end = self.string_end(start, quote, raw)?;
        let text = &self.source[start..end];
        let token = if bytes {
            Token::Bytes(if raw {
                text.as_bytes().to_vec()
            } else {
                unescape(text, true).map_err(|m| self.error(m))?
            })
        } else if raw {
            Token::String(text.to_owned())
        } else {
            let unescaped = unescape(text, false).map_err(|m| self.error(m))?;
            Token::String(String::from_utf8_lossy(&unescaped).into_owned())
        };
        self.at = end + quote.len();
        Ok(Some(token))
    }

    fn string_end(&self, start: usize, quote: &str, raw: bool) -> Result<usize, SyntaxError> {
        let mut at = start;
        while at < self.source.len() {
            let rest = &self.source[at..];
            if rest.starts_with(quote) {
                return Ok(at);
            }
            let c = rest.chars().next().unwrap_or('\0');
            if quote.len() == 1 && (c == '\n' || c == '\r') {
                break;
            }
            at += c.len_utf8();
            if c == '\\' && !raw {
                at += self.source[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        Err(self.error(format!("token recognition error at: '{}'", self.rest())))
    }
}

fn unescape(text: &str, bytes: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next().ok_or("unable to unescape string, found '\\' as last character")?;
        rest = &rest[escape.len_utf8()..];
        let simple = match escape {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => Some(escape as u8),
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            continue;
        }
        let (digits, radix) = match escape {
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => (2, 8),
            _ => return Err("unable to unescape string".into()),
        };
        let text = rest.get(..digits).ok_or("unable to unescape string")?;
        let mut code = u32::from_str_radix(text, radix).map_err(|_| "unable to unescape string")?;
        rest = &rest[digits..];
        if radix == 8 {
            code += (escape as u32 - '0' as u32) * 64;
        }
        if bytes && digits <= 2 {
            out.push(code as u8);
        } else {
            let c = char::from_u32(code).ok_or("invalid unicode code point")?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(out)
}
