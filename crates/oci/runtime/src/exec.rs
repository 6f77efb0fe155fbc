//! One more process in a running container.

use std::os::fd::BorrowedFd;

use cgroup::Cgroup;
use spec::runtime::{LinuxSeccomp, Process};

use crate::error::Result;
use crate::launch::Stdio;
use crate::pending::Pending;

/// What is executed where. The caller must be single-threaded.
pub struct Exec<'a> {
    /// The container's first process, whose namespaces and root are joined.
    pub init: BorrowedFd<'a>,
    /// Its process id, as the caller sees it.
    pub init_pid: i32,
    /// The container's group, entered before anything of the container is joined.
    pub cgroup: Option<&'a Cgroup>,
    /// What is executed.
    pub process: &'a Process,
    /// The container's filter.
    pub seccomp: Option<&'a LinuxSeccomp>,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio,
    /// Descriptors from 3 on that stay open in the container.
    pub preserve_fds: u32,
}

/// Starts the process; it joins the container and then waits for its start like a new container's does.
///
/// [`crate::Created::cgroup`] is `None`. On failure nothing is left.
pub fn spawn(exec: Exec<'_>) -> Result<Pending> {
    let _ = exec;
    todo!()
}
