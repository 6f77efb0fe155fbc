//! Attributes of mounts (mount_setattr(2)), which rustix does not have.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Attributes to change, as `MOUNT_ATTR_*` bits, and a propagation type (`MS_SHARED` and its like) or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// New propagation, 0 to leave it.
    pub propagation: u64,
}

/// Whether mounts beneath are changed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The mount alone.
    This,
    /// The mount and everything beneath it.
    Recursive,
}

/// Changes the mount that a descriptor is the root of.
pub fn set_attr(mount: impl AsFd, change: Change, depth: Depth) -> io::Result<()> {
    set(mount.as_fd(), change, depth, 0)
}

/// Makes a detached mount an id-mapped one, by the maps of a user namespace.
pub fn set_idmap(mount: impl AsFd, userns: impl AsFd, depth: Depth) -> io::Result<()> {
    let change = Change { set: libc::MOUNT_ATTR_IDMAP, ..Change::default() };
    set(mount.as_fd(), change, depth, userns.as_fd().as_raw_fd() as u64)
}

fn set(mount: BorrowedFd<'_>, change: Change, depth: Depth, userns_fd: u64) -> io::Result<()> {
    let attr =
        libc::mount_attr { attr_set: change.set, attr_clr: change.clear, propagation: change.propagation, userns_fd };
    let mut flags = libc::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty string, the attributes have the size given, both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
