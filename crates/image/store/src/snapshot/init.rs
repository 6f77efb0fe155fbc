//! The layer between an image and a container's writable layer: what must be there without being a change.
//!
//! - Places for what every container has mounted (`/proc`, `/etc/hosts`, ...), where the image lacks them; `docker diff`
//!   and commits do not see them, as with docker's own init layer.
//! - Directories that a layer passes through without describing them. A tar may hold `tmp/x` without `tmp`. Unpacked
//!   over the layers below, `tmp` keeps what they say of it; mounted as a layer of its own, it would hide that.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fstat,
        openat2, utimensat,
    },
    io::Errno,
};

use spec::digest::ChainId;

use super::{Snapshotter, overlay::open_directory};
use crate::{Result, archive::walk::is_whiteout, error::Context, layer::Layer};

/// Something every container's root has.
enum Fixture {
    Directory,
    File,
    Link(&'static str),
}

/// As in docker.
const FIXTURES: [(&str, Fixture); 10] = [
    ("dev/pts", Fixture::Directory),
    ("dev/shm", Fixture::Directory),
    ("proc", Fixture::Directory),
    ("sys", Fixture::Directory),
    (".dockerenv", Fixture::File),
    ("etc/resolv.conf", Fixture::File),
    ("etc/hosts", Fixture::File),
    ("etc/hostname", Fixture::File),
    ("dev/console", Fixture::File),
    ("etc/mtab", Fixture::Link("/proc/mounts")),
];

/// The init layer of an image's layers: made once, kept in the folder of the topmost layer and gone with it.
pub(super) fn folder(snapshotter: &dyn Snapshotter, layers: &[Arc<Layer>], store: &Path) -> Result<PathBuf> {
    let ids: Vec<_> = layers.iter().map(|layer| layer.id.clone()).collect();
    let target = match (layers.last(), ChainId::of(&ids)) {
        (Some(top), Some(chain)) => top.folder.join(format!("init-{}", chain.hex())),
        _ => store.join("empty").join("init"),
    };
    if target.exists() {
        return Ok(target);
    }
    static UNFINISHED: AtomicU64 = AtomicU64::new(0);
    let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
    let unfinished = store.join("tmp").join(format!("init-{number}"));
    make(&Stack::open(snapshotter, layers)?, &unfinished)?;
    match fs::rename(&unfinished, &target) {
        // Another container of the image was faster.
        Err(_) if target.exists() => super::remove_tree(&unfinished)?,
        result => result.at("rename into place", &target)?,
    }
    Ok(target)
}

/// Gives a snapshot's upper directory the attributes of the image's root.
pub(super) fn copy_root(snapshotter: &dyn Snapshotter, layers: &[Arc<Layer>], upper: &Path) -> Result<()> {
    let Some(described) = layers.iter().rev().find(|l| !is_implicit(l, "")) else { return Ok(()) };
    let stack = Stack::open(snapshotter, std::slice::from_ref(described))?;
    stack.copy_attributes(0, Path::new(""), upper)
}

fn make(stack: &Stack, target: &Path) -> Result<()> {
    fs::create_dir(target).at("create", target)?;
    let missing: Vec<_> = FIXTURES.iter().filter(|(path, _)| !stack.may_exist(Path::new(path))).collect();
    let mut directories: BTreeSet<PathBuf> = stack.hidden_directories();
    directories.extend(missing.iter().flat_map(|(path, _)| ancestors(Path::new(path)).skip(1)));
    for path in directories {
        let at = target.join(&path);
        match stack.described(&path) {
            Some((index, _)) => stack.copy_attributes(index, &path, &at)?,
            None => directory(&at)?,
        }
    }
    for (path, fixture) in missing {
        let at = target.join(path);
        match fixture {
            Fixture::Directory => directory(&at)?,
            Fixture::Link(to) => symlink(to, &at).at("create", &at)?,
            Fixture::File => {
                let file = File::create_new(&at).at("create", &at)?;
                file.set_permissions(fs::Permissions::from_mode(0o755)).at("set mode of", &at)?;
            }
        }
    }
    Ok(())
}

/// The path and the directories above it, without the root.
fn ancestors(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.ancestors().filter(|p| !p.as_os_str().is_empty()).map(Path::to_path_buf)
}

fn directory(at: &Path) -> Result<()> {
    fs::create_dir_all(at).at("create", at)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).at("set mode of", at)
}

fn is_implicit(layer: &Layer, path: &str) -> bool {
    layer.meta.implicit.iter().any(|p| p.trim_start_matches('/') == path)
}

/// The layers of an image, opened, lowest first.
struct Stack<'a> {
    layers: &'a [Arc<Layer>],
    roots: Vec<OwnedFd>,
}

impl<'a> Stack<'a> {
    fn open(snapshotter: &dyn Snapshotter, layers: &'a [Arc<Layer>]) -> Result<Self> {
        let roots = layers.iter().map(|l| snapshotter.layer_root(l)).collect::<Result<_>>()?;
        Ok(Stack { layers, roots })
    }

    /// What a layer has under a path; links on the way are an error (`LOOP`): they lead anywhere.
    fn look(&self, index: usize, path: &Path) -> Result<Stat, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.roots[index], path, flags, Mode::empty(), resolve) {
            Ok(found) => fstat(found),
            Err(errno) => Err(errno),
        }
    }

    /// Whether some layer has the path; where that is hard to say, it has.
    fn may_exist(&self, path: &Path) -> bool {
        for index in (0..self.roots.len()).rev() {
            match self.look(index, path) {
                Err(Errno::NOENT) => {}
                Err(_) => return true,
                Ok(stat) => return !is_whiteout(&stat),
            }
        }
        false
    }

    /// Directories whose description in one layer is hidden by a layer above that only passes through, and all above them.
    fn hidden_directories(&self) -> BTreeSet<PathBuf> {
        let implicit = self.layers.iter().flat_map(|l| &l.meta.implicit);
        let paths: BTreeSet<&Path> = implicit.map(|p| Path::new(p.trim_start_matches('/'))).collect();
        let hidden = paths.into_iter().filter(|p| matches!(self.described(p), Some((_, true))));
        hidden.flat_map(ancestors).collect()
    }

    /// The topmost layer that describes a directory that is visible, and whether a layer above only passes through it.
    fn described(&self, path: &Path) -> Option<(usize, bool)> {
        let text = path.to_str()?;
        let mut hidden = false;
        for index in (0..self.roots.len()).rev() {
            match self.look(index, path) {
                Err(Errno::NOENT) => {}
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    if !is_implicit(&self.layers[index], text) {
                        return Some((index, hidden));
                    }
                    hidden = true;
                }
                _ => return None,
            }
        }
        None
    }

    /// Copies the attributes of a layer's directory onto one made for it.
    fn copy_attributes(&self, index: usize, path: &Path, target: &Path) -> Result<()> {
        let stat = self.look(index, path).at("look at", path)?;
        directory(target)?;
        let directory = open_directory(target)?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        chownat(directory.as_fd(), ".", Some(uid), Some(gid), AtFlags::empty()).at("set owner of", target)?;
        chmodat(directory.as_fd(), ".", Mode::from_raw_mode(stat.st_mode), AtFlags::empty())
            .at("set mode of", target)?;
        let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(directory.as_fd(), ".", &times, AtFlags::empty()).at("set time of", target)
    }
}
