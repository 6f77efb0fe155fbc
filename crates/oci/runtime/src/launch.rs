//! Starting a container: from a spec and a root to a process that waits for its start.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroup::Hierarchy;
use spec::runtime::Spec;

use crate::error::Result;
use crate::pending::Pending;

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
    let _ = launch;
    todo!()
}
