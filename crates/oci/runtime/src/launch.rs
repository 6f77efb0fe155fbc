//! Starting a container: from a spec and a root to a process that waits for its start.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroup::systemd::{self, Anchor, Manager, Scope, Systemd};
use cgroup::{Cgroup, Entry, Hierarchy, Limits};
use spec::runtime::Spec;

use crate::error::{AtStep, Error, Result};
use crate::init::notify::Agent;
use crate::init::{Init, labels, mounts};
use crate::join::{self, Joins};
use crate::message;
use crate::netdevices::{self, Device};
use crate::pending::{Pending, RuntimeHooks};
use crate::plan::Plan;
use crate::plan::mounts::{IdMap, MountKind, MountStep};
use crate::plan::namespaces::Kind;
use crate::state::StateView;
use crate::{hooks, idmap, rights};

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
    /// The container's own group, made here and removed on failure; `None` stays in the caller's.
    pub cgroup: Option<Group<'a>>,
    /// Descriptors from 3 on that stay open in the container.
    pub preserve_fds: u32,
    /// Who says that the process may execute.
    pub start: StartBy,
    /// Whether the session keyring of the caller is kept.
    pub keyring: Keyring,
    /// How the root is entered.
    pub enter: Enter,
}

/// Where the container's control group is and who makes it.
#[derive(Clone, Copy, Debug)]
pub enum Group<'a> {
    /// At this path beneath the mounts, made here.
    At(&'a str),
    /// A scope that a systemd makes.
    Scope(&'a Scope, Manager),
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
    /// Whoever connects to this listening seqpacket socket: `sampan runtime start` in a later process. The process
    /// listens once its creator has called [`crate::Created::begin_start`], having noted what it must; it ends if the
    /// creator ends before that.
    Listener(OwnedFd),
}

/// How a process enters its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter {
    /// By pivot_root(2): the host's tree is gone from the namespace.
    Pivot,
    /// By chroot(2) on top of the host's root, where pivoting is impossible.
    Chroot,
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
    let (mut limits, net_devices) = (plan.limits.clone(), plan.net_devices.clone());
    let (uid_map, gid_map) = (plan.namespaces.uid_map.clone(), plan.namespaces.gid_map.clone());
    let (new_userns, in_userns) = (plan.namespaces.is_new(Kind::User), plan.namespaces.in_userns());
    if in_userns && !rights::is_host_root() {
        // Only the host's root can hold a group to devices, and nobody else can make any.
        limits.devices.clear();
    }
    labels::check(&plan.process.labels)?;
    labels::check_mounts(launch.spec.linux().as_ref().and_then(|linux| linux.mount_label().as_deref()))?;
    let joins = Joins::of(&plan, launch.netns)?;
    let joined_net = plan.namespaces.path_of(Kind::Net);
    let sources = sources(&plan, launch.trees)?;
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
    let agent = match &plan.process.notify {
        Some(notify) => {
            let state = StateView::new(launch.id, "creating", 0, launch.bundle, hooks.annotations);
            Some(Agent::connect(notify, state)?)
        }
        None => None,
    };
    let (ours, theirs) = message::pair().at(|| "make a socket pair")?;

    let mut made = Made::default();
    let mut warnings = Vec::new();
    let mut entry = None;
    if let Some(group) = launch.cgroup {
        let cgroup = made.make(launch.hierarchy, group, &limits, &mut warnings)?;
        entry = Some(cgroup.entry()?);
    }
    // The entry itself goes to the copy; what the clone needs stays here.
    let dir = match &entry {
        Some(Entry { v2_dir: Some(dir), .. }) => Some(dir.try_clone().at(|| "duplicate the control group")?),
        _ => None,
    };
    let runtime_hooks = RuntimeHooks::of(&hooks);
    let mut init = Init {
        id: launch.id,
        plan,
        root: launch.root,
        sources,
        joins: joins.inside,
        netns: launch.netns.filter(|_| !in_userns),
        stdio: launch.stdio,
        hierarchy: launch.hierarchy,
        cgroup: made.cgroup.as_ref().map(|group| group.path().to_owned()),
        entry: None,
        agent,
        keyring: launch.keyring,
        enter: launch.enter,
        preserve_fds: launch.preserve_fds,
        hooks,
        channel: theirs,
        listener: match launch.start {
            StartBy::Creator => None,
            StartBy::Listener(listener) => Some(listener),
        },
    };
    let dir = dir.as_ref().map(AsFd::as_fd);
    let child = join::clone_into(joins.before, flags, dir, entry, |entry| {
        init.entry = entry;
        init.run()
    })?;
    let mut pending = Pending::new(child, ours, runtime_hooks);
    pending.own_cgroup(made.cgroup.take(), made.anchor.take());
    if !net_devices.is_empty() {
        give_devices(&net_devices, launch.netns, joined_net, pending.pid())?;
    }
    if new_userns {
        pending.write_maps(&uid_map, &gid_map)?;
    }
    pending.warn(warnings);
    Ok(pending)
}

