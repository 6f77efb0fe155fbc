//! What can go wrong with keys and certificates on disk.

use std::path::PathBuf;

/// A key or certificate that could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file or folder could not be used.
    #[error("{action} {path}: {source}")]
    File {
        /// What was attempted: `read`, `write`, `make folder`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A private key that everything else hangs on cannot be used, and must not be replaced unasked.
    #[error("{path}: {what}; restore it, or remove {remove} for a new one: {consequence}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// The files to remove.
        remove: String,
        /// What the removal means.
        consequence: &'static str,
    },
    /// The certificate of an authority has expired and is not ours to renew.
    #[error("{path}: {what}; it was signed by another authority, which must renew it")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A certificate could not be made.
    #[error("make the certificate of {subject}: {source}")]
    Make {
        /// The subject's common name.
        subject: String,
        /// Why not.
        source: rcgen::Error,
    },
    /// No random numbers, or a key that cannot be used with them.
    #[error("make a key for {what}: {why}")]
    Generate {
        /// What the key is for.
        what: String,
        /// Why not.
        why: String,
    },
    /// TLS cannot be set up with what there is.
    #[error("set up TLS: {0}")]
    Tls(String),
}

impl From<PkiError> for crate::OpenError {
    fn from(error: PkiError) -> Self {
        crate::OpenError::Pki(error.to_string())
    }
}
