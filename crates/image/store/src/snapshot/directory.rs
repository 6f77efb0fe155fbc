//! Layers extracted into directories, for kernels that cannot mount indexes.

use std::{
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use spec::digest::DiffId;

use super::{
    Snapshotter, Top,
    extract::extract,
    overlay::{PathOrLayer, lacks, make_empty, mount_descriptors, mount_paths, open_directory, plan},
};
use crate::{Result, error::Context, layer::Layer, tree::Tree};

const FILES: &str = "files";

/// The snapshotter of directories.
pub(super) struct Directories {
    empty: PathBuf,
    /// Overlayfs does not take descriptors: found at the first mount.
    by_path: AtomicBool,
}

impl Directories {
    /// A snapshotter whose layers are in `root`.
    pub fn new(root: &Path) -> Self {
        let empty = root.join("empty");
        if let Err(error) = make_empty(&empty) {
            tracing::warn!(%error, "the first mount will tell");
        }
        Directories { empty, by_path: AtomicBool::new(false) }
    }

    fn files(&self, layer: &Layer) -> Result<PathBuf> {
        let path = layer.folder.join(FILES);
        if !path.exists() {
            // Brought in while another snapshotter was in use.
            self.prepare_layer(&layer.folder, &layer.scan()?, &layer.tar()?, layer.meta.tar_size)?;
        }
        Ok(path)
    }
}

impl Snapshotter for Directories {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn prepare_layer(&self, folder: &Path, tree: &Tree, tar: &File, _tar_size: u64) -> Result<()> {
        let (path, unfinished) = (folder.join(FILES), folder.join("files.tmp"));
        if unfinished.exists() {
            super::remove_tree(&unfinished)?;
        }
        fs::create_dir(&unfinished).at("create", &unfinished)?;
        extract(tree, tar, &unfinished)?;
        let root = open_directory(&unfinished)?;
        rustix::fs::syncfs(&root).at("sync", &unfinished)?;
        fs::rename(&unfinished, &path).at("rename into place", &path)
    }

    fn mount(&self, layers: &[Arc<Layer>], top: Option<Top>) -> Result<OwnedFd> {
        let plan = plan(layers.len(), top, &self.empty);
        let path = |lower: &PathOrLayer| match lower {
            PathOrLayer::Path(path) => Ok(path.clone()),
            PathOrLayer::Layer(index) => self.files(&layers[*index]),
        };
        let paths = plan.lowers.iter().map(path).collect::<Result<Vec<_>>>()?;
        if !self.by_path.load(Ordering::Relaxed) {
            let lowers = paths.iter().map(|p| open_directory(p)).collect::<Result<Vec<_>>>()?;
            match mount_descriptors(&lowers, plan.writable.as_ref()) {
                Err(error) if lacks(&error) => self.by_path.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        mount_paths(&paths, plan.writable.as_ref(), &self.empty.join("point"))
    }

    fn layer_root(&self, layer: &Layer) -> Result<OwnedFd> {
        open_directory(&self.files(layer)?)
    }

    fn forget(&self, _layer: &DiffId) {}
}
