//! Handing the master of a container's terminal to whoever listens at `--console-socket`.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::error::{AtStep, Error, Result};

/// Connects before anything is made: a socket that nobody listens at costs nothing then.
pub(super) fn connect(path: &Path) -> Result<OwnedFd> {
    let step = || format!("connect to the console socket {}", path.display());
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let socket = socket.at(step)?;
    let address = SocketAddrUnix::new(path).at(step)?;
    rustix::net::connect(&socket, &address).at(step)?;
    Ok(socket)
}

/// Sends the descriptor, with a name as its message, as runc does.
pub(super) fn send(socket: &OwnedFd, master: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [master];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::step("send the terminal", rustix::io::Errno::NOBUFS));
    }
    let text = [IoSlice::new(b"/dev/ptmx")];
    rustix::net::sendmsg(socket.as_fd(), &text, &mut control, SendFlags::NOSIGNAL).at(|| "send the terminal")?;
    Ok(())
}
