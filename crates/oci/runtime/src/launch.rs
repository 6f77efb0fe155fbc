//! Starting a container: from a spec and a root to a process that waits for its start.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroup::{Cgroup, Entry, Hierarchy, Limits};
use rustix::fs::{Mode, OFlags};
use spec::runtime::Spec;

use crate::error::{AtStep, Error, Result};
use crate::hooks;
use crate::init::{Init, mounts};
use crate::message;
use crate::pending::{Pending, RuntimeHooks};
use crate::plan::Plan;
use crate::plan::mounts::{MountKind, MountStep};
use crate::plan::namespaces::Kind;

/// Everything that a container is made from.
///
/// The caller must be single-threaded: the container's first process is a copy of it until it executes.
pub struct Launch<'a> {
    /// Its name, for hooks, the keyring and messages.
    pub id: &'a str,
    /// The configuration. `root.path` is not looked at, [`Launch::root`] is.
    pub spec: &'a Spec,
    /// The root file system.
    pub root: Root,
    /// Folder that relative bind sources are relative to, and that hooks are told; `/` without a bundle.
    pub bundle: &'a Path,
    /// A network namespace to join instead of what the spec says.
    pub netns: Option<BorrowedFd<'a>>,
    /// Detached trees by the sources of the binds that they are for, which need not be paths of the host then.
    pub trees: Vec<(PathBuf, OwnedFd)>,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// The host's control groups.
    pub hierarchy: &'a Hierarchy,
    /// Path of the container's own group, made here and removed on failure; `None` stays in the caller's.
    pub cgroup: Option<&'a str>,
    /// Descriptors from 3 on that stay open in the container.
    pub preserve_fds: u32,
    /// Who says that the process may execute.
    pub start: StartBy,
    /// Whether the session keyring of the caller is kept.
    pub keyring: Keyring,
}

/// The root file system.
pub enum Root {
    /// A directory.
    Path(PathBuf),
    /// A detached mount, as fsmount(2) and open_tree(2) give it.
    Mount(OwnedFd),
}

/// What becomes of descriptors 0, 1 and 2.
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// These.
    Fds([OwnedFd; 3]),
    /// A new terminal out of the container's devpts; its master comes back in [`crate::Created::pty`].
    Terminal {
        /// Rows and columns.
        size: Option<(u16, u16)>,
    },
}

/// Who lets the created process execute.
pub enum StartBy {
    /// The holder of [`crate::Created`].
    Creator,
    /// Whoever connects to this listening seqpacket socket: `sampan runtime start` in a later process.
    Listener(OwnedFd),
}

/// The session keyring of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// A new one of its own.
    New,
    /// The caller's.
    Keep,
}

/// Starts the container's first process; it then prepares itself while the caller polls [`Pending`].
///
/// On failure nothing is left: no process, no control group, no mount.
pub fn spawn(launch: Launch<'_>) -> Result<Pending> {
    let plan = Plan::of(launch.spec, launch.bundle)?;
    let limits = plan.limits.clone();
    let (uid_map, gid_map) = (plan.namespaces.uid_map.clone(), plan.namespaces.gid_map.clone());
    let in_userns = plan.namespaces.is_new(Kind::User);
    let Joins { here, inside } = joins(&plan, launch.netns, in_userns)?;
    let sources = sources(&plan, launch.trees, in_userns)?;
    let mut flags = plan.namespaces.clone_flags();
    if launch.netns.is_some() {
        flags &= !Kind::Net.flag();
    }
    let hooks = hooks::Plan {
        hooks: launch.spec.hooks().as_ref(),
        id: launch.id,
        bundle: launch.bundle,
        annotations: launch.spec.annotations().as_ref(),
    };
    let (ours, theirs) = message::pair().at(|| "make a socket pair")?;

    let mut group = Group(None);
    let mut warnings = Vec::new();
    let mut entry = None;
    if let Some(path) = launch.cgroup {
        let cgroup = group.make(launch.hierarchy, path, &limits, &mut warnings)?;
        entry = Some(cgroup.entry()?);
    }
    // The entry itself goes to the copy; what the clone needs stays here.
    let dir = match &entry {
        Some(Entry { v2_dir: Some(dir), .. }) => Some(dir.try_clone().at(|| "duplicate the control group")?),
        _ => None,
    };
    let runtime_hooks = RuntimeHooks::of(&hooks);
    let init = Init {
        id: launch.id,
        plan,
        root: launch.root,
        sources,
        joins: inside,
        netns: launch.netns.filter(|_| !in_userns),
        stdio: launch.stdio,
        hierarchy: launch.hierarchy,
        cgroup: launch.cgroup,
        entry,
        keyring: launch.keyring,
        preserve_fds: launch.preserve_fds,
        hooks,
        channel: theirs,
        listener: match launch.start {
            StartBy::Creator => None,
            StartBy::Listener(listener) => Some(listener),
        },
    };
    let guard = JoinedHere::enter(here)?;
    let dir = dir.as_ref().map(AsFd::as_fd);
    let child = sys::clone::clone_process(flags, dir, || init.run()).at(|| "clone the container's first process")?;
    drop(guard);
    let mut pending = Pending::new(child, ours, runtime_hooks);
    pending.own_cgroup(group.0.take());
    if in_userns {
        pending.write_maps(&uid_map, &gid_map)?;
    }
    pending.warn(warnings);
    Ok(pending)
}

