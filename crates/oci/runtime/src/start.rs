//! The start of a container that another process has created: a socket in the file system that its first process
//! listens at.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{AtStep, Error, Result};
use crate::message::Channel;
use crate::pending;

/// Makes the socket, for [`crate::StartBy::Listener`]. Only its owner may connect, by the rights of its folder.
pub fn listen(socket: &Path) -> Result<OwnedFd> {
    let step = || format!("listen at {}", socket.display());
    let listener = new_socket().at(step)?;
    let (_dir, address) = address(socket).at(step)?;
    rustix::net::bind(&listener, &address).at(step)?;
    rustix::net::listen(&listener, 1).at(step)?;
    Ok(listener)
}

/// Starts the container whose first process listens at the socket, and returns when it has executed or failed to.
///
/// The socket is removed: a container starts once.
pub fn start(socket: &Path) -> Result<()> {
    let step = || format!("connect to {}", socket.display());
    let connection = new_socket().at(step)?;
    let (_dir, address) = address(socket).at(step)?;
    match rustix::net::connect(&connection, &address) {
        Err(Errno::NOENT | Errno::CONNREFUSED) => {
            return Err(Error::WrongState { action: "start", state: "running or stopped" });
        }
        result => result.at(step)?,
    }
    let started = pending::start_over(&Channel::from_socket(connection));
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            started.and(Err(Error::step(format!("remove {}", socket.display()), error)))
        }
        _ => started,
    }
}

/// Whether a first process still listens at the socket. The file alone does not tell: who started the container may
/// have been killed before it could remove that.
pub(crate) fn is_awaited(socket: &Path) -> Result<bool> {
    if !socket.exists() {
        return Ok(false);
    }
    let step = || format!("connect to {}", socket.display());
    let connection = new_socket().at(step)?;
    rustix::io::ioctl_fionbio(&connection, true).at(step)?;
    let (_dir, address) = address(socket).at(step)?;
    match rustix::net::connect(&connection, &address) {
        // A connection that says nothing is nothing to a listener.
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(false),
        Err(errno) => Err(Error::step(step(), errno)),
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Its folder may have a longer path than an address takes, so it is named by a descriptor, which must stay open.
fn address(socket: &Path) -> rustix::io::Result<(OwnedFd, SocketAddrUnix)> {
    let (Some(dir), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(Errno::INVAL);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    Ok((dir, SocketAddrUnix::new(&path)?))
}
