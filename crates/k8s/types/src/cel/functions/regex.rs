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
    let regex = RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
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
