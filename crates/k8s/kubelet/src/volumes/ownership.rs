//! The group that a pod's volumes belong to (`fsGroup`).
//!
//! Everything is acted on by descriptor and links are not followed: what is in a volume may be exchanged by containers that still have it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat};

use super::error::Files;

/// What the group may do with files, and with folders, whose group new files take over.
const FILE: u32 = 0o660;
const FOLDER: u32 = 0o2770;

/// When a whole tree is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Always,
    /// Only where the root is not as it should be.
    OnRootMismatch,
}

/// Gives a folder and all that is in it to a group.
///
/// # Errors
/// The first file that cannot be changed.
pub fn give(root: &Path, group: u32, policy: Policy) -> Result<(), Files> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let result = || -> io::Result<()> {
        let folder = rustix::fs::open(root, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        let right = stat.st_gid == group && stat.st_mode & FOLDER == FOLDER;
        if policy == Policy::OnRootMismatch && right {
            return Ok(());
        }
        inside(&folder, group)?;
        // The root last: it says that all of it is done.
        set(&folder, &stat, group)
    };
    result().map_err(Files::at("give to the group of the pod", root))
}

fn inside(folder: &OwnedFd, group: u32) -> io::Result<()> {
    let names: Vec<_> = {
        let entries = Dir::read_from(folder)?;
        entries.filter_map(Result::ok).map(|entry| entry.file_name().to_owned()).collect()
    };
    for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(entry) => entry,
            // It went away meanwhile.
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&entry)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            inside(&rustix::fs::openat(&entry, ".", flags, Mode::empty())?, group)?;
        }
        set(&entry, &stat, group)?;
    }
    Ok(())
}

fn set(entry: impl AsFd, stat: &Stat, group: u32) -> io::Result<()> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_gid != group {
        rustix::fs::chownat(&entry, "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?;
    }
    if kind == FileType::Symlink {
        return Ok(());
    }
    let wanted = stat.st_mode & 0o7777 | if kind == FileType::Directory { FOLDER } else { FILE };
    // A change of the owner takes setuid and setgid away, so the mode comes after it; a descriptor of a place has no fchmod.
    let path = format!("/proc/self/fd/{}", entry.as_fd().as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(wanted))?)
}
