//! Walking a directory tree by descriptors, and writing it as a tar.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags, lgetxattr, llistxattr, major, minor,
        openat, readlinkat, statat, statx,
    },
    io::Errno,
};

use crate::{
    Error, Result,
    error::Context,
    tar::{EntryHeader, EntryKind, Writer, Xattrs},
};

/// Deeper trees are refused: every level holds a descriptor.
const MAX_DEPTH: usize = 500;

/// Something met on a walk.
pub(crate) struct Item<'a> {
    /// The open directory it is in; for the start itself, the start.
    pub parent: BorrowedFd<'a>,
    /// Its name there; `.` for the start.
    pub name: &'a OsStr,
    /// From the start; empty for the start.
    pub path: PathBuf,
    pub stat: Stat,
}

impl Item<'_> {
    /// What kind of file it is.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Calls `visit` for `root` and everything below it, names sorted, directories before what is in them. What vanishes
/// meanwhile is left out.
pub(crate) fn walk(root: BorrowedFd, visit: &mut dyn FnMut(&Item) -> Result<()>) -> Result<()> {
    let stat = statat(root, ".", AtFlags::SYMLINK_NOFOLLOW).at("look at", ".")?;
    visit(&Item { parent: root, name: OsStr::new("."), path: PathBuf::new(), stat })?;
    let start = open_dir(root, OsStr::new(".")).at("open", ".")?;
    descend(&start, Path::new(""), 0, &mut |item| visit(item).map(|()| Below::Enter))
}

/// Whether a walk goes into a directory that it met.
enum Below {
    Enter,
    Skip,
}

type Visit<'a> = &'a mut dyn FnMut(&Item) -> Result<Below>;

fn descend(directory: &OwnedFd, path: &Path, depth: usize, visit: Visit) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(std::io::Error::from(Errno::NAMETOOLONG)).at("walk (directories are nested too deeply)", path);
    }
    for name in names(directory, path)? {
        let child_path = path.join(&name);
        let stat = match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            result => result.at("look at", &child_path)?,
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let below = visit(&Item { parent: directory.as_fd(), name: &name, path: child_path.clone(), stat })?;
        if is_directory && matches!(below, Below::Enter) {
            match open_dir(directory.as_fd(), &name) {
                Err(Errno::NOENT) => {}
                result => descend(&result.at("open", &child_path)?, &child_path, depth + 1, visit)?,
            }
        }
    }
    Ok(())
}

