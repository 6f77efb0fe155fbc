//! What can be wrong with a volume, in Kubernetes' words where it has some.

use std::io;
use std::path::PathBuf;

use crate::environment::fields;
use crate::sources::NotSynced;

/// Why a pod's volumes cannot be had; becomes an event `FailedMount` with this as the message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {fault}")]
    SetUp { volume: String, fault: Fault },
    #[error("{0}")]
    NotSynced(#[from] NotSynced),
    #[error("no volume \"{volume}\" for a mount of container \"{container}\"")]
    NoVolume { volume: String, container: String },
    #[error("failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\": {fault}")]
    SubPath { volume: String, container: String, fault: Fault },
    #[error("{0}")]
    Files(#[from] Files),
}

/// What is wrong with one of them.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    MissingKey { kind: &'static str, key: String },
    #[error("{0}")]
    Field(#[from] fields::Error),
    #[error("hostPath type check failed: {path} is not {what}")]
    HostPathType { path: String, what: &'static str },
    #[error("hostPath has an unknown type {0:?}")]
    UnknownType(String),
    #[error("error processing PVC {claim}: {why}")]
    Claim { claim: String, why: String },
    #[error("persistent volume {volume}: {why}")]
    Persistent { volume: String, why: String },
    #[error("no volume plugin matched: {0} volumes are not supported by this node")]
    Unsupported(&'static str),
    #[error("failed to fetch token: {0}")]
    Token(String),
    #[error("{0}")]
    Api(String),
    #[error("{0:?} is not a path beneath the volume")]
    Path(String),
    #[error("{0}")]
    Variable(#[from] crate::environment::MissingVariable),
    #[error("{0}")]
    Files(#[from] Files),
}

/// A step on the file system that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", path.display())]
pub struct Files {
    pub what: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl Files {
    /// For `map_err`: what was attempted on what.
    pub fn at<E: Into<io::Error>>(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Files {
        let path = path.into();
        move |source| Files { what, path, source: source.into() }
    }
}
