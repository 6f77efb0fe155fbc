//! The container's view of its control groups at /sys/fs/cgroup.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sys::mount::{Change, Depth};

use super::mounts::{Place, open_new, open_source, put};
use crate::beneath::{self, Make};
use crate::error::{AtStep, Error, Result};
use crate::plan::mounts::{ATTR_RDONLY, MountStep};

/// Mounts the v2 tree, or one folder for each v1 hierarchy as the host has them.
pub(crate) fn mount(place: &Place<'_>, step: &MountStep) -> Result<()> {
    let (target, _) = beneath::open_or_make(place.root, &step.target, Make::Directory)
        .at(|| format!("make mount point {}", step.target.display()))?;
    let hierarchies = place.hierarchy.v1_mounts();
    if hierarchies.is_empty() {
        let Some(mount) = place.hierarchy.v2_mount() else {
            return Ok(());
        };
        let tree = match place.own_view {
            true => open_new("cgroup2", Some("cgroup"), &[], step.attrs.set)
                .map_err(|(detail, error)| named(step, &detail, error))?,
            false => own_group(place, mount, step)?,
        };
        return put(&tree, &target).at(|| step.name());
    }
    let mode = [("mode".to_owned(), Some("755".to_owned()))];
    let folder = open_new("tmpfs", Some("cgroup"), &mode, step.attrs.set & !ATTR_RDONLY)
        .map_err(|(detail, error)| named(step, &detail, error))?;
    let mut places = Vec::new();
    for (controllers, mount) in hierarchies {
        let tree = match place.own_view {
            true => v1(&controllers, step)?,
            false => own_group(place, mount, step)?,
        };
        let name = controllers.strip_prefix("name=").unwrap_or(&controllers);
        let dir = make_dir(folder.as_fd(), name).at(|| format!("{}/{name}", step.name()))?;
        places.push((name.to_owned(), dir, tree));
        if name.contains(',') {
            for controller in name.split(',') {
                rustix::fs::symlinkat(name, &folder, controller)
                    .at(|| format!("link {}/{controller}", step.target.display()))?;
            }
        }
    }
    // While it is on nothing yet: what is mounted on a detached root cannot be changed any more.
    if step.attrs.set & ATTR_RDONLY != 0 {
        readonly(&folder).at(|| step.name())?;
    }
    put(&folder, &target).at(|| step.name())?;
    places.iter().try_for_each(|(name, dir, tree)| put(tree, dir).at(|| format!("{}/{name}", step.name())))
}

fn v1(controllers: &str, step: &MountStep) -> Result<OwnedFd> {
    let options: Vec<(String, Option<String>)> = match controllers.strip_prefix("name=") {
        Some(name) => vec![("none".to_owned(), None), ("name".to_owned(), Some(name.to_owned()))],
        None => controllers.split(',').map(|controller| (controller.to_owned(), None)).collect(),
    };
    open_new("cgroup", Some("cgroup"), &options, step.attrs.set)
        .map_err(|(detail, error)| named(step, &format!("/{controllers}{detail}"), error))
}

/// Without a namespace for it: the container's own group alone, bound.
fn own_group(place: &Place<'_>, mount: &Path, step: &MountStep) -> Result<OwnedFd> {
    let group = place.cgroup.unwrap_or("/").trim_start_matches('/');
    let tree = open_source(&mount.join(group), Depth::This).at(|| step.name())?;
    let change = Change { set: step.attrs.set, ..Change::default() };
    sys::mount::set_attr(&tree, change, Depth::This).at(|| step.name())?;
    Ok(tree)
}

fn readonly(tree: impl AsFd) -> std::io::Result<()> {
    let change = Change { set: ATTR_RDONLY, ..Change::default() };
    sys::mount::set_attr(tree, change, Depth::This)
}

fn make_dir(folder: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

fn named(step: &MountStep, detail: &str, error: std::io::Error) -> Error {
    Error::step(format!("{}{detail}", step.name()), error)
}
