//! Making a process with clone3(2), into namespaces and a control group at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// libc's own constant is an `int`, which it does not fit into.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Makes the copy a child of the caller's parent.
pub const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;

/// Shares the table of descriptors with the copy.
pub const CLONE_FILES: u64 = libc::CLONE_FILES as u64;

/// A process that was made.
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's pid namespace.
    pub pid: i32,
    /// Its handle.
    pub pidfd: OwnedFd,
}

/// A copy of this process that only waits: for what lasts as long as a process is in it. Killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Idle(Child);

impl Idle {
    /// Makes one; `flags` as for [`clone_process`].
    pub fn new(flags: u64) -> io::Result<Idle> {
        let parent = rustix::process::getpid();
        let wait = || {
            // Should the parent be gone, it goes by itself.
            while rustix::process::getppid() == Some(parent) {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            0
        };
        clone_process(flags, None, wait).map(Idle)
    }

    /// Its id in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.0.pid
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        use rustix::process::{Signal, WaitId, WaitIdOptions};
        let _ = rustix::process::pidfd_send_signal(&self.0.pidfd, Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.0.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// Copies this process and runs `body` in the copy, which ends with the exit code that `body` returns.
///
/// `flags` are `CLONE_NEW*` and the like, without an exit signal (it is SIGCHLD) and without any that shares memory.
/// `cgroup` is a directory of the v2 tree that the copy is born in.
///
/// Refused with EBUSY if this process has other threads: their locks would stay locked in the copy forever.
pub fn clone_process(flags: u64, cgroup: Option<BorrowedFd<'_>>, body: impl FnOnce() -> i32) -> io::Result<Child> {
    const SHARED: u64 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
    if flags & SHARED != 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if !is_single_threaded()? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: i32 = -1;
    // SAFETY: `clone_args` is plain integers, for which zeroes are valid and mean "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    // With CLONE_PARENT the kernel wants no signal: it is the parent's.
    if flags & libc::CLONE_PARENT as u64 == 0 {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(dir) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: no memory is shared and no stack is given, so the copy goes on here as after fork(2); there is only
    // this thread, so no lock is held by another. The arguments and `pidfd` outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = body();
            // SAFETY: ends the copy without the parent's exit handlers, which are not its business.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Child {
            pid: pid as i32,
            // SAFETY: the kernel has put a new descriptor there, which nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Whether this process has one thread only.
pub fn is_single_threaded() -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    // One link for each thread, one for the folder itself and one for its parent.
    Ok(std::fs::metadata("/proc/self/task")?.nlink() == 3)
}
