//! Paths that are hidden, made read-only, written or copied on the way into a container.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use sys::mount::{Change, Depth};

use super::mounts::{open_new, open_source, put};
use crate::beneath;
use crate::error::{AtStep, Error, Result};
use crate::plan::mounts::{ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};

/// Writes a kernel parameter through the host's /proc, which shows the parameters of the process's own namespaces
/// and cannot be a forgery of the image.
pub(crate) fn write_sysctl(file: &str, value: &str) -> Result<()> {
    fs::write(Path::new("/proc/sys").join(file), value).at(|| format!("write {value:?} to /proc/sys/{file}"))
}

/// Lays /dev/null over files and an empty directory over directories; what is not there needs no mask.
pub(crate) fn mask(root: BorrowedFd<'_>, paths: &[PathBuf]) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let step = || format!("mask {}", path.display());
        let Some(target) = find(root, path).at(step)? else {
            continue;
        };
        if !beneath::is_directory(&target).at(step)? {
            // The host's: a node of the image could be anything.
            let null = open_source(Path::new("/dev/null"), Depth::This).at(step)?;
            let change = Change { set: ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC, ..Change::default() };
            sys::mount::set_attr(&null, change, Depth::This).at(step)?;
            put(&null, &target).at(step)?;
            continue;
        }
        let tree = match &empty {
            // One file system serves all: nothing can be written to it.
            Some(first) => copy(first.as_fd(), false).at(step)?,
            None => {
                let options = [("ro".to_owned(), None), ("nr_inodes".to_owned(), Some("2".to_owned()))];
                open_new("tmpfs", Some("tmpfs"), &options, ATTR_RDONLY)
                    .map_err(|(detail, error)| Error::step(step() + &detail, error))?
            }
        };
        put(&tree, &target).at(step)?;
        empty.get_or_insert(tree);
    }
    Ok(())
}

/// Binds paths to themselves, read-only.
pub(crate) fn make_readonly(root: BorrowedFd<'_>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let step = || format!("make {} read-only", path.display());
        let Some(target) = find(root, path).at(step)? else {
            continue;
        };
        let tree = copy(target.as_fd(), true).at(step)?;
        let change = Change { set: ATTR_RDONLY, ..Change::default() };
        sys::mount::set_attr(&tree, change, Depth::Recursive).at(step)?;
        put(&tree, &target).at(step)?;
    }
    Ok(())
}

fn find(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    match beneath::open(root, path) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

fn copy(place: BorrowedFd<'_>, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(place, "", flags)
}

/// Fills a new file system with what it is about to hide: directories, files and links with their owners and modes.
pub(crate) fn copy_up(from: &OwnedFd, to: &OwnedFd, name: &Path) -> Result<()> {
    let path = |fd: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}/.", fd.as_raw_fd()));
    copy_tree(&path(from), &path(to)).at(|| format!("copy up {}", name.display()))
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&source)?;
        if meta.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&source, &target)?;
        } else if meta.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if meta.is_file() {
            fs::copy(&source, &target)?;
        } else {
            continue;
        }
        lchown(&target, Some(meta.uid()), Some(meta.gid()))?;
        if !meta.is_symlink() {
            fs::set_permissions(&target, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
        }
    }
    Ok(())
}
