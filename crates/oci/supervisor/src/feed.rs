//! One attachment as the supervisor sees it: a seqpacket socket that output is sent to.
//!
//! A packet is one byte that names the [`Stream`], eight that tell the offset of its output in the stream (little endian),
//! and up to 32 KiB of output. The offset is how an observer leaves out what a successor sends once more. When the process has ended and all is
//! sent, the socket is shut down. A socket that is full holds the spool's end, and so the process, back.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType, sendmsg, shutdown, socketpair,
};

use crate::log::{Journal, Marks};
use crate::spool::Spool;
use crate::types::{Stream, Streams};

/// Output in one packet at most.
pub(crate) const PACKET: usize = 32 << 10;
/// Bytes before the output.
pub(crate) const HEAD: usize = 9;

/// How far a feed has come after a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Everything that the spools hold is sent.
    CaughtUp,
    /// The socket is full.
    Blocked,
    /// The observer is gone.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) id: u64,
    pub(crate) streams: Streams,
    /// Where in the journal its marks are.
    pub(crate) slot: u32,
    socket: OwnedFd,
    sent: Marks,
}

impl Feed {
    /// A feed that starts at `from`, and the observer's end.
    pub(crate) fn new(id: u64, streams: Streams, slot: u32, from: Marks) -> io::Result<(Feed, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        let feed = Feed { id, streams, slot, socket: ours, sent: from };
        Ok((feed, theirs))
    }

    /// A feed that another supervisor served.
    pub(crate) fn adopt(id: u64, streams: Streams, slot: u32, socket: OwnedFd, sent: Marks) -> Feed {
        Feed { id, streams, slot, socket, sent }
    }

    /// How much of each stream it needs no more.
    pub(crate) fn sent(&self) -> Marks {
        self.sent
    }

    /// Sends what the spools hold, as far as the socket takes it.
    pub(crate) fn push(&mut self, spools: &[Option<&Spool>; 2], journal: &Journal, scratch: &mut [u8]) -> Pushed {
        let wanted = [self.streams.stdout, self.streams.stderr];
        for (index, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let Some(spool) = spools[index] else { continue };
            if !wanted[index] {
                self.sent[index] = spool.end();
                continue;
            }
            while self.sent[index] < spool.end() {
                let length = scratch.len().min(PACKET);
                let Ok(bytes) = spool.read(self.sent[index], &mut scratch[..length]) else {
                    return Pushed::Gone;
                };
                match self.send(stream, self.sent[index], bytes) {
                    Ok(()) => {}
                    Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => return Pushed::Blocked,
                    Err(Errno::INTR) => continue,
                    Err(_) => return Pushed::Gone,
                }
                self.sent[index] += bytes.len() as u64;
                // Without the mark a successor might send this packet again; nothing else depends on it.
                let _ = journal.mark(self.slot, self.sent);
            }
        }
        Pushed::CaughtUp
    }

    /// Tells the observer that nothing follows.
    pub(crate) fn finish(&self) {
        // The observer may be gone already.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }

    /// The socket, to be unregistered and closed.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    fn send(&self, stream: Stream, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut head = [0; HEAD];
        head[0] = stream as u8;
        head[1..].copy_from_slice(&offset.to_le_bytes());
        sendmsg(
            &self.socket,
            &[IoSlice::new(&head), IoSlice::new(bytes)],
            &mut SendAncillaryBuffer::default(),
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        )
        .map(drop)
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
