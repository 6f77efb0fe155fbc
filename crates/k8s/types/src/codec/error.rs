//! Why a document could not be decoded, in the words that clients know.

use thiserror::Error;

/// Why a document could not be decoded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// More bytes than a document may have (HTTP 413).
    #[error("limit is {limit}")]
    TooLarge {
        /// How many bytes there may be.
        limit: usize,
    },
    /// Not JSON.
    #[error("{0}")]
    Json(String),
    /// Not YAML, or YAML that is refused.
    #[error("error converting YAML to JSON: {0}")]
    Yaml(String),
    /// Not protobuf of the kind.
    #[error("{0}")]
    Protobuf(String),
    /// A value of another type than its field.
    #[error("json: cannot unmarshal {found} into Go {} of type {wanted}", place(.field))]
    Mismatch {
        /// What was found: `string`, `number 1.5`, `object`, `array`, `bool`.
        found: String,
        /// The struct's name and the path, such as `DeploymentSpec.spec.replicas`; empty for the document itself.
        field: String,
        /// The type of the field.
        wanted: String,
    },
    /// Something that cannot be read as the scalar it should be (a time, a quantity).
    #[error("{0}")]
    Scalar(String),
    /// Nested too deeply.
    #[error("exceeded max depth")]
    TooDeep,
    /// Unknown or duplicate fields, where these are errors.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

fn place(field: &str) -> String {
    if field.is_empty() { "value".into() } else { format!("struct field {field}") }
}
