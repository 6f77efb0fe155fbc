//! Paths of archives: cleaned without a file system, refused when they rise above the root.

use crate::tar::{Entry, TarError};

const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// A path in components, without `.` and `..`.
pub(crate) struct Cleaned<'a> {
    pub parents: Vec<&'a [u8]>,
    /// Nothing for the root itself.
    pub name: Option<&'a [u8]>,
}

/// Splits a path; a leading slash means the root of the archive.
pub(crate) fn clean(path: &[u8]) -> Result<Cleaned<'_>, TarError> {
    let entry = || String::from_utf8_lossy(path).into_owned();
    if path.contains(&0) {
        return Err(TarError::NulInName { entry: entry() });
    }
    if path.len() >= PATH_MAX {
        return Err(TarError::NameTooLong { entry: entry() });
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or_else(|| TarError::Outside { entry: entry() })?;
            }
            name if name.len() > NAME_MAX => return Err(TarError::NameTooLong { entry: entry() }),
            name => parts.push(name),
        }
    }
    let name = parts.pop();
    Ok(Cleaned { parents: parts, name })
}

/// Refuses relative links that rise above the root from a directory `depth` levels below it, as docker does.
pub(crate) fn check_symlink(entry: &Entry, target: &[u8], depth: usize) -> Result<(), TarError> {
    let outside = || TarError::LinkOutside { entry: entry.name(), target: String::from_utf8_lossy(target).into() };
    if target.is_empty() {
        return Err(TarError::LinkMissing { entry: entry.name(), target: String::new() });
    }
    if target.contains(&0) {
        return Err(TarError::NulInName { entry: entry.name() });
    }
    if target.len() >= PATH_MAX {
        return Err(TarError::NameTooLong { entry: entry.name() });
    }
    let mut level = if target.starts_with(b"/") { return Ok(()) } else { depth };
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => level = level.checked_sub(1).ok_or_else(outside)?,
            _ => level += 1,
        }
    }
    Ok(())
}
