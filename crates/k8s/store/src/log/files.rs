//! The few file operations the log needs, behind a trait: the disk, memory, and in tests a disk that loses power.
//!
//! The terms: what was written to a file is safe once its `sync` has returned; a name made, changed or removed once
//! the directory's has. Before, any part of it may be lost, in any order. [`Disk`] is the real one.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One directory of files.
pub(crate) trait Files: Send + Sync + 'static {
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Makes an empty file, in place of one that may be there.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Renames, in place of a file that may be there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names safe.
    fn sync(&self) -> io::Result<()>;
    /// What messages call a file.
    fn path(&self, name: &str) -> PathBuf;
}

/// A file that is open.
pub(crate) trait File: Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// Reads; fewer bytes than asked for mean the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of it.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written safe, and the size.
    fn sync(&self) -> io::Result<()>;
}

/// A directory on disk.
pub(crate) struct Disk {
    dir: PathBuf,
    /// Held while the store is open; readers that only look have none.
    _lock: Option<fs::File>,
}

impl Disk {
    /// Makes the directory if it is not there, and locks it; none: another process has it.
    pub(crate) fn lock(dir: &Path) -> io::Result<Option<Disk>> {
        make(dir)?;
        let lock = fs::File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Disk { dir: dir.to_path_buf(), _lock: Some(lock) })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// A directory to read, which may be in use.
    pub(crate) fn look(dir: &Path) -> Disk {
        Disk { dir: dir.to_path_buf(), _lock: None }
    }
}

/// Makes a directory that survives, for its owner only.
fn make(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new().mode(0o700).create(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let write = self._lock.is_some();
        Ok(Box::new(OnDisk(fs::File::options().read(true).write(write).open(self.dir.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(OnDisk(options.open(self.dir.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

struct OnDisk(fs::File);

impl File for OnDisk {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.0.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Whether an error says that there is no space, and another attempt may find some.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
