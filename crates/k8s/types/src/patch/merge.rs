//! JSON merge patch (RFC 7386).

#[cfg(test)]
pub(crate) mod tests;

use crate::status::ApiError;
use serde_json::{Map, Value};

/// Applies a patch to an object. A null removes; a list replaces.
///
/// # Errors
/// 400 when the patch is not a JSON object.
pub fn apply(object: Value, patch: Value) -> Result<Value, ApiError> {
    let Value::Object(patch) = patch else {
        let found = match patch {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            _ => return Err(ApiError::bad_request("Invalid JSON Patch")),
        };
        let message = format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
        return Err(ApiError::bad_request(format!("error decoding patch: {message}")));
    };
    let mut object = match object {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    merge(&mut object, patch);
    Ok(Value::Object(object))
}

fn merge(object: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, mut value) in patch {
        if value.is_null() {
            object.remove(&key);
            continue;
        }
        match object.get_mut(&key) {
            Some(Value::Object(object)) if value.is_object() => {
                if let Value::Object(patch) = value {
                    merge(object, patch);
                }
            }
            // in place of an object, anything else is taken as it is
            Some(current @ Value::Object(_)) => *current = value,
            _ => {
                without_nulls(&mut value);
                object.insert(key, value);
            }
        }
    }
}

/// Removes null members, also in the objects of lists.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// The patch that makes `to` out of `from`, both JSON objects. `None` when they are equal.
///
/// Nulls in `to` cannot be said in a merge patch: they read as absent.
pub fn diff(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for (key, value) in to.iter().filter(|(_, value)| !value.is_null()) {
        match from.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(old) => {
                if let Some(change) = diff(old, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in from.keys().filter(|key| to.get(*key).is_none_or(Value::is_null)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}
