//! YAML to objects, through JSON.

use super::{DecodeError, Decoded, FieldValidation, TypeMeta, json};
use crate::schema::Type;
use serde_json::Value;

/// The kind that a document names.
pub(super) fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    let value = parse(bytes)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(TypeMeta { api_version: text("apiVersion"), kind: text("kind") })
}

/// Decodes an object of a type.
pub(super) fn decode(bytes: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    json::conform(parse(bytes)?, ty, validation)
}

/// Parses without a type.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    yaml_serde::from_slice(bytes).map_err(|error| DecodeError::Yaml(error.to_string()))
}
