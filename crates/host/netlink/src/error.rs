//! Errors of netlink requests.

use rustix::io::Errno;

/// What can go wrong between us and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{call}: {errno}")]
    Socket { call: &'static str, errno: Errno },
    #[error("{what}: {errno}{}", extended(.message))]
    Refused { what: String, errno: Errno, message: Option<String> },
    #[error("malformed netlink answer: {0}")]
    Malformed(&'static str),
}

fn extended(message: &Option<String>) -> String {
    message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default()
}

impl Error {
    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Socket { errno, .. } | Error::Refused { errno, .. } => Some(*errno),
            Error::Malformed(_) => None,
        }
    }
}
