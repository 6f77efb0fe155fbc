//! `docker cp` into a root: unpacking an untrusted tar beneath a directory of a container.
//!
//! The container may run and move its files meanwhile: every entry's directory is opened anew by the kernel, within
//! the root, and the file is made in that open directory without following a link.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, linkat,
        lsetxattr, makedev, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    CopyOptions,
    resolve::{cleaned, make_directories, open_directory_in_root},
};
use crate::{
    Error, Result,
    error::Context,
    ingest::{decompress, stream_failed},
    tar::{Entry, EntryKind, Reader, SparseMap, TarError},
    tree::{clean, path::check_symlink},
};

const WHAT: &str = "copy";

/// Unpacks a tar, in any compression, into the directory `path`; nothing is written outside of `root`.
pub fn copy_in(root: BorrowedFd<'_>, path: &str, reader: impl Read + Send, options: CopyOptions) -> Result<()> {
    let base = cleaned(path);
    match open_directory_in_root(root, &base) {
        Ok(_) => {}
        Err(Errno::NOENT) => return Err(Error::NoSuchPath(path.to_owned())),
        Err(Errno::NOTDIR) => return Err(Error::NotDirectory(path.to_owned())),
        Err(error) => return Err(error).at("open in root", path),
    }
    let mut unpack = Unpack { root, base, options, directories: Vec::new() };
    let mut reader = Reader::new(decompress(reader, WHAT)?);
    while let Some(entry) = reader.next_entry().map_err(tar)? {
        unpack.entry(entry, &mut reader)?;
    }
    unpack.finish_directories()?;
    reader.drain().map_err(|source| stream_failed(WHAT, source))
}

fn tar(source: TarError) -> Error {
    Error::Tar { what: WHAT.to_owned(), source }
}

struct Unpack<'a> {
    root: BorrowedFd<'a>,
    base: PathBuf,
    options: CopyOptions,
    /// Their times are set at the end: making files in them changes them.
    directories: Vec<Entry>,
}

