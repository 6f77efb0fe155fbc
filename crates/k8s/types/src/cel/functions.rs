//! The functions of expressions: signatures for the checker, costs, and what they do.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::EvalError;
use super::types::{Keyed, Kind, Type, UNBOUNDED};
use super::value::Value;

mod core;
mod format;
mod lists;
mod named;
pub(super) mod net;
mod operators;
mod quantity;
mod regex;
pub(super) mod semver;
mod strings;
mod times;

pub(super) use self::core::{add, arithmetic, convert_text};
pub(crate) use self::regex::compile as compile_regex;
pub use quantity::Amount;

/// What a function returns.
pub(super) type Outcome<'a> = Result<Value<'a>, EvalError>;

/// A function of all its signatures.
pub(super) struct Function {
    /// Its name, with a namespace if it has one.
    pub name: &'static str,
    /// `(string, int): bool`, with a leading dot where the first argument stands before the dot.
    pub signatures: &'static [&'static str],
    /// What a call costs.
    pub cost: Cost,
    /// Does it. The arguments fit at least one signature as far as is known before; else "no such overload".
    pub run: for<'a> fn(&[Value<'a>]) -> Outcome<'a>,
}

/// What a call costs beside its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cost {
    /// As much as any node.
    One,
    /// One look at every element of the first argument.
    Elements,
    /// Reading the first argument so many times, as text.
    Text(u64),
    /// Reading the second argument, as text.
    TextOfSecond,
    /// Searching the second argument in the first.
    Product,
    /// A regular expression, the second argument, over the first.
    Regex,
    /// Every element of the first with every element of the second.
    Pairs,
    /// Building the result as text.
    Result,
}

/// A tenth, rounded up: what reading text of that length costs.
pub(super) fn text_cost(length: u64) -> u64 {
    length.saturating_add(9) / 10
}

impl Cost {
    /// The cost given the sizes of the arguments and of the result.
    pub fn of(self, sizes: &[u64], result: u64) -> u64 {
        let size = |index: usize| sizes.get(index).copied().unwrap_or(1);
        match self {
            Cost::One => 1,
            Cost::Elements => size(0).saturating_add(1),
            Cost::Text(times) => text_cost(size(0).saturating_mul(times)).max(1),
            Cost::TextOfSecond => text_cost(size(1)).max(1),
            Cost::Product => text_cost(size(0)).saturating_mul(text_cost(size(1))).max(1),
            Cost::Regex => {
                let pattern = size(1).saturating_add(3) / 4;
                text_cost(size(0).saturating_add(1)).saturating_mul(pattern).max(1)
            }
            Cost::Pairs => size(0).saturating_mul(size(1)).saturating_add(1),
            Cost::Result => text_cost(result.saturating_mul(2)).max(1),
        }
    }
}

/// One signature of a function.
#[derive(Debug)]
pub(super) struct Signature {
    /// Whether the first argument stands before the dot.
    pub member: bool,
    /// The types of the arguments.
    pub args: Vec<Type>,
    /// The type of the result.
    pub result: Type,
}

/// A function with its signatures read.
pub(super) struct Known {
    pub function: &'static Function,
    pub signatures: Vec<Signature>,
}

/// The function of that name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    static ALL: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| {
        let groups = [
            core::FUNCTIONS,
            strings::FUNCTIONS,
            lists::FUNCTIONS,
            regex::FUNCTIONS,
            net::FUNCTIONS,
            quantity::FUNCTIONS,
            semver::FUNCTIONS,
            format::FUNCTIONS,
            named::FUNCTIONS,
            times::FUNCTIONS,
            operators::FUNCTIONS,
        ];
        let all = groups.into_iter().flatten();
        all.map(|function| (function.name, known(function))).collect()
    });
    ALL.get(name)
}

fn known(function: &'static Function) -> Known {
    Known { function, signatures: function.signatures.iter().map(|text| signature(text)).collect() }
}

fn signature(text: &'static str) -> Signature {
    let (member, text) = text.strip_prefix('.').map_or((false, text), |rest| (true, rest));
    let (args, result) = text.rsplit_once("): ").expect("a signature has a result");
    let args = args.trim_start_matches('(');
    let args = if args.is_empty() { Vec::new() } else { split(args).into_iter().map(type_of).collect() };
    Signature { member, args, result: type_of(result) }
}

/// Splits at commas outside brackets.
fn split(text: &'static str) -> Vec<&'static str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn type_of(text: &'static str) -> Type {
    let inner = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(item) = inner("list<") {
        return Type::sized(Kind::List(Arc::new(type_of(item)), Keyed::Position), UNBOUNDED);
    }
    if let Some(pair) = inner("map<") {
        let parts = split(pair);
        return Type::sized(Kind::Map(Arc::new(type_of(parts[0])), Arc::new(type_of(parts[1]))), UNBOUNDED);
    }
    if let Some(of) = inner("optional<") {
        return Type::optional(type_of(of));
    }
    match text {
        "dyn" => Type::any(),
        "null" => Type::scalar(Kind::Null),
        "bool" => Type::scalar(Kind::Bool),
        "int" => Type::scalar(Kind::Int),
        "uint" => Type::scalar(Kind::Uint),
        "double" => Type::scalar(Kind::Double),
        "string" => Type::sized(Kind::String, UNBOUNDED),
        "bytes" => Type::sized(Kind::Bytes, UNBOUNDED),
        "duration" => Type::scalar(Kind::Duration),
        "timestamp" => Type::scalar(Kind::Timestamp),
        "type" => Type::scalar(Kind::Type),
        "A" => Type::sized(Kind::Param(0), UNBOUNDED),
        "B" => Type::sized(Kind::Param(1), UNBOUNDED),
        opaque => Type::scalar(Kind::Opaque(opaque)),
    }
}

/// The failure of a call whose arguments fit no signature.
pub(super) fn no_overload<'a>() -> Outcome<'a> {
    Err(EvalError::new("no such overload"))
}
