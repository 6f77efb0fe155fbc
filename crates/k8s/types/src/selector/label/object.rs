//! The `LabelSelector` object: `matchLabels` and `matchExpressions`.

use super::{LabelSelector, Operator, Requirement, SelectorError};
use crate::field::{Error, Errors, Path};
use crate::names;
use serde_json::Value;

pub(super) fn selector(object: &Value) -> Result<LabelSelector, SelectorError> {
    if object.is_null() {
        return Ok(LabelSelector::Nothing);
    }
    let mut requirements = Vec::new();
    for (key, value) in object.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().to_owned();
        requirements.push((key.as_str(), Operator::Equals, vec![value]));
    }
    for expression in expressions(object) {
        let operator = match text(expression, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(SelectorError::Operator(other.to_owned())),
        };
        requirements.push((text(expression, "key"), operator, values(expression).map(str::to_owned).collect()));
    }
    let requirements: Result<Vec<Requirement>, Errors> = requirements
        .into_iter()
        .map(|(key, operator, values)| Requirement::new(key, operator, values, &Path::root()))
        .collect();
    let mut requirements = requirements.map_err(SelectorError::Requirement)?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(LabelSelector::All(requirements))
}

/// What [`check_object`] lets through that it otherwise refuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct ObjectRules {
    /// Values that are no label values: an update of an object that had such already.
    pub any_value: bool,
    /// Operators that nobody knows (reviews of access).
    pub any_operator: bool,
}

/// Validates a `LabelSelector` object at `path`; null is valid.
pub fn check_object(object: &Value, rules: ObjectRules, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if let Some(labels) = object.get("matchLabels").and_then(Value::as_object) {
        errors.append(names::check_labels(labels, &path.child("matchLabels")));
    }
    for (index, expression) in expressions(object).iter().enumerate() {
        check_expression(expression, rules, &path.child("matchExpressions").index(index), &mut errors);
    }
    errors
}

fn check_expression(expression: &Value, rules: ObjectRules, path: &Path, errors: &mut Errors) {
    let at = path.child("values");
    let has_values = values(expression).next().is_some();
    match text(expression, "operator") {
        "In" | "NotIn" if !has_values => {
            errors.push(Error::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if has_values => {
            errors.push(Error::forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other if !rules.any_operator => {
            errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator"));
        }
        _ => {}
    }
    errors.append(names::check_label_key(text(expression, "key"), &path.child("key")));
    if rules.any_value {
        return;
    }
    for (index, value) in values(expression).enumerate() {
        let why = names::label_value(value).into_iter();
        errors.extend(why.map(|why| Error::invalid(&at.index(index), value, why)));
    }
}

fn expressions(object: &Value) -> &[Value] {
    object.get("matchExpressions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(expression: &'a Value, field: &str) -> &'a str {
    expression.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn values(expression: &Value) -> impl Iterator<Item = &str> {
    let values = expression.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    values.iter().map(|value| value.as_str().unwrap_or_default())
}
