//! `docker cp` out of a root, and what it asks before.

use std::{
    ffi::OsStr,
    io::Write,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, OFlags, Stat, statat},
    io::Errno,
};

use super::{
    PathStat,
    resolve::{Place, open_directory_in_root, open_in_root, place},
    walk::{Item, TreeWriter, walk},
};
use crate::{Error, Result, error::Context};

/// What `path` is, every link resolved within `root`, the last one not followed.
pub fn stat_path(root: BorrowedFd<'_>, path: &str) -> Result<PathStat> {
    let place = place(root, path)?;
    let stat = look(&place, path)?;
    describe(root, path, &place, &stat)
}

/// Writes `path` and everything below it as a tar whose entries start with its last component.
pub fn copy_out(root: BorrowedFd<'_>, path: &str, writer: impl Write) -> Result<PathStat> {
    let place = place(root, path)?;
    let stat = look(&place, path)?;
    let described = describe(root, path, &place, &stat)?;
    let mut tar = TreeWriter::new(writer);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let start = open_directory_in_root(place.parent.as_fd(), Path::new(&place.name)).at("open", path)?;
        let base = if place.shown == "/" { PathBuf::from("/") } else { PathBuf::from(&place.shown) };
        walk(start.as_fd(), &mut |item: &Item| {
            let name = if item.path.as_os_str().is_empty() { base.clone() } else { base.join(&item.path) };
            tar.item(item, name.as_os_str().as_bytes())
        })?;
    } else {
        let name: &OsStr = &place.name;
        tar.item(
            &Item { parent: place.parent.as_fd(), name, path: PathBuf::from(name), stat },
            place.shown.as_bytes(),
        )?;
    }
    tar.finish()?;
    Ok(described)
}

fn look(place: &Place, path: &str) -> Result<Stat> {
    match statat(&place.parent, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NoSuchPath(path.to_owned())),
        result => result.at("look at", path),
    }
}

fn describe(root: BorrowedFd, path: &str, place: &Place, stat: &Stat) -> Result<PathStat> {
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let link_target = if is_link { resolved(root, path) } else { String::new() };
    let mtime = jiff::Timestamp::new(stat.st_mtime, stat.st_mtime_nsec as i32).unwrap_or_default();
    Ok(PathStat { name: place.shown.clone(), size: stat.st_size as u64, mode: stat.st_mode, mtime, link_target })
}

/// Where a link ends, as a path of the root; its text where it leads nowhere.
fn resolved(root: BorrowedFd, path: &str) -> String {
    use std::os::fd::AsRawFd;
    let real = |fd: BorrowedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let found = open_in_root(root, &super::resolve::cleaned(path), OFlags::PATH).ok();
    let names = found.and_then(|found| Some((real(root).ok()?, real(found.as_fd()).ok()?)));
    match names {
        Some((root, found)) => match found.strip_prefix(&root) {
            Ok(inside) => Path::new("/").join(inside).display().to_string(),
            Err(_) => found.display().to_string(),
        },
        None => path.to_owned(),
    }
}
