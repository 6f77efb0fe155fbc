//! Paths beneath a folder that somebody else writes to.
//!
//! A path is resolved by the kernel in one go and never leaves the folder: symbolic links that lead outside are errors, whenever they are put there. What was resolved is
//! held as a descriptor and acted on as such, so that nothing can be exchanged in between.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The kernel says "again" when somebody renames what it walks through; it is asked as often as this.
const ATTEMPTS: usize = 64;

/// Opens a regular file to read it.
///
/// # Errors
/// Those of openat2(2): `EXDEV` for what leads outside; invalid input for what is no regular file.
pub fn open(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let root = folder(root)?;
    // Without waiting: it may be a pipe.
    let file = resolve(&root, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Whatever a path leads to, as a place (`O_PATH`). Folders that are not there are made with a mode; they belong to the daemon's user.
///
/// # Errors
/// Those of openat2(2) and mkdirat(2).
pub fn find_or_make(root: &Path, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let root = folder(root)?;
    match resolve(&root, path, OFlags::PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let mut at = root.try_clone()?;
    let mut walked = std::path::PathBuf::new();
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        walked.push(name);
        // Each step is resolved from the root, so that links within it keep working.
        at = match resolve(&root, &walked, OFlags::PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&at, name, mode)?;
                resolve(&at, Path::new(name), OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW)?
            }
            found => found?,
        };
    }
    Ok(at)
}

fn make(at: &OwnedFd, name: &std::ffi::OsStr, mode: u32) -> io::Result<()> {
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
        // Somebody else was faster; what it is shows when it is opened.
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    let made = resolve(at, Path::new(name), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
    // Apart from the process's mask.
    Ok(rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?)
}

fn folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn resolve(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), beneath) {
            Err(Errno::AGAIN) => {}
            result => return Ok(result?),
        }
    }
    Err(Errno::AGAIN.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_leads_outside_is_refused_and_what_stays_inside_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volume");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "text").unwrap();
        std::fs::write(folder.path().join("secret"), "outside").unwrap();
        symlink("a/b", root.join("inside")).unwrap();
        symlink("../secret", root.join("relative")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("a/up")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        for good in ["a/b/file", "inside/file", "a/up/a/b/file"] {
            open(&root, Path::new(good)).unwrap_or_else(|error| panic!("{good}: {error}"));
            find_or_make(&root, Path::new(good), 0o755).unwrap();
        }
        for bad in ["relative", "absolute", "../secret", "a/up/../secret", "magic/etc/passwd"] {
            open(&root, Path::new(bad)).unwrap_err();
            find_or_make(&root, Path::new(bad), 0o755).unwrap_err();
        }
        open(&root, Path::new("a")).unwrap_err();
    }

    #[test]
    fn folders_are_made_inside_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volume");
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        find_or_make(&root, Path::new("x/y"), 0o2775).unwrap();
        assert_eq!(std::fs::metadata(root.join("x/y")).unwrap().permissions().mode() & 0o7777, 0o2775);
        find_or_make(&root, Path::new("out/z"), 0o755).unwrap_err();
        assert!(!folder.path().join("outside/z").exists());
    }
}
