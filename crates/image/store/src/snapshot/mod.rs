//! Writable layers over images, and views of images; one trait, two implementations.

use std::{io::Write, os::fd::OwnedFd, path::PathBuf};

use spec::digest::DiffId;

use crate::{Result, Store};

/// Whether a mount may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The container's own root.
    ReadWrite,
    /// For looking only.
    ReadOnly,
}

/// How to prepare a snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrepareOptions {
    /// The writable layer may hold this many bytes (`--storage-opt size`).
    pub size: Option<u64>,
}

/// What a path of a snapshot is, compared with its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was there and differs (docker's `C`, 0).
    Modified,
    /// It was not there (`A`, 1).
    Added,
    /// It is no longer there (`D`, 2).
    Deleted,
}

/// One line of `docker diff`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute, below the root.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// A snapshot as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its key: a container's id.
    pub key: String,
    /// The layers below it, lowest first.
    pub layers: Vec<DiffId>,
}

/// What a writable layer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its files (docker's SizeRw).
    pub bytes: u64,
    /// Its files and directories.
    pub inodes: u64,
}

/// Snapshots of the store.
impl Store {
    /// Makes an empty writable layer over `layers` (lowest first). Keys are container ids: file name characters only.
    pub fn prepare(&self, key: &str, layers: &[DiffId], options: PrepareOptions) -> Result<()> {
        todo!("{key} {layers:?} {options:?}")
    }

    /// The snapshot's root as a detached mount: nothing on the host shows it, it goes when its last user goes.
    pub fn mount(&self, key: &str, access: Access) -> Result<OwnedFd> {
        todo!("{key} {access:?}")
    }

    /// A read-only detached mount of layers without a snapshot.
    pub fn view(&self, layers: &[DiffId]) -> Result<OwnedFd> {
        todo!("{layers:?}")
    }

    /// What the snapshot changes, sorted by path.
    pub fn changes(&self, key: &str) -> Result<Vec<Change>> {
        todo!("{key}")
    }

    /// The writable layer as a layer tar (whiteouts as `.wh.` files).
    pub fn diff_tar(&self, key: &str, writer: impl Write) -> Result<()> {
        let _ = writer;
        todo!("{key}")
    }

    /// What the writable layer holds.
    pub fn usage(&self, key: &str) -> Result<Usage> {
        todo!("{key}")
    }

    /// Removes the snapshot; its layers stay for others. Mounts that still exist keep working until they end.
    pub fn remove_snapshot(&self, key: &str) -> Result<()> {
        todo!("{key}")
    }

    /// All snapshots.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        todo!()
    }
}
