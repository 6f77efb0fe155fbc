//! The handle to the store, and what happens when it is opened.

use std::{path::Path, sync::Arc};

use crate::Result;

/// The store: one cloneable handle, used from any thread.
#[derive(Clone)]
pub struct Store {
    _inner: Arc<()>,
}

/// Which snapshotter to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotterChoice {
    /// What this kernel can do best.
    #[default]
    Auto,
    /// EROFS indexes over raw tars (kernel 6.15 and later).
    Erofs,
    /// Layers extracted into directories.
    Directory,
}

/// How to open the store.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Which snapshotter to use.
    pub snapshotter: SnapshotterChoice,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers.
    pub layers: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Store {
    /// Opens the store in `root`, made if absent; removes what a killed predecessor left unfinished.
    pub fn open(db: Arc<redb::Database>, root: &Path, options: &StoreOptions) -> Result<Store> {
        let _ = db;
        todo!("{root:?} {options:?}")
    }

    /// `erofs` or `overlay`.
    pub fn snapshotter_name(&self) -> &'static str {
        todo!()
    }

    /// Removes layers that no image, snapshot or running ingest needs.
    pub fn collect(&self) -> Result<Collected> {
        todo!()
    }
}
