//! Folders that live as long as their pod.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_types::quantity::Quantity;

use super::error::{Fault, Files};
use super::places::{is_mounted, mount_tmpfs};

const MODE: u32 = 0o777;

/// Bytes that one may hold, where it is said.
pub fn limit(source: &EmptyDirVolumeSource) -> Option<u64> {
    let limit = Quantity::parse(&source.size_limit.as_ref()?.0).ok()?;
    u64::try_from(limit.value()).ok().filter(|bytes| *bytes > 0)
}

/// Whether it is in memory.
pub fn in_memory(source: &EmptyDirVolumeSource) -> bool {
    source.medium.as_deref() == Some("Memory")
}

/// Makes one, or finds it. Says whether it is new.
///
/// # Errors
/// When it cannot be made, or is wanted on huge pages.
pub fn make(path: &Path, source: &EmptyDirVolumeSource, pod_memory: Option<u64>) -> Result<bool, Fault> {
    let mode = source.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(MODE) & 0o7777;
    match source.medium.as_deref().unwrap_or_default() {
        "" => {}
        "Memory" => return memory(path, source, mode, pod_memory),
        _ => return Err(Fault::Unsupported("emptyDir on huge pages")),
    }
    if path.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(path).map_err(Files::at("make", path))?;
    if let Some(bytes) = limit(source) {
        bound(path, bytes);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Files::at("set the mode of", path))?;
    Ok(true)
}

fn memory(path: &Path, source: &EmptyDirVolumeSource, mode: u32, pod_memory: Option<u64>) -> Result<bool, Fault> {
    if is_mounted(path) {
        return Ok(false);
    }
    fs::create_dir_all(path).map_err(Files::at("make", path))?;
    // What a pod may not use cannot be promised to it.
    let size = limit(source).into_iter().chain(pod_memory).min();
    mount_tmpfs(path, size, mode).map_err(Files::at("mount a tmpfs at", path))?;
    Ok(true)
}

/// Bounds a new folder where its file system has quotas of projects. Where it has not, what it holds is measured, and the pod evicted when it is too much.
fn bound(path: &Path, bytes: u64) {
    let bounded = fs::File::open(path).and_then(|folder| {
        let project = project(path);
        sys::quota::limit_project(folder.as_fd(), project, bytes)?;
        sys::quota::set_project(folder.as_fd(), project)
    });
    if let Err(error) = bounded {
        tracing::debug!(path = %path.display(), %error, "no quota for a volume: it is measured");
    }
}

/// A number for a folder, in the upper half of what projects have.
fn project(path: &Path) -> u32 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (hasher.finish() as u32 >> 2) | 1 << 30
}
