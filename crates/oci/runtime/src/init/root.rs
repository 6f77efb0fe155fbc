//! The root: attached, pivoted into, and the host's tree let go.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use sys::mount::{Change, Depth};

use crate::error::{AtStep, Result};
use crate::launch::{Enter, Root};
use crate::plan::mounts::{ATTR_RDONLY, MS_PRIVATE, MS_SHARED, MS_UNBINDABLE};

/// Cuts the new mount namespace off from the host's and puts the root on top of it.
pub(crate) fn attach(root: Root, propagation: u64) -> Result<OwnedFd> {
    // What is unbindable could not be opened as a tree: it becomes so at the end.
    let at_first = if propagation == MS_UNBINDABLE { MS_PRIVATE } else { propagation };
    let whole = Change { propagation: at_first, ..Change::default() };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, Mode::empty()).at(|| "open /")?;
    sys::mount::set_attr(&top, whole, Depth::Recursive).at(|| "set propagation of /")?;
    if propagation == MS_SHARED {
        // What is mounted on it from here on stays here.
        let private = Change { propagation: MS_PRIVATE, ..Change::default() };
        sys::mount::set_attr(&top, private, Depth::This).at(|| "make / private")?;
    }
    let (tree, name) = open(root)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", &top, "", flags).at(|| format!("attach {name}"))?;
    Ok(tree)
}

/// For a container without a mount namespace of its own: the root stays a tree that nobody but the container's processes see, and
/// that goes with the last of them. Nothing of it reaches the host's tree.
///
/// What is mounted on it needs Linux 6.15.
pub(crate) fn detach(root: Root) -> Result<OwnedFd> {
    let (tree, name) = open(root)?;
    let private = Change { propagation: MS_PRIVATE, ..Change::default() };
    sys::mount::set_attr(&tree, private, Depth::Recursive).at(|| format!("make {name} private"))?;
    Ok(tree)
}

/// A detached copy of the root and how it is called.
fn open(root: Root) -> Result<(OwnedFd, String)> {
    Ok(match root {
        Root::Mount(tree) => (tree, "the root file system".to_owned()),
        Root::Path(path) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
            let name = format!("root {}", path.display());
            let tree = rustix::mount::open_tree(CWD, &path, flags).at(|| format!("open {name}"))?;
            (tree, name)
        }
    })
}

/// Enters a detached root.
pub(crate) fn enter_detached(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).at(|| "enter the root")?;
    rustix::process::chroot(".").at(|| "chroot to the detached root")
}

/// Makes it the root of the namespace, and lets the host's tree go.
pub(crate) fn enter(root: BorrowedFd<'_>, how: Enter) -> Result<()> {
    rustix::process::fchdir(root).at(|| "enter the root")?;
    if how == Enter::Chroot {
        return rustix::process::chroot(".").at(|| "chroot instead of pivot_root");
    }
    match rustix::process::pivot_root(".", ".") {
        // The first file system of a ramdisk cannot be put away. The root lies on top of it, and nothing leads below:
        // not even `..`, which the kernel follows back into what is mounted there.
        Err(Errno::INVAL) if is_ramdisk().at(|| "look at the host's root")? => {
            return rustix::process::chroot(".").at(|| "chroot on a ramdisk");
        }
        result => result.at(|| "pivot_root")?,
    }
    // The old root now lies on top of the new one.
    rustix::mount::unmount(".", UnmountFlags::DETACH).at(|| "detach the host's root")?;
    rustix::process::chdir("/").at(|| "enter /")
}

fn is_ramdisk() -> rustix::io::Result<bool> {
    const RAMFS: u64 = 0x8584_58f6;
    const TMPFS: u64 = 0x0102_1994;
    // Through the old root, which is still the process's own.
    let host = rustix::fs::statfs("/")?;
    Ok([RAMFS, TMPFS].contains(&(host.f_type as u64)))
}

/// What must come after everything that needed the root writable and private. A root without a namespace has no propagation.
pub(crate) fn finish(root: OwnedFd, propagation: Option<u64>, readonly: bool) -> Result<()> {
    if let Some(propagation @ (MS_SHARED | MS_UNBINDABLE)) = propagation {
        let last = Change { propagation, ..Change::default() };
        sys::mount::set_attr(root.as_fd(), last, Depth::This).at(|| "set propagation of /")?;
    }
    if readonly {
        let readonly = Change { set: ATTR_RDONLY, ..Change::default() };
        sys::mount::set_attr(root.as_fd(), readonly, Depth::This).at(|| "make / read-only")?;
    }
    Ok(())
}
