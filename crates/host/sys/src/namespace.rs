//! Leaving the mount namespace with one thread only.

use std::io;

/// Gives the calling thread a mount namespace, root and working directory of its own. The thread must end afterwards:
/// it sees other mounts than the rest of the process.
pub fn unshare_mounts_of_thread() -> io::Result<()> {
    // SAFETY: unshare takes no pointers; CLONE_FS and CLONE_NEWNS touch neither memory nor the descriptor table.
    let result = unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
