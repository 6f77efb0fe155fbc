//! Errors of the engine: docker's texts for the user, a class for the caller.

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Class of an error; a façade turns it into a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The object does not exist.
    NotFound,
    /// The state of the object does not allow it.
    Conflict,
    /// The request makes no sense.
    Invalid,
    /// Understood and refused.
    Denied,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// It is already as asked.
    NotModified,
    /// It could work later.
    Unavailable,
    /// Not built.
    Unimplemented,
    /// Everything else.
    Internal,
}

/// What went wrong: class, text for the user and, for the log, where it came from.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    /// Exit code that docker's clients show when a start fails (126, 127, 128).
    exit_code: Option<i32>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), exit_code: None, source: None }
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(Kind::Conflict, message)
    }

    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message)
    }

    pub fn denied(message: impl Into<String>) -> Error {
        Error::new(Kind::Denied, message)
    }

    pub fn unimplemented(message: impl Into<String>) -> Error {
        Error::new(Kind::Unimplemented, message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(Kind::Internal, message)
    }

    /// An error of this class with the text `what: source`.
    pub fn because<E>(kind: Kind, what: impl std::fmt::Display, source: E) -> Error
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Error { kind, message: format!("{what}: {source}"), exit_code: None, source: Some(Box::new(source)) }
    }

    /// The same with an exit code for the container (a start that failed).
    pub fn with_exit_code(mut self, code: i32) -> Error {
        self.exit_code = Some(code);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text that a user reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }
}

impl From<network::Error> for Error {
    fn from(error: network::Error) -> Error {
        let kind = match error.kind() {
            network::Kind::NotFound => Kind::NotFound,
            network::Kind::Conflict => Kind::Conflict,
            network::Kind::Invalid => Kind::Invalid,
            network::Kind::Denied => Kind::Denied,
            network::Kind::Unavailable => Kind::Unavailable,
            network::Kind::Unimplemented => Kind::Unimplemented,
            network::Kind::Internal => Kind::Internal,
        };
        Error { kind, message: error.to_string(), exit_code: None, source: Some(Box::new(error)) }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let kind = match error.kind() {
            store::Kind::NotFound => Kind::NotFound,
            store::Kind::Conflict => Kind::Conflict,
            store::Kind::Invalid => Kind::Invalid,
            store::Kind::Denied => Kind::Denied,
            store::Kind::Unimplemented => Kind::Unimplemented,
            store::Kind::Internal => Kind::Internal,
        };
        Error { kind, message: error.to_string(), exit_code: None, source: Some(Box::new(error)) }
    }
}

impl From<supervisor::Error> for Error {
    fn from(error: supervisor::Error) -> Error {
        use supervisor::ErrorKind;
        let (kind, exit_code) = match error.kind() {
            ErrorKind::NotFound => (Kind::NotFound, None),
            ErrorKind::Conflict => (Kind::Conflict, None),
            ErrorKind::Invalid => (Kind::Invalid, None),
            ErrorKind::Denied => (Kind::Denied, None),
            ErrorKind::Unavailable => (Kind::Unavailable, None),
            ErrorKind::Unimplemented => (Kind::Unimplemented, None),
            ErrorKind::Internal => (Kind::Internal, None),
            // Docker answers "bad request" to both.
            ErrorKind::CommandNotFound => (Kind::Invalid, Some(127)),
            ErrorKind::CommandNotExecutable => (Kind::Invalid, Some(126)),
        };
        Error { kind, message: error.to_string(), exit_code, source: Some(Box::new(error)) }
    }
}

impl Error {
    /// The same with words before it.
    pub fn prefixed(mut self, words: &str) -> Error {
        self.message = format!("{words}{}", self.message);
        self
    }
}
