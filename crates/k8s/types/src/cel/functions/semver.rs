//! Semantic versions.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Cost, Function, Outcome, no_overload};
use crate::cel::EvalError;
use crate::cel::value::Value;

/// A version of three numbers, with a pre-release if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    pre: Vec<String>,
}

/// `semver`, `isSemver` and what versions have. `isGreaterThan`, `isLessThan` and `compareTo` are with the quantities.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "semver",
        signatures: &["(string): kubernetes.Semver", "(string, bool): kubernetes.Semver"],
        cost: Cost::Text(1),
        run: |args| match parse(args)? {
            Some(version) => Ok(Value::Semver(Arc::new(version))),
            None => Err(EvalError::new("Semver parse error during conversion from string")),
        },
    },
    Function {
        name: "isSemver",
        signatures: &["(string): bool", "(string, bool): bool"],
        cost: Cost::Text(1),
        run: |args| Ok(Value::Bool(parse(args)?.is_some())),
    },
    Function { name: "major", signatures: &[".(kubernetes.Semver): int"], cost: Cost::One, run: |args| part(args, 0) },
    Function { name: "minor", signatures: &[".(kubernetes.Semver): int"], cost: Cost::One, run: |args| part(args, 1) },
    Function { name: "patch", signatures: &[".(kubernetes.Semver): int"], cost: Cost::One, run: |args| part(args, 2) },
];

fn part<'a>(args: &[Value<'a>], index: usize) -> Outcome<'a> {
    match &args[0] {
        Value::Semver(version) => Ok(Value::Int(version.numbers[index] as i64)),
        _ => no_overload(),
    }
}

fn parse(args: &[Value<'_>]) -> Result<Option<Semver>, EvalError> {
    let normalize = matches!(args.get(1), Some(Value::Bool(true)));
    match args[0].as_str() {
        Some(text) if normalize => Ok(Semver::parse(&normalized(text))),
        Some(text) => Ok(Semver::parse(text)),
        None => Err(EvalError::new("no such overload")),
    }
}

/// Without a leading `v` and leading zeros, with all three numbers.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut parts: Vec<&str> = numbers.splitn(3, '.').collect();
    for part in &mut parts {
        let trimmed = part.trim_start_matches('0');
        *part = if trimmed.is_empty() && !part.is_empty() { "0" } else { trimmed };
    }
    parts.resize(3, "0");
    format!("{}{rest}", parts.join("."))
}

impl Semver {
    fn parse(text: &str) -> Option<Semver> {
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
            return None;
        }
        let (numbers, pre) = text.split_once('-').map_or((text, None), |(numbers, pre)| (numbers, Some(pre)));
        let mut parsed = [0; 3];
        let mut parts = numbers.split('.');
        for number in &mut parsed {
            *number = parts.next().filter(|part| is_number(part))?.parse().ok()?;
        }
        if parts.next().is_some() {
            return None;
        }
        let pre: Vec<String> = pre.map(|pre| pre.split('.').map(str::to_owned).collect()).unwrap_or_default();
        let digits = |part: &String| part.bytes().all(|b| b.is_ascii_digit());
        let fine = pre.iter().all(|part| is_identifier(part) && (!digits(part) || is_number(part)));
        fine.then_some(Semver { numbers: parsed, pre })
    }

    /// The order of precedence.
    pub(crate) fn compare(&self, other: &Semver) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        if numbers != Ordering::Equal {
            return numbers;
        }
        match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {}
        }
        for (a, b) in self.pre.iter().zip(&other.pre) {
            let order = match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        self.pre.len().cmp(&other.pre.len())
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0'))
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
