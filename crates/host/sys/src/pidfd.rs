//! What rustix does not do with process handles: how a process ended, child or not.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `struct pidfd_info` up to its 2025 size.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Info {
    mask: u64,
    cgroup_id: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

const MASK_EXIT: u64 = 1 << 3;

/// How a process ended, as a wait status (`waitpid(2)`), even if it was no child of the caller; `None` while it lives.
///
/// Kernel 6.15 and later; ENOTTY or EINVAL before. Works once the process has been reaped by whoever does that.
pub fn exit_status(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let mut info = Info { mask: MASK_EXIT, ..Info::default() };
    let request = libc::_IOWR::<Info>(0xff, 11);
    // SAFETY: the request carries the size of `info`, which the kernel reads and fills up to that size.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), request, &raw mut info) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ if info.mask & MASK_EXIT != 0 => Ok(Some(info.exit_code)),
        _ => Ok(None),
    }
}

/// Sends a signal by number, real-time ones included.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: takes numbers, and null for "as kill(2) does".
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<libc::siginfo_t>(), 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
