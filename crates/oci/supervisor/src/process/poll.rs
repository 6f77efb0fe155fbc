//! The epoll of the supervisor: what a readiness is about, and who is registered.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

/// What a readiness is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Connection(u32),
    /// A process that prepares itself has something to say.
    Pending(u32),
    /// A process has ended.
    Ended(u32),
    Output(u32, u8),
    OutOfMemory(u32),
    /// An attachment has room, or has gone.
    Feed(u32, u16),
}

impl Token {
    fn encode(self) -> u64 {
        let (kind, id, extra) = match self {
            Token::Listener => (0, 0, 0),
            Token::Connection(id) => (1, id, 0),
            Token::Pending(id) => (2, id, 0),
            Token::Ended(id) => (3, id, 0),
            Token::Output(id, index) => (4, id, u16::from(index)),
            Token::OutOfMemory(id) => (5, id, 0),
            Token::Feed(id, feed) => (6, id, feed),
        };
        u64::from(id) | u64::from(extra) << 32 | kind << 48
    }

    fn decode(data: u64) -> Option<Token> {
        let id = (data & 0xffff_ffff) as u32;
        let extra = (data >> 32 & 0xffff) as u16;
        Some(match data >> 48 {
            0 => Token::Listener,
            1 => Token::Connection(id),
            2 => Token::Pending(id),
            3 => Token::Ended(id),
            4 => Token::Output(id, extra as u8),
            5 => Token::OutOfMemory(id),
            6 => Token::Feed(id, extra),
            _ => return None,
        })
    }
}

/// Registrations. A descriptor that others hold too must be removed before it is closed, or its readiness goes on being
/// told; so interest is never changed to nothing, it is removed.
#[derive(Debug)]
pub(super) struct Poll {
    epoll: OwnedFd,
}

impl Poll {
    pub(super) fn new() -> Result<Poll, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poll { epoll })
    }

    pub(super) fn add(&self, fd: impl AsFd, token: Token, events: epoll::EventFlags) -> Result<(), Errno> {
        let data = epoll::EventData::new_u64(token.encode());
        match epoll::add(&self.epoll, fd.as_fd(), data, events) {
            Err(Errno::EXIST) => epoll::modify(&self.epoll, fd, data, events),
            other => other,
        }
    }

    /// Removes a registration, if there is one.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // ENOENT: it was not registered.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits for readiness; `None` waits without bound.
    pub(super) fn wait(
        &self,
        into: &mut Vec<(Token, epoll::EventFlags)>,
        patience: Option<Duration>,
    ) -> Result<(), Errno> {
        into.clear();
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
        let timeout = patience.and_then(|patience| Timespec::try_from(patience).ok());
        let count = match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error),
        };
        for event in &events[..count] {
            if let Some(token) = Token::decode(event.data.u64()) {
                into.push((token, event.flags));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_encoding() {
        for token in [
            Token::Listener,
            Token::Connection(u32::MAX),
            Token::Pending(7),
            Token::Ended(1),
            Token::Output(9, 1),
            Token::OutOfMemory(3),
            Token::Feed(5, 65535),
        ] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
        assert_eq!(Token::decode(99 << 48), None);
    }
}
