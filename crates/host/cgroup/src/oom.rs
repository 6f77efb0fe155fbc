//! Learning of out-of-memory kills.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Result;

/// Watches one group. Poll [`AsFd::as_fd`] for [`OomWatch::interest`], then call [`OomWatch::count`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

/// What to poll the descriptor for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Readable (`POLLIN`): v1's eventfd.
    Readable,
    /// Exceptional condition (`POLLPRI`): v2's `memory.events`.
    Priority,
}

impl OomWatch {
    /// Takes the notification and tells how many processes were killed so far in all.
    pub fn count(&self) -> Result<u64> {
        todo!()
    }

    /// What to poll the descriptor for.
    pub fn interest(&self) -> Interest {
        todo!()
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