/// Into the namespace that was given or joined, or into that in which the process was born.
fn give_devices(devices: &[Device], given: Option<BorrowedFd<'_>>, joined: Option<PathBuf>, pid: i32) -> Result<()> {
    if let Some(netns) = given {
        return netdevices::give(devices, netns);
    }
    let path = joined.unwrap_or_else(|| format!("/proc/{pid}/ns/net").into());
    let netns = File::open(&path).at(|| format!("open {}", path.display()))?;
    netdevices::give(devices, netns.as_fd())
}

/// A group that is removed again unless somebody takes it.
#[derive(Default)]
struct Made {
    cgroup: Option<Cgroup>,
    /// Keeps a scope alive until the container's process is in it.
    anchor: Option<Anchor>,
}

impl Made {
    fn make(
        &mut self,
        hierarchy: &Hierarchy,
        group: Group<'_>,
        limits: &Limits,
        warnings: &mut Vec<String>,
    ) -> Result<&Cgroup> {
        let cgroup = match group {
            Group::At(path) => at(hierarchy, path)?,
            Group::Scope(scope, manager) => {
                let v2 = hierarchy.mode() == cgroup::Mode::V2;
                let anchor = Systemd::connect(manager)?.start_scope(scope, &systemd::properties(limits, v2))?;
                let path = anchor.cgroup()?;
                self.anchor = Some(anchor);
                Cgroup::create(hierarchy, &path)?
            }
        };
        let cgroup = self.cgroup.insert(cgroup);
        warnings.extend(cgroup.apply(limits)?.into_iter().map(|warning| warning.0));
        Ok(cgroup)
    }
}

fn at(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
    if let Ok(old) = Cgroup::open(hierarchy, path)
        && !old.pids().unwrap_or_default().is_empty()
    {
        return Err(Error::Spec { field: "linux.cgroupsPath", problem: format!("{path} has processes in it") });
    }
    Ok(Cgroup::create(hierarchy, path)?)
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            // A failure is on its way to the caller already.
            let _ = cgroup.delete();
            cgroup.delete_empty_parents();
        }
    }
}

/// What binds are made of, where the first process does not open it itself: trees that were given, what the user of a
/// user namespace may not reach although the host's root may bind it, and what only the host's root may show by other ids.
fn sources(plan: &Plan, mut trees: Vec<(PathBuf, OwnedFd)>) -> Result<Vec<Option<OwnedFd>>> {
    // A plain user has the rights to bind only inside its namespace.
    let in_userns = plan.namespaces.in_userns() && rights::is_administrator();
    if trees.is_empty() && !in_userns && plan.mounts.iter().all(|step| step.idmap.is_none()) {
        return Ok(Vec::new());
    }
    let mut open = |step: &MountStep| match &step.kind {
        MountKind::Bind { source, depth } => match trees.iter().position(|(path, _)| path == source) {
            Some(at) => Ok(Some(trees.swap_remove(at).1)),
            None if in_userns || step.idmap.is_some() => {
                mounts::open_source(source, *depth).map(Some).at(|| step.name())
            }
            None => Ok(None),
        },
        MountKind::New { .. } | MountKind::Cgroup | MountKind::Remount => Ok(None),
    };
    let sources: Vec<Option<OwnedFd>> = plan.mounts.iter().map(&mut open).collect::<Result<_>>()?;
    let mut users: Vec<(&IdMap, OwnedFd)> = Vec::new();
    for (step, source) in plan.mounts.iter().zip(&sources) {
        let (Some((map, depth)), Some(source)) = (&step.idmap, source) else { continue };
        if !users.iter().any(|(known, _)| *known == map) {
            users.push((map, idmap::user_namespace(map)?));
        }
        let Some((_, user)) = users.iter().find(|(known, _)| *known == map) else { continue };
        sys::mount::set_idmap(source, user, *depth).at(|| format!("map the ids of {}", step.name()))?;
    }
    Ok(sources)
}
