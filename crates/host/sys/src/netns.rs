//! Network namespaces of single threads: a new one, one given by descriptor, the current one.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Result;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Moves the calling thread, and no other, into a new network namespace. Meant for threads that end soon after: a
/// thread that goes on would run whatever comes later in the wrong namespace.
pub fn unshare() -> Result<()> {
    // SAFETY: CLONE_NEWNET changes which network devices and sockets later calls of this thread see; it takes away no
    // memory, file descriptor or other state that Rust code relies on.
    #[allow(unsafe_code)]
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)
    }
}

/// Moves the calling thread, and no other, into a network namespace.
pub fn enter(netns: BorrowedFd<'_>) -> Result<()> {
    rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
}

/// The calling thread's network namespace.
pub fn current() -> Result<OwnedFd> {
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
