//! What can go wrong in the store; texts that users see are docker's.

use std::{io, path::Path, path::PathBuf};

use crate::tar::TarError;

/// The class of an error, for the façades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The state of things forbids it.
    Conflict,
    /// The input is wrong.
    Invalid,
    /// Not allowed.
    Denied,
    /// This machine or file system cannot do it.
    Unimplemented,
    /// Disk or kernel failed.
    Internal,
}

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No image of this name or id; the text is docker's.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// A text that is no reference.
    #[error("{0}")]
    Reference(#[from] spec::reference::ReferenceError),
    /// The image cannot be removed.
    #[error("conflict: unable to delete {id} ({}) - {reason}", if *.forceable { "must be forced" } else { "cannot be forced" })]
    ImageInUse { id: String, forceable: bool, reason: String },
    /// The last name of an image that a container uses cannot be removed.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container {container} is using its referenced image {id}"
    )]
    NameInUse { name: String, container: String, id: String },
    /// An image cannot be given a name that is a digest.
    #[error("refusing to create a tag with a digest reference")]
    TagIsDigest,
    /// Content differs from its digest.
    #[error("{what}: digest mismatch: expected {expected}, got {actual}")]
    DigestMismatch { what: String, expected: String, actual: String },
    /// A compressed stream is damaged.
    #[error("{what}: {format} stream is damaged: {source}")]
    Decompress { what: String, format: &'static str, source: io::Error },
    /// A compression that is not known.
    #[error("{what}: unsupported compression {format}")]
    Compression { what: String, format: String },
    /// A tar stream is damaged or hostile.
    #[error("{what}: {source}")]
    Tar { what: String, source: TarError },
    /// An archive of images lacks a part or contradicts itself.
    #[error("invalid image archive: {problem}: {path}")]
    ImageArchive { path: String, problem: &'static str },
    /// JSON that does not parse.
    #[error("parse {what}: {source}")]
    Json { what: String, source: serde_json::Error },
    /// A field of an image configuration or manifest is unusable.
    #[error("invalid {what}: {problem}")]
    Config { what: String, problem: String },
    /// A Dockerfile instruction in `--change` that is not understood.
    #[error("{0}")]
    Change(String),
    /// The layer is not in the store.
    #[error("layer {0} is not in the store")]
    NoSuchLayer(String),
    /// No snapshot of this key.
    #[error("no such snapshot: {0}")]
    NoSuchSnapshot(String),
    /// A snapshot of this key exists.
    #[error("snapshot {0} already exists")]
    SnapshotExists(String),
    /// More layers than an overlay mount takes.
    #[error("max depth exceeded: {count} layers (limit {limit})")]
    TooManyLayers { count: usize, limit: usize },
    /// The path to copy does not exist.
    #[error("Could not find the file {0} in container")]
    NoSuchPath(String),
    /// The target of a copy is no directory.
    #[error("extraction point is not a directory: {0}")]
    NotDirectory(String),
    /// A copy would replace a directory by something else, or the reverse.
    #[error("cannot overwrite {} {path:?} with {} {base:?}", directory_word(*.directory), directory_word(!*.directory))]
    Overwrite { path: String, base: String, directory: bool },
    /// The root does not allow writing.
    #[error("container rootfs is marked read-only")]
    ReadOnlyRoot,
    /// `--storage-opt size` where the file system has no project quota.
    #[error("--storage-opt size is not supported here: {reason}")]
    QuotaUnsupported { reason: String },
    /// No volume of this name.
    #[error("get {0}: no such volume")]
    NoSuchVolume(String),
    /// A volume's name has characters it must not have.
    #[error(
        "create {0}: {0:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    VolumeName(String),
    /// A volume exists with other options.
    #[error("volume {0} already exists with different options")]
    VolumeExists(String),
    /// A volume is in use.
    #[error("remove {name}: volume is in use - [{}]", .users.join(", "))]
    VolumeInUse { name: String, users: Vec<String> },
    /// A volume driver or option that is not there.
    #[error("create {name}: {problem}")]
    VolumeOption { name: String, problem: String },
    /// A snapshotter that this kernel cannot run.
    #[error("snapshotter {name} does not work here: {reason}")]
    SnapshotterUnavailable { name: &'static str, reason: String },
    /// The database failed.
    #[error("store database: {action}: {source}")]
    Database { action: &'static str, source: Box<redb::Error> },
    /// A system call failed.
    #[error("{action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The other end of a stream failed.
    #[error("{action}: {source}")]
    Stream { action: &'static str, source: io::Error },
}

/// The store's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The class of the error.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoSuchImage(_)
            | Error::NoSuchLayer(_)
            | Error::NoSuchSnapshot(_)
            | Error::NoSuchPath(_)
            | Error::NoSuchVolume(_) => Kind::NotFound,
            Error::ImageInUse { .. }
            | Error::NameInUse { .. }
            | Error::SnapshotExists(_)
            | Error::VolumeExists(_)
            | Error::VolumeInUse { .. } => Kind::Conflict,
            Error::Reference(_)
            | Error::TagIsDigest
            | Error::DigestMismatch { .. }
            | Error::Decompress { .. }
            | Error::Compression { .. }
            | Error::Tar { .. }
            | Error::ImageArchive { .. }
            | Error::Json { .. }
            | Error::Config { .. }
            | Error::Change(_)
            | Error::TooManyLayers { .. }
            | Error::NotDirectory(_)
            | Error::Overwrite { .. }
            | Error::VolumeName(_)
            | Error::VolumeOption { .. } => Kind::Invalid,
            Error::ReadOnlyRoot => Kind::Denied,
            Error::QuotaUnsupported { .. } | Error::SnapshotterUnavailable { .. } => Kind::Unimplemented,
            Error::Database { .. } | Error::Io { .. } | Error::Stream { .. } => Kind::Internal,
        }
    }
}

fn directory_word(directory: bool) -> &'static str {
    if directory { "directory" } else { "non-directory" }
}

/// Names the action and the path of a failed system call.
pub(crate) trait Context<T> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.as_ref().to_owned(), source: source.into() })
    }
}
