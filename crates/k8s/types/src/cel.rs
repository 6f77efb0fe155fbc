//! The Common Expression Language as Kubernetes uses it: expressions are parsed, checked against types, given a bound on their cost, and evaluated
//! within a budget.
//!
//! A [`Program`] is compiled once and evaluated often. Evaluation looks at JSON where it lies, counts what it does in the units of Kubernetes' own
//! implementation, and ends with [`EvalError::is_over_budget`] when more is asked for than the budget allows; nothing in an expression can make it run
//! longer. Expressions neither loop without end nor call out.
//!
//! ```
//! use k8s_types::cel::{Program, Scope, Type, Value};
//! use serde_json::json;
//!
//! let any = Type::any();
//! let program = Program::compile("self.replicas <= 5", &Scope::new(&[("self", any.clone())])).unwrap();
//! let object = json!({"replicas": 3});
//! let (result, cost) = program.evaluate(&[Value::of(&object, &any)], 1000);
//! assert!(matches!(result, Ok(Value::Bool(true))));
//! assert!(cost < 10);
//! ```

use std::fmt;

mod ast;
mod check;
mod code;
mod eval;
mod functions;
mod lex;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod value;

pub use functions::net::{Cidr, Ip, Url};
pub use functions::semver::Semver;
pub use types::{Field, Keyed, Kind, Object, Type, UNBOUNDED};
pub use value::{List, Map, Text, Value};

pub use functions::Amount;
pub(crate) use functions::compile_regex;
pub(crate) use parse::RESERVED;

/// How large a text or list that an expression makes may become, in bytes or items.
const MAX_VALUE: usize = 10 << 20;

/// The most one expression may cost when it is evaluated.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// The most all expressions together may cost for one object.
pub const PER_OBJECT_LIMIT: u64 = 10_000_000;

/// The variables an expression may use.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<(String, Type)>,
}

impl Scope {
    /// Variables by name, in the order in which [`Program::evaluate`] takes their values.
    pub fn new(variables: &[(&str, Type)]) -> Scope {
        Scope { variables: variables.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect() }
    }
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    code: code::Code,
    result: Type,
    max_cost: u64,
    used: Vec<bool>,
    slots: usize,
}

impl Program {
    /// Parses and checks `source`.
    ///
    /// # Errors
    /// Everything wrong with it.
    pub fn compile(source: &str, scope: &Scope) -> Result<Program, CompileError> {
        let fail = |issues| CompileError { source: source.to_owned(), issues };
        let expr = parse::parse(source).map_err(|issue| fail(vec![issue]))?;
        check::check(&expr, scope).map_err(fail)
    }

    /// The type of its result.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The most an evaluation can cost given the sizes of the types; saturates.
    pub fn max_cost(&self) -> u64 {
        self.max_cost
    }

    /// Whether it looks at the variable of that index.
    pub fn uses(&self, variable: usize) -> bool {
        self.used.get(variable).copied().unwrap_or(false)
    }

    /// Evaluates with the values of the scope's variables; costs at most `budget`. Returns what it cost, too.
    pub fn evaluate<'a>(&'a self, variables: &[Value<'a>], budget: u64) -> (Result<Value<'a>, EvalError>, u64) {
        eval::evaluate(&self.code, variables, self.slots, budget)
    }
}

/// Something wrong at a place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub at: usize,
    pub message: String,
}

/// Why an expression was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    source: String,
    issues: Vec<SyntaxError>,
}

impl std::error::Error for CompileError {}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, issue) in self.issues.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            let at = issue.at.min(self.source.len());
            let before = &self.source[..at];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = self.source[line_start..].lines().next().unwrap_or("");
            let (row, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count());
            write!(f, "ERROR: <input>:{row}:{}: {}", column + 1, issue.message)?;
            write!(f, "\n | {line}\n | {}^", ".".repeat(column))?;
        }
        Ok(())
    }
}

/// Why an evaluation gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    message: String,
    over_budget: bool,
}

impl EvalError {
    pub(crate) fn new(message: impl Into<String>) -> EvalError {
        EvalError { message: message.into(), over_budget: false }
    }

    fn over_budget() -> EvalError {
        EvalError { message: "operation cancelled: actual cost limit exceeded".into(), over_budget: true }
    }

    /// Whether it ended because it cost too much.
    pub fn is_over_budget(&self) -> bool {
        self.over_budget
    }
}

impl std::error::Error for EvalError {}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
