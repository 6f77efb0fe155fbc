//! Reading and writing control files, with the path in every error.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a value in one write(2), as control files want it.
pub(crate) fn write(path: &Path, value: &str) -> Result<()> {
    try_write(path, value).map_err(|source| Error::Write { path: path.to_owned(), value: value.to_owned(), source })
}

/// Like [`write`], with the bare error for callers that decide by it.
pub(crate) fn try_write(path: &Path, value: &str) -> io::Result<()> {
    // Never create: in a directory that is not a control group this would make a plain file.
    let mut file = OpenOptions::new().write(true).open(path)?;
    loop {
        match file.write(value.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a control file.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Reads a control file that may be absent or of a group that is just going away.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Whether an error only says that the group or its file does not exist (any more). Some files answer
/// "not supported" to a read, such as `memory.kmem.slabinfo`; they count as absent.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::NOENT, Errno::NODEV, Errno::OPNOTSUPP];
    error.raw_os_error().is_some_and(|code| gone.iter().any(|e| e.raw_os_error() == code))
}

/// A number, with `max` and v1's "unlimited" as `u64::MAX`. `None` when the file is absent or not a number.
pub(crate) fn read_number(path: &Path) -> Result<Option<u64>> {
    Ok(read_optional(path)?.and_then(|text| parse_number(text.trim())))
}

/// See [`read_number`]. v1 tells "no limit" as the largest multiple of the page size below 2^63.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(u64::MAX);
    }
    let number: u64 = text.parse().ok()?;
    const V1_UNLIMITED: u64 = 0x7fff_ffff_ffff_0000; // holds for pages up to 64 KiB
    Some(if number >= V1_UNLIMITED { u64::MAX } else { number })
}

/// A file of lines `key value`.
pub(crate) fn read_keyed(path: &Path) -> Result<Vec<(String, u64)>> {
    let text = read_optional(path)?.unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// One key of a file of lines `key value`.
pub(crate) fn read_key(path: &Path, key: &str) -> Result<Option<u64>> {
    Ok(read_keyed(path)?.into_iter().find(|(name, _)| name == key).map(|(_, value)| value))
}

/// A directory and everything beneath it, the deepest first. Empty when it does not exist.
pub(crate) fn descend(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(root, &mut found)?;
    Ok(found)
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(source) => {
            return Err(Error::Read { path: dir.to_owned(), source });
        }
    };
    for entry in entries {
        let Ok(entry) = entry else { continue }; // the group vanished while it was listed
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found)?;
        }
    }
    found.push(dir.to_owned());
    Ok(())
}

/// The process ids in a `cgroup.procs` file.
pub(crate) fn read_pids(path: &Path) -> Result<Vec<i32>> {
    let text = read_optional(path)?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}
