//! Blobs, layers, snapshots, images and volumes on disk, and their garbage collection.
//!
//! A layer stays what it is: its uncompressed tar, once on disk. Beside it stands an index, a file system of metadata
//! only whose files point into the tar; it is mounted instead of being unpacked ([`snapshot`] has the fallback for
//! kernels that cannot). Everything that has to be consistent is in one redb database; what is in the folders without
//! being in the database is garbage and goes at the next open.
//!
//! - [`tar`]: reading and writing tar streams, of untrusted origin
//! - `tree`, `erofs`: the tree of a layer and its encoding as an EROFS image
//! - [`ingest`]: the way of a layer into the store, under a lease
//! - [`image`]: images, names, digests, history, removal
//! - [`snapshot`]: writable layers and views; one trait, two implementations
//! - [`archive`]: load, save, import, commit, export and copies into and out of a root
//! - [`volume`]: named local volumes
//!
//! Everything here is synchronous; callers on an async runtime use blocking threads. The store knows no container: who
//! uses an image is asked through a function the caller gives. The on-disk layout is described in `docs/store.md`.

pub mod archive;
mod db;
mod erofs;
mod error;
pub mod image;
pub mod ingest;
mod layer;
pub mod snapshot;
mod store;
pub mod tar;
mod tree;
pub mod volume;

pub use archive::{CommitRequest, CopyOptions, ImportRequest, Loaded, PathStat};
pub use error::{Error, Kind, Result};
pub use image::{HistoryEntry, Image, RemoveOptions, Removed, Use};
pub use ingest::{Distribution, ImageCommit, Ingest, LayerSource};
pub use snapshot::{Access, Change, ChangeKind, PrepareOptions, SnapshotInfo, Usage};
pub use store::{Collected, SnapshotterChoice, Store, StoreOptions};
pub use volume::{Volume, VolumeSpec};
