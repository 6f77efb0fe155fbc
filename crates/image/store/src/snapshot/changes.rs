//! What a writable layer says against what lies below it.

use std::{
    collections::HashSet,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, FileType, Stat, statat};

use super::{Change, ChangeKind, Usage};
use crate::{
    Result,
    archive::walk::{Item, is_whiteout, walk},
};

/// Compares the upper directory with a view of the layers below.
pub(super) fn between(upper: &OwnedFd, below: BorrowedFd) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    walk(upper.as_fd(), &mut |item: &Item| {
        let path = Path::new("/").join(&item.path);
        if item.path.as_os_str().is_empty() {
            return Ok(());
        }
        let before = statat(below, &item.path, AtFlags::SYMLINK_NOFOLLOW).ok();
        let kind = if is_whiteout(&item.stat) {
            // A whiteout of nothing is left when a file was made and removed again.
            if before.is_none() {
                return Ok(());
            }
            ChangeKind::Deleted
        } else if before.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        changes.push(Change { path, kind });
        Ok(())
    })?;
    changes.sort();
    Ok(changes)
}

/// Bytes and inodes of the upper directory; a file of several names counts once, whiteouts count no bytes.
pub(super) fn usage(upper: &OwnedFd) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut seen = HashSet::new();
    walk(upper.as_fd(), &mut |item: &Item| {
        let stat: &Stat = &item.stat;
        if seen.insert((stat.st_dev, stat.st_ino)) {
            usage.inodes += 1;
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                usage.bytes += stat.st_size as u64;
            }
        }
        Ok(())
    })?;
    Ok(usage)
}
