//! JSON to objects: one pass over the document, led by the type.

mod seed;
#[cfg(test)]
mod tests;

use super::{DecodeError, Decoded, FieldValidation, TypeMeta};
use crate::schema::{StructRef, Type};
use seed::Seed;
pub(super) use seed::State;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::Value;

/// The kind that a document names.
pub(super) fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(default)]
        api_version: Option<String>,
        #[serde(default)]
        kind: Option<String>,
    }
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|error| DecodeError::Json(format!("couldn't get version/kind; json parse error: {error}")))?;
    Ok(TypeMeta { api_version: head.api_version.unwrap_or_default(), kind: head.kind.unwrap_or_default() })
}

/// Decodes an object of a type.
pub(super) fn decode(bytes: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let (value, state) = typed(&mut from, ty).map_err(json_error)?;
    from.end().map_err(json_error)?;
    finish(value, state, ty, validation)
}

/// Makes a parsed value an object of a type.
pub(super) fn conform(value: Value, ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let (value, state) = typed(value, ty).map_err(json_error)?;
    finish(value, state, ty, validation)
}

/// Parses without a type.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes).map_err(json_error)
}

/// Reads an object of a type from any format, with what was noticed on the way.
pub(super) fn typed<'de, D: Deserializer<'de>>(from: D, ty: &Type) -> Result<(Value, State), D::Error> {
    let mut state = State::default();
    let value = Seed::new(ty, &mut state).deserialize(from)?;
    Ok((value, state))
}

/// What was noticed becomes an error or a warning, as is wanted.
pub(super) fn finish(
    mut value: Value,
    state: State,
    ty: &Type,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    if let Some(mismatch) = state.mismatch {
        return Err(mismatch);
    }
    if matches!(ty, Type::Struct(_)) && !value.is_object() {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            _ => "array",
        };
        let (found, wanted) = (found.to_owned(), "map[string]interface {}".to_owned());
        return Err(DecodeError::Mismatch { found, field: String::new(), wanted });
    }
    if validation == FieldValidation::Strict && !state.noticed.is_empty() {
        return Err(DecodeError::Strict(state.noticed));
    }
    if !matches!(ty, Type::Struct(StructRef::Shared(_))) {
        super::normalize(&mut value, ty);
    }
    let warnings = if validation == FieldValidation::Warn { state.noticed } else { Vec::new() };
    Ok(Decoded { value, warnings })
}

fn json_error(error: serde_json::Error) -> DecodeError {
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") { DecodeError::TooDeep } else { DecodeError::Json(text) }
}
