//! What can go wrong between the daemon and the supervisor.

use std::io;
use std::path::PathBuf;

use crate::types::ProcessKey;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ErrorKind {
    NotFound,
    Conflict,
    Invalid,
    Denied,
    Unavailable,
    Unimplemented,
    Internal,
    /// The program to run is not there: Docker's exit code 127.
    CommandNotFound,
    /// The program to run cannot be executed: Docker's exit code 126.
    CommandNotExecutable,
}

/// Failure of an operation of the supervisor or its client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The supervisor holds no such process.
    #[error("no such process: {0}")]
    NoSuchProcess(ProcessKey),
    /// The supervisor could not do what it was asked; its words.
    #[error("{message}")]
    Remote { kind: ErrorKind, message: String },
    /// No supervisor could be reached or started.
    #[error("{step} the supervisor at {}: {source}", path.display())]
    Connect { step: &'static str, path: PathBuf, source: io::Error },
    /// A new supervisor said why it cannot run.
    #[error("the supervisor for {} did not start: {reason}", path.display())]
    NotStarted { path: PathBuf, reason: String },
    /// The supervisor died before it answered.
    #[error("the supervisor died before it answered")]
    Lost,
    /// The supervisor did not answer in time.
    #[error("the supervisor did not answer within {seconds} s")]
    TimedOut { seconds: u64 },
    /// A message did not have the expected form.
    #[error("message between daemon and supervisor: {0}")]
    Message(#[from] serde_json::Error),
    /// A system call on something that is held failed.
    #[error("{step} ({key}): {source}")]
    Held { step: &'static str, key: ProcessKey, source: io::Error },
    /// The control group refused.
    #[error("control group of {key}: {source}")]
    Cgroup { key: ProcessKey, source: cgroup::Error },
    /// A system call failed.
    #[error("{step}: {source}")]
    System { step: &'static str, source: io::Error },
}

impl Error {
    /// No failure where the aim was that something be gone.
    pub(crate) fn unless_gone(self) -> Result<()> {
        match self.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(self),
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NoSuchProcess(_) => ErrorKind::NotFound,
            Error::Remote { kind, .. } => *kind,
            Error::Connect { .. } | Error::NotStarted { .. } => ErrorKind::Unavailable,
            Error::Lost | Error::TimedOut { .. } => ErrorKind::Unavailable,
            Error::Held { .. } | Error::Cgroup { .. } => ErrorKind::Internal,
            Error::Message(_) | Error::System { .. } => ErrorKind::Internal,
        }
    }
}
