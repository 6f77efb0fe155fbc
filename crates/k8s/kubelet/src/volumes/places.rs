//! Where volumes are on the node, the file systems in memory that hold some of them, and how all of it goes again.
//!
//! ```text
//! data/pods/<uid>/volumes/kubernetes.io~empty-dir/<name>   on the disk, or a tmpfs of its own
//! data/pods/<uid>/volume-subpaths/<volume>/<container>/<n> what a subPath led to, held as a mount
//! data/memory/<uid>/<name>                                 files of config maps, secrets, tokens: on one tmpfs for all pods
//! ```

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use super::error::Files;

/// The folders of all pods.
pub struct Places {
    /// Without symbolic links, so that it can be compared with what the kernel says of mounts.
    data: PathBuf,
    /// Held while the file system in memory is mounted or unmounted.
    memory: Mutex<()>,
}

impl Places {
    pub fn new(data: &Path) -> Places {
        let data = fs::create_dir_all(data).and_then(|()| fs::canonicalize(data)).unwrap_or_else(|_| data.to_owned());
        Places { data, memory: Mutex::new(()) }
    }

    pub fn pod(&self, uid: &str) -> PathBuf {
        self.data.join("pods").join(uid)
    }

    pub fn empty_dir(&self, uid: &str, name: &str) -> PathBuf {
        super::empty_dir(&self.pod(uid), name)
    }

    pub fn sub_path(&self, uid: &str, volume: &str, container: &str, place: usize) -> PathBuf {
        self.pod(uid).join("volume-subpaths").join(volume).join(container).join(place.to_string())
    }

    /// Where files in memory are; the file system is mounted where it is not yet.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn in_memory(&self, uid: &str, name: &str) -> Result<PathBuf, Files> {
        let _held = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.data.join("memory");
        if !is_mounted(&root) {
            fs::create_dir_all(&root).map_err(Files::at("make", &root))?;
            mount_tmpfs(&root, None, 0o700).map_err(Files::at("mount a tmpfs at", &root))?;
        }
        let path = root.join(uid).join(name);
        fs::create_dir_all(&path).map_err(Files::at("make", &path))?;
        Ok(path)
    }

    /// Unmounts and removes everything of a pod's volumes.
    ///
    /// # Errors
    /// The first step that failed; the others were tried all the same.
    pub fn remove(&self, uid: &str) -> Result<(), Files> {
        // A folder's name, and never a way out.
        if uid.is_empty() || uid.contains('/') || uid.starts_with('.') {
            return Ok(());
        }
        let pod = self.pod(uid);
        let mut first = None;
        let mut note = |result: Result<(), Files>| {
            if let Err(error) = result {
                first.get_or_insert(error);
            }
        };
        note(unmount_beneath(&pod));
        for name in ["volumes", "volume-subpaths"] {
            let path = pod.join(name);
            // What is still mounted must not be emptied.
            if !mounts_beneath(&path).is_empty() {
                continue;
            }
            note(gone(fs::remove_dir_all(&path)).map_err(Files::at("remove", &path)));
        }
        note(self.forget_memory(uid));
        first.map_or(Ok(()), Err)
    }

    fn forget_memory(&self, uid: &str) -> Result<(), Files> {
        let _held = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.data.join("memory");
        let path = root.join(uid);
        gone(fs::remove_dir_all(&path)).map_err(Files::at("remove", &path))?;
        let unused = fs::read_dir(&root).is_ok_and(|mut left| left.next().is_none());
        if unused && is_mounted(&root) {
            unmount(&root, UnmountFlags::DETACH).map_err(Files::at("unmount", &root))?;
        }
        Ok(())
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a path is the root of a mount.
pub fn is_mounted(path: &Path) -> bool {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statx(CWD, path, flags, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Mounts a file system in memory, bounded to so many bytes where it is said.
///
/// # Errors
/// Those of fsconfig(2) and move_mount(2).
pub fn mount_tmpfs(path: &Path, size: Option<u64>, mode: u32) -> io::Result<()> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", format!("{mode:o}"))?;
    if let Some(size) = size {
        fsconfig_set_string(&context, "size", size.to_string())?;
    }
    // Kernels before 6.4 do not know it; there it may be swapped as all of memory may.
    let _ = fsconfig_set_flag(&context, "noswap");
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    attach(&mount, path)
}

/// Shows what a descriptor is at another place as well. The place must be one that only the daemon can change.
///
/// # Errors
/// Those of open_tree(2) and move_mount(2).
pub fn bind(from: &OwnedFd, path: &Path) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    attach(&open_tree(from, "", flags)?, path)
}

fn attach(mount: &OwnedFd, path: &Path) -> io::Result<()> {
    Ok(move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Unmounts all that is mounted at a path or beneath it.
///
/// # Errors
/// The first that stays.
pub fn unmount_beneath(path: &Path) -> Result<(), Files> {
    let mut first = None;
    for mounted in mounts_beneath(path).iter().rev() {
        if let Err(error) = unmount(mounted, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            first.get_or_insert(Files::at("unmount", mounted)(error));
        }
    }
    first.map_or(Ok(()), Err)
}

/// Mounts at a path and beneath it, in the order in which they were made.
fn mounts_beneath(path: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped);
    points.filter(|point| point.starts_with(path)).collect()
}

/// Spaces and their like are written as octal numbers.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match octal {
            Some(digits) => {
                let number = digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'));
                bytes.push(u8::try_from(number).unwrap_or(b'?'));
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_mounts_are_unescaped() {
        assert_eq!(unescaped("/a\\040b\\134c"), Path::new("/a b\\c"));
        assert_eq!(unescaped("/plain\\9"), Path::new("/plain\\9"));
    }
}
