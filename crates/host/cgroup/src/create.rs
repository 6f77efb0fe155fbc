//! Making a group on every hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::hierarchy::{Controller, Hierarchy};

/// Makes the directories. `relative` has no leading slash.
pub(crate) fn create(hierarchy: &Hierarchy, relative: &str) -> Result<()> {
    let cpuset = hierarchy.v1_mount(Controller::Cpuset);
    for (_, mount) in hierarchy.v1_mounts() {
        let inherit = if cpuset == Some(mount) { inherit_cpuset } else { |_: &Path| Ok(()) };
        make(mount, relative, inherit)?;
    }
    if let Some(mount) = hierarchy.v2_mount() {
        make(mount, relative, |_| Ok(()))?;
        enable_controllers(mount, relative, hierarchy.v2_controllers())?;
    }
    Ok(())
}

/// Makes one directory with its parents; `prepare` gets every new one, the highest first.
fn make(mount: &Path, relative: &str, prepare: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let dir = mount.join(relative);
    // A parent may be removed as unused just now, by another process that deletes its group: make it again.
    for _ in 0..10 {
        match make_once(mount, &dir, &prepare) {
            Err(Error::Create { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
    }
    make_once(mount, &dir, &prepare)
}

fn make_once(mount: &Path, dir: &Path, prepare: &impl Fn(&Path) -> Result<()>) -> Result<()> {
    // Mostly the parent is there already: one system call.
    match fs::create_dir(dir) {
        Ok(()) => return prepare(dir),
        // Prepared again: whoever made it may not have come to that yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return prepare(dir),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(dir, error)),
        Err(error) => match dir.parent() {
            Some(parent) if dir != mount && parent.starts_with(mount) => {
                make_once(mount, parent, prepare)?;
            }
            _ => return Err(failed(dir, error)),
        },
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(dir, error)),
        _ => prepare(dir),
    }
}

fn failed(dir: &Path, source: io::Error) -> Error {
    Error::Create { path: dir.to_owned(), source }
}

/// A new v1 cpuset group has no processors and no memory, and nothing can enter it before it has.
fn inherit_cpuset(dir: &Path) -> Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = files::read(&dir.join(file))?;
        if own.trim().is_empty() {
            let mut theirs = files::read(&parent.join(file))?;
            if theirs.trim().is_empty() {
                // Somebody else has just made the parent and not come to this yet. The top is never empty.
                inherit_cpuset(parent)?;
                theirs = files::read(&parent.join(file))?;
            }
            files::write(&dir.join(file), theirs.trim())?;
        }
    }
    Ok(())
}

/// Switches controllers on in every parent, so that the group has their files.
fn enable_controllers(mount: &Path, relative: &str, wanted: &[Controller]) -> Result<()> {
    let names: Vec<&str> = wanted.iter().filter_map(|controller| controller.v2_name()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let group = mount.join(relative);
    if group.parent().is_some_and(|parent| missing(parent, &names).is_empty()) {
        return Ok(()); // a parent has what its child has
    }
    let mut parent = PathBuf::from(mount);
    for part in Path::new(relative) {
        let absent = missing(&parent, &names);
        if !absent.is_empty() {
            enable(&parent, &absent);
        }
        parent.push(part);
    }
    Ok(())
}

fn missing<'a>(dir: &Path, names: &[&'a str]) -> Vec<&'a str> {
    let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    let enabled: Vec<&str> = enabled.split_whitespace().collect();
    names.iter().copied().filter(|name| !enabled.contains(name)).collect()
}

/// All at once if the kernel takes it, else one by one: a controller that cannot be had (real-time processes,
/// a parent with processes of its own) must not cost the others. Applying a limit tells when its file is missing.
fn enable(dir: &Path, names: &[&str]) {
    let path = dir.join("cgroup.subtree_control");
    let all: Vec<String> = names.iter().map(|name| format!("+{name}")).collect();
    if files::try_write(&path, &all.join(" ")).is_err() {
        for one in all {
            let _ = files::try_write(&path, &one);
        }
    }
}
