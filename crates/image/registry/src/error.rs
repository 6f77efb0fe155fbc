//! What can go wrong with a registry; texts that users see are docker's.

use std::{fmt, io};

use http::StatusCode;
use spec::digest::Digest;
use spec::platform::Platform;

/// The class of an error, for the façades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The repository, tag or platform does not exist there.
    NotFound,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// The credentials do not suffice.
    Denied,
    /// What was asked for, or what came, makes no sense.
    Invalid,
    /// The registry cannot be reached or cannot answer now.
    Unavailable,
    /// Understood and not supported.
    Unimplemented,
    /// This side failed.
    Internal,
}

/// One entry of a registry's error answer (distribution specification, "Error Codes").
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct RegistryError {
    /// `MANIFEST_UNKNOWN`, `DENIED`, ...
    pub code: String,
    /// In the registry's words.
    pub message: String,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.to_lowercase().replace('_', " ");
        match self.message.as_str() {
            "" => formatter.write_str(&code),
            message => write!(formatter, "{code}: {message}"),
        }
    }
}

/// A failed pull, push or login.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name has no address.
    #[error("{method} {url:?}: dial tcp: lookup {host}: {reason}")]
    Lookup { method: String, url: String, host: String, reason: String },
    /// No connection came about.
    #[error("{method} {url:?}: dial tcp {address}: connect: {}", plain(.source))]
    Connect { method: String, url: String, address: String, source: io::Error },
    /// TLS failed: a certificate that nobody trusts, or a server that speaks HTTP.
    #[error("{method} {url:?}: tls: {source}")]
    Tls { method: String, url: String, source: io::Error },
    /// The other side did not go on in time.
    #[error("{method} {url:?}: {phase} took longer than {seconds} s")]
    Timeout { method: String, url: String, phase: &'static str, seconds: u64 },
    /// The connection broke, or what came is no HTTP.
    #[error("{method} {url:?}: {source}")]
    Transport { method: String, url: String, source: hyper::Error },
    /// A blob ended before its length.
    #[error("{method} {url:?}: unexpected EOF after {have} of {size} bytes")]
    Cut { method: String, url: String, have: u64, size: u64 },
    /// An address that cannot be asked.
    #[error("invalid URL {url:?}: {reason}")]
    Url { url: String, reason: &'static str },
    /// Redirects without end.
    #[error("{method} {url:?}: stopped after 10 redirects")]
    Redirects { method: String, url: String },
    /// The registry wants to know who asks.
    #[error("{method} {url:?}: no basic auth credentials")]
    NoCredentials { method: String, url: String },
    /// The registry or its token server does not accept the credentials.
    #[error("{method} {url:?}: {cause}")]
    Unauthorized { method: String, url: String, cause: RegistryError },
    /// The registry may know the repository, but not for this user.
    #[error("pull access denied for {name}, repository does not exist or may require 'docker login': {cause}")]
    PullDenied { name: String, cause: RegistryError },
    /// No manifest of this tag or digest.
    #[error("manifest for {reference} not found: {cause}")]
    NoManifest { reference: String, cause: RegistryError },
    /// No repository of this name.
    #[error("repository {name} not found: {cause}")]
    NoRepository { name: String, cause: RegistryError },
    /// Any other refusal with a reason.
    #[error("{cause}")]
    Refused { status: StatusCode, cause: RegistryError },
    /// An answer that the specification does not have here.
    #[error("{method} {url:?}: received unexpected HTTP status: {status}")]
    Status { method: String, url: String, status: StatusCode },
    /// An answer that lacks a part or contradicts itself.
    #[error("{method} {url:?}: invalid answer: {reason}")]
    Answer { method: String, url: String, reason: String },
    /// More bytes than anyone should send.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    /// Content differs from its digest.
    #[error("{what} verification failed for digest {expected}: content is {actual}")]
    Digest { what: &'static str, expected: Digest, actual: Digest },
    /// A manifest or configuration that does not parse.
    #[error("parse {what}: {source}")]
    Json { what: String, source: serde_json::Error },
    /// A manifest that is no image, such as a chart or a signature.
    #[error("{reference}: unsupported media type {media_type:?}: this is not a container image")]
    MediaType { reference: String, media_type: String },
    /// The manifest and its configuration do not fit each other.
    #[error("{reference}: invalid image: {reason}")]
    Image { reference: String, reason: String },
    /// An old image.
    #[error(
        "{reference}: Docker Image Format v1 and manifest version 2, schema 1 are not supported: \
         the image must be pushed again in the OCI format or as manifest version 2, schema 2"
    )]
    Schema1 { reference: String },
    /// An index without this platform.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform { platform: Platform },
    /// A single image of another platform.
    #[error(
        "image with reference {reference} was found but its platform ({found}) does not match the specified platform ({wanted})"
    )]
    OtherPlatform { reference: String, found: String, wanted: String },
    /// Nothing to push.
    #[error("An image does not exist locally with the tag: {name}")]
    NoImage { name: String },
    /// Other tags of the repository are there.
    #[error("tag does not exist: {reference}")]
    NoTag { reference: String },
    /// A name with a digest names what is already somewhere.
    #[error("cannot push a digest reference")]
    PushDigest,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A layer could not be read or compressed.
    #[error("read layer {layer}: {source}")]
    Layer { layer: String, source: io::Error },
    /// A thread of this program failed.
    #[error("{what} stopped unexpectedly")]
    Stopped { what: &'static str },
    /// A setting that cannot be used.
    #[error("{setting} {value:?}: {reason}")]
    Setting { setting: &'static str, value: String, reason: String },
}

/// The crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The class of the error.
    pub fn kind(&self) -> Kind {
        match self {
            Error::PullDenied { .. }
            | Error::NoManifest { .. }
            | Error::NoRepository { .. }
            | Error::NoPlatform { .. }
            | Error::OtherPlatform { .. }
            | Error::NoImage { .. }
            | Error::NoTag { .. } => Kind::NotFound,
            Error::NoCredentials { .. } | Error::Unauthorized { .. } => Kind::Unauthorized,
            Error::Refused { status, .. } | Error::Status { status, .. } => by_status(*status),
            Error::Lookup { .. }
            | Error::Connect { .. }
            | Error::Tls { .. }
            | Error::Timeout { .. }
            | Error::Transport { .. }
            | Error::Cut { .. }
            | Error::Redirects { .. }
            | Error::Answer { .. } => Kind::Unavailable,
            Error::Url { .. }
            | Error::TooLarge { .. }
            | Error::Digest { .. }
            | Error::Json { .. }
            | Error::Image { .. }
            | Error::PushDigest
            | Error::Setting { .. } => Kind::Invalid,
            Error::MediaType { .. } | Error::Schema1 { .. } => Kind::Unimplemented,
            Error::Store(error) => by_store(error.kind()),
            Error::Layer { .. } | Error::Stopped { .. } => Kind::Internal,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::Transport { .. } | Error::Cut { .. } | Error::Connect { .. } => true,
            Error::Status { status, .. } | Error::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// Whether the registry may be reached under another address.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Error::Lookup { .. } | Error::Connect { .. } | Error::Tls { .. })
    }
}

fn by_status(status: StatusCode) -> Kind {
    match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::UNAUTHORIZED => Kind::Unauthorized,
        StatusCode::FORBIDDEN => Kind::Denied,
        StatusCode::METHOD_NOT_ALLOWED => Kind::Unimplemented,
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}

fn by_store(kind: store::Kind) -> Kind {
    match kind {
        store::Kind::NotFound => Kind::NotFound,
        store::Kind::Conflict | store::Kind::Invalid => Kind::Invalid,
        store::Kind::Denied => Kind::Denied,
        store::Kind::Unimplemented => Kind::Unimplemented,
        store::Kind::Internal => Kind::Internal,
    }
}

/// The kernel's words for an error, without Rust's number behind them, in lower case as Go has them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
