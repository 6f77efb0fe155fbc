//! Backup, restore and check of an embedded store's directory, without opening it.
//!
//! A directory in use may be backed up and checked as well: what is read is the store as it was at some moment since
//! the call. All of this blocks.

use crate::log::files::{Disk, Files};
use crate::log::recover::{self, Found};
use crate::log::snapshot::{self, Head, Size, Unread};
use crate::log::{OpenError, Options, segment};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How far the revisions go on beyond those of a backup: nobody may have seen that many since it was made.
const BEYOND: u64 = 1_000_000_000;
/// How often a directory in use is read again when it changes meanwhile.
const ATTEMPTS: usize = 5;

/// What was saved or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub entries: u64,
    /// The size of the backup.
    pub bytes: u64,
    /// The revision it is of; of a restored store, the one it goes on from.
    pub revision: u64,
}

/// What a check found.
#[derive(Debug)]
pub struct Report {
    pub entries: u64,
    pub revision: u64,
    pub segments: usize,
    pub frames: u64,
    /// The revision of the snapshot, if there is one.
    pub snapshot: Option<u64>,
    /// The end of the log is not whole, as after a crash: the file, the place, what is wrong. The next start cuts it off.
    pub torn: Option<(PathBuf, u64, String)>,
    /// What is damaged; then the figures above say nothing.
    pub damage: Option<OpenError>,
}

/// Writes everything a store's directory holds into one stream with checksums.
pub fn backup(dir: &Path, to: &mut dyn Write) -> Result<Summary, OpenError> {
    let found = look(dir)?;
    let id = found.id.ok_or_else(|| OpenError::Missing { path: dir.to_path_buf() })?;
    let head = Head { id, revision: found.index.revision(), next_frame: 1, reserved: 0 };
    let written = snapshot::write_index(&found.index, &head, to);
    let error = |error| match error {
        snapshot::Error::Io(source) => OpenError::Io { what: "write the backup of", path: dir.to_path_buf(), source },
        snapshot::Error::Read(why) => {
            OpenError::Io { what: "read", path: dir.to_path_buf(), source: io::Error::other(why) }
        }
    };
    written.map(|size| summary(size, head.revision)).map_err(error)
}

/// Writes what an index holds now.
pub(crate) fn save(index: &crate::index::Index, to: &mut dyn Write) -> io::Result<Summary> {
    let head = Head { id: recover::random()?, revision: index.revision(), next_frame: 1, reserved: 0 };
    match snapshot::write_index(index, &head, to) {
        Ok(size) => Ok(summary(size, head.revision)),
        Err(snapshot::Error::Io(error)) => Err(error),
        Err(snapshot::Error::Read(why)) => Err(io::Error::other(why)),
    }
}

/// Reads a backup to its end and verifies it; what goes by itself is left out of the entries. `path` is for messages.
pub fn open(from: &mut dyn Read, path: &Path) -> Result<(Summary, Vec<(String, bytes::Bytes)>), OpenError> {
    let (head, map, size) = snapshot::read(from).map_err(|unread| refused(unread, path))?;
    let kept = map.into_iter().filter(|(_, item)| item.expires == 0);
    Ok((summary(size, head.revision), kept.map(|(key, item)| (key.to_string(), item.value)).collect()))
}

fn refused(unread: Unread, path: &Path) -> OpenError {
    let path = path.to_path_buf();
    match unread {
        Unread::Io(source) => OpenError::Io { what: "read", path, source },
        Unread::Flaw(segment::Flaw::Damaged { offset, what }) => OpenError::Damaged { path, offset, what },
        Unread::Flaw(segment::Flaw::Format(found)) => OpenError::Format { path, found, known: segment::FORMAT },
    }
}

/// Makes a store of a backup, in a directory that has none. Its revisions go on far beyond the backup's, so that nobody
/// who saw later ones takes old state for new.
pub fn restore(from: &mut dyn Read, dir: &Path) -> Result<Summary, OpenError> {
    let error = |what| move |source| OpenError::Io { what, path: dir.to_path_buf(), source };
    let disk = Disk::lock(dir).map_err(error("lock"))?.ok_or_else(|| OpenError::InUse { path: dir.to_path_buf() })?;
    let names = disk.list().map_err(error("list"))?;
    if names.iter().any(|name| segment::parse(name).is_some() || snapshot::parse(name).is_some()) {
        return Err(OpenError::Exists { path: dir.to_path_buf() });
    }
    let (head, map, _) = snapshot::read(from).map_err(|unread| refused(unread, Path::new("the backup")))?;
    let id = recover::random().map_err(error("make an id for"))?;
    let head = Head { id, revision: head.revision + BEYOND, next_frame: 1, reserved: 0 };
    let write = || {
        let name = snapshot::name(head.revision);
        let unfinished = format!("{name}.new");
        let mut out = io::BufWriter::new(crate::log::Appender { file: disk.create(&unfinished)?, offset: 0 });
        let size = snapshot::write_map(&map, &head, &mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync()?;
        disk.rename(&unfinished, &name)?;
        disk.sync()?;
        Ok(size)
    };
    write().map(|size| summary(size, head.revision)).map_err(error("write"))
}

/// Reads everything a store's directory holds and verifies it.
pub fn check(dir: &Path) -> Report {
    match look(dir) {
        Ok(found) => Report {
            entries: found.index.read().len() as u64,
            revision: found.index.revision(),
            segments: found.segments.len(),
            frames: found.frames,
            snapshot: found.snapshot.map(|(head, _)| head.revision),
            torn: found
                .torn
                .map(|(number, offset, what)| (dir.join(segment::name(number)), offset as u64, what.to_string())),
            damage: (found.id.is_none()).then(|| OpenError::Missing { path: dir.to_path_buf() }),
        },
        Err(error) => {
            Report { entries: 0, revision: 0, segments: 0, frames: 0, snapshot: None, torn: None, damage: Some(error) }
        }
    }
}

/// Reads a directory that may be changing.
fn look(dir: &Path) -> Result<Found, OpenError> {
    let disk = Disk::look(dir);
    let limits = Options::default().limits();
    let mut read = recover::read(&disk, limits);
    for _ in 1..ATTEMPTS {
        if read.is_ok() {
            break;
        }
        // a snapshot may just have taken the place of what was to be read
        std::thread::sleep(std::time::Duration::from_millis(50));
        read = recover::read(&disk, limits);
    }
    read
}

fn summary(size: Size, revision: u64) -> Summary {
    Summary { entries: size.entries, bytes: size.bytes, revision }
}
