//! Writable layers over images, and views of images; one trait, two implementations.
//!
//! A snapshot is a folder `snapshots/<key>` with an overlayfs upper and work directory. What lies below it is the
//! business of the [`Snapshotter`]: it decides what a layer needs beside its tar, and mounts layers.

mod changes;
mod directory;
mod erofs;
mod extract;
mod init;
mod overlay;
mod quota;
mod remove;

use std::{
    fs::{self, File},
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use spec::digest::DiffId;

use crate::{
    Error, Result, Store,
    archive::walk,
    db::{SNAPSHOTS, SnapshotRecord, View, delete, parse, put_json},
    error::Context,
    layer::Layer,
    store::{SnapshotterChoice, Temporary},
    tree::Tree,
};

pub(crate) use remove::remove_tree;

/// As in docker: overlayfs takes more, but images must stay portable.
pub(crate) const MAX_LAYERS: usize = 127;

/// Whether a mount may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The container's own root.
    ReadWrite,
    /// For looking only.
    ReadOnly,
    /// For looking at what the writable layer lies on, without it.
    Below,
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

/// What a layer needs beside its tar to be mounted, and how layers are mounted.
///
/// One use: a layer arrives, its tar is scanned into a tree, [`prepare_layer`](Self::prepare_layer) makes what the
/// snapshotter wants in the layer's folder before that folder becomes visible; a container starts,
/// [`mount`](Self::mount) stacks the image's layers below the container's upper directory; the image goes,
/// [`forget`](Self::forget) lets go of whatever is held for a layer before its folder is removed.
///
/// Every implementation passes `snapshot/tests.rs`. Mounts are detached: visible nowhere, gone with their last user.
pub(crate) trait Snapshotter: Send + Sync {
    /// What users know it as.
    fn name(&self) -> &'static str;

    /// Makes what [`mount`](Self::mount) needs in `folder`, from the scanned tar that stands there.
    fn prepare_layer(&self, folder: &Path, tree: &Tree, tar: &File, tar_size: u64) -> Result<()>;

    /// Mounts layers (lowest first) with `top` over them, read-only without one.
    fn mount(&self, layers: &[Arc<Layer>], top: Option<Top>) -> Result<OwnedFd>;

    /// The files of one layer alone, as a directory.
    fn layer_root(&self, layer: &Layer) -> Result<OwnedFd>;

    /// Nothing of this layer will be asked for again.
    fn forget(&self, layer: &DiffId);
}

/// What lies over the layers of a mount.
#[derive(Clone, Copy)]
pub(crate) struct Top<'a> {
    /// The snapshot's folder.
    pub folder: &'a Path,
    /// The image's init layer.
    pub init: &'a Path,
    pub access: Access,
}

/// Builds the snapshotter: the asked one or an error, or the best that works on this kernel.
pub(crate) fn choose(choice: SnapshotterChoice, root: &Path) -> Result<Box<dyn Snapshotter>> {
    let directory = || -> Result<Box<dyn Snapshotter>> { Ok(Box::new(directory::Directories::new(root))) };
    if choice == SnapshotterChoice::Directory {
        return directory();
    }
    match (erofs::Indexes::probe(root), choice) {
        (Ok(indexes), _) => Ok(Box::new(indexes)),
        (Err(error), SnapshotterChoice::Erofs) => {
            Err(Error::SnapshotterUnavailable { name: "erofs", reason: error.to_string() })
        }
        (Err(error), _) => {
            tracing::info!(%error, "EROFS indexes do not work on this kernel: layers are extracted into directories");
            directory()
        }
    }
}

