//! `--storage-opt size`: a bound on the writable layer, by project quota.

use std::{fs, os::fd::AsFd, os::unix::fs::MetadataExt, path::Path};

use super::overlay::open_directory;
use crate::{Error, Result, error::Context};

/// Bounds the bytes of a snapshot's folder, which holds only its empty upper and work directory yet.
pub(super) fn limit(folder: &Path, bytes: u64) -> Result<()> {
    // Unique on the file system as long as the folder exists, and never 0, which means no project.
    let project = fs::metadata(folder).at("look at", folder)?.ino() as u32 | 1 << 31;
    let unsupported = |step: &str, source: std::io::Error| Error::QuotaUnsupported {
        reason: format!(
            "{step} of {}: {source} (needs ext4 or xfs mounted with project quotas: prjquota)",
            folder.display()
        ),
    };
    let directory = open_directory(folder)?;
    // The limit first: it fails where quotas are not enforced, before anything is marked.
    sys::quota::limit_project(directory.as_fd(), project, bytes).map_err(|e| unsupported("set quota", e))?;
    for name in ["", "upper", "work"] {
        let path = folder.join(name);
        let directory = open_directory(&path)?;
        sys::quota::set_project(directory.as_fd(), project).map_err(|e| unsupported("set project", e))?;
    }
    Ok(())
}
