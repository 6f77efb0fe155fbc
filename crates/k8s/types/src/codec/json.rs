//! JSON to objects.

use super::{DecodeError, Decoded, FieldValidation, TypeMeta};
use crate::schema::Type;
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
    conform(parse(bytes)?, ty, validation)
}

/// Makes a parsed value an object of a type.
pub(super) fn conform(mut value: Value, ty: &Type, _validation: FieldValidation) -> Result<Decoded, DecodeError> {
    super::prune(&mut value, ty);
    Ok(Decoded { value, warnings: Vec::new() })
}

/// Parses without a type.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes).map_err(|error| DecodeError::Json(error.to_string()))
}
