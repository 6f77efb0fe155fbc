//! Device nodes and links beneath /dev.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use sys::mount::Depth;

use super::mounts::{open_source, put};
use crate::beneath::{self, Make};
use crate::error::{AtStep, Result};
use crate::plan::devices::{Devices, Node, NodeKind};

/// Makes the nodes, or binds the host's where a user namespace forbids making any, and the links.
pub(crate) fn make(root: BorrowedFd<'_>, devices: &Devices, in_userns: bool) -> Result<()> {
    let mut dirs: HashMap<PathBuf, OwnedFd> = HashMap::new();
    for node in &devices.nodes {
        let step = || format!("make device {}", node.path.display());
        if in_userns {
            bind(root, node).at(step)?;
            continue;
        }
        let parent = node.path.parent().unwrap_or(Path::new("/"));
        if !dirs.contains_key(parent) {
            let (dir, _) = beneath::open_or_make(root, parent, Make::Directory).at(step)?;
            dirs.insert(parent.to_owned(), dir);
        }
        make_node(dirs[parent].as_fd(), node).at(step)?;
    }
    let (dev, _) = beneath::open_or_make(root, Path::new("/dev"), Make::Directory).at(|| "open /dev")?;
    for (name, target) in &devices.links {
        if *name == "core" && !Path::new("/proc/kcore").exists() {
            continue;
        }
        link(dev.as_fd(), name, target).at(|| format!("link /dev/{name}"))?;
    }
    Ok(())
}

fn make_node(dir: BorrowedFd<'_>, node: &Node) -> rustix::io::Result<()> {
    let name = node.path.file_name().ok_or(Errno::INVAL)?;
    let kind = match node.kind {
        NodeKind::Character => FileType::CharacterDevice,
        NodeKind::Block => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
    };
    let number = rustix::fs::makedev(node.major, node.minor);
    match rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(node.mode), number) {
        // An image may bring its own.
        Err(Errno::EXIST) => return Ok(()),
        result => result?,
    }
    if (node.uid, node.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)?;
    }
    Ok(())
}

fn bind(root: BorrowedFd<'_>, node: &Node) -> rustix::io::Result<()> {
    let tree = open_source(&node.path, Depth::This)?;
    let (target, _) = beneath::open_or_make(root, &node.path, Make::File)?;
    put(&tree, &target)
}

fn link(dev: BorrowedFd<'_>, name: &str, target: &str) -> rustix::io::Result<()> {
    match rustix::fs::symlinkat(target, dev, name) {
        Err(Errno::EXIST) if name == "ptmx" => {
            // It must be that of the container's own devpts.
            rustix::fs::unlinkat(dev, name, AtFlags::empty())?;
            rustix::fs::symlinkat(target, dev, name)
        }
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}
