//! Label selectors: the text of queries (`a=b,c in (d,e),!f`) and the `LabelSelector` object.

mod object;
mod parse;
#[cfg(test)]
mod tests;

use crate::field::{Error, Errors, Path};
use crate::names;
use serde_json::{Map, Value};
use std::fmt;

pub use object::{ObjectRules, check_object};

/// How a requirement relates its key to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equals,
    /// `==`
    DoubleEquals,
    /// `!=`
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Operator {
    /// As in Kubernetes' lists of operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Exists => "exists",
            Self::DoesNotExist => "!",
            Self::GreaterThan => "gt",
            Self::LessThan => "lt",
        }
    }
}

/// One condition. The values are sorted and each is there once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

/// All of the requirements must hold; `Nothing` selects no object at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelSelector {
    Nothing,
    All(Vec<Requirement>),
}

/// Why a text is no selector, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SelectorError {
    /// The text does not parse.
    #[error("{0}")]
    Syntax(String),
    /// A key or value is not allowed.
    #[error("{0}")]
    Requirement(Errors),
    /// An object has an operator that is none.
    #[error("{} is not a valid label selector operator", crate::field::quote(.0))]
    Operator(String),
}

/// The labels that a selector looks at.
pub trait Labels {
    /// The value of a label, if there is one.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

/// Nothing has no labels.
impl<L: Labels + ?Sized> Labels for Option<&L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl Labels for std::collections::BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Requirement {
    /// Checks and makes a requirement; errors are at `key` and `values` beneath `path`.
    ///
    /// # Errors
    /// When the key or a value is not allowed, or the number of values does not fit the operator.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>, path: &Path) -> Result<Self, Errors> {
        values.sort();
        values.dedup();
        let mut errors = Errors::new();
        errors.extend(key_error(key, &path.child("key")));
        let at = path.child("values");
        if let Some(detail) = arity(operator, values.len()) {
            let shown = if values.is_empty() { Value::Array(Vec::new()) } else { values.clone().into() };
            errors.push(Error::invalid(&at, shown, detail));
        }
        for (index, value) in values.iter().enumerate() {
            let at = at.index(index);
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(Error::invalid(&at, value.clone(), detail));
            }
            let why = names::label_value(value);
            if !why.is_empty() {
                errors.push(Error::invalid(&at.key(key), value.clone(), why.join("; ")));
            }
        }
        errors.into_result().map(|()| Self { key: key.to_owned(), operator, values })
    }

    /// Whether it holds for these labels.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let found = labels.label(&self.key);
        let has = |found: &str| self.values.iter().any(|value| value == found);
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => found.is_some_and(has),
            Operator::NotEquals | Operator::NotIn => !found.is_some_and(has),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::GreaterThan => self.number(found).is_some_and(|(found, bound)| found > bound),
            Operator::LessThan => self.number(found).is_some_and(|(found, bound)| found < bound),
        }
    }

    fn number(&self, found: Option<&str>) -> Option<(i64, i64)> {
        Some((found?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

fn key_error(key: &str, path: &Path) -> Option<Error> {
    let why = names::label_key(key);
    (!why.is_empty()).then(|| Error::invalid(path, key, why.join("; ")))
}

fn arity(operator: Operator, values: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn if values == 0 => Some("for 'in', 'notin' operators, values set can't be empty"),
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if values != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if values != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

impl LabelSelector {
    /// Selects everything.
    pub const fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// A selector from the text of a query.
    ///
    /// # Errors
    /// When the text is none; the API server refuses the request with it (400).
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text)
    }

    /// A selector that wants exactly these labels (`spec.selector` of services and replication controllers).
    pub fn from_map(labels: &Map<String, Value>) -> Self {
        let wanted = labels.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        });
        Self::All(wanted.collect())
    }

    /// A selector from a `LabelSelector` object; null selects nothing, an empty one everything.
    ///
    /// # Errors
    /// When a key, operator or value is not allowed.
    pub fn from_object(object: &Value) -> Result<Self, SelectorError> {
        object::selector(object)
    }

    /// Whether it selects what has these labels.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(requirements) => requirements.iter().all(|requirement| requirement.matches(labels)),
        }
    }

    /// Whether it selects this object.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(&crate::object::labels(object))
    }

    /// Whether it does not narrow anything.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(requirements) if requirements.is_empty())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        match self.operator {
            Operator::Exists => out.write_str(&self.key),
            Operator::DoesNotExist => write!(out, "!{}", self.key),
            Operator::In | Operator::NotIn => write!(out, "{} {} ({values})", self.key, self.operator.as_str()),
            Operator::GreaterThan => write!(out, "{}>{values}", self.key),
            Operator::LessThan => write!(out, "{}<{values}", self.key),
            _ => write!(out, "{}{}{values}", self.key, self.operator.as_str()),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::All(requirements) = self else { return Ok(()) };
        for (number, requirement) in requirements.iter().enumerate() {
            write!(out, "{}{requirement}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}
