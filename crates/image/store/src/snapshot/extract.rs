//! Making a layer's files in a directory of our own.
//!
//! The tree has resolved every path already, so each file is made by its real path; openat2 refuses links and what
//! leaves the root all the same.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    linkat, lsetxattr, makedev, mkdirat, mknodat, openat, openat2, symlinkat, utimensat,
};

use super::overlay::open_directory;
use crate::{
    Result,
    error::Context,
    tree::{Inode, Kind, ROOT, Tree},
};

/// Extracts a tree whose data is in `tar` into the empty directory `folder`.
pub(super) fn extract(tree: &Tree, tar: &File, folder: &Path) -> Result<()> {
    let root = open_directory(folder)?;
    // Where each inode got its first name, relative to the root.
    let mut paths: Vec<Option<PathBuf>> = Vec::new();
    let order = tree.reachable();
    paths.resize(order.iter().max().map_or(1, |m| *m as usize + 1), None);
    paths[ROOT as usize] = Some(PathBuf::from("."));
    let directories: Vec<_> = order.into_iter().filter(|ino| tree.directory(*ino).is_some()).collect();
    for ino in &directories {
        let (Some(directory), Some(path)) = (tree.directory(*ino), paths[*ino as usize].clone()) else { continue };
        let parent = open_beneath(&root, &path).at("open", folder.join(&path))?;
        for (name, child) in &directory.children {
            let name = OsStr::from_bytes(name);
            let child_path = path.join(name);
            match &paths[*child as usize] {
                Some(existing) => {
                    linkat(&root, existing, &parent, name, AtFlags::empty()).at("link", folder.join(&child_path))?
                }
                None => {
                    make(&parent, name, tree.inode(*child), tar).at("extract", folder.join(&child_path))?;
                    paths[*child as usize] = Some(child_path);
                }
            }
        }
    }
    // Deepest first: making files in a directory changes its time.
    for ino in directories.iter().rev() {
        let Some(path) = &paths[*ino as usize] else { continue };
        let directory = open_beneath(&root, path).at("open", folder.join(path))?;
        attributes(directory.as_fd(), OsStr::new("."), tree.inode(*ino)).at("set attributes of", folder.join(path))?;
    }
    Ok(())
}

fn open_beneath(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?)
}

fn make(parent: &OwnedFd, name: &OsStr, inode: &Inode, tar: &File) -> io::Result<()> {
    let node = |kind, device| mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device);
    match &inode.kind {
        Kind::Directory(_) => return Ok(mkdirat(parent, name, Mode::from_raw_mode(0o700))?),
        Kind::File { offset, size } => copy(tar, *offset, *size, &create(parent, name)?, 0)?,
        Kind::Sparse { offset, size, map } => {
            let file = create(parent, name)?;
            file.set_len(*size)?;
            let mut data = *offset;
            for (start, length) in &map.pieces {
                copy(tar, data, *length, &file, *start)?;
                data += length;
            }
        }
        Kind::Symlink(target) => symlinkat(OsStr::from_bytes(target), parent, name)?,
        Kind::CharDevice { major, minor } => node(FileType::CharacterDevice, makedev(*major, *minor))?,
        Kind::BlockDevice { major, minor } => node(FileType::BlockDevice, makedev(*major, *minor))?,
        Kind::Fifo => node(FileType::Fifo, 0)?,
        // Permissions and times of a whiteout mean nothing.
        Kind::Whiteout => return Ok(node(FileType::CharacterDevice, 0)?),
    }
    attributes(parent.as_fd(), name, inode)
}

fn create(parent: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::from_raw_mode(0o600))?.into())
}

fn copy(tar: &File, mut offset: u64, length: u64, file: &File, mut to: u64) -> io::Result<()> {
    let end = offset + length;
    let mut buffer = vec![0; (1 << 17).min(length as usize)];
    while offset < end {
        let want = buffer.len().min((end - offset) as usize);
        tar.read_exact_at(&mut buffer[..want], offset)?;
        file.write_all_at(&buffer[..want], to)?;
        (offset, to) = (offset + want as u64, to + want as u64);
    }
    Ok(())
}

/// Owner, permissions, extended attributes and time, in the order in which none undoes another.
pub(super) fn attributes(parent: BorrowedFd, name: &OsStr, inode: &Inode) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(inode.uid), Gid::from_raw(inode.gid));
    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(inode.kind, Kind::Symlink(_)) {
        chmodat(parent, name, Mode::from_raw_mode(inode.mode), AtFlags::empty())?;
    }
    let path = format!("/proc/self/fd/{}", parent.as_raw_fd());
    let path = Path::new(&path).join(name);
    for (key, value) in &inode.xattrs {
        match lsetxattr(&path, OsStr::from_bytes(key), value, XattrFlags::empty()) {
            // As docker: a file system that has no such attribute is no reason to refuse an image.
            Err(rustix::io::Errno::OPNOTSUPP) => {}
            result => result?,
        }
    }
    if matches!(&inode.kind, Kind::Directory(d) if d.opaque) {
        lsetxattr(&path, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: inode.mtime.0, tv_nsec: inode.mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}