/// Snapshots of the store.
impl Store {
    /// Makes an empty writable layer over `layers` (lowest first). Keys are container ids: file name characters only.
    pub fn prepare(&self, key: &str, layers: &[DiffId], options: PrepareOptions) -> Result<()> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || key.starts_with('.') || !key.chars().all(valid) {
            return Err(Error::Config { what: "snapshot key".to_owned(), problem: format!("{key:?}") });
        }
        if layers.len() > MAX_LAYERS + 1 {
            return Err(Error::TooManyLayers { count: layers.len(), limit: MAX_LAYERS + 1 });
        }
        if self.inner.db.read()?.bytes(SNAPSHOTS, key)?.is_some() {
            return Err(Error::SnapshotExists(key.to_owned()));
        }
        // The lease keeps the layers until the record does.
        let lease = self.ingest()?;
        for layer in layers {
            if !lease.has_layer(layer)? {
                return Err(Error::NoSuchLayer(layer.to_string()));
            }
        }
        // Made where it will be: a folder without a record goes at the next start.
        let path = self.snapshot_folder(key);
        fs::create_dir(&path).at("create", &path)?;
        let folder = Temporary { path };
        let (upper, work) = (folder.path.join("upper"), folder.path.join("work"));
        fs::create_dir(&upper).at("create", &upper)?;
        fs::create_dir(&work).at("create", &work)?;
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).at("set mode of", &upper)?;
        if let Some(size) = options.size {
            quota::limit(&folder.path, size)?;
        }
        let stack = self.stack(layers)?;
        init::folder(&*self.inner.snapshotter, &stack, &self.inner.root)?;
        init::copy_root(&*self.inner.snapshotter, &stack, &upper)?;
        let record = SnapshotRecord { layers: layers.to_vec(), size: options.size };
        self.inner.db.write("record snapshot", |tx| put_json(tx, SNAPSHOTS, key, &record))?;
        folder.keep();
        Ok(())
    }

    /// The snapshot's root as a detached mount: nothing on the host shows it, it goes when its last user goes.
    pub fn mount(&self, key: &str, access: Access) -> Result<OwnedFd> {
        let layers = self.stack(&self.snapshot(key)?.layers)?;
        let init = init::folder(&*self.inner.snapshotter, &layers, &self.inner.root)?;
        let folder = self.snapshot_folder(key);
        self.inner.snapshotter.mount(&layers, Some(Top { folder: &folder, init: &init, access }))
    }

    /// A read-only detached mount of layers without a snapshot.
    pub fn view(&self, layers: &[DiffId]) -> Result<OwnedFd> {
        self.inner.snapshotter.mount(&self.stack(layers)?, None)
    }

    /// What the snapshot changes, sorted by path.
    pub fn changes(&self, key: &str) -> Result<Vec<Change>> {
        let below = self.mount(key, Access::Below)?;
        changes::between(&self.upper(key)?, below.as_fd())
    }

    /// The writable layer as a layer tar (whiteouts as `.wh.` files).
    pub fn diff_tar(&self, key: &str, writer: impl Write) -> Result<()> {
        self.snapshot(key)?;
        walk::write_layer(&self.upper(key)?, writer)
    }

    /// What the writable layer holds.
    pub fn usage(&self, key: &str) -> Result<Usage> {
        self.snapshot(key)?;
        changes::usage(&self.upper(key)?)
    }

    /// Removes the snapshot; its layers stay for others. Mounts that still exist keep working until they end.
    pub fn remove_snapshot(&self, key: &str) -> Result<()> {
        self.snapshot(key)?;
        self.inner.db.write("forget snapshot", |tx| delete(tx, SNAPSHOTS, key))?;
        let folder = self.snapshot_folder(key);
        let grave = self.temporary_path();
        match fs::rename(&folder, &grave) {
            Ok(()) => remove_tree(&grave)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("remove", &folder),
        }
        self.collect().map(drop)
    }

    /// All snapshots.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let rows = self.inner.db.read()?.rows(SNAPSHOTS, "")?;
        let info = |(key, record): (String, Vec<u8>)| {
            let layers = parse::<SnapshotRecord>(&key, &record)?.layers;
            Ok(SnapshotInfo { key, layers })
        };
        rows.into_iter().map(info).collect()
    }

    /// The layers a snapshot lies over, lowest first.
    pub fn snapshot_layers(&self, key: &str) -> Result<Vec<DiffId>> {
        Ok(self.snapshot(key)?.layers)
    }

    /// Makes the layer that containers of these layers share below their writable ones.
    pub(crate) fn make_init_layer(&self, layers: &[DiffId]) -> Result<()> {
        init::folder(&*self.inner.snapshotter, &self.stack(layers)?, &self.inner.root).map(drop)
    }

    fn snapshot(&self, key: &str) -> Result<SnapshotRecord> {
        let view: View = self.inner.db.read()?;
        view.get(SNAPSHOTS, key)?.ok_or_else(|| Error::NoSuchSnapshot(key.to_owned()))
    }

    fn stack(&self, layers: &[DiffId]) -> Result<Vec<Arc<Layer>>> {
        layers.iter().map(|id| self.layer(id)).collect()
    }

    fn upper(&self, key: &str) -> Result<OwnedFd> {
        let path = self.snapshot_folder(key).join("upper");
        overlay::open_directory(&path)
    }
}

#[cfg(test)]
mod tests;
