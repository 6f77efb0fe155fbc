//! The handle to the store, and what happens when it is opened.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use spec::{
    digest::{DiffId, ImageId},
    image::ImageConfig,
};

use crate::{
    Error, Result,
    db::{Db, IMAGES, ImageRecord, SNAPSHOTS, SnapshotRecord, parse},
    error::Context,
    layer::{Layer, Layers, list},
    snapshot::{self, Snapshotter},
};

/// The store: one cloneable handle, used from any thread.
///
/// Locks: `layers` guards which layer folders exist and their leases, and is held while a folder is renamed into or
/// out of its place, never while data is read or written. `configs` is a cache. Neither is taken inside a database
/// transaction. `removals` is the outermost: it makes one removal of images wait for another.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub db: Db,
    pub root: PathBuf,
    pub snapshotter: Box<dyn Snapshotter>,
    layers: Mutex<Layers>,
    pub configs: Mutex<HashMap<ImageId, Arc<ImageConfig>>>,
    removals: Mutex<()>,
    next_temporary: AtomicU64,
}

/// Which snapshotter to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotterChoice {
    /// What this kernel can do best.
    #[default]
    Auto,
    /// EROFS indexes over raw tars; for kernels whose overlayfs takes detached mounts (6.15 and later).
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
        for folder in ["", "layers", "snapshots", "volumes", "tmp", "empty"] {
            let path = root.join(folder);
            let mode = if matches!(folder, "" | "volumes") { 0o711 } else { 0o700 };
            fs::DirBuilder::new().recursive(true).mode(mode).create(&path).at("create", &path)?;
        }
        let root = root.canonicalize().at("resolve", root)?;
        for name in list(&root.join("tmp"))? {
            let path = root.join("tmp").join(name);
            snapshot::remove_tree(&path)?;
        }
        let db = Db::open(db)?;
        let snapshotter = snapshot::choose(options.snapshotter, &root)?;
        let layers = Mutex::new(Layers::open(&root.join("layers"))?);
        let (configs, removals, next_temporary) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        let store =
            Store { inner: Arc::new(Inner { db, root, snapshotter, layers, configs, removals, next_temporary }) };
        store.drop_stray_snapshots()?;
        store.drop_stray_volumes()?;
        store.collect()?;
        store.make_init_layer(&[])?;
        Ok(store)
    }

    /// `erofs` or `overlay`.
    pub fn snapshotter_name(&self) -> &'static str {
        self.inner.snapshotter.name()
    }

    /// Removes layers that no image, snapshot or running ingest needs.
    pub fn collect(&self) -> Result<Collected> {
        let mut graves = Vec::new();
        let mut collected = Collected::default();
        {
            // Held from the look at the database to the renames, so that nobody leases a layer in between.
            let mut layers = self.layers();
            let needed = self.needed_layers()?;
            for layer in layers.take_unused(&|id| needed.contains(id)) {
                self.inner.snapshotter.forget(&layer.id);
                let grave = self.temporary_path();
                fs::rename(&layer.folder, &grave).at("remove", &layer.folder)?;
                graves.push(grave);
                collected.layers += 1;
            }
        }
        for grave in graves {
            collected.bytes += disk_bytes(&grave);
            snapshot::remove_tree(&grave)?;
        }
        Ok(collected)
    }

    fn needed_layers(&self) -> Result<HashSet<DiffId>> {
        let view = self.inner.db.read()?;
        let mut needed = HashSet::new();
        for (id, record) in view.rows(IMAGES, "")? {
            needed.extend(parse::<ImageRecord>(&id, &record)?.layers);
        }
        for (key, record) in view.rows(SNAPSHOTS, "")? {
            needed.extend(parse::<SnapshotRecord>(&key, &record)?.layers);
        }
        Ok(needed)
    }

    /// Folders of snapshots that never came into the database, or left it.
    fn drop_stray_snapshots(&self) -> Result<()> {
        let view = self.inner.db.read()?;
        for key in list(&self.inner.root.join("snapshots"))? {
            if view.bytes(SNAPSHOTS, &key)?.is_none() {
                snapshot::remove_tree(&self.snapshot_folder(&key))?;
            }
        }
        Ok(())
    }

    /// The layers, locked.
    pub(crate) fn layers(&self) -> MutexGuard<'_, Layers> {
        self.inner.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One removal of images at a time.
    pub(crate) fn removals(&self) -> MutexGuard<'_, ()> {
        self.inner.removals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what is cached of images that are gone.
    pub(crate) fn forget_configs(&self, gone: &[ImageId]) {
        let mut configs = self.inner.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.retain(|id, _| !gone.contains(id));
    }

    /// A layer that must be here.
    pub(crate) fn layer(&self, id: &DiffId) -> Result<Arc<Layer>> {
        self.layers().get(id).ok_or_else(|| Error::NoSuchLayer(id.to_string()))
    }

    pub(crate) fn layers_folder(&self) -> PathBuf {
        self.inner.root.join("layers")
    }

    pub(crate) fn snapshot_folder(&self, key: &str) -> PathBuf {
        self.inner.root.join("snapshots").join(key)
    }

    /// A path below `tmp` that nothing has yet.
    pub(crate) fn temporary_path(&self) -> PathBuf {
        let number = self.inner.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.inner.root.join("tmp").join(number.to_string())
    }

    /// A new folder below `tmp`, gone when it is dropped.
    pub(crate) fn temporary(&self) -> Result<Temporary> {
        let path = self.temporary_path();
        fs::create_dir(&path).at("create", &path)?;
        Ok(Temporary { path })
    }
}

/// A folder that goes when it is dropped, unless it was moved away.
pub(crate) struct Temporary {
    pub path: PathBuf,
}

impl Temporary {
    /// It is wanted after all.
    pub fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = snapshot::remove_tree(&self.path) {
            tracing::warn!(%error, "a temporary folder stays until the next start");
        }
    }
}

fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |e: std::io::Result<fs::DirEntry>| e.and_then(|e| e.metadata()).map_or(0, |m| m.blocks() * 512);
    entries.map(size).sum()
}
