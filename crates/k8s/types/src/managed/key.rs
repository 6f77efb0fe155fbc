//! Steps of paths: how a list's item is told from the others, and how a step is written and spoken.

use super::set::FieldsError;
use super::shape::At;
use crate::field::{plain, quote};
use crate::schema::{ListKind, Text};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// `f:<name>`
pub(super) fn of_field(name: &str) -> Box<str> {
    let mut step = String::with_capacity(name.len() + 2);
    step.push_str("f:");
    step.push_str(name);
    step.into_boxed_str()
}

/// The step to an item of a list that is merged by value or by keys.
///
/// # Errors
/// When the item has no value or keys to go by, in Kubernetes' words.
pub(super) fn of_item(item: &Value, kind: &ListKind, at: At<'_>) -> Result<Box<str>, String> {
    match kind {
        ListKind::Map(keys) => by_keys(item, keys, at),
        ListKind::Set | ListKind::Atomic => by_value(item),
    }
}

fn by_value(item: &Value) -> Result<Box<str>, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(format!("v:{}", number(scalar)).into_boxed_str()),
    }
}

fn by_keys(item: &Value, keys: &[Text], at: At<'_>) -> Result<Box<str>, String> {
    let item = match item {
        Value::Object(item) => item,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let default = |key: &Text| at.ty.as_struct()?.field(key)?.default.as_deref();
    let mut found: Vec<(&str, &Value)> =
        keys.iter().filter_map(|key| Some((key.as_str(), item.get(key.as_str()).or_else(|| default(key))?))).collect();
    if found.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| quote(key)).collect();
        let keys = keys.join(" ");
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values for any key fields)"
        ));
    }
    found.sort_unstable_by_key(|(key, _)| *key);
    let mut step = String::with_capacity(40);
    step.push_str("k:{");
    for (index, (key, value)) in found.into_iter().enumerate() {
        step.push_str(if index == 0 { "\"" } else { ",\"" });
        step.push_str(key);
        step.push_str("\":");
        push_json(&mut step, value);
    }
    step.push('}');
    Ok(step.into_boxed_str())
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        other => out.push_str(&number(other).to_string()),
    }
}

/// A whole number is the same whether it was written as one or with a fraction of zero.
fn number(value: &Value) -> Cow<'_, Value> {
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            Cow::Owned(Value::from(float as i64))
        }
        _ => Cow::Borrowed(value),
    }
}

/// A step as it was written by anybody, in the form that is compared. `None` for kinds of steps that nobody knows.
pub(super) fn canonical(step: &str) -> Result<Option<Box<str>>, FieldsError> {
    if step.len() < 2 {
        return Err(FieldsError::Short(step.to_owned()));
    }
    if step.as_bytes()[1] != b':' {
        return Err(FieldsError::Colon(step.to_owned()));
    }
    let json = || serde_json::from_str::<Value>(&step[2..]).map_err(|_| FieldsError::Json(step.to_owned()));
    match step.as_bytes()[0] {
        b'f' => Ok(Some(step.into())),
        b'v' => Ok(Some(format!("v:{}", number(&json()?)).into_boxed_str())),
        b'i' => match step[2..].parse::<i64>() {
            Ok(index) => Ok(Some(format!("i:{index}").into_boxed_str())),
            Err(_) => Err(FieldsError::Json(step.to_owned())),
        },
        b'k' => match json()? {
            Value::Object(keys) => {
                let keys: Map<String, Value> =
                    keys.into_iter().map(|(key, value)| (key, number(&value).into_owned())).collect();
                Ok(Some(format!("k:{}", Value::Object(keys)).into_boxed_str()))
            }
            _ => Err(FieldsError::Json(step.to_owned())),
        },
        _ => Ok(None),
    }
}

/// A step as in Kubernetes' messages: `.spec`, `[name="a",port=80]`, `[="a"]`, `[0]`.
pub(super) fn spoken(step: &str) -> String {
    let Some((kind, rest)) = step.split_at_checked(2) else { return step.to_owned() };
    let json = || serde_json::from_str::<Value>(rest).unwrap_or_default();
    match kind {
        "f:" => format!(".{rest}"),
        "i:" => format!("[{rest}]"),
        "v:" => format!("[={}]", scalar(&json())),
        "k:" => {
            let keys = json();
            let keys = keys.as_object().into_iter().flatten();
            let keys: Vec<String> = keys.map(|(key, value)| format!("{key}={}", scalar(value))).collect();
            format!("[{}]", keys.join(","))
        }
        _ => step.to_owned(),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Null => "null".to_owned(),
        other => plain(other),
    }
}
