//! Whole ranges of descriptors.

use std::io;

/// Marks every descriptor from `first` on as closed on execution.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes only a flag of descriptors; none is closed, so no owner is betrayed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
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
