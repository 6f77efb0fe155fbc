//! A look into a container's root file system, every link resolved beneath it.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2};

use crate::error::{Error, Kind, Result};

/// No file of ours is larger; what is, is cut.
const LONGEST: u64 = 4 << 20;

/// The text of a file; empty when there is none.
pub fn read(root: BorrowedFd<'_>, path: &str) -> Result<String> {
    let file = match open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
        Err(error) => return Err(failed("open", path, error)),
    };
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(|error| Error::because(Kind::Internal, format_args!("read {path} in the container"), error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Makes a directory and what is missing above it, owned by root; links on the way are followed within the root.
pub fn make_directory(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd> {
    let mut whole = String::new();
    let mut here = open(root, ".", OFlags::PATH | OFlags::DIRECTORY).map_err(|error| failed("open", "/", error))?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        whole.push('/');
        whole.push_str(part);
        here = match open(root, &whole, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(next) => next,
            Err(rustix::io::Errno::NOENT) => {
                rustix::fs::mkdirat(here.as_fd(), part, Mode::from_raw_mode(0o755))
                    .map_err(|error| failed("mkdir", &whole, error))?;
                open(root, &whole, OFlags::PATH | OFlags::DIRECTORY).map_err(|error| failed("open", &whole, error))?
            }
            Err(error) => return Err(failed("mkdir", &whole, error)),
        };
    }
    Ok(here)
}

/// A directory of the container for reading, when there is one.
pub fn directory(root: BorrowedFd<'_>, path: &str) -> Option<OwnedFd> {
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY).ok()
}

/// Mode, owner and group of a directory.
pub fn attributes(fd: BorrowedFd<'_>) -> Result<(Mode, u32, u32)> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH).map_err(|error| failed("stat", "directory", error))?;
    Ok((Mode::from_raw_mode(stat.st_mode & 0o7777), stat.st_uid, stat.st_gid))
}

fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let relative = match path.trim_start_matches('/') {
        "" => ".",
        relative => relative,
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, relative, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn failed(what: &str, path: &str, error: rustix::io::Errno) -> Error {
    Error::because(Kind::Internal, format_args!("{what} {path} in the container"), std::io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_lead_out_of_the_root() {
        let folder = std::env::temp_dir().join(format!("sampan-root-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("etc")).unwrap();
        std::fs::write(folder.join("etc/inner"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/inner", folder.join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink("../../../..", folder.join("up")).unwrap();
        let root = std::fs::File::open(&folder).unwrap();
        assert_eq!(read(root.as_fd(), "/etc/passwd").unwrap(), "inside");
        assert_eq!(read(root.as_fd(), "/etc/group").unwrap(), "");
        make_directory(root.as_fd(), "/up/made/deep").unwrap();
        assert!(folder.join("made/deep").is_dir());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
