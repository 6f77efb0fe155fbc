//! Directories that a layer passes through without describing them.
//!
//! A tar may hold `tmp/x` without `tmp`. Unpacked over the layers below, `tmp` keeps what they say of it; mounted as a
//! layer of its own, it would hide that. Such layers are rare; where one is in a stack, a directory tree with the right
//! attributes is put between the layers and the snapshot's upper directory.

use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, chmodat, chownat, statat, utimensat};

use super::{Snapshotter, overlay::open_directory};
use crate::{Result, error::Context, layer::Layer};

/// Where a snapshot's folder keeps the tree.
pub(super) fn folder(snapshot: &Path) -> PathBuf {
    snapshot.join("implicit")
}

/// Makes the tree in a snapshot's folder, and gives its upper directory the attributes of the image's root.
pub(super) fn restore(snapshotter: &dyn Snapshotter, layers: &[Arc<Layer>], snapshot: &Path) -> Result<()> {
    let mut paths: Vec<&str> = layers.iter().flat_map(|l| l.meta.implicit.iter().map(String::as_str)).collect();
    paths.sort_unstable();
    paths.dedup();
    let target = folder(snapshot);
    let mut roots: Vec<Option<OwnedFd>> = layers.iter().map(|_| None).collect();
    for path in paths {
        let Some(index) = owner(layers, path) else { continue };
        // The topmost layer that has the directory describes it: nothing to repair. The root is the upper's anyway.
        let root = match &mut roots[index] {
            Some(root) => root,
            empty => empty.insert(snapshotter.layer_root(&layers[index])?),
        };
        copy_attributes(root, path, &if path.is_empty() { snapshot.join("upper") } else { target.join(path.trim_start_matches('/')) })?;
    }
    if layers.iter().all(|l| !l.meta.implicit.iter().any(String::is_empty)) {
        if let Some(top) = layers.last() {
            copy_attributes(&snapshotter.layer_root(top)?, "", &snapshot.join("upper"))?;
        }
    }
    Ok(())
}

/// The topmost layer that may describe `path` itself.
fn owner(layers: &[Arc<Layer>], path: &str) -> Option<usize> {
    (0..layers.len()).rev().find(|i| !layers[*i].meta.implicit.iter().any(|p| p == path))
}

/// Copies the attributes of a layer's directory, where it has one, onto one made for it.
fn copy_attributes(root: &OwnedFd, path: &str, target: &Path) -> Result<()> {
    let relative = if path.is_empty() { "." } else { path.trim_start_matches('/') };
    let Ok(stat) = statat(root, relative, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    fs::create_dir_all(target).at("create", target)?;
    fs::set_permissions(target, fs::Permissions::from_mode(0o755)).at("set mode of", target)?;
    let directory = open_directory(target)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(directory.as_fd(), ".", Some(uid), Some(gid), AtFlags::empty()).at("set owner of", target)?;
    chmodat(directory.as_fd(), ".", Mode::from_raw_mode(stat.st_mode), AtFlags::empty()).at("set mode of", target)?;
    let time = Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(directory.as_fd(), ".", &times, AtFlags::empty()).at("set time of", target)
}
