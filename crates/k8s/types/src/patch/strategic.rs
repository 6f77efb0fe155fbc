//! Strategic merge patch: objects are merged; lists are merged by keys or values where the table says so; directives say the rest.
//!
//! - `$patch: replace|delete` in an object, or in an item of a list (`delete` with the item's key)
//! - `$retainKeys: [..]`: fields that are not listed go away
//! - `$setElementOrder/<list>: [..]`: the order of a list's items
//! - `$deleteFromPrimitiveList/<list>: [..]`: values that go away

mod list;
mod lookup;
#[cfg(test)]
mod tests;

use crate::field::plain;
use crate::schema::Type;
use crate::status::ApiError;
use lookup::Meta;
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Why a patch cannot be applied, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StrategicError {
    #[error("invalid JSON document")]
    NotObject,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    #[error("unknown patch type: {directive} in map: {map}")]
    Directive { directive: String, map: String },
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey { map: String, key: String },
    #[error("cannot merge lists without merge key for {0}")]
    NoKeyDeclared(String),
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    Order { patch: String, order: String },
    #[error("expected a {expected}, but received a {found}")]
    Kind { expected: &'static str, found: &'static str },
}

impl From<StrategicError> for ApiError {
    fn from(error: StrategicError) -> Self {
        match error {
            StrategicError::ListOfLists => super::does_not_fit(),
            error => ApiError::bad_request(error.to_string()),
        }
    }
}

/// Applies a patch to an object of this type.
///
/// # Errors
/// 400 when the patch says what cannot be done, 422 for lists of lists.
pub fn apply(object: Value, patch: Value, ty: &Type) -> Result<Value, ApiError> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(StrategicError::NotObject.into());
    };
    Ok(Value::Object(merge(object, patch, ty)?))
}

type Object = Map<String, Value>;

fn merge(mut object: Object, mut patch: Object, ty: &Type) -> Result<Object, StrategicError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            _ => {
                patch.insert(DIRECTIVE.to_owned(), directive.clone());
                Err(StrategicError::Directive { directive: plain(&directive), map: plain(&Value::Object(patch)) })
            }
        };
    }
    retain_keys(&mut object, &mut patch)?;
    set_orders(&mut object, &mut patch, ty)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM) {
            Some(list) => delete_from(&mut object, list, value)?,
            None if key.starts_with("$deleteFromPrimitiveList") => return Err(StrategicError::PrimitiveList),
            None => merge_member(&mut object, key, value, ty)?,
        }
    }
    Ok(object)
}

fn merge_member(object: &mut Object, key: String, patch: Value, ty: &Type) -> Result<(), StrategicError> {
    if patch.is_null() {
        object.remove(&key);
        return Ok(());
    }
    let Some(current) = object.get_mut(&key) else {
        if let Some(value) = plain_value(patch) {
            object.insert(key, value);
        }
        return Ok(());
    };
    match (current.take(), patch) {
        (Value::Object(current_map), Value::Object(patch)) => {
            let meta = Meta::of(ty, &key);
            *current = Value::Object(if meta.replaces { patch } else { merge(current_map, patch, &meta.ty)? });
        }
        (Value::Array(items), Value::Array(patch)) => {
            let meta = Meta::of(ty, &key);
            *current = Value::Array(if meta.merges { list::merge(items, patch, &meta)? } else { patch });
        }
        (_, patch) => match plain_value(patch) {
            Some(value) => *current = value,
            None => {
                object.remove(&key);
            }
        },
    }
    Ok(())
}

/// What a patch adds where nothing was: without nulls and directives. `None` when it is a directive as a whole.
fn plain_value(mut value: Value) -> Option<Value> {
    match &mut value {
        Value::Object(map) => {
            if map.contains_key(DIRECTIVE) {
                return None;
            }
            let members = std::mem::take(map).into_iter();
            let kept = members.filter(|(key, value)| !value.is_null() && !is_directive(key));
            *map = kept.filter_map(|(key, value)| Some((key, plain_value(value)?))).collect();
        }
        Value::Array(items) => *items = std::mem::take(items).into_iter().filter_map(plain_value).collect(),
        _ => {}
    }
    Some(value)
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

fn retain_keys(object: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys = keys.as_array().ok_or(StrategicError::RetainKeys)?;
    let listed = |key: &str| keys.iter().any(|listed| listed.as_str() == Some(key));
    let unlisted = |(key, value): (&String, &Value)| !value.is_null() && !is_directive(key) && !listed(key);
    if patch.iter().any(unlisted) {
        return Err(StrategicError::RetainKeys);
    }
    object.retain(|key, _| listed(key));
    Ok(())
}

/// Merges the lists whose order is said, and removes them and their orders from the patch.
fn set_orders(object: &mut Object, patch: &mut Object, ty: &Type) -> Result<(), StrategicError> {
    let orders: Vec<String> = patch.keys().filter(|key| key.starts_with("$setElementOrder")).cloned().collect();
    for directive in orders {
        let order = patch.remove(&directive).unwrap_or_default();
        let key = directive.strip_prefix(SET_ORDER).ok_or(StrategicError::SetElementOrder)?;
        let order = array(order)?;
        let meta = Meta::of(ty, key);
        let current = object.remove(key).map(array).transpose()?;
        let changes = patch.remove(key).map(array).transpose()?;
        if let Some(changes) = &changes {
            list::check_order(changes, &order, &meta)?;
        }
        if current.is_none() && changes.is_none() {
            continue;
        }
        let before = current.clone().unwrap_or_default();
        let merged = match (current, changes) {
            (Some(current), Some(changes)) if meta.merges => list::merge(current, changes, &meta)?,
            (Some(_), Some(changes)) => changes,
            (Some(current), None) => current,
            (None, changes) => changes.unwrap_or_default().into_iter().filter_map(plain_value).collect(),
        };
        object.insert(key.to_owned(), Value::Array(list::in_order(merged, &order, &before, &meta)?));
    }
    Ok(())
}

fn delete_from(object: &mut Object, key: &str, values: Value) -> Result<(), StrategicError> {
    if values.is_null() {
        object.remove(key);
        return Ok(());
    }
    let values = array(values)?;
    if let Some(Value::Array(items)) = object.get_mut(key) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn array(value: Value) -> Result<Vec<Value>, StrategicError> {
    let found = match value {
        Value::Array(items) => return Ok(items),
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "<nil>",
    };
    Err(StrategicError::Kind { expected: "[]interface {}", found })
}
