//! Functions with regular expressions.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use ::regex::{Regex, RegexBuilder};

use super::{Cost, Function, no_overload};
use crate::cel::EvalError;
use crate::cel::value::Value;

/// `matches`, `find`, `findAll`.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "matches",
        signatures: &["(string, string): bool", ".(string, string): bool"],
        cost: Cost::Regex,
        run: |args| {
            let (text, regex) = parts(args)?;
            Ok(Value::Bool(regex.is_match(text)))
        },
    },
    Function {
        name: "find",
        signatures: &[".(string, string): string"],
        cost: Cost::Regex,
        run: |args| {
            let (text, regex) = parts(args)?;
            Ok(Value::text(regex.find(text).map_or("", |found| found.as_str())))
        },
    },
    Function {
        name: "findAll",
        signatures: &[".(string, string): list<string>", ".(string, string, int): list<string>"],
        cost: Cost::Regex,
        run: |args| {
            let (text, regex) = parts(args)?;
            let limit = match args.get(2) {
                None => usize::MAX,
                Some(Value::Int(n)) => usize::try_from(*n).unwrap_or(usize::MAX),
                Some(_) => return no_overload(),
            };
            let found = regex.find_iter(text).filter(|found| !found.is_empty()).take(limit);
            Ok(Value::list(found.map(|found| Value::text(found.as_str())).collect()))
        },
    },
];

fn parts<'v>(args: &'v [Value<'_>]) -> Result<(&'v str, Regex), EvalError> {
    match (args[0].as_str(), args[1].as_str()) {
        (Some(text), Some(pattern)) => Ok((text, compile(pattern).map_err(EvalError::new)?)),
        _ => Err(EvalError::new("no such overload")),
    }
}

/// How many patterns are kept compiled.
const KEPT: usize = 256;

/// Compiles `pattern`, or takes it from those compiled before.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    static CACHE: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let cached = |cache: &HashMap<String, Regex>| cache.get(pattern).cloned();
    if let Some(regex) = cached(&CACHE.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(regex);
    }
    let regex = RegexBuilder::new(&translate(pattern))
        .size_limit(10 << 20)
        .dfa_size_limit(2 << 20)
        .build()
        .map_err(|error| format!("error parsing regexp: {}", one_line(&error.to_string())))?;
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= KEPT {
        cache.clear();
    }
    cache.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

fn one_line(message: &str) -> String {
    message.lines().last().unwrap_or(message).trim().trim_start_matches("error: ").to_owned()
}

/// From the syntax of RE2 to that of the `regex` crate: `\d`, `\w`, `\s` and `\b` know ASCII only, a bracket inside a class is itself, and a brace
/// that does not repeat is itself.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut class = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (text, used) = escape(after, class);
                out.push_str(&text);
                rest = &after[used..];
                continue;
            }
            '[' if !class => {
                class = true;
                out.push('[');
                // The first bracket that closes belongs to the class.
                let negated = after.strip_prefix('^');
                out.push_str(if negated.is_some() { "^" } else { "" });
                let inner = negated.unwrap_or(after);
                rest = inner.strip_prefix(']').unwrap_or(inner);
                if rest.len() < inner.len() {
                    out.push_str("\\]");
                }
                continue;
            }
            '[' => match after.strip_prefix(':').and_then(|name| name.find(":]")) {
                Some(length) => {
                    out.push_str(&rest[..length + 4]);
                    rest = &rest[length + 4..];
                    continue;
                }
                None => out.push_str("\\["),
            },
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' | '#' | ' ' if class => out.extend(['\\', c]),
            '-' if class && after.starts_with('-') => out.push_str("\\-"),
            '{' if !class && !repeats(after) => out.push_str("\\{"),
            c => out.push(c),
        }
        rest = after;
    }
    out
}

/// What stands for the escape whose letter begins `after`, and how much of it that is.
fn escape(after: &str, class: bool) -> (String, usize) {
    let Some(letter) = after.chars().next() else { return ("\\".into(), 0) };
    let set = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        _ => "",
    };
    let text = match (letter, class) {
        ('d' | 'w' | 's', true) => set.to_owned(),
        ('d' | 'w' | 's', false) => format!("[{set}]"),
        ('D' | 'W' | 'S', _) => format!("[^{set}]"),
        ('b' | 'B', false) => format!("(?-u:\\{letter})"),
        ('Q', false) => {
            let end = after.find("\\E").unwrap_or(after.len());
            return (::regex::escape(&after[1..end]), (end + 2).min(after.len()));
        }
        _ => format!("\\{letter}"),
    };
    (text, letter.len_utf8())
}

/// Whether what follows a brace is a repetition: `2}`, `2,}`, `2,3}`.
fn repeats(after: &str) -> bool {
    let Some(end) = after.find('}') else { return false };
    let (least, most) = after[..end].split_once(',').unwrap_or((&after[..end], ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}
