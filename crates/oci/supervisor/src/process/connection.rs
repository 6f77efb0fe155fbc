//! One daemon's connection: what waits to be sent to it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::wire::Packet;

/// Messages that wait for a daemon that does not read; with more it is cut off and must connect anew, which tells it
/// everything again.
const MAX_WAITING: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    waiting: VecDeque<Packet>,
    /// It said hello: it is told everything and holds duplicates.
    pub(super) holder: bool,
}

/// What is left of a connection after an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// Poll for room.
    Waiting,
    /// Nobody listens, or not fast enough.
    Dead,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Connection {
        Connection { socket, waiting: VecDeque::new(), holder: false }
    }

    /// Sends a message after those that wait.
    pub(super) fn send(&mut self, packet: Packet) -> Sent {
        self.waiting.push_back(packet);
        self.flush()
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Sent {
        while let Some(packet) = self.waiting.front() {
            match packet.send(self.socket.as_fd()) {
                Ok(()) => {
                    self.waiting.pop_front();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) if self.waiting.len() <= MAX_WAITING => {
                    return Sent::Waiting;
                }
                Err(_) => return Sent::Dead,
            }
        }
        Sent::All
    }

    /// Nothing waits.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
