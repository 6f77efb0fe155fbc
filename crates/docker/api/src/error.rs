//! Errors of the API and the one place where an error becomes an HTTP status.

use http::StatusCode;

/// An error as a client sees it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status of the answer.
    pub status: StatusCode,
    /// Text of the answer.
    pub message: String,
}

impl ApiError {
    /// An error with a status of its own.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The thing is known, but not made yet.
    pub fn unimplemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("{what} is not implemented by this daemon"))
    }

    /// No such route.
    pub fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }
}

impl From<engine::Error> for ApiError {
    fn from(error: engine::Error) -> Self {
        let mut source = std::error::Error::source(&error);
        if source.is_some() {
            tracing::debug!(kind = ?error.kind(), "{error}");
        }
        while let Some(cause) = source {
            tracing::debug!("because: {cause}");
            source = cause.source();
        }
        Self::new(status_of(error.kind()), error.message())
    }
}

/// The status of each class of error.
pub fn status_of(kind: engine::Kind) -> StatusCode {
    use engine::Kind;
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
