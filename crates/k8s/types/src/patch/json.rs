//! JSON patch (RFC 6902), with what Kubernetes' implementation allows beyond it: negative indices count from the end of a list.

mod pointer;
#[cfg(test)]
mod tests;

use crate::status::ApiError;
use pointer::{Place, PointerError, locate, segments};
use serde_json::Value;

/// The most operations in one patch.
pub const MOST_OPERATIONS: usize = 10_000;
/// The most bytes that the `copy` operations of one patch may add.
pub const MOST_COPIED: usize = 3 * 1024 * 1024;

/// A patch, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch {
    operations: Vec<Operation>,
    /// Fields of operations that nobody knows, such as `unknown field "[0].oops"`; for strict validation and warnings.
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonPatchError {
    #[error("{op} operation does not apply: doc is missing path: \"{path}\": missing value")]
    MissingPath { op: &'static str, path: String },
    #[error("{op} operation lacks its {field}")]
    MissingField { op: &'static str, field: &'static str },
    #[error("error in {op} for path: '{path}': {source}")]
    Pointer { op: &'static str, path: String, source: PointerError },
    #[error("testing value {path} failed: test failed")]
    Test { path: String },
    #[error("Unexpected kind: {0}")]
    Kind(String),
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {0}, exceeding the limit {MOST_COPIED}"
    )]
    Copied(usize),
}

impl JsonPatch {
    /// Decodes the body of a request.
    ///
    /// # Errors
    /// 400 when it is no list of operations, 413 when there are too many.
    pub fn decode(patch: Value) -> Result<Self, ApiError> {
        let Value::Array(operations) = patch else {
            let found = kind_of(&patch);
            let message = format!("json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp");
            return Err(ApiError::bad_request(format!("error decoding patch: {message}")));
        };
        if operations.len() > MOST_OPERATIONS {
            return Err(ApiError::too_large(format!(
                "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                operations.len()
            )));
        }
        let mut unknown = Vec::new();
        let operations = operations.into_iter().enumerate();
        let operations: Result<_, ApiError> =
            operations.map(|(index, operation)| decode(index, operation, &mut unknown)).collect();
        Ok(Self { operations: operations?, unknown })
    }

    /// Applies the patch to an object.
    ///
    /// # Errors
    /// 422 when an operation does not fit or a test fails, in the general words of Kubernetes.
    pub fn apply(self, object: Value) -> Result<Value, ApiError> {
        self.try_apply(object).map_err(|_| super::does_not_fit())
    }

    /// As [`JsonPatch::apply`], and tells what does not fit.
    ///
    /// # Errors
    /// What does not fit.
    pub fn try_apply(self, mut object: Value) -> Result<Value, JsonPatchError> {
        let mut copied = 0;
        for operation in self.operations {
            operation.apply(&mut object, &mut copied)?;
        }
        Ok(object)
    }
}

fn decode(index: usize, operation: Value, unknown: &mut Vec<String>) -> Result<Operation, ApiError> {
    let bad = |found: &Value, place: &str, wanted: &str| {
        let found = kind_of(found);
        ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into {place} of type {wanted}"
        ))
    };
    let mut fields = match operation {
        Value::Object(fields) => fields,
        other => return Err(bad(&other, "Go value", "handlers.jsonPatchOp")),
    };
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(bad(&other, &format!("Go struct field jsonPatchOp.{name}"), "string")),
    };
    let (op, path, from) = (text("op")?, text("path")?, text("from")?);
    let value = fields.remove("value");
    unknown.extend(fields.keys().map(|name| format!("unknown field \"[{index}].{name}\"")));
    Ok(Operation { op: op.unwrap_or_else(|| "unknown".to_owned()), path, from, value })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Operation {
    fn apply(self, object: &mut Value, copied: &mut usize) -> Result<(), JsonPatchError> {
        match self.op.as_str() {
            "add" => {
                let path = wanted("add", "path", self.path)?;
                add("add", object, &path, self.value.unwrap_or_default())
            }
            "remove" => remove("remove", object, &wanted("remove", "path", self.path)?).map(drop),
            "replace" => {
                let path = wanted("replace", "path", self.path)?;
                *place("replace", object, &path)?.get_mut().map_err(at("replace", &path))? =
                    self.value.unwrap_or_default();
                Ok(())
            }
            "move" => {
                let value = remove("move", object, &wanted("move", "from", self.from)?)?;
                add("move", object, &wanted("move", "path", self.path)?, value)
            }
            "copy" => {
                let from = wanted("copy", "from", self.from)?;
                let value = place("copy", object, &from)?.get_mut().map_err(at("copy", &from))?.clone();
                *copied += value.to_string().len();
                if *copied > MOST_COPIED {
                    return Err(JsonPatchError::Copied(*copied));
                }
                add("copy", object, &wanted("copy", "path", self.path)?, value)
            }
            "test" => {
                let path = wanted("test", "path", self.path)?;
                let found = match place("test", object, &path)?.get_mut() {
                    Ok(found) => found.clone(),
                    // what is not there equals null
                    Err(PointerError::Key(_)) => Value::Null,
                    Err(source) => return Err(at("test", &path)(source)),
                };
                if same(&found, &self.value.unwrap_or_default()) { Ok(()) } else { Err(JsonPatchError::Test { path }) }
            }
            _ => Err(JsonPatchError::Kind(self.op)),
        }
    }
}

fn wanted(op: &'static str, field: &'static str, text: Option<String>) -> Result<String, JsonPatchError> {
    text.ok_or(JsonPatchError::MissingField { op, field })
}

fn place<'a>(op: &'static str, object: &'a mut Value, path: &str) -> Result<Place<'a>, JsonPatchError> {
    let missing = || JsonPatchError::MissingPath { op, path: path.to_owned() };
    let segments = segments(path).ok_or_else(missing)?;
    locate(object, segments).ok_or_else(missing)
}

fn add(op: &'static str, object: &mut Value, path: &str, value: Value) -> Result<(), JsonPatchError> {
    place(op, object, path)?.add(value).map_err(at(op, path))
}

fn remove(op: &'static str, object: &mut Value, path: &str) -> Result<Value, JsonPatchError> {
    place(op, object, path)?.remove().map_err(at(op, path))
}

fn at(op: &'static str, path: &str) -> impl FnOnce(PointerError) -> JsonPatchError {
    let path = path.to_owned();
    move |source| JsonPatchError::Pointer { op, path, source }
}

/// Equality of JSON: numbers by value.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((key, a), (other, b))| key == other && same(a, b))
        }
        _ => a == b,
    }
}
