//! A path within a volume, which whoever writes to the volume may have made a link.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};

/// The real path of `subpath` in `volume`, its links followed. What leads out of the volume is refused.
pub fn beneath(volume: &Path, subpath: &str) -> Result<PathBuf> {
    let what = || format!("cannot access subpath {subpath:?} of volume {}", volume.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::open(volume, flags | OFlags::DIRECTORY, Mode::empty()).and_then(|root| {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&root, subpath, flags, Mode::empty(), resolve)
    });
    match opened {
        Ok(found) => std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
            .map_err(|error| Error::because(Kind::Internal, what(), error)),
        Err(Errno::XDEV | Errno::LOOP) => Err(Error::invalid(format!("{}: it leads out of the volume", what()))),
        Err(error) => Err(Error::because(Kind::Invalid, what(), error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::beneath;

    #[test]
    fn links_are_followed_within_the_volume_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let volume = fs::canonicalize(folder.path()).unwrap().join("data");
        fs::create_dir_all(volume.join("a/b")).unwrap();
        symlink("a", volume.join("inside")).unwrap();
        symlink("../..", volume.join("a/out")).unwrap();
        symlink("/etc", volume.join("absolute")).unwrap();
        assert_eq!(beneath(&volume, "a/b").unwrap(), volume.join("a/b"));
        assert_eq!(beneath(&volume, "inside/b").unwrap(), volume.join("a/b"));
        for path in ["a/out", "absolute", "absolute/passwd", "a/out/x"] {
            let error = beneath(&volume, path).unwrap_err();
            assert!(error.message().contains("leads out of the volume"), "{path}: {}", error.message());
        }
        assert!(beneath(&volume, "missing").unwrap_err().message().contains("No such file or directory"));
    }
}
