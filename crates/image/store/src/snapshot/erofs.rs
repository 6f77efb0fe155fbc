//! Layers as EROFS indexes over their tars: nothing is unpacked, every layer is mounted once.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use spec::digest::DiffId;

use super::{
    Snapshotter, Top,
    overlay::{PathOrLayer, make_empty, mount_descriptors, open_directory, plan, reopen},
};
use crate::{
    Error, Result,
    error::Context,
    layer::{Layer, TAR},
    tree::Tree,
};

const INDEX: &str = "index.erofs";

/// Whether a layer of the store (`layers/<algorithm>/<hex>`) has an index.
fn are_in_use(root: &Path) -> bool {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    list(&root.join("layers")).any(|algorithm| list(&algorithm).any(|layer| layer.join(INDEX).exists()))
}

/// The snapshotter of EROFS indexes. `mounts` holds the one mount of every layer that was needed so far.
pub(super) struct Indexes {
    empty: PathBuf,
    mounts: Mutex<HashMap<DiffId, Arc<OwnedFd>>>,
}

impl Indexes {
    /// Mounts an empty layer and a stack of it: tells whether this kernel can.
    pub fn probe(root: &Path) -> Result<Indexes> {
        let empty = root.join("empty");
        make_empty(&empty)?;
        let indexes = Indexes { empty, mounts: Mutex::default() };
        let folder = root.join("tmp").join("probe");
        fs::create_dir_all(&folder).at("create", &folder)?;
        let probed = indexes.probe_in(&folder);
        super::remove_tree(&folder)?;
        match probed {
            // A full disk says nothing about the kernel; layers that have indexes do.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull && are_in_use(root) => {
                Ok(indexes)
            }
            probed => probed.map(|()| indexes),
        }
    }

    fn probe_in(&self, folder: &Path) -> Result<()> {
        let path = folder.join(TAR);
        fs::write(&path, [0; 1024]).at("write", &path)?;
        let tar = File::open(&path).at("open", &path)?;
        self.prepare_layer(folder, &Tree::new(), &tar, 1024)?;
        let layer = mount_index(folder)?;
        let lowers = [reopen(&layer).at("open", folder)?, open_directory(&self.empty.join("0"))?];
        mount_descriptors(&lowers, None).map(drop)
    }

    /// The one mount of a layer.
    fn layer_mount(&self, layer: &Layer) -> Result<Arc<OwnedFd>> {
        // Held while mounting, so that a layer is mounted once.
        let mut mounts = self.mounts();
        if let Some(mount) = mounts.get(&layer.id) {
            return Ok(mount.clone());
        }
        if !layer.folder.join(INDEX).exists() {
            // Brought in while another snapshotter was in use.
            self.prepare_layer(&layer.folder, &layer.scan()?, &layer.tar()?, layer.meta.tar_size)?;
        }
        let mount = Arc::new(mount_index(&layer.folder)?);
        mounts.insert(layer.id.clone(), mount.clone());
        Ok(mount)
    }

    fn mounts(&self) -> MutexGuard<'_, HashMap<DiffId, Arc<OwnedFd>>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshotter for Indexes {
    fn name(&self) -> &'static str {
        "erofs"
    }

    fn prepare_layer(&self, folder: &Path, tree: &Tree, _tar: &File, tar_size: u64) -> Result<()> {
        let wrong = |source| Error::Tar { what: "index layer".to_owned(), source };
        let image = crate::erofs::encode(tree, tar_size).map_err(wrong)?;
        let (path, unfinished) = (folder.join(INDEX), folder.join("index.tmp"));
        let mut file = File::create(&unfinished).at("create", &unfinished)?;
        file.write_all(&image).at("write", &unfinished)?;
        file.sync_data().at("sync", &unfinished)?;
        fs::rename(&unfinished, &path).at("rename into place", &path)
    }

    fn mount(&self, layers: &[Arc<Layer>], top: Option<Top>) -> Result<OwnedFd> {
        let plan = plan(layers.len(), top, &self.empty);
        let open = |lower: &PathOrLayer| match lower {
            PathOrLayer::Path(path) => open_directory(path),
            PathOrLayer::Layer(index) => self.layer_root(&layers[*index]),
        };
        let lowers = plan.lowers.iter().map(open).collect::<Result<Vec<_>>>()?;
        mount_descriptors(&lowers, plan.writable.as_ref())
    }

    fn layer_root(&self, layer: &Layer) -> Result<OwnedFd> {
        let mount = self.layer_mount(layer)?;
        reopen(&*mount).at("open mount of", &layer.folder)
    }

    fn forget(&self, layer: &DiffId) {
        self.mounts().remove(layer);
    }
}

/// Mounts a folder's index with its tar as device, from the files themselves (kernel 6.12 and later).
fn mount_index(folder: &Path) -> Result<OwnedFd> {
    let path = folder.join(INDEX);
    let index = File::open(&path).at("open", &path)?;
    let tar = File::open(folder.join(TAR)).at("open", folder.join(TAR))?;
    // By descriptor: fsconfig takes at most 255 bytes, paths may be longer.
    let name = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).at("open file system erofs for", &path)?;
    fsconfig_set_string(&context, "source", name(&index)).at("set source of erofs", &path)?;
    fsconfig_set_string(&context, "device", name(&tar)).at("set device of erofs", &path)?;
    fsconfig_set_flag(&context, "ro").at("set read-only", &path)?;
    fsconfig_create(&context).at("create erofs of", &path)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("mount erofs of", &path)
}
