//! How much a volume holds.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::VolumeUsage;

/// What a volume uses: counted on a disk, asked of the file system in memory.
pub fn of(name: &str, path: &Path, limit: Option<u64>, memory: bool) -> VolumeUsage {
    let (capacity, available, used_of_all, inodes_of_all) = match rustix::fs::statvfs(path) {
        Ok(all) => (
            all.f_blocks * all.f_frsize,
            all.f_bavail * all.f_frsize,
            all.f_blocks.saturating_sub(all.f_bfree) * all.f_frsize,
            all.f_files.saturating_sub(all.f_ffree),
        ),
        Err(_) => (0, 0, 0, 0),
    };
    let (used, inodes) = if memory { (used_of_all, inodes_of_all) } else { count(path) };
    VolumeUsage { name: name.to_owned(), used, inodes, capacity, available, limit, memory }
}

/// Bytes and inodes of a tree, a file with several names once, without what is mounted in it.
fn count(root: &Path) -> (u64, u64) {
    let Ok(meta) = fs::symlink_metadata(root) else { return (0, 0) };
    let device = meta.dev();
    let (mut bytes, mut inodes) = (meta.blocks() * 512, 1);
    let mut linked = HashSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.dev() != device || (meta.nlink() > 1 && !meta.is_dir() && !linked.insert(meta.ino())) {
                continue;
            }
            bytes += meta.blocks() * 512;
            inodes += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    (bytes, inodes)
}
