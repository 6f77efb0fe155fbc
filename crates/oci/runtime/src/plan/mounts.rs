//! Mounts of a spec: their fstab-like options sorted into what the kernel's mount calls take.

use std::path::{Component, Path, PathBuf};

use spec::runtime::Mount;
use sys::mount::{Change, Depth};

use super::namespaces::{Namespaces, map};
use crate::error::{Error, Result};

pub(crate) const MS_UNBINDABLE: u64 = 1 << 17;
pub(crate) const MS_PRIVATE: u64 = 1 << 18;
pub(crate) const MS_SLAVE: u64 = 1 << 19;
pub(crate) const MS_SHARED: u64 = 1 << 20;

pub(crate) const ATTR_RDONLY: u64 = 0x1;
pub(crate) const ATTR_NOSUID: u64 = 0x2;
pub(crate) const ATTR_NODEV: u64 = 0x4;
pub(crate) const ATTR_NOEXEC: u64 = 0x8;
const ATTR_ATIME: u64 = 0x70;
const ATTR_NOATIME: u64 = 0x10;
const ATTR_STRICTATIME: u64 = 0x20;
const ATTR_NODIRATIME: u64 = 0x80;
const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// One mount to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountStep {
    /// Absolute, inside the container.
    pub target: PathBuf,
    pub kind: MountKind,
    /// Attributes of the mount itself.
    pub attrs: Change,
    /// Attributes of everything beneath a bind too.
    pub recursive_attrs: Change,
    pub propagation: Vec<(u64, Depth)>,
    /// Fill a new tmpfs with what it hides.
    pub copy_up: bool,
    /// Show the owners of a bind's files by other ids.
    pub idmap: Option<(IdMap, Depth)>,
}

/// Maps of ids, in the notation of /proc/<pid>/uid_map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMap {
    pub uids: String,
    pub gids: String,
}

impl IdMap {
    /// The map of a container's own user namespace.
    pub fn of_container(namespaces: &Namespaces) -> IdMap {
        IdMap { uids: namespaces.uid_map.clone(), gids: namespaces.gid_map.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    /// Something of the host.
    Bind { source: PathBuf, depth: Depth },
    /// What is mounted there already, with other attributes.
    Remount,
    /// A new file system with its own options.
    New { fstype: String, source: Option<String>, options: Vec<(String, Option<String>)> },
    /// The container's view of its control groups, whatever versions the host has.
    Cgroup,
}

impl MountStep {
    /// How messages name it.
    pub fn name(&self) -> String {
        let target = self.target.display();
        match &self.kind {
            MountKind::Bind { source, .. } => format!("bind {} at {target}", source.display()),
            MountKind::Remount => format!("remount {target}"),
            MountKind::New { fstype, .. } => format!("mount {fstype} at {target}"),
            MountKind::Cgroup => format!("mount cgroup at {target}"),
        }
    }
}

/// What mounts need to know of the rest of the container.
pub(crate) struct Context<'a> {
    /// Relative sources of binds are beneath it.
    pub bundle: &'a Path,
    /// The SELinux label of new file systems.
    pub label: Option<&'a str>,
    /// The map of the container's new user namespace.
    pub userns: Option<IdMap>,
}

/// Sorts one mount's options.
pub(crate) fn step(mount: &Mount, context: &Context<'_>) -> Result<MountStep> {
    let destination = mount.destination();
    let refuse =
        |problem: &str| Error::Spec { field: "mounts", problem: format!("{}: {problem}", destination.display()) };
    let mut sorted = Sorted::default();
    for option in mount.options().as_deref().unwrap_or_default() {
        sorted.take(option);
    }
    let fstype = mount.typ().as_deref().unwrap_or("none");
    let depth = match (sorted.bind, fstype) {
        (None, "bind") => Some(Depth::Recursive),
        (depth, _) => depth,
    };
    let idmap = idmap(mount, context, sorted.idmap).map_err(refuse)?;
    let kind = match (depth, fstype) {
        (Some(depth), _) => {
            let source = mount.source().as_deref().ok_or_else(|| refuse("a bind needs a source"))?;
            MountKind::Bind { source: context.bundle.join(source), depth }
        }
        (None, _) if idmap.is_some() => return Err(refuse("only a bind can map ids")),
        (None, _) if sorted.remount => MountKind::Remount,
        (None, "cgroup" | "cgroup2") => MountKind::Cgroup,
        (None, fstype) => {
            let mut options = sorted.data;
            if let Some(label) = context.label.filter(|_| takes_label(fstype)) {
                options.push(("context".to_owned(), Some(label.to_owned())));
            }
            let source = mount.source().as_ref().map(|s| s.to_string_lossy().into_owned());
            MountKind::New { fstype: fstype.to_owned(), source, options }
        }
    };
    Ok(MountStep {
        target: absolute(destination)?,
        kind,
        attrs: sorted.attrs,
        recursive_attrs: sorted.recursive_attrs,
        propagation: sorted.propagation,
        copy_up: sorted.copy_up,
        idmap,
    })
}

/// Maps of its own are a wish by themselves; without them the option means the container's.
fn idmap(
    mount: &Mount,
    context: &Context<'_>,
    option: Option<Depth>,
) -> std::result::Result<Option<(IdMap, Depth)>, &'static str> {
    let uids = mount.uid_mappings().as_deref().unwrap_or_default();
    let gids = mount.gid_mappings().as_deref().unwrap_or_default();
    let maps = match (uids.is_empty(), gids.is_empty()) {
        (true, true) if option.is_none() => return Ok(None),
        (true, true) => {
            context.userns.clone().ok_or("idmap needs id mappings, the mount's or a new user namespace's")?
        }
        (false, false) => IdMap { uids: map(uids), gids: map(gids) },
        _ => return Err("uidMappings and gidMappings come together"),
    };
    Ok(Some((maps, option.unwrap_or(Depth::This))))
}

