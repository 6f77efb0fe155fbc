//! Leaving namespaces with one thread only.

use std::io;

use rustix::thread::UnshareFlags;

/// Gives the calling thread a mount namespace, root and working directory of its own. The thread must end afterwards:
/// it sees other mounts than the rest of the process.
pub fn unshare_mounts_of_thread() -> io::Result<()> {
    // SAFETY: unshare takes no pointers; CLONE_FS and CLONE_NEWNS touch neither memory nor the descriptor table.
    let result = unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Moves the calling thread, and no other, into new IPC and UTS namespaces, as far as wanted. Meant for threads that end
/// soon after.
pub fn unshare_ipc_and_uts_of_thread(ipc: bool, uts: bool) -> rustix::io::Result<()> {
    let mut flags = UnshareFlags::empty();
    flags.set(UnshareFlags::NEWIPC, ipc);
    flags.set(UnshareFlags::NEWUTS, uts);
    if flags.is_empty() {
        return Ok(());
    }
    // SAFETY: these namespaces change which System V objects and which host name later calls of this thread see; no
    // memory, file descriptor or other state that Rust code relies on is taken away.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}
