//! What a container mounts of a volume.
//!
//! A `subPath` is resolved beneath the volume, and what it led to is mounted at a place that only the daemon can change; the container gets that place. Whatever is exchanged
//! in the volume afterwards, the container has what was resolved.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use pods::runtime::{Device, Mount, Propagation};
use rustix::fs::FileType;

use super::error::{Error, Fault, Files};
use super::places::{Places, bind, is_mounted, unmount_beneath};
use super::{Ready, beneath};
use crate::environment::expand_all;

/// A container's mounts, in the order in which it lists them.
///
/// # Errors
/// When a path leads outside of its volume or a volume is not there.
pub fn mounts(
    places: &Places,
    uid: &str,
    find: &dyn Fn(&str) -> Option<Ready>,
    container: &Container,
    env: &[(String, String)],
) -> Result<Vec<Mount>, Error> {
    let mut all = Vec::new();
    for (place, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let missing = || Error::NoVolume { volume: mount.name.clone(), container: container.name.clone() };
        let volume = find(&mount.name).ok_or_else(missing)?;
        let fail = |fault| Error::SubPath { volume: mount.name.clone(), container: container.name.clone(), fault };
        let host_path = match wanted(mount, env).map_err(fail)? {
            None => volume.path.clone(),
            Some(path) => {
                let target = places.sub_path(uid, &mount.name, &container.name, place);
                prepare(&volume.path, &path, &target).map_err(fail)?;
                target
            }
        };
        let read_only = mount.read_only == Some(true) || volume.read_only;
        let recursive = matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible"));
        all.push(Mount {
            host_path,
            container_path: absolute(&mount.mount_path),
            read_only,
            recursive_read_only: read_only && recursive,
            propagation: match mount.mount_propagation.as_deref() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::None,
            },
        });
    }
    Ok(all)
}

/// A container's devices: volumes that are wanted as such.
///
/// # Errors
/// When a volume is not there, or is no device.
pub fn devices(find: &dyn Fn(&str) -> Option<Ready>, container: &Container) -> Result<Vec<Device>, Error> {
    let mut all = Vec::new();
    for device in container.volume_devices.iter().flatten() {
        let missing = || Error::NoVolume { volume: device.name.clone(), container: container.name.clone() };
        let volume = find(&device.name).filter(|volume| volume.block).ok_or_else(missing)?;
        all.push(Device {
            host_path: volume.path.to_string_lossy().into_owned(),
            container_path: device.device_path.clone(),
            permissions: if volume.read_only { "r" } else { "mrw" }.to_owned(),
        });
    }
    Ok(all)
}

/// Relative ones are beneath the root.
fn absolute(path: &str) -> PathBuf {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { PathBuf::from("/") } else { Path::new("/").join(trimmed) }
}

fn wanted(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<PathBuf>, Fault> {
    let expression = mount.sub_path_expr.as_deref().filter(|path| !path.is_empty());
    let path = match expression {
        Some(expression) => expand_all(expression, env)?,
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() || path == "." {
        return Ok(None);
    }
    let steps_out = path.split('/').any(|part| part == "..");
    if path.starts_with('/') || steps_out {
        return Err(Fault::Path(path.to_owned()));
    }
    Ok(Some(PathBuf::from(path)))
}

fn prepare(volume: &Path, path: &Path, target: &Path) -> Result<(), Fault> {
    let mode = fs::metadata(volume).map_err(Files::at("look at", volume))?.mode() & 0o7777;
    let found = beneath::find_or_make(volume, path, mode).map_err(Files::at("open", volume.join(path)))?;
    // Of a container that was here before this one.
    if is_mounted(target) {
        unmount_beneath(target)?;
    }
    place(&found, target)?;
    Ok(bind(&found, target).map_err(Files::at("mount at", target))?)
}

/// Something of the same kind to mount on.
fn place(found: &OwnedFd, target: &Path) -> Result<(), Files> {
    let stat = rustix::fs::fstat(found).map_err(Files::at("look at", target))?;
    let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match fs::symlink_metadata(target) {
        Ok(there) if there.is_dir() == folder => return Ok(()),
        Ok(there) if there.is_dir() => fs::remove_dir(target).map_err(Files::at("remove", target))?,
        Ok(_) => fs::remove_file(target).map_err(Files::at("remove", target))?,
        Err(_) => {}
    }
    let parent = target.parent().unwrap_or(target);
    fs::create_dir_all(parent).map_err(Files::at("make", parent))?;
    if folder {
        fs::create_dir(target).map_err(Files::at("make", target))
    } else {
        fs::File::create(target).map(drop).map_err(Files::at("make", target))
    }
}
