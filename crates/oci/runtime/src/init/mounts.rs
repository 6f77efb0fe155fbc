//! The mounts of the plan, each made detached and then put in its place beneath the root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cgroup::Hierarchy;
use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use sys::mount::{Change, Depth};

use super::{cgroups, procfs};
use crate::beneath::{self, Make};
use crate::error::{AtStep, Error, Result};
use crate::plan::mounts::{ATTR_RDONLY, MountKind, MountStep};

/// Where mounts are made, and what the container's view of control groups needs.
pub(crate) struct Place<'a> {
    pub root: BorrowedFd<'a>,
    pub hierarchy: &'a Hierarchy,
    pub cgroup: Option<&'a str>,
    /// Whether the container has a control group namespace.
    pub own_view: bool,
    /// Whether it has a mount namespace, in which alone mounts have a propagation.
    pub own_mounts: bool,
}

/// Makes all of them in order. `sources` are trees that the parent opened; /dev stays writable for its nodes.
pub(crate) fn make_all(
    place: &Place<'_>,
    steps: &[MountStep],
    sources: Vec<Option<OwnedFd>>,
    makes_nodes: bool,
) -> Result<()> {
    let mut sources = sources.into_iter();
    for step in steps {
        let source = sources.next().flatten();
        if makes_nodes && is_dev(step) {
            let mut writable = step.clone();
            writable.attrs.set &= !ATTR_RDONLY;
            make(place, &writable, source)?;
        } else {
            make(place, step, source)?;
        }
    }
    Ok(())
}

/// Makes /dev read-only after its nodes were made, if it shall be.
pub(crate) fn finish_dev(place: &Place<'_>, steps: &[MountStep], makes_nodes: bool) -> Result<()> {
    let readonly = |step: &&MountStep| is_dev(step) && step.attrs.set & ATTR_RDONLY != 0;
    let Some(step) = steps.iter().find(readonly) else {
        return Ok(());
    };
    if !makes_nodes {
        return Ok(());
    }
    let change = Change { set: ATTR_RDONLY, ..Change::default() };
    let dev = beneath::open(place.root, &step.target).at(|| "open /dev")?;
    sys::mount::set_attr(&dev, change, Depth::This).at(|| "make /dev read-only")
}

fn is_dev(step: &MountStep) -> bool {
    step.target == Path::new("/dev") && matches!(step.kind, MountKind::New { .. })
}

fn make(place: &Place<'_>, step: &MountStep, source: Option<OwnedFd>) -> Result<()> {
    match &step.kind {
        MountKind::Bind { source: path, depth } => {
            let tree = match source {
                Some(tree) => tree,
                None => open_source(path, *depth).at(|| step.name())?,
            };
            bind(place, step, tree)
        }
        MountKind::Remount => remount(place, step),
        MountKind::New { fstype, source, options } => new(place, step, fstype, source.as_deref(), options),
        MountKind::Cgroup => cgroups::mount(place, step),
    }
}

/// A detached copy of a tree of the host.
pub(crate) fn open_source(path: &Path, depth: Depth) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, path, flags)
}

fn bind(place: &Place<'_>, step: &MountStep, tree: OwnedFd) -> Result<()> {
    let make = match beneath::is_directory(&tree).at(|| step.name())? {
        true => Make::Directory,
        false => Make::File,
    };
    // Like mount(8): a bind keeps the attributes of its source unless it is told to restrict them.
    if step.attrs.set != 0 {
        sys::mount::set_attr(&tree, step.attrs, Depth::This).at(|| step.name())?;
    }
    if step.recursive_attrs != Change::default() {
        sys::mount::set_attr(&tree, step.recursive_attrs, Depth::Recursive).at(|| step.name())?;
    }
    let (target, _) = beneath::open_or_make(place.root, &step.target, make)
        .at(|| format!("make mount point {}", step.target.display()))?;
    procfs::check(step, &tree, &target)?;
    put(&tree, &target).at(|| step.name())?;
    propagate(place, &tree, step)
}

