//! Handing descriptors to whoever listens at `--console-socket` or `--pidfd-socket`.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::error::{AtStep, Error, Result};

/// What comes with the master of a terminal, as with runc.
pub(super) const TERMINAL: &[u8] = b"/dev/ptmx";
/// What comes with the handle of a process, as with runc.
pub(super) const PIDFD: &[u8] = b"pidfd";

/// Connects before anything is made: a socket that nobody listens at costs nothing then.
pub(super) fn connect(path: &Path) -> Result<OwnedFd> {
    let step = || format!("connect to the socket {}", path.display());
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.at(step)?;
    let address = SocketAddrUnix::new(path).at(step)?;
    rustix::net::connect(&socket, &address).at(step)?;
    Ok(socket)
}

/// Sends the descriptor, with a name as its message.
pub(super) fn send(socket: &OwnedFd, fd: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let step = || format!("send {}", String::from_utf8_lossy(name));
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::step(step(), rustix::io::Errno::NOBUFS));
    }
    let text = [IoSlice::new(name)];
    rustix::net::sendmsg(socket.as_fd(), &text, &mut control, SendFlags::NOSIGNAL).at(step)?;
    Ok(())
}
