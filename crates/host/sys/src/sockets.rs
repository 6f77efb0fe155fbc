//! What a socket tells beyond rustix.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that were written to a unix socket and not read by its peer yet, with the kernel's overhead; zero when the peer has read everything
/// (`SIOCOUTQ`). For other sockets it is what the network has not acknowledged.
pub fn unread_by_peer(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the request writes one int, and `count` is one.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(count).unwrap_or(0)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn a_unix_socket_tells_whether_its_peer_has_read() {
        let (mut a, mut b) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(unread_by_peer(a.as_fd()).unwrap(), 0);
        a.write_all(b"abc").unwrap();
        assert!(unread_by_peer(a.as_fd()).unwrap() > 0);
        b.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(unread_by_peer(a.as_fd()).unwrap(), 0);
    }
}
