//! The hand-shake between the process that starts a container and the container's first process.
//!
//! ```text
//! starter                                  first process
//!    |── clone3 ───────────────────────────────▶|
//!    |── Mapped ───────────────────────────────▶|  only with a user namespace: id maps are written
//!    |◀─────────────────────────────── Hooks ───|  only with prestart, createRuntime: everything is mounted
//!    |── Hooked ───────────────────────────────▶|
//!    |◀────────────────────────── Pty(master) ──|  only with a terminal
//!    |◀───────────────────────────── Created ───|  nothing is left but to execute
//!    |── Start ────────────────────────────────▶|  may execute; with a listener: is written down, may listen
//!    |── Start ────────────────────────────────▶|  only with a listener: from whoever connects to it
//!    |◀────────────────── end of file or Failed ─|  executed, or not
//! ```
//! `Failed` may come instead of anything. An end of file before `Created` means that the other side is gone.
//! One message is one datagram of a seqpacket socket: a letter, for `Failed` a class, an errno and a text.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

use crate::error::{Error, Result};

/// What is said.
#[derive(Debug)]
pub(crate) enum Message {
    Mapped,
    Hooks,
    Hooked,
    Pty(OwnedFd),
    /// From a process on the way into a user namespace: the handle of the first process, which it has made.
    Born(OwnedFd),
    Created,
    Start,
    Failed(Error),
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// Both ends of a new conversation.
pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
    let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// A connected seqpacket socket.
    pub fn from_socket(socket: OwnedFd) -> Channel {
        Channel(socket)
    }

    /// Sends one message.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let (bytes, fd) = encode(message);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a message; `None` at the end of the conversation.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC)
    }

    /// Takes a message that is there already; fails with `WouldBlock` if none is.
    pub fn try_receive(&self) -> io::Result<Option<Message>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn receive_with(&self, flags: RecvFlags) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; 8192];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.0, &mut buffers, &mut control, flags) {
                Err(rustix::io::Errno::INTR) => {}
                // The other side closed with something of ours unread: an end all the same.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                result => break result?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let fd = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
        decode(&bytes[..received.bytes], fd).map(Some).ok_or_else(unreadable)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn encode(message: &Message) -> (Vec<u8>, Option<BorrowedFd<'_>>) {
    match message {
        Message::Mapped => (b"M".to_vec(), None),
        Message::Hooks => (b"H".to_vec(), None),
        Message::Hooked => (b"K".to_vec(), None),
        Message::Pty(master) => (b"P".to_vec(), Some(master.as_fd())),
        Message::Born(pidfd) => (b"B".to_vec(), Some(pidfd.as_fd())),
        Message::Created => (b"C".to_vec(), None),
        Message::Start => (b"S".to_vec(), None),
        Message::Failed(error) => (encode_failure(error), None),
    }
}

fn decode(bytes: &[u8], fd: Option<OwnedFd>) -> Option<Message> {
    Some(match (bytes.first()?, fd) {
        (b'M', None) => Message::Mapped,
        (b'H', None) => Message::Hooks,
        (b'K', None) => Message::Hooked,
        (b'P', Some(master)) => Message::Pty(master),
        (b'B', Some(pidfd)) => Message::Born(pidfd),
        (b'C', None) => Message::Created,
        (b'S', None) => Message::Start,
        (b'F', None) => Message::Failed(decode_failure(&bytes[1..])?),
        _ => return None,
    })
}

/// Texts longer than this are cut: the datagram must fit the receiver's buffer.
const LONGEST: usize = 4096;

fn encode_failure(error: &Error) -> Vec<u8> {
    let (class, errno, one, two) = match error {
        Error::CommandNotFound { command, reason } => (b'1', 0, command.clone(), reason.clone()),
        Error::CommandNotExecutable { command, reason } => (b'2', 0, command.clone(), reason.clone()),
        Error::Step { step, source } => {
            let errno = source.raw_os_error().unwrap_or(0);
            let text = if errno == 0 { source.to_string() } else { String::new() };
            (b'3', errno, step.clone(), text)
        }
        Error::Unimplemented(what) => (b'4', 0, what.clone(), String::new()),
        other => (b'3', 0, "container init".to_owned(), other.to_string()),
    };
    let mut bytes = vec![b'F', class];
    bytes.extend(i32::to_le_bytes(errno));
    let one = cut(&one);
    bytes.extend(u16::to_le_bytes(one.len() as u16));
    bytes.extend(one.as_bytes());
    bytes.extend(cut(&two).as_bytes());
    bytes
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST / 2)]
}

fn decode_failure(bytes: &[u8]) -> Option<Error> {
    let (class, rest) = bytes.split_first()?;
    let (errno, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (one, two) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (one, two) = (text(one), text(two));
    Some(match class {
        b'1' => Error::CommandNotFound { command: one, reason: two },
        b'2' => Error::CommandNotExecutable { command: one, reason: two },
        b'3' => Error::Step {
            step: one,
            source: match i32::from_le_bytes(*errno) {
                0 => io::Error::other(two),
                errno => io::Error::from_raw_os_error(errno),
            },
        },
        b'4' => Error::Unimplemented(one),
        _ => return None,
    })
}

/// Waits for one certain message, as the first process does; anything else ends it.
pub(crate) fn expect(channel: &Channel, what: &'static str, wanted: impl FnOnce(&Message) -> bool) -> Result<()> {
    match channel.receive() {
        Ok(Some(message)) if wanted(&message) => Ok(()),
        Ok(_) => Err(Error::step(format!("wait for {what}"), io::Error::from(io::ErrorKind::BrokenPipe))),
        Err(error) => Err(Error::step(format!("wait for {what}"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: Message) -> Message {
        let (one, other) = pair().unwrap();
        one.send(&message).unwrap();
        other.receive().unwrap().unwrap()
    }

    #[test]
    fn a_failure_arrives_with_its_class_errno_and_text() {
        let error = Error::step("mount proc at /proc", rustix::io::Errno::PERM);
        let Message::Failed(Error::Step { step, source }) = sent(Message::Failed(error)) else {
            panic!("another message");
        };
        assert_eq!(step, "mount proc at /proc");
        assert_eq!(source.raw_os_error(), Some(1));
        let error = Error::CommandNotFound {
            command: "nöthing".to_owned(),
            reason: "executable file not found in $PATH".to_owned(),
        };
        let Message::Failed(error) = sent(Message::Failed(error)) else {
            panic!("another message");
        };
        assert_eq!(error.exit_code(), 127);
        assert_eq!(error.to_string(), "exec: \"nöthing\": executable file not found in $PATH");
    }

    #[test]
    fn a_descriptor_travels_and_a_closed_end_is_an_end() {
        let (_, fd) = pair().unwrap();
        assert!(matches!(sent(Message::Pty(fd.0)), Message::Pty(_)));
        let (one, other) = pair().unwrap();
        drop(one);
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let error = Error::step("ä".repeat(100_000), rustix::io::Errno::PERM);
        assert!(matches!(sent(Message::Failed(error)), Message::Failed(Error::Step { .. })));
    }
}