fn remount(place: &Place<'_>, step: &MountStep) -> Result<()> {
    let target = beneath::open(place.root, &step.target).at(|| step.name())?;
    sys::mount::set_attr(&target, step.attrs, Depth::This).at(|| step.name())?;
    if step.recursive_attrs != Change::default() {
        sys::mount::set_attr(&target, step.recursive_attrs, Depth::Recursive).at(|| step.name())?;
    }
    propagate(place, &target, step)
}

fn new(
    place: &Place<'_>,
    step: &MountStep,
    fstype: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
) -> Result<()> {
    let (target, existed) = beneath::open_or_make(place.root, &step.target, Make::Directory)
        .at(|| format!("make mount point {}", step.target.display()))?;
    let mut options = options.to_vec();
    let has_mode = options.iter().any(|(key, _)| key == "mode");
    if fstype == "tmpfs" && existed && !has_mode {
        // A tmpfs is as open as what it hides.
        let mode = rustix::fs::fstat(&target).at(|| step.name())?.st_mode & 0o7777;
        options.push(("mode".to_owned(), Some(format!("{mode:o}"))));
    }
    if step.attrs.set & ATTR_RDONLY != 0 {
        // The file system itself, too: a mount of it elsewhere would be writable again.
        options.push(("ro".to_owned(), None));
    }
    let tree = open_new(fstype, source, &options, step.attrs.set)
        .map_err(|(option, error)| Error::step(format!("{}{option}", step.name()), error))?;
    if step.copy_up && existed {
        super::paths::copy_up(&target, &tree, &step.target)?;
    }
    if step.recursive_attrs != Change::default() {
        sys::mount::set_attr(&tree, step.recursive_attrs, Depth::Recursive).at(|| step.name())?;
    }
    procfs::check(step, &tree, &target)?;
    put(&tree, &target).at(|| step.name())?;
    propagate(place, &tree, step)
}

/// A new, detached file system; a failure comes with the option that was refused and the kernel's words for it.
pub(crate) fn open_new(
    fstype: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    attrs: u64,
) -> std::result::Result<OwnedFd, (String, io::Error)> {
    let context =
        rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| (String::new(), error.into()))?;
    let explain = |what: &str, error: rustix::io::Errno| {
        let mut text = String::new();
        if !what.is_empty() {
            text.push_str(&format!(" with {what}"));
        }
        if let Some(log) = log(context.as_fd()) {
            text.push_str(&format!(" ({log})"));
        }
        (text, error.into())
    };
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(&context, "source", source).map_err(|error| explain("source", error))?;
    }
    for (key, value) in options {
        let set = match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, key, value),
            None => rustix::mount::fsconfig_set_flag(&context, key),
        };
        set.map_err(|error| explain(key, error))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(|error| explain("", error))?;
    let attrs = MountAttrFlags::from_bits_retain(attrs as u32);
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs).map_err(|error| explain("", error))
}

/// What the kernel has to say about a refused file system.
fn log(context: BorrowedFd<'_>) -> Option<String> {
    let mut line = [0; 512];
    let length = rustix::io::read(context, &mut line).ok()?;
    let line = String::from_utf8_lossy(&line[..length]);
    // A letter for the severity comes first.
    Some(line.get(2..)?.trim().to_owned())
}

/// Attaches a detached tree at a place.
pub(crate) fn put(tree: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

fn propagate(place: &Place<'_>, tree: impl AsFd, step: &MountStep) -> Result<()> {
    if !place.own_mounts {
        return Ok(());
    }
    for (propagation, depth) in &step.propagation {
        let change = Change { propagation: *propagation, ..Change::default() };
        sys::mount::set_attr(tree.as_fd(), change, *depth)
            .at(|| format!("set propagation of {}", step.target.display()))?;
    }
    Ok(())
}