impl Unpack<'_> {
    fn entry(&mut self, entry: Entry, data: &mut impl Read) -> Result<()> {
        let path = clean(&entry.path).map_err(tar)?;
        let shown = self.base.join(OsStr::from_bytes(&entry.path));
        let parent = make_directories(self.root, &self.base, &path.parents)?;
        let Some(name) = path.name.map(OsStr::from_bytes) else {
            // The directory itself: what it is stays.
            return Ok(());
        };
        if let EntryKind::Symlink(target) = &entry.kind {
            let depth = self.base.components().count() - 1 + path.parents.len();
            check_symlink(&entry, target, depth).map_err(tar)?;
        }
        self.make_room(&parent, name, &entry, &shown)?;
        self.make(&parent, name, &entry, data, &shown)?;
        if !matches!(entry.kind, EntryKind::HardLink(_)) {
            self.attributes(&parent, name, &entry).at("set attributes of", &shown)?;
        }
        if entry.kind == EntryKind::Directory {
            self.directories.push(entry);
        }
        Ok(())
    }

    /// Removes what is there, unless a directory meets a directory.
    fn make_room(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry, shown: &Path) -> Result<()> {
        let Ok(stat) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let there = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let comes = entry.kind == EntryKind::Directory;
        if there && comes {
            return Ok(());
        }
        if self.options.no_overwrite_dir_non_dir && there != comes {
            return Err(Error::Overwrite {
                path: shown.display().to_string(),
                base: self.base.display().to_string(),
                directory: there,
            });
        }
        remove_at(parent.as_fd(), name, there).at("replace", shown)
    }

    fn make(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry, data: &mut impl Read, shown: &Path) -> Result<()> {
        let node = |kind, device| mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device).at("create", shown);
        match &entry.kind {
            EntryKind::File => {
                let mut file = create(parent, name).at("create", shown)?;
                copy_data(&mut data.take(entry.size), &mut file, shown)
            }
            EntryKind::Sparse(map) => {
                fill_sparse(&create(parent, name).at("create", shown)?, map, entry.size, data, shown)
            }
            EntryKind::Directory => match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                Err(Errno::EXIST) => Ok(()),
                result => result.at("create", shown),
            },
            EntryKind::Symlink(target) => symlinkat(OsStr::from_bytes(target), parent, name).at("create", shown),
            EntryKind::HardLink(target) => self.link(parent, name, entry, target, shown),
            EntryKind::CharDevice { major, minor } => node(FileType::CharacterDevice, makedev(*major, *minor)),
            EntryKind::BlockDevice { major, minor } => node(FileType::BlockDevice, makedev(*major, *minor)),
            EntryKind::Fifo => node(FileType::Fifo, 0),
        }
    }

    fn link(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry, target: &[u8], shown: &Path) -> Result<()> {
        let text = || String::from_utf8_lossy(target).into_owned();
        let outside = |_| tar(TarError::LinkOutside { entry: entry.name(), target: text() });
        let missing = || tar(TarError::LinkMissing { entry: entry.name(), target: text() });
        let path = clean(target).map_err(outside)?;
        let target_name = OsStr::from_bytes(path.name.ok_or_else(missing)?);
        let folder = path.parents.iter().fold(self.base.clone(), |p, part| p.join(OsStr::from_bytes(part)));
        let folder = open_directory_in_root(self.root, &folder).map_err(|_| missing())?;
        match linkat(&folder, target_name, parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Err(missing()),
            result => result.at("link", shown),
        }
    }

    fn attributes(&self, parent: &OwnedFd, name: &OsStr, entry: &Entry) -> io::Result<()> {
        let (uid, gid) = self.options.owner.unwrap_or((entry.uid, entry.gid));
        chownat(parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
        if !matches!(entry.kind, EntryKind::Symlink(_)) {
            chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        }
        let path = Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
        for (key, value) in &entry.xattrs {
            if key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.") {
                continue;
            }
            match lsetxattr(&path, OsStr::from_bytes(key), value, XattrFlags::empty()) {
                Err(Errno::OPNOTSUPP) => {}
                result => result?,
            }
        }
        Ok(utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn finish_directories(&self) -> Result<()> {
        for entry in self.directories.iter().rev() {
            let path = clean(&entry.path).map_err(tar)?;
            let parts = path.parents.iter().chain(&path.name);
            let full = parts.fold(self.base.clone(), |p, part| p.join(OsStr::from_bytes(part)));
            // Gone or replaced meanwhile by the container: nothing to set.
            if let Ok(directory) = open_directory_in_root(self.root, &full) {
                utimensat(&directory, ".", &times(entry), AtFlags::empty()).at("set time of", &full)?;
            }
        }
        Ok(())
    }
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.0, tv_nsec: entry.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn create(parent: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Copies and tells a stream that fails from a disk that does.
fn copy_data(data: &mut impl Read, file: &mut File, shown: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => io::Write::write_all(file, &buffer[..n]).at("write", shown)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(stream_failed(WHAT, error)),
        }
    }
}

fn fill_sparse(file: &File, map: &SparseMap, size: u64, data: &mut impl Read, shown: &Path) -> Result<()> {
    file.set_len(size).at("write", shown)?;
    for (start, length) in &map.pieces {
        let mut file = file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(*start)).at("write", shown)?;
        copy_data(&mut data.take(*length), &mut file.try_clone().at("write", shown)?, shown)?;
    }
    Ok(())
}

/// Removes a file, or a directory with everything in it, never following a link.
fn remove_at(parent: BorrowedFd, name: &OsStr, is_directory: bool) -> Result<(), Errno> {
    if !is_directory {
        return unlinkat(parent, name, AtFlags::empty());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let child = entry.file_name().to_bytes();
        if child != b"." && child != b".." {
            let child = OsStr::from_bytes(child);
            let stat = statat(&directory, child, AtFlags::SYMLINK_NOFOLLOW)?;
            remove_at(directory.as_fd(), child, FileType::from_raw_mode(stat.st_mode) == FileType::Directory)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}
