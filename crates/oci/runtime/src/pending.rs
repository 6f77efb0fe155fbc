//! A process between its fork and its execution, seen from the process that forked it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cgroup::Cgroup;

use crate::error::Result;

/// A process that prepares itself. Dropping it kills the process and removes what was made for it.
#[derive(Debug)]
pub struct Pending {
    pid: i32,
    pidfd: OwnedFd,
    control: OwnedFd,
}

/// What became of a [`Pending`] that was asked to go on.
#[derive(Debug)]
pub enum Progress {
    /// Not yet; poll [`Pending::as_fd`] for reading and ask again.
    Waiting(Pending),
    /// Ready to execute.
    Created(Created),
}

/// A process that is ready to execute and waits for [`Created::start`]. Dropping it does not kill it.
#[derive(Debug)]
pub struct Created {
    /// Its id, as the caller sees it.
    pub pid: i32,
    /// A handle of the process; readable once it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it was given one.
    pub pty: Option<OwnedFd>,
    /// The container's control group.
    pub cgroup: Option<Cgroup>,
    /// What could not be done exactly as asked, and was not worth a failure.
    pub warnings: Vec<String>,
    control: OwnedFd,
}

impl Pending {
    /// Process id, as the caller sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Takes what the process has to say, without blocking.
    pub fn advance(self) -> Result<Progress> {
        todo!()
    }

    /// Blocks until the process is ready or has failed.
    pub fn wait_created(self) -> Result<Created> {
        let _ = (&self.pidfd, &self.control);
        todo!()
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Created {
    /// Lets the process execute, and returns when it has or has failed to; then the process has been reaped,
    /// the control group is still there.
    pub fn start(&mut self) -> Result<()> {
        let _ = &self.control;
        todo!()
    }
}
