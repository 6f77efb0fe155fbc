//! Objects to and from JSON, YAML and protobuf, and what a decoder does to them: unknown and duplicate fields, zero values, defaults, pruning.

mod default;
mod encode;
mod error;
mod json;
mod normalize;
pub mod protobuf;
mod prune;
mod scalar;
mod yaml;

pub use default::default;
pub use encode::{encode_json, encode_yaml, prefix_len, with_revision};
pub use error::DecodeError;
pub use normalize::normalize;
pub use prune::prune;

use crate::schema::Type;
use serde_json::Value;

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

/// What becomes of unknown and duplicate fields (the query parameter `fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and told.
    #[default]
    Warn,
    /// They are an error.
    Strict,
}

/// A decoded object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The object, with known fields only; those of a built-in kind normalized (see [`normalize`]).
    pub value: Value,
    /// What to warn about.
    pub warnings: Vec<String>,
}

/// The kind that a document says it is of; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMeta {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
}

/// How deep objects may be nested (the parsers' own limit).
pub const DEPTH_LIMIT: usize = 127;

/// How many bytes a document may have.
pub const SIZE_LIMIT: usize = 3 * 1024 * 1024;

/// Reads which kind a document says it is of, without reading more than that takes.
pub fn type_meta(bytes: &[u8], format: Format) -> Result<TypeMeta, DecodeError> {
    match format {
        Format::Json => json::type_meta(bytes),
        Format::Yaml => yaml::type_meta(bytes),
        Format::Protobuf => protobuf::type_meta(bytes),
    }
}

/// Decodes a document whose object is of a type. Unknown fields are dropped (unless the type keeps them) and treated as `validation` says.
pub fn decode(bytes: &[u8], format: Format, ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    if bytes.len() > SIZE_LIMIT {
        return Err(DecodeError::TooLarge { limit: SIZE_LIMIT });
    }
    match format {
        Format::Json => json::decode(bytes, ty, validation),
        Format::Yaml => yaml::decode(bytes, ty, validation),
        Format::Protobuf => protobuf::decode(bytes, ty),
    }
}

/// As [`decode`], for an object that was already parsed (the result of a patch): unknown fields are dropped, types are checked.
pub fn conform(value: Value, ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    json::conform(value, ty, validation)
}

/// Decodes JSON or YAML without a type (patches, bodies of unknown kinds), with the same limits. Duplicate fields: the last one holds.
pub fn decode_untyped(bytes: &[u8], format: Format) -> Result<Value, DecodeError> {
    if bytes.len() > SIZE_LIMIT {
        return Err(DecodeError::TooLarge { limit: SIZE_LIMIT });
    }
    match format {
        Format::Json => json::parse(bytes),
        Format::Yaml => yaml::parse(bytes),
        Format::Protobuf => Err(DecodeError::Protobuf("a protobuf body needs a type".into())),
    }
}