/// File systems without files that anybody could write have labels of their own.
fn takes_label(fstype: &str) -> bool {
    !["proc", "sysfs", "mqueue"].contains(&fstype)
}

/// Destinations are absolute; relative ones, which old configurations have, start at the root.
fn absolute(path: &Path) -> Result<PathBuf> {
    let path = Path::new("/").join(path);
    if path.components().any(|c| c == Component::ParentDir) || path == Path::new("/") {
        return Err(Error::Spec { field: "mounts", problem: format!("{} is no place to mount at", path.display()) });
    }
    Ok(path)
}

#[derive(Default)]
struct Sorted {
    bind: Option<Depth>,
    attrs: Change,
    recursive_attrs: Change,
    propagation: Vec<(u64, Depth)>,
    copy_up: bool,
    idmap: Option<Depth>,
    remount: bool,
    data: Vec<(String, Option<String>)>,
}

impl Sorted {
    fn take(&mut self, option: &str) {
        if let Some(change) = attribute(option) {
            return add(&mut self.attrs, change);
        }
        if let Some(change) = option.strip_prefix('r').and_then(attribute) {
            return add(&mut self.recursive_attrs, change);
        }
        if let Some(propagation) = propagation(option) {
            return self.propagation.push(propagation);
        }
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or(Depth::This)),
            "rbind" => self.bind = Some(Depth::Recursive),
            "tmpcopyup" => self.copy_up = true,
            // What the kernel does anyway, or no longer knows.
            "" | "defaults" | "async" | "nomand" | "silent" | "loud" | "iversion" | "noiversion" | "nolazytime" => {}
            "idmap" => self.idmap = Some(self.idmap.unwrap_or(Depth::This)),
            "ridmap" => self.idmap = Some(Depth::Recursive),
            "remount" => self.remount = true,
            data => {
                let (key, value) = match data.split_once('=') {
                    Some((key, value)) => (key, Some(value.to_owned())),
                    None => (data, None),
                };
                self.data.push((key.to_owned(), value));
            }
        }
    }
}

/// Adds a later option to earlier ones; the later one wins.
fn add(to: &mut Change, change: Change) {
    to.set = (to.set & !change.clear) | change.set;
    to.clear = (to.clear & !change.set) | change.clear;
    // The kernel wants all bits of the access time cleared before one is set.
    if change.clear & ATTR_ATIME != 0 {
        to.clear |= ATTR_ATIME;
    }
}

fn attribute(option: &str) -> Option<Change> {
    let set = |bits| Change { set: bits, ..Change::default() };
    let clear = |bits| Change { clear: bits, ..Change::default() };
    let atime = |bits| Change { set: bits, clear: ATTR_ATIME, propagation: 0 };
    Some(match option {
        "ro" => set(ATTR_RDONLY),
        "rw" => clear(ATTR_RDONLY),
        "nosuid" => set(ATTR_NOSUID),
        "suid" => clear(ATTR_NOSUID),
        "nodev" => set(ATTR_NODEV),
        "dev" => clear(ATTR_NODEV),
        "noexec" => set(ATTR_NOEXEC),
        "exec" => clear(ATTR_NOEXEC),
        "nosymfollow" => set(ATTR_NOSYMFOLLOW),
        "symfollow" => clear(ATTR_NOSYMFOLLOW),
        "nodiratime" => set(ATTR_NODIRATIME),
        "diratime" => clear(ATTR_NODIRATIME),
        "noatime" => atime(ATTR_NOATIME),
        "strictatime" => atime(ATTR_STRICTATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => atime(0),
        _ => return None,
    })
}

/// Options that are understood whatever the file system, for `features`.
pub(crate) const OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

fn propagation(option: &str) -> Option<(u64, Depth)> {
    Some(match option {
        "private" => (MS_PRIVATE, Depth::This),
        "rprivate" => (MS_PRIVATE, Depth::Recursive),
        "slave" => (MS_SLAVE, Depth::This),
        "rslave" => (MS_SLAVE, Depth::Recursive),
        "shared" => (MS_SHARED, Depth::This),
        "rshared" => (MS_SHARED, Depth::Recursive),
        "unbindable" => (MS_UNBINDABLE, Depth::This),
        "runbindable" => (MS_UNBINDABLE, Depth::Recursive),
        _ => return None,
    })
}
