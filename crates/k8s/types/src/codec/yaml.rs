//! YAML to objects, read as JSON is. One document; aliases may repeat only so much.

use super::{DecodeError, Decoded, FieldValidation, TypeMeta, json};
use crate::schema::Type;
use serde::Deserialize;
use serde_json::Value;

/// The kind that a document names.
pub(super) fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    let value = parse(bytes)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(TypeMeta { api_version: text("apiVersion"), kind: text("kind") })
}

/// Decodes an object of a type.
pub(super) fn decode(bytes: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    check_depth(bytes)?;
    let (value, state) = json::typed(yaml_serde::Deserializer::from_slice(bytes), ty).map_err(yaml_error)?;
    json::finish(value, state, ty, validation)
}

/// Parses without a type.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    check_depth(bytes)?;
    Value::deserialize(yaml_serde::Deserializer::from_slice(bytes)).map_err(yaml_error)
}

/// Refuses what opens more brackets than any object has, before the parser looks at each of them again for every further one. Brackets in texts count
/// too, so the bound is far beyond [`DEPTH_LIMIT`](super::DEPTH_LIMIT), which the parser keeps.
fn check_depth(bytes: &[u8]) -> Result<(), DecodeError> {
    const MOST_OPEN: usize = 3000;
    let mut open = 0usize;
    for byte in bytes {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => continue,
        }
        if open > MOST_OPEN {
            return Err(DecodeError::TooDeep);
        }
    }
    Ok(())
}

fn yaml_error(error: yaml_serde::Error) -> DecodeError {
    let text = error.to_string();
    if text.starts_with("recursion limit exceeded") { DecodeError::TooDeep } else { DecodeError::Yaml(text) }
}