fn open_dir(parent: BorrowedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn names(directory: &OwnedFd, path: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).at("list", path)? {
        let name = entry.at("list", path)?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Overlayfs's mark for a removed file.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Writes items as tar entries; knows which hard links it wrote already.
pub(crate) struct TreeWriter<W> {
    tar: Writer<W>,
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> TreeWriter<W> {
    /// Starts an archive.
    pub fn new(stream: W) -> Self {
        TreeWriter { tar: Writer::new(stream), links: HashMap::new() }
    }

    /// Writes one item under a name of the archive. Sockets have no place in a tar and are left out.
    pub fn item(&mut self, item: &Item, name: &[u8]) -> Result<()> {
        let stat = &item.stat;
        let kind = match item.file_type() {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => {
                let target = readlinkat(item.parent, item.name, Vec::new()).at("read link", &item.path)?;
                EntryKind::Symlink(target.into_bytes())
            }
            FileType::CharacterDevice => {
                EntryKind::CharDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
            }
            FileType::BlockDevice => EntryKind::BlockDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) },
            FileType::Fifo => EntryKind::Fifo,
            _ => return Ok(()),
        };
        let kind = self.link(stat, name, kind);
        let is_file = kind == EntryKind::File;
        let header = EntryHeader {
            path: name.to_vec(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            size: if is_file { stat.st_size as u64 } else { 0 },
            xattrs: if matches!(kind, EntryKind::HardLink(_)) { Vec::new() } else { xattrs(item)? },
            kind,
        };
        if is_file && header.size > 0 {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = match openat(item.parent, item.name, flags, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(()),
                result => result.at("open", &item.path)?,
            };
            self.tar.entry(&header, File::from(file)).map_err(stream)
        } else {
            self.tar.empty(&header).map_err(stream)
        }
    }

    /// Writes an entry that stands for no file of the tree.
    pub fn empty(&mut self, header: &EntryHeader) -> Result<()> {
        self.tar.empty(header).map_err(stream)
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<W> {
        self.tar.finish().map_err(stream)
    }

    /// A further name of a file written before is a link to the first.
    fn link(&mut self, stat: &Stat, name: &[u8], kind: EntryKind) -> EntryKind {
        if stat.st_nlink < 2 || kind == EntryKind::Directory {
            return kind;
        }
        match self.links.get(&(stat.st_dev, stat.st_ino)) {
            Some(first) => EntryKind::HardLink(first.clone()),
            None => {
                self.links.insert((stat.st_dev, stat.st_ino), name.to_vec());
                kind
            }
        }
    }
}

fn stream(source: std::io::Error) -> Error {
    Error::Stream { action: "write archive", source }
}

/// The attributes that travel: capabilities and the users' own.
fn xattrs(item: &Item) -> Result<Xattrs> {
    let path = Path::new(&format!("/proc/self/fd/{}", item.parent.as_raw_fd())).join(item.name);
    let mut list = vec![0u8; 1 << 16];
    let length = match llistxattr(&path, &mut list) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        Err(errno) => return Err(errno).at("list attributes of", &item.path),
    };
    let mut found = Vec::new();
    for name in list[..length].split(|b| *b == 0) {
        let travels =
            name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
        if !travels {
            continue;
        }
        let mut value = vec![0u8; 1 << 16];
        match lgetxattr(&path, OsStr::from_bytes(name), &mut value) {
            Ok(length) => {
                value.truncate(length);
                found.push((name.to_vec(), value));
            }
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(errno) => return Err(errno).at("read attributes of", &item.path),
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a whole root file system, without an entry for the root itself. What is mounted in it (a running container's `/proc`, its volumes)
/// is not part of it: the place is there, empty.
pub(crate) fn write_root(root: BorrowedFd, stream: impl Write) -> Result<()> {
    let mut writer = TreeWriter::new(stream);
    let start = open_dir(root, OsStr::new(".")).at("open", ".")?;
    descend(&start, Path::new(""), 0, &mut |item: &Item| {
        let name = item.path.as_os_str().as_bytes();
        if !is_mount(item)? {
            writer.item(item, name)?;
            return Ok(Below::Enter);
        }
        let header = match item.file_type() {
            FileType::Directory => EntryHeader { path: name.to_vec(), ..EntryHeader::directory("") },
            _ => EntryHeader { path: name.to_vec(), ..EntryHeader::file("", 0) },
        };
        writer.empty(&header)?;
        Ok(Below::Skip)
    })?;
    writer.finish().map(drop)
}

/// Whether something is mounted exactly there.
fn is_mount(item: &Item) -> Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match statx(item.parent, item.name, flags, StatxFlags::empty()) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno).at("look at", &item.path),
    }
}

/// Writes an overlay's upper directory as a layer: whiteouts and opaque directories in the OCI way.
pub(crate) fn write_layer(upper: &OwnedFd, stream: impl Write) -> Result<()> {
    let mut writer = TreeWriter::new(stream);
    walk(upper.as_fd(), &mut |item: &Item| {
        if item.path.as_os_str().is_empty() {
            return Ok(());
        }
        let mark = |name: Vec<u8>| EntryHeader { path: name, ..EntryHeader::file("", 0) };
        if is_whiteout(&item.stat) {
            let marked = [b".wh.", item.name.as_bytes()].concat();
            let path = item.path.with_file_name(OsStr::from_bytes(&marked));
            writer.empty(&mark(path.into_os_string().into_vec()))?;
            return Ok(());
        }
        writer.item(item, item.path.as_os_str().as_bytes())?;
        if item.file_type() == FileType::Directory && is_opaque(item) {
            writer.empty(&mark(item.path.join(".wh..wh..opq").into_os_string().into_vec()))?;
        }
        Ok(())
    })?;
    writer.finish().map(drop)
}

fn is_opaque(item: &Item) -> bool {
    let path = Path::new(&format!("/proc/self/fd/{}", item.parent.as_raw_fd())).join(item.name);
    let mut value = [0u8; 8];
    matches!(lgetxattr(&path, "trusted.overlay.opaque", &mut value), Ok(1) if value[0] == b'y')
}
