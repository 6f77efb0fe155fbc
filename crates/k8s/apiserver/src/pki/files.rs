//! Files of the authority: read whole, written beside their place, synced and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::PkiError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Mode 0600.
    Secret,
    /// Mode 0644.
    Public,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Access::Secret => 0o600,
            Access::Public => 0o644,
        }
    }
}

/// Makes a folder that only its owner enters; one that stands gets the mode back.
pub(super) fn private_folder(path: &Path) -> Result<(), PkiError> {
    let failed = |source| PkiError::File { action: "make folder", path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// The bytes of a file, `None` where there is none. A secret that others could read is closed again.
pub(super) fn read(path: &Path, access: Access) -> Result<Option<Vec<u8>>, PkiError> {
    let failed = |source| PkiError::File { action: "read", path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            if access == Access::Secret && fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "others could read this secret; its mode is 0600 again");
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
            }
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces a file in one step that survives power loss.
pub(super) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), PkiError> {
    let beside = beside(path);
    let attempt = || -> io::Result<()> {
        // A rest of a crash may have another mode, so it is not written over.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(&beside)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(access.mode()))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    attempt().map_err(|source| PkiError::File { action: "write", path: path.to_owned(), source })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_has_its_mode_and_replaces_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        fs::write(folder.path().join("ca.key.new"), b"half").unwrap();
        write(&path, b"whole", Access::Secret).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("ca.key.new").exists());
    }

    #[test]
    fn a_secret_that_others_could_read_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        fs::write(&path, b"key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path, Access::Secret).unwrap().as_deref(), Some(b"key".as_slice()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_file_is_no_error() {
        assert!(read(Path::new("/nonexistent/ca.key"), Access::Secret).unwrap().is_none());
    }
}
