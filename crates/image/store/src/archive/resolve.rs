//! Paths of a root, resolved by the kernel and never outside of it (openat2 with RESOLVE_IN_ROOT).

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2},
    io::Errno,
};

use crate::{Error, Result, error::Context};

/// A path taken apart: the directory it is in, opened, and its last component.
pub(super) struct Place {
    pub parent: OwnedFd,
    /// `.` where the path ends in a slash, in `/.`, or is the root.
    pub name: OsString,
    /// The name that a client is told: docker's `filepath.Base`.
    pub shown: String,
}

/// Opens a directory below `root`, every link on the way followed within it.
pub(super) fn open_in_root(root: BorrowedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    // `..` and races with renames make the kernel ask for another try.
    for _ in 0..32 {
        match openat2(
            root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        ) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

pub(super) fn open_directory_in_root(root: BorrowedFd, path: &Path) -> Result<OwnedFd, Errno> {
    open_in_root(root, path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// Takes a client's path apart; the last component is not followed unless a slash or `/.` ends the path.
pub(super) fn place(root: BorrowedFd, path: &str) -> Result<Place> {
    let missing = |error: Errno| match error {
        Errno::NOENT | Errno::NOTDIR => Error::NoSuchPath(path.to_owned()),
        other => Error::Io { action: "open in root", path: path.into(), source: other.into() },
    };
    let lexical = cleaned(path);
    let follows = path.ends_with('/') || path.ends_with("/.") || path == "." || lexical.as_os_str() == "/";
    let shown = match lexical.file_name() {
        _ if path.ends_with("/.") || path == "." => ".".to_owned(),
        Some(name) => name.to_string_lossy().into_owned(),
        None => "/".to_owned(),
    };
    if follows {
        let parent = open_directory_in_root(root, &lexical).map_err(missing)?;
        return Ok(Place { parent, name: OsString::from("."), shown });
    }
    let folder = lexical.parent().unwrap_or(Path::new("/"));
    let parent = open_directory_in_root(root, folder).map_err(missing)?;
    Ok(Place { parent, name: lexical.file_name().unwrap_or(OsStr::new(".")).to_owned(), shown })
}

/// Absolute, without `.`, `..` and doubled slashes: as Go's `filepath.Join("/", path)`.
pub(super) fn cleaned(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Opens the directory `parts` below `base`, made where it is missing.
pub(super) fn make_directories(root: BorrowedFd, base: &Path, parts: &[&[u8]]) -> Result<OwnedFd> {
    let mut path = base.to_owned();
    let mut directory = open_directory_in_root(root, &path).at("open in root", &path)?;
    for part in parts {
        let name = OsStr::from_bytes(part);
        path.push(name);
        directory = match open_directory_in_root(root, &path) {
            Err(Errno::NOENT) => {
                mkdirat(&directory, name, Mode::from_raw_mode(0o755)).at("create in root", &path)?;
                open_directory_in_root(root, &path).at("open in root", &path)?
            }
            result => result.at("open in root", &path)?,
        };
    }
    Ok(directory)
}
