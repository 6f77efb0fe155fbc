//! Whole ranges of descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Marks every descriptor from `first` on as closed on execution.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes only a flag of descriptors; none is closed, so no owner is betrayed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets a descriptor, by number, stay open over an execution.
pub fn keep_on_exec(fd: u32) -> io::Result<()> {
    // SAFETY: changes only a flag of the descriptor, or fails with EBADF.
    let result = unsafe { libc::fcntl(fd as i32, libc::F_SETFD, 0) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Another descriptor for what a number stands for, closed on execution.
pub fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; a number that is not open is refused.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes every descriptor that is not listed, for a process that has just been copied and shall hold nothing of
/// its parent's. Whatever still owns a closed descriptor must be forgotten or the process end by executing.
pub fn close_all_but(mut keep: Vec<u32>) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 0;
    for kept in keep {
        if kept > first {
            close_range(first, kept - 1)?;
        }
        first = kept + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the caller has been told that owners of these descriptors must not use them any more; closing touches
    // no memory.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
