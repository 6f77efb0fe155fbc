//! The tree of files that a layer's tar makes, held in memory while the layer is brought in.
//!
//! Entries are applied in the order of the stream with the meaning that unpacking them would have, but paths are
//! resolved here and never by the kernel: nothing in an archive can reach outside of the root. Whiteouts become what
//! overlayfs wants: character devices 0:0 and opaque directories.

pub(crate) mod path;

use std::collections::BTreeMap;

use crate::tar::{Entry, EntryKind, EntrySink, SparseMap, TarError, Xattrs};
pub(crate) use path::{Cleaned, clean};

/// Index of an inode in its tree.
pub(crate) type Ino = u32;

/// The root directory of every tree.
pub(crate) const ROOT: Ino = 0;

/// More inodes than this are refused: each costs memory while the layer is brought in.
const MAX_INODES: usize = 1 << 23;
/// As the kernel's.
const MAX_LINKS: usize = 40;

/// A file of the layer.
#[derive(Debug)]
pub(crate) struct Inode {
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    /// Sorted by name.
    pub xattrs: Xattrs,
    /// Names that lead to it; for directories, not counted.
    pub links: u32,
}

/// What a file is.
#[derive(Debug)]
pub(crate) enum Kind {
    Directory(Directory),
    /// Data at an offset of the tar.
    File {
        offset: u64,
        size: u64,
    },
    /// Pieces of data at an offset of the tar.
    Sparse {
        offset: u64,
        size: u64,
        map: Box<SparseMap>,
    },
    Symlink(Box<[u8]>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    /// What the layers below have under this name is gone.
    Whiteout,
}

/// A directory's names.
#[derive(Debug)]
pub(crate) struct Directory {
    pub children: BTreeMap<Box<[u8]>, Ino>,
    pub parent: Ino,
    /// No entry of its own: only passed through.
    pub implicit: bool,
    /// Hides what the layers below have in it.
    pub opaque: bool,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree {
    inodes: Vec<Inode>,
    whiteout: Option<Ino>,
}

impl Tree {
    /// A root directory and nothing else.
    pub fn new() -> Self {
        let root = directory(ROOT, (0, 0));
        Tree { inodes: vec![root], whiteout: None }
    }

    /// An inode; numbers come from this tree only.
    pub fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[ino as usize]
    }

    fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        &mut self.inodes[ino as usize]
    }