/// A group that is removed again unless somebody takes it.
struct Group(Option<Cgroup>);

impl Group {
    fn make(
        &mut self,
        hierarchy: &Hierarchy,
        path: &str,
        limits: &Limits,
        warnings: &mut Vec<String>,
    ) -> Result<&Cgroup> {
        if let Ok(old) = Cgroup::open(hierarchy, path)
            && !old.pids().unwrap_or_default().is_empty()
        {
            return Err(Error::Spec { field: "linux.cgroupsPath", problem: format!("{path} has processes in it") });
        }
        let cgroup = self.0.insert(Cgroup::create(hierarchy, path)?);
        warnings.extend(cgroup.apply(limits)?.into_iter().map(|warning| warning.0));
        Ok(cgroup)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.0 {
            // A failure is on its way to the caller already.
            let _ = cgroup.delete();
            cgroup.delete_empty_parents();
        }
    }
}

/// Namespaces to join, by who joins them.
struct Joins {
    /// This process, for the time of the clone.
    here: Vec<(Kind, OwnedFd)>,
    /// The first process.
    inside: Vec<(Kind, OwnedFd)>,
}

/// A pid namespace can be joined only by being born into it, and the host's namespaces only before a user namespace
/// has taken the rights to it.
fn joins(plan: &Plan, netns: Option<BorrowedFd<'_>>, in_userns: bool) -> Result<Joins> {
    let mut joins = Joins { here: Vec::new(), inside: Vec::new() };
    let mut fds = Vec::new();
    for (kind, path) in &plan.namespaces.joined {
        if *kind == Kind::Net && netns.is_some() {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .at(|| format!("open {} namespace {}", kind.name(), path.display()))?;
        fds.push((*kind, fd));
    }
    if in_userns && let Some(fd) = netns {
        let fd = fd.try_clone_to_owned().at(|| "duplicate the network namespace")?;
        fds.push((Kind::Net, fd));
    }
    for (kind, fd) in fds {
        match in_userns || kind == Kind::Pid {
            true => joins.here.push((kind, fd)),
            false => joins.inside.push((kind, fd)),
        }
    }
    Ok(joins)
}

/// While it lives, children are born into other namespaces; afterwards this process is back in its own.
struct JoinedHere(Vec<(Kind, OwnedFd)>);

impl JoinedHere {
    fn enter(wanted: Vec<(Kind, OwnedFd)>) -> Result<JoinedHere> {
        let mut guard = JoinedHere(Vec::new());
        for (kind, fd) in wanted {
            let own = format!("/proc/self/ns/{}", kind.name());
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let own = rustix::fs::open(&own, flags, Mode::empty()).at(|| format!("open {own}"))?;
            rustix::thread::move_into_link_name_space(fd.as_fd(), None)
                .at(|| format!("join {} namespace", kind.name()))?;
            guard.0.push((kind, own));
        }
        Ok(guard)
    }
}

impl Drop for JoinedHere {
    fn drop(&mut self) {
        for (_, own) in self.0.drain(..).rev() {
            // It was ours a moment ago: the kernel has no reason to refuse.
            let _ = rustix::thread::move_into_link_name_space(own.as_fd(), None);
        }
    }
}

/// What binds are made of, where the first process does not open it itself: trees that were given, and what the user
/// of a user namespace may not reach although the host's root may bind it.
fn sources(plan: &Plan, mut trees: Vec<(PathBuf, OwnedFd)>, in_userns: bool) -> Result<Vec<Option<OwnedFd>>> {
    if trees.is_empty() && !in_userns {
        return Ok(Vec::new());
    }
    let mut open = |step: &MountStep| match &step.kind {
        MountKind::Bind { source, depth } => match trees.iter().position(|(path, _)| path == source) {
            Some(at) => Ok(Some(trees.swap_remove(at).1)),
            None if in_userns => mounts::open_source(source, *depth).map(Some).at(|| step.name()),
            None => Ok(None),
        },
        MountKind::New { .. } | MountKind::Cgroup => Ok(None),
    };
    plan.mounts.iter().map(&mut open).collect()
}
