//! What can go wrong between a bundle and a running process, and what each failure means to a caller.

use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, named by what was attempted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration asks for something that makes no sense.
    #[error("invalid {field}: {problem}")]
    Spec {
        /// Where in config.json.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration asks for something that is not built yet.
    #[error("unimplemented: {0}")]
    Unimplemented(String),
    /// The command does not exist in the container; exit code 127.
    #[error("exec: {command:?}: {reason}")]
    CommandNotFound {
        /// As given in `args[0]`.
        command: String,
        /// In the words docker users know.
        reason: String,
    },
    /// The command exists but cannot be executed; exit code 126.
    #[error("exec: {command:?}: {reason}")]
    CommandNotExecutable {
        /// As given in `args[0]`.
        command: String,
        /// In the words docker users know.
        reason: String,
    },
    /// A step failed, in this process or in the container's first one.
    #[error("{step}: {source}")]
    Step {
        /// What was attempted, with its path: `mount proc at /proc`.
        step: String,
        /// Why the kernel refused.
        source: io::Error,
    },
    /// The container's first process went away without saying why.
    #[error("container init ended during {during} ({status})")]
    InitDied {
        /// The stage it was in.
        during: &'static str,
        /// How it ended, as a text.
        status: String,
    },
    /// A hook failed.
    #[error("{point} hook {}: {problem}", .path.display())]
    Hook {
        /// `prestart`, `createRuntime`, ...
        point: &'static str,
        /// The program.
        path: PathBuf,
        /// Its exit or what it printed.
        problem: String,
    },
    /// A control group could not be made, limited, entered or removed.
    #[error(transparent)]
    Cgroup(#[from] cgroup::Error),
    /// The seccomp profile cannot be compiled.
    #[error(transparent)]
    Seccomp(#[from] crate::seccomp::Error),
    /// No container of this name.
    #[error("container {0:?} does not exist")]
    NotFound(String),
    /// The name is taken.
    #[error("container with id exists: {0:?}")]
    Exists(String),
    /// The container is not in a state that allows this.
    #[error("cannot {action} a container that is {state}")]
    WrongState {
        /// `start`, `pause`, ...
        action: &'static str,
        /// Its state.
        state: &'static str,
    },
    /// A configuration cannot be decoded.
    #[error("parse {}: {source}", .path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// With the field, line and column.
        source: spec::config::DecodeError,
    },
    /// A file of a bundle or of the state folder is not what it should be.
    #[error("parse {}: {source}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// With line and column.
        source: serde_json::Error,
    },
}

/// Classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The named container does not exist.
    NotFound,
    /// A name is taken, or the state forbids it.
    Conflict,
    /// The request is wrong.
    Invalid,
    /// The kernel says that we may not.
    Denied,
    /// Not built.
    Unimplemented,
    /// Everything else.
    Internal,
}

impl Error {
    /// A failed step.
    pub(crate) fn step(step: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Step { step: step.into(), source: source.into() }
    }

    /// The class of the failure.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Spec { .. }
            | Error::CommandNotFound { .. }
            | Error::CommandNotExecutable { .. }
            | Error::Seccomp(_)
            | Error::Decode { .. }
            | Error::Parse { .. } => Kind::Invalid,
            Error::Unimplemented(_) => Kind::Unimplemented,
            Error::Step { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Kind::Denied,
            Error::NotFound(_) => Kind::NotFound,
            Error::Exists(_) | Error::WrongState { .. } => Kind::Conflict,
            Error::Step { .. } | Error::InitDied { .. } | Error::Hook { .. } | Error::Cgroup(_) => Kind::Internal,
        }
    }

    /// The exit code that docker shows: 127 command not found, 126 not executable, 125 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::CommandNotFound { .. } => 127,
            Error::CommandNotExecutable { .. } => 126,
            _ => 125,
        }
    }
}

/// Names the failed step of a result.
pub(crate) trait AtStep<T> {
    /// The step is built only on failure.
    fn at<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<io::Error>> AtStep<T> for std::result::Result<T, E> {
    fn at<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::step(step(), error))
    }
}
