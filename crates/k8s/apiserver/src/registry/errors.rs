//! What the store refuses, as clients are told.

use k8s_store::{ReadError, WriteError};
use k8s_types::codec::DecodeError;
use k8s_types::status::ApiError;

use crate::catalog::Row;

/// Why a read failed, of one object or a list at a revision.
pub fn read(error: ReadError) -> ApiError {
    match error {
        ReadError::Compacted { .. } => ApiError::expired("The resourceVersion for the provided list is too old."),
        ReadError::Future { requested, current } => ApiError::resource_version_too_large(requested, current),
        ReadError::Unavailable { .. } => ApiError::service_unavailable(error.to_string()),
    }
}

/// Why a watch cannot start.
pub fn watch(error: ReadError) -> ApiError {
    match error {
        ReadError::Compacted { requested, oldest } => {
            ApiError::expired(format!("too old resource version: {requested} ({oldest})"))
        }
        other => read(other),
    }
}

/// Why a write failed for other reasons than what it found.
pub fn write(error: WriteError) -> ApiError {
    match error {
        WriteError::TooLarge { .. } => ApiError::too_large(error),
        WriteError::Unavailable { .. } | WriteError::Closed | WriteError::Full { .. } => {
            tracing::warn!(%error, "a write failed");
            ApiError::service_unavailable(error.to_string())
        }
        _ => {
            tracing::error!(%error, "a write failed");
            ApiError::internal(error)
        }
    }
}

/// Why a body is not an object of the row.
pub fn decode(error: DecodeError, row: &Row) -> ApiError {
    let r = &row.resource;
    match error {
        DecodeError::TooLarge { limit } => ApiError::too_large(format_args!("limit is {limit}")),
        DecodeError::Strict(_) => ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {error}",
            r.kind, r.version, r.kind
        )),
        other => ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {other}",
            r.kind, r.version, r.kind
        )),
    }
}
