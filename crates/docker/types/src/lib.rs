//! Wire types of the Docker Engine API.
//!
//! Every struct here is a JSON body of the API, named as the API reference names it, with fields in the reference's spelling. The crate holds
//! shapes only: no HTTP, no engine, no policy. Both the daemon's HTTP layer and the command line client are written on it.
//!
//! Two things make these bodies special, and both are decided here once:
//! - *Input* is read with Go's rules ([`decode`]): field names match without case, `null` means "unset", unknown fields are ignored.
//! - *Output* tells `null`, `[]` and an absent field apart. `Option<Vec<_>>` writes `null` when unset, `Vec<_>` writes `[]`, and a field that
//!   the reference omits when empty carries `skip_serializing_if`.

pub mod auth;
pub mod build;
pub mod container;
pub mod decode;
pub mod events;
pub mod exec;
pub mod filters;
pub mod host;
pub mod image;
pub mod inspect;
pub mod network;
pub mod stats;
pub mod stream;
pub mod system;
pub mod volume;

pub use decode::{DecodeError, from_slice, from_value};
pub use filters::Filters;

use serde::{Deserialize, Serialize};

/// Newest API version that is spoken.
pub const API_VERSION: &str = "1.51";
/// Oldest API version that is spoken.
pub const MIN_API_VERSION: &str = "1.24";
/// Content type of an attach stream of a terminal, or of any stream after a plain hijack.
pub const MEDIA_RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// Content type of a stream in which standard output and error are framed.
pub const MEDIA_MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// An object without fields, as Go's `struct{}` is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The body of every error answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponse {
    /// What went wrong, for a person to read.
    pub message: String,
}

/// The answer of calls that make something with an id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct IdResponse {
    /// Full id of what was made.
    pub id: String,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
