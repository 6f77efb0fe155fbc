//! Paths inside a container's root, resolved by descriptor and never outside of it, whatever links the root holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// What a missing path becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Directory,
    /// An empty file in a directory.
    File,
}

/// Opens a path for use as a place (`O_PATH`).
pub(crate) fn open(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    open_with(root, path, OFlags::PATH)
}

/// Opens a path with flags of its own.
pub(crate) fn open_with(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        // EAGAIN: something was renamed while the kernel looked.
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// Opens a path as a place, and makes what is missing of it. Tells whether it was there before.
pub(crate) fn open_or_make(root: BorrowedFd<'_>, path: &Path, make: Make) -> rustix::io::Result<(OwnedFd, bool)> {
    match open(root, path) {
        Err(Errno::NOENT) => Ok((walk(root, path, make)?, false)),
        result => Ok((result?, true)),
    }
}

/// Walks name by name: a link is followed inside the root even if it dangles, so that its target is what is made.
fn walk(root: BorrowedFd<'_>, path: &Path, make: Make) -> rustix::io::Result<OwnedFd> {
    let mut names: Vec<Name> = names_of(path);
    names.reverse();
    // The directories above the current one: going up can never leave the root.
    let mut dirs: Vec<OwnedFd> = vec![open(root, Path::new("/"))?];
    let mut links = 0;
    while let Some(name) = names.pop() {
        let name = match name {
            Name::Root => {
                dirs.truncate(1);
                continue;
            }
            Name::Up => {
                if dirs.len() > 1 {
                    dirs.pop();
                }
                continue;
            }
            Name::Down(name) => name,
        };
        let here = dirs.last().ok_or(Errno::INVAL)?.as_fd();
        if let Some(target) = link(here, &name)? {
            links += 1;
            if links > 40 {
                return Err(Errno::LOOP);
            }
            names.extend(names_of(&target).into_iter().rev());
            continue;
        }
        let make = if names.is_empty() { make } else { Make::Directory };
        let next = enter(here, &name, make)?;
        dirs.push(next);
    }
    dirs.pop().ok_or(Errno::INVAL)
}

enum Name {
    Root,
    Up,
    Down(OsString),
}

fn names_of(path: &Path) -> Vec<Name> {
    let name = |component| match component {
        Component::RootDir => Some(Name::Root),
        Component::ParentDir => Some(Name::Up),
        Component::Normal(name) => Some(Name::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn link(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<PathBuf>> {
    match rustix::fs::readlinkat(dir, name, Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn enter(dir: BorrowedFd<'_>, name: &OsStr, make: Make) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let made = match make {
        Make::Directory => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)),
        Make::File => {
            let create = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(dir, name, create, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => rustix::fs::openat(dir, name, flags, Mode::empty()),
        Err(error) => Err(error),
    }
}

/// Whether a place is a directory.
pub(crate) fn is_directory(place: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(place)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap().into();
        (dir, fd)
    }

    #[test]
    fn a_dangling_link_gets_its_target_inside_the_root() {
        let (dir, fd) = root();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("../run/resolve/stub", dir.path().join("etc/resolv.conf")).unwrap();
        open_or_make(fd.as_fd(), Path::new("/etc/resolv.conf"), Make::File).unwrap();
        assert!(dir.path().join("run/resolve/stub").is_file());
    }

    #[test]
    fn links_and_dots_do_not_lead_out() {
        let (dir, fd) = root();
        symlink("../../../../../../..", dir.path().join("up")).unwrap();
        symlink("/", dir.path().join("top")).unwrap();
        for path in ["/up/new", "/top/../../new2", "/top/up/a/b"] {
            open_or_make(fd.as_fd(), Path::new(path), Make::Directory).unwrap();
        }
        assert!(dir.path().join("new").is_dir());
        assert!(dir.path().join("new2").is_dir());
        assert!(dir.path().join("a/b").is_dir());
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let (dir, fd) = root();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let result = open_or_make(fd.as_fd(), Path::new("/a/x"), Make::Directory);
        assert_eq!(result.unwrap_err(), Errno::LOOP);
    }
}
