//! Directories that a layer passes through without describing them.
//!
//! A tar may hold `tmp/x` without `tmp`. Unpacked over the layers below, `tmp` keeps what they say of it; mounted as a
//! layer of its own, it would hide that. Such layers are rare; where one is in a stack, a directory tree with the right
//! attributes is put between the layers and the snapshot's upper directory.

use std::{
    collections::BTreeSet,
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
    if let Some(described) = layers.iter().rev().find(|l| !is_implicit(l, "")) {
        copy_attributes(&snapshotter.layer_root(described)?, "", &snapshot.join("upper"))?;
    }
    let mut paths: Vec<&str> = layers.iter().flat_map(|l| l.meta.implicit.iter().map(String::as_str)).collect();
    paths.retain(|path| !path.is_empty());
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Ok(());
    }
    let roots = layers.iter().map(|l| snapshotter.layer_root(l)).collect::<Result<Vec<_>>>()?;
    let stack = Stack { layers, roots };
    let mut wanted = BTreeSet::new();
    for path in paths {
        // Where the topmost layer that has it describes it, nothing is hidden.
        if matches!(stack.described(path), Some((_, true))) {
            wanted.extend(Path::new(path).ancestors().map(Path::to_path_buf).filter(|p| p.as_os_str() != "/"));
        }
    }
    let target = folder(snapshot);
    for path in wanted {
        let text = path.to_string_lossy();
        if let Some((index, _)) = stack.described(&text) {
            copy_attributes(&stack.roots[index], &text, &target.join(text.trim_start_matches('/')))?;
        }
    }
    Ok(())
}

fn is_implicit(layer: &Layer, path: &str) -> bool {
    layer.meta.implicit.iter().any(|p| p == path)
}

struct Stack<'a> {
    layers: &'a [Arc<Layer>],
    roots: Vec<OwnedFd>,
}

impl Stack<'_> {
    /// The topmost layer that describes a directory that is visible, and whether a layer above only passes through it.
    fn described(&self, path: &str) -> Option<(usize, bool)> {
        let mut hidden = false;
        for (index, root) in self.roots.iter().enumerate().rev() {
            let Ok(stat) = statat(root, path.trim_start_matches('/'), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return None;
            }
            if !is_implicit(&self.layers[index], path) {
                return Some((index, hidden));
            }
            hidden = true;
        }
        None
    }
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
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(directory.as_fd(), ".", &times, AtFlags::empty()).at("set time of", target)
}
