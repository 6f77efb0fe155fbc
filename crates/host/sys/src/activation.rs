//! Sockets handed over by a service manager (`sd_listen_fds`).

use std::os::fd::{FromRawFd, OwnedFd};

const FIRST: i32 = 3;

/// Takes the sockets that the service manager passed to this process. The environment says which; a second call would own them twice, so it must
/// be made once, early. Other processes' hand-over is not touched.
pub fn listen_fds() -> Vec<OwnedFd> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<i32>().ok());
    if number("LISTEN_PID") != Some(std::process::id().cast_signed()) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, 1024);
    (FIRST..FIRST + count)
        // SAFETY: fcntl reads no memory of ours; it fails for what is not open.
        .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0)
        // SAFETY: the descriptor is open (just checked) and by the protocol above ours alone.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect()
}
