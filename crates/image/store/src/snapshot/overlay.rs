//! Overlay mounts that no mount table shows.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fs::{CWD, Mode, OFlags, open, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_fd, fsconfig_set_string, fsmount, fsopen, mount, mount_change, open_tree,
    },
};

use super::Access;
use crate::{Error, Result, error::Context};

/// Opens a directory to look into it.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    open(path, flags, Mode::empty()).at("open", path)
}

/// The directory a mount's descriptor stands for, as overlayfs takes it.
pub(super) fn reopen(directory: impl AsFd) -> io::Result<OwnedFd> {
    Ok(openat(directory, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The upper and work directory of a writable mount.
pub(super) struct Writable {
    pub upper: PathBuf,
    pub work: PathBuf,
}

impl Writable {
    /// The two directories of a snapshot's folder.
    pub fn of(folder: &Path) -> Self {
        Writable { upper: folder.join("upper"), work: folder.join("work") }
    }
}

/// Mounts open directories over each other, the topmost first (kernel 6.13 and later; 6.15 for detached mounts).
pub(super) fn mount_descriptors(lowers: &[OwnedFd], writable: Option<&Writable>) -> Result<OwnedFd> {
    let at = writable.map_or(Path::new("(view)"), |w| w.upper.as_path());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).at("open file system overlay for", at)?;
    fsconfig_set_string(&context, "source", "overlay").at("name overlay for", at)?;
    for lower in lowers {
        fsconfig_set_fd(&context, "lowerdir+", lower).at("add layer to overlay for", at)?;
    }
    if let Some(writable) = writable {
        let upper = open_directory(&writable.upper)?;
        let work = open_directory(&writable.work)?;
        fsconfig_set_fd(&context, "upperdir", &upper).at("set upperdir of overlay for", at)?;
        fsconfig_set_fd(&context, "workdir", &work).at("set workdir of overlay for", at)?;
        fsconfig_set_string(&context, "index", "off").at("set index=off of overlay for", at)?;
    }
    fsconfig_create(&context).at("create overlay for", at)?;
    let attributes = if writable.is_some() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("mount overlay for", at)
}

/// The same by paths, for older kernels: mounted in a mount namespace that lives only as long as this call, from
/// which a detached copy is taken. Nothing on the host sees it at any time.
pub(super) fn mount_paths(lowers: &[PathBuf], writable: Option<&Writable>, point: &Path) -> Result<OwnedFd> {
    thread::scope(|scope| {
        let mounting = scope.spawn(|| {
            sys::namespace::unshare_mounts_of_thread().at("unshare mount namespace for", point)?;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).at("make private", "/")?;
            mount_here(lowers, writable, point)
        });
        mounting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn mount_here(lowers: &[PathBuf], writable: Option<&Writable>, point: &Path) -> Result<OwnedFd> {
    // Names of descriptors: 128 layers' paths would not fit into the page that mount(2) takes. Opened here, because
    // overlayfs wants mounts of this namespace.
    let opened = lowers.iter().map(|p| open_directory(p)).collect::<Result<Vec<_>>>()?;
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut options = format!("lowerdir={}", opened.iter().map(name).collect::<Vec<_>>().join(":"));
    let mut kept = Vec::new();
    let mut flags = MountFlags::RDONLY;
    if let Some(writable) = writable {
        let (upper, work) = (open_directory(&writable.upper)?, open_directory(&writable.work)?);
        options.push_str(&format!(",upperdir={},workdir={},index=off", name(&upper), name(&work)));
        kept.extend([upper, work]);
        flags = MountFlags::empty();
    }
    let options = std::ffi::CString::new(options).map_err(io::Error::other).at("mount overlay on", point)?;
    mount("overlay", point, "overlay", flags, options.as_c_str()).at("mount overlay on", point)?;
    open_tree(CWD, point, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .at("detach overlay of", point)
}

/// How a stack is mounted: what is writable, and which directories lie below, topmost first.
pub(super) struct Plan {
    pub writable: Option<Writable>,
    pub lowers: Vec<PathOrLayer>,
}

/// A directory of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PathOrLayer {
    /// A directory on disk.
    Path(PathBuf),
    /// The layer of this index.
    Layer(usize),
}

/// Lays out `count` layers (lowest first) with a snapshot's folder over them.
pub(super) fn plan(count: usize, top: Option<super::Top>, empty: &Path) -> Plan {
    let mut lowers = Vec::new();
    let mut writable = None;
    if let Some(top) = top {
        match top.access {
            Access::ReadWrite => writable = Some(Writable::of(top.folder)),
            Access::Below => {}
            Access::ReadOnly => lowers.push(PathOrLayer::Path(top.folder.join("upper"))),
        }
        lowers.push(PathOrLayer::Path(top.init.to_owned()));
    }
    lowers.extend((0..count).rev().map(PathOrLayer::Layer));
    // Overlayfs wants a lower directory, and two where nothing is writable.
    let least = if writable.is_some() { 1 } else { 2 };
    while lowers.len() < least {
        lowers.push(PathOrLayer::Path(empty.join(lowers.len().to_string())));
    }
    Plan { writable, lowers }
}

/// Makes the directories that [`plan`] fills up with.
pub(super) fn make_empty(empty: &Path) -> Result<()> {
    for name in ["0", "1", "point"] {
        let path = empty.join(name);
        std::fs::create_dir_all(&path).at("create", &path)?;
    }
    Ok(())
}

/// An error of a kernel that lacks something, as opposed to a disk that fails.
pub(super) fn lacks(error: &Error) -> bool {
    let kinds =
        [rustix::io::Errno::INVAL, rustix::io::Errno::NODEV, rustix::io::Errno::NOSYS, rustix::io::Errno::OPNOTSUPP];
    match error {
        Error::Io { source, .. } => kinds.iter().any(|k| source.raw_os_error() == Some(k.raw_os_error())),
        _ => false,
    }
}