    /// The names of a directory, nothing for other files.
    pub fn directory(&self, ino: Ino) -> Option<&Directory> {
        match &self.inode(ino).kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    fn directory_mut(&mut self, ino: Ino) -> Option<&mut Directory> {
        match &mut self.inode_mut(ino).kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Every inode that a path leads to, directories before what is in them.
    pub fn reachable(&self) -> Vec<Ino> {
        let mut seen = vec![false; self.inodes.len()];
        let mut order = vec![ROOT];
        seen[ROOT as usize] = true;
        let mut next = 0;
        while let Some(ino) = order.get(next).copied() {
            next += 1;
            for child in self.directory(ino).into_iter().flat_map(|d| d.children.values()) {
                if !std::mem::replace(&mut seen[*child as usize], true) {
                    order.push(*child);
                }
            }
        }
        order
    }

    /// Bytes of all files, each counted once.
    pub fn content_size(&self) -> u64 {
        let size = |ino: Ino| match self.inode(ino).kind {
            Kind::File { size, .. } | Kind::Sparse { size, .. } => size,
            _ => 0,
        };
        self.reachable().into_iter().map(size).fold(0, u64::saturating_add)
    }

    /// Paths of directories that have no entry of their own.
    pub fn implicit_directories(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut stack = vec![(ROOT, Vec::new())];
        while let Some((ino, path)) = stack.pop() {
            let Some(directory) = self.directory(ino) else { continue };
            for (name, child) in &directory.children {
                if self.directory(*child).is_some() {
                    stack.push((*child, [path.as_slice(), b"/", name].concat()));
                }
            }
            if directory.implicit {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    fn add(&mut self, inode: Inode) -> Result<Ino, TarError> {
        if self.inodes.len() >= MAX_INODES {
            return Err(TarError::TooMany { what: "entries", limit: MAX_INODES as u64 });
        }
        self.inodes.push(inode);
        Ok((self.inodes.len() - 1) as Ino)
    }

    fn apply(&mut self, entry: Entry) -> Result<(), TarError> {
        let Cleaned { parents, name } = clean(&entry.path)?;
        let Some(name) = name else {
            return self.apply_root(&entry);
        };
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return match hidden {
                b".wh..opq" => self.opaque(&entry, &parents),
                // Bookkeeping of aufs.
                _ if hidden.starts_with(b".wh.") => Ok(()),
                // Names no file: `.wh.`, `.wh..` and `.wh...`
                b"" | b"." | b".." => Err(TarError::Outside { entry: entry.name() }),
                _ => self.whiteout(&entry, &parents, hidden),
            };
        }
        let parent = self.parent(&entry, &parents)?;
        let inode = self.inode_of(&entry, parent, parents.len())?;
        match inode {
            Made::Link(target) => {
                if self.child(parent, name) != Some(target) {
                    self.replace(parent, name, target);
                }
                Ok(())
            }
            Made::New(inode) => self.place(parent, name, inode),
        }
    }

    /// Puts a new file under a name; a directory over a directory only changes its attributes.
    fn place(&mut self, parent: Ino, name: &[u8], inode: Inode) -> Result<(), TarError> {
        let is_directory = matches!(inode.kind, Kind::Directory(_));
        let existing = self.child(parent, name).filter(|ino| is_directory && self.directory(*ino).is_some());
        if let Some(existing) = existing {
            let old = self.inode_mut(existing);
            (old.mode, old.uid, old.gid) = (inode.mode, inode.uid, inode.gid);
            (old.mtime, old.xattrs) = (inode.mtime, inode.xattrs);
            if let Kind::Directory(directory) = &mut old.kind {
                directory.implicit = false;
            }
            return Ok(());
        }
        let ino = self.add(inode)?;
        self.replace(parent, name, ino);
        Ok(())
    }

    /// Makes `name` lead to `ino`. A directory that takes the place of a whiteout is opaque: what was below is gone.
    fn replace(&mut self, parent: Ino, name: &[u8], ino: Ino) {
        if let Some(old) = self.child(parent, name) {
            let was_whiteout = matches!(self.inode(old).kind, Kind::Whiteout);
            let old = self.inode_mut(old);
            old.links = old.links.saturating_sub(1);
            if let (true, Some(directory)) = (was_whiteout, self.directory_mut(ino)) {
                directory.opaque = true;
            }
        }
        self.inode_mut(ino).links += 1;
        if let Some(directory) = self.directory_mut(parent) {
            directory.children.insert(name.into(), ino);
        }
    }

    fn apply_root(&mut self, entry: &Entry) -> Result<(), TarError> {
        if entry.kind != EntryKind::Directory {
            return Err(TarError::NotDirectory { entry: entry.name(), component: "/".to_owned() });
        }
        let xattrs = xattrs(entry)?;
        let root = self.inode_mut(ROOT);
        (root.mode, root.uid, root.gid) = (entry.mode, entry.uid, entry.gid);
        (root.mtime, root.xattrs) = (entry.mtime, xattrs);
        if let Kind::Directory(directory) = &mut root.kind {
            directory.implicit = false;
        }
        Ok(())
    }

    fn opaque(&mut self, entry: &Entry, parents: &[&[u8]]) -> Result<(), TarError> {
        let parent = self.parent(entry, parents)?;
        if let Some(directory) = self.directory_mut(parent) {
            directory.opaque = true;
        }
        Ok(())
    }

    /// A whiteout speaks of the layers below only: what this layer has under the name stays.
    fn whiteout(&mut self, entry: &Entry, parents: &[&[u8]], hidden: &[u8]) -> Result<(), TarError> {
        let parent = self.parent(entry, parents)?;
        match self.child(parent, hidden) {
            Some(existing) => {
                if let Some(directory) = self.directory_mut(existing) {
                    directory.opaque = true;
                }
            }
            None => {
                let whiteout = match self.whiteout {
                    Some(ino) => ino,
                    None => self.add(Inode { kind: Kind::Whiteout, mode: 0, ..directory(ROOT, entry.mtime) })?,
                };
                self.whiteout = Some(whiteout);
                self.replace(parent, hidden, whiteout);
            }
        }
        Ok(())
    }

    fn child(&self, parent: Ino, name: &[u8]) -> Option<Ino> {
        self.directory(parent).and_then(|d| d.children.get(name).copied())
    }

    fn inode_of(&mut self, entry: &Entry, parent: Ino, depth: usize) -> Result<Made, TarError> {
        let kind = match &entry.kind {
            EntryKind::HardLink(target) => return self.link_target(entry, target).map(Made::Link),
            EntryKind::File => Kind::File { offset: entry.offset, size: entry.size },
            EntryKind::Sparse(map) => {
                Kind::Sparse { offset: entry.offset, size: entry.size, map: Box::new(map.clone()) }
            }
            EntryKind::Symlink(target) => {
                path::check_symlink(entry, target, depth)?;
                Kind::Symlink(target.as_slice().into())
            }
            EntryKind::Directory => directory(parent, entry.mtime).kind,
            EntryKind::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            EntryKind::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            EntryKind::Fifo => Kind::Fifo,
        };
        let mut inode = Inode { kind, xattrs: xattrs(entry)?, ..directory(parent, entry.mtime) };
        (inode.mode, inode.uid, inode.gid) = (entry.mode, entry.uid, entry.gid);
        if let Kind::Directory(directory) = &mut inode.kind {
            directory.implicit = false;
        }
        Ok(Made::New(inode))
    }

    fn link_target(&mut self, entry: &Entry, target: &[u8]) -> Result<Ino, TarError> {
        let missing = || TarError::LinkMissing { entry: entry.name(), target: String::from_utf8_lossy(target).into() };
        let outside = || TarError::LinkOutside { entry: entry.name(), target: String::from_utf8_lossy(target).into() };
        let Cleaned { parents, name } = clean(target).map_err(|_| outside())?;
        let name = name.ok_or_else(missing)?;
        let parent = self.walk(entry, &parents, Missing::Stop)?.ok_or_else(missing)?;
        let ino = self.child(parent, name).ok_or_else(missing)?;
        match self.inode(ino).kind {
            Kind::Directory(_) => {
                Err(TarError::LinkDirectory { entry: entry.name(), target: String::from_utf8_lossy(target).into() })
            }
            Kind::Whiteout => Err(missing()),
            _ => Ok(ino),
        }
    }

    fn parent(&mut self, entry: &Entry, components: &[&[u8]]) -> Result<Ino, TarError> {
        let found = self.walk(entry, components, Missing::Make)?;
        Ok(found.unwrap_or(ROOT))
    }

    /// Follows components from the root, links included, never above the root.
    fn walk(&mut self, entry: &Entry, components: &[&[u8]], missing: Missing) -> Result<Option<Ino>, TarError> {
        let mut at = ROOT;
        let mut links = 0;
        let mut rest: Vec<Box<[u8]>> = components.iter().rev().map(|c| Box::from(*c)).collect();
        while let Some(name) = rest.pop() {
            if matches!(&*name, b"" | b".") {
                continue;
            }
            if &*name == b".." {
                at = self.directory(at).map_or(ROOT, |d| d.parent);
                continue;
            }
            let child = self.child(at, &name);
            match child.map(|ino| (ino, &self.inode(ino).kind)) {
                Some((ino, Kind::Directory(_))) => at = ino,
                Some((_, Kind::Symlink(target))) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TarError::LinkLoop { entry: entry.name() });
                    }
                    if target.starts_with(b"/") {
                        at = ROOT;
                    }
                    rest.extend(target.split(|b| *b == b'/').rev().map(Box::from));
                }
                Some((_, Kind::Whiteout)) | None => {
                    if missing == Missing::Stop {
                        return Ok(None);
                    }
                    let ino = self.add(directory(at, entry.mtime))?;
                    self.replace(at, &name, ino);
                    at = ino;
                }
                Some(_) => {
                    let component = String::from_utf8_lossy(&name).into_owned();
                    return Err(TarError::NotDirectory { entry: entry.name(), component });
                }
            }
        }
        Ok(Some(at))
    }
}

impl EntrySink for Tree {
    fn entry(&mut self, entry: Entry) -> Result<(), TarError> {
        self.apply(entry)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Stop,
}

enum Made {
    New(Inode),
    Link(Ino),
}

/// A directory that is only passed through.
fn directory(parent: Ino, mtime: (i64, u32)) -> Inode {
    let kind = Kind::Directory(Directory { children: BTreeMap::new(), parent, implicit: true, opaque: false });
    Inode { kind, mode: 0o755, uid: 0, gid: 0, mtime, xattrs: Vec::new(), links: 0 }
}

/// The attributes a file system takes; overlayfs's own are never believed.
fn xattrs(entry: &Entry) -> Result<Xattrs, TarError> {
    let too_large = |size| TarError::XattrSize { entry: entry.name(), size };
    let mut kept: Xattrs = Vec::new();
    let mut total = 0;
    for (name, value) in &entry.xattrs {
        if !is_kept(name) || kept.iter().any(|(n, _)| n == name) {
            continue;
        }
        total += name.len() + value.len() + 8;
        if name.len() > 255 || value.len() > usize::from(u16::MAX) || total > 200_000 {
            return Err(too_large(total));
        }
        kept.push((name.clone(), value.clone()));
    }
    kept.sort();
    Ok(kept)
}

fn is_kept(name: &[u8]) -> bool {
    let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    let known =
        [b"user.".as_slice(), b"trusted.", b"security."].iter().any(|p| name.len() > p.len() && name.starts_with(p));
    let acl = name == b"system.posix_acl_access" || name == b"system.posix_acl_default";
    (known && !overlay) || acl
}

#[cfg(test)]
mod tests;
