//! Descriptors that came over an execution by their number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes an inherited descriptor into ownership and closes it on the next execution.
///
/// Call it at most once per number, with numbers that the program's former self wrote down before it executed this one, and
/// before anything else could have opened a descriptor of that number. The standard ones (0, 1, 2) are refused.
pub fn take(fd: RawFd) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: takes numbers only; an open descriptor gets the flag, any other is refused.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as was just seen, and by the contract above nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
