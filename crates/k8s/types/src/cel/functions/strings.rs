//! Functions on text.

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::value::Value;

/// `contains` to `strings.quote`.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "contains",
        signatures: &[".(string, string): bool"],
        cost: Cost::Product,
        run: |args| test(args, |text, part| text.contains(part)),
    },
    Function {
        name: "startsWith",
        signatures: &[".(string, string): bool"],
        cost: Cost::TextOfSecond,
        run: |args| test(args, |text, part| text.starts_with(part)),
    },
    Function {
        name: "endsWith",
        signatures: &[".(string, string): bool"],
        cost: Cost::TextOfSecond,
        run: |args| test(args, |text, part| text.ends_with(part)),
    },
    Function {
        name: "lowerAscii",
        signatures: &[".(string): string"],
        cost: Cost::Text(1),
        run: |args| map(args, |text| text.to_ascii_lowercase()),
    },
    Function {
        name: "upperAscii",
        signatures: &[".(string): string"],
        cost: Cost::Text(1),
        run: |args| map(args, |text| text.to_ascii_uppercase()),
    },
    Function {
        name: "trim",
        signatures: &[".(string): string"],
        cost: Cost::Text(1),
        run: |args| map(args, |text| text.trim().to_owned()),
    },
    Function {
        name: "strings.quote",
        signatures: &["(string): string"],
        cost: Cost::Text(1),
        run: |args| map(args, quote),
    },
    Function { name: "charAt", signatures: &[".(string, int): string"], cost: Cost::Text(1), run: char_at },
    Function {
        name: "substring",
        signatures: &[".(string, int): string", ".(string, int, int): string"],
        cost: Cost::Text(1),
        run: substring,
    },
    Function {
        name: "replace",
        signatures: &[".(string, string, string): string", ".(string, string, string, int): string"],
        cost: Cost::Text(2),
        run: replace,
    },
    Function {
        name: "split",
        signatures: &[".(string, string): list<string>", ".(string, string, int): list<string>"],
        cost: Cost::Text(2),
        run: split,
    },
    Function {
        name: "join",
        signatures: &[".(list<string>): string", ".(list<string>, string): string"],
        cost: Cost::Result,
        run: join,
    },
];

fn test<'a>(args: &[Value<'a>], f: fn(&str, &str) -> bool) -> Outcome<'a> {
    match (args[0].as_str(), args[1].as_str()) {
        (Some(text), Some(part)) => Ok(Value::Bool(f(text, part))),
        _ => no_overload(),
    }
}

fn map<'a>(args: &[Value<'a>], f: fn(&str) -> String) -> Outcome<'a> {
    args[0].as_str().map_or_else(no_overload, |text| Ok(Value::text(f(text))))
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn index(n: i64) -> Result<usize, EvalError> {
    usize::try_from(n).map_err(|_| EvalError::new(format!("index out of range: {n}")))
}

fn char_at<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Some(text), Value::Int(n)) = (args[0].as_str(), &args[1]) else { return no_overload() };
    let at = index(*n)?;
    match text.chars().nth(at) {
        Some(c) => Ok(Value::text(c.to_string())),
        None if text.chars().count() == at => Ok(Value::text("")),
        None => Err(EvalError::new(format!("index out of range: {n}"))),
    }
}

fn substring<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Some(text) = args[0].as_str() else { return no_overload() };
    let length = text.chars().count();
    let (start, end) = match args {
        [_, Value::Int(start)] => (index(*start)?, length),
        [_, Value::Int(start), Value::Int(end)] if start > end => {
            return Err(EvalError::new(format!("invalid substring range. start: {start}, end: {end}")));
        }
        [_, Value::Int(start), Value::Int(end)] => (index(*start)?, index(*end)?),
        _ => return no_overload(),
    };
    if start > length || end > length {
        return Err(EvalError::new(format!("index out of range: {}", if start > length { start } else { end })));
    }
    Ok(Value::text(text.chars().skip(start).take(end - start).collect::<String>()))
}

fn replace<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Some(text), Some(from), Some(to)) = (args[0].as_str(), args[1].as_str(), args[2].as_str()) else {
        return no_overload();
    };
    let limit = match args.get(3) {
        None => usize::MAX,
        Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
        Some(_) => return no_overload(),
    };
    let found = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    let grown = found.min(limit).saturating_mul(to.len()).saturating_add(text.len());
    if grown > super::super::MAX_VALUE {
        return Err(EvalError::new("result is too large"));
    }
    Ok(Value::text(text.replacen(from, to, limit)))
}

fn split<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Some(text), Some(by)) = (args[0].as_str(), args[1].as_str()) else { return no_overload() };
    let limit = match args.get(2) {
        None => usize::MAX,
        Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
        Some(_) => return no_overload(),
    };
    let parts: Vec<Value<'a>> = if by.is_empty() {
        let mut chars = text.char_indices();
        let mut parts: Vec<Value<'a>> =
            chars.by_ref().take(limit.saturating_sub(1)).map(|(_, c)| Value::text(c.to_string())).collect();
        if let Some((at, _)) = chars.next().filter(|_| limit > 0) {
            parts.push(Value::text(&text[at..]));
        }
        parts
    } else {
        text.splitn(limit, by).map(Value::text).collect()
    };
    Ok(Value::list(parts))
}

fn join<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let by = match args.get(1) {
        None => "",
        Some(by) => match by.as_str() {
            Some(by) => by,
            None => return no_overload(),
        },
    };
    let mut out = String::new();
    for (n, item) in list.iter().enumerate() {
        let Some(text) = item.as_str() else { return no_overload() };
        if n > 0 {
            out.push_str(by);
        }
        out.push_str(text);
        if out.len() > super::super::MAX_VALUE {
            return Err(EvalError::new("result is too large"));
        }
    }
    Ok(Value::text(out))
}
