//! What the daemon and the supervisor say to each other, and how it is framed.
//!
//! One packet of a seqpacket socket is one message: a tag byte, then JSON, with descriptors as SCM_RIGHTS. Where the JSON is
//! longer than a packet should be, the tag says so and the first descriptor is a file in memory that holds it.
//! `docs/supervisor-protocol.md` describes the exchange.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, fstat, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::runtime::{LinuxSeccomp, Process, Spec};

use crate::error::ErrorKind;
use crate::stdio::Role;
use crate::types::{Io, LogConfig, Namespace, ProcessKey, ProcessState, Streams};

/// Changed whenever the two sides would misunderstand each other.
pub(crate) const PROTOCOL: u32 = 1;

/// JSON in a packet at most; longer goes into a file.
const INLINE: usize = 48 << 10;
/// Descriptors in a packet at most (the kernel's bound is 253).
pub(crate) const MAX_FDS: usize = 200;
/// JSON that is accepted at most.
const MAX_BODY: u64 = 64 << 20;

/// A call of the daemon; answered by [`Notice::Reply`] with the same number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) request: Request,
}

/// What the daemon asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// First on a connection: answered after everything that is held was told.
    Hello {
        protocol: u32,
    },
    /// Descriptors: root, the network namespace if there is one, further namespaces, trees to bind.
    Create(Box<CreateHead>),
    Start {
        container: String,
    },
    Exec(Box<ExecHead>),
    Attach {
        key: ProcessKey,
        streams: Streams,
    },
    CloseStdin {
        key: ProcessKey,
    },
    Delete {
        key: ProcessKey,
    },
    /// After the death of the former supervisor: a process that it held, with its attachments. Descriptors: as in the
    /// record, then the supervisor's end of each attachment.
    Adopt {
        record: Box<Record>,
        feeds: Vec<FeedRecord>,
    },
    /// Hold these descriptors under a name until told otherwise, in place of those under that name.
    Keep(Kept),
    /// Let go of them.
    LetGo {
        name: String,
    },
    /// Somebody has moved the log away: begin a new one at its path.
    ReopenLog {
        container: String,
    },
    /// Go on in the mount namespace that comes along.
    Enter,
    /// Re-execute yourself from this file.
    Upgrade {
        binary: PathBuf,
    },
}

/// Descriptors that are held for whoever comes later; what each is, in their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
}

/// See [`crate::client::CreateRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateHead {
    pub(crate) id: String,
    pub(crate) spec: Spec,
    pub(crate) netns: bool,
    #[serde(default)]
    pub(crate) joined: Vec<Namespace>,
    #[serde(default)]
    pub(crate) trees: Vec<PathBuf>,
    pub(crate) cgroup: String,
    pub(crate) io: Io,
    pub(crate) log: LogConfig,
    pub(crate) attach: Option<Streams>,
}

/// See [`crate::client::ExecRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecHead {
    pub(crate) container: String,
    pub(crate) exec: String,
    pub(crate) process: Process,
    pub(crate) seccomp: Option<LinuxSeccomp>,
    pub(crate) io: Io,
    pub(crate) attach: Option<Streams>,
}

/// Everything about one process that outlives the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) key: ProcessKey,
    pub(crate) pid: i32,
    pub(crate) state: ProcessState,
    pub(crate) cgroup: String,
    pub(crate) io: Io,
    pub(crate) log: LogConfig,
    /// Out-of-memory kills that were told already.
    pub(crate) oom_kills: u64,
    /// What the descriptors are, in their order.
    pub(crate) roles: Vec<Role>,
}

/// An attachment that outlives the supervisor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct FeedRecord {
    pub(crate) id: u64,
    pub(crate) streams: Streams,
    pub(crate) slot: u32,
}

/// What the supervisor tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// The answer to a call. Descriptor: the observer's end, where the reply has one.
    Reply {
        number: u64,
        outcome: Result<Reply, Failure>,
    },
    /// Hold these duplicates. Descriptors: as in the record.
    Hold(Box<Record>),
    /// Hold the supervisor's end of an attachment.
    HoldFeed {
        key: ProcessKey,
        feed: FeedRecord,
    },
    /// An attachment has ended: let its end go.
    ReleaseFeed {
        key: ProcessKey,
        id: u64,
    },
    /// A process has come to another state.
    Changed {
        key: ProcessKey,
        state: ProcessState,
    },
    /// Standard input is closed for good: let the duplicate go.
    StdinClosed {
        key: ProcessKey,
    },
    /// Hold these duplicates under their name.
    Kept(Kept),
    /// A process is forgotten: let everything of it go.
    Release {
        key: ProcessKey,
    },
    OutOfMemory {
        container: String,
        kills: u64,
    },
    LogDropped {
        container: String,
        bytes: u64,
    },
}

/// A successful answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    /// Device, inode and modification time of the supervisor's own program, to tell whether it is outdated.
    Hello {
        pid: i32,
        program: ProgramId,
    },
    Created {
        pid: i32,
        attached: bool,
        warnings: Vec<String>,
    },
}

/// Tells one program file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) modified: i64,
}

/// A failed answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

/// A message as bytes; the first descriptor may be the file that holds a long one.
#[derive(Debug)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

const TAG_INLINE: u8 = b'J';
const TAG_FILE: u8 = b'F';

impl Packet {
    /// Encodes a message.
    pub(crate) fn new<T: Serialize>(message: &T, fds: Vec<OwnedFd>) -> io::Result<Packet> {
        let mut bytes = vec![TAG_INLINE];
        serde_json::to_writer(&mut bytes, message)?;
        if bytes.len() <= INLINE {
            return Ok(Packet { bytes, fds });
        }
        let file = File::from(memfd_create("sampan-message", MemfdFlags::CLOEXEC)?);
        file.write_all_at(&bytes[1..], 0)?;
        let mut all = vec![OwnedFd::from(file)];
        all.extend(fds);
        Ok(Packet { bytes: vec![TAG_FILE], fds: all })
    }

    /// Sends it without waiting.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(Errno::TOOMANYREFS);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(socket, &[IoSlice::new(&self.bytes)], &mut control, flags).map(drop)
    }
}

/// Receives one message without waiting; `None` at the end of the connection.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let length = got.bytes.min(buffer.len());
    let Some((&tag, body)) = buffer[..length].split_first() else {
        return Ok(None);
    };
    match tag {
        TAG_INLINE => Ok(Some((serde_json::from_slice(body)?, fds))),
        TAG_FILE if !fds.is_empty() => {
            let file = fds.remove(0);
            Ok(Some((serde_json::from_slice(&whole(file)?)?, fds)))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("message of unknown form {tag:#x}"))),
    }
}

/// Bytes that a buffer for [`receive`] must have.
pub(crate) const BUFFER: usize = INLINE + 1;

fn whole(file: OwnedFd) -> io::Result<Vec<u8>> {
    let length = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
    if length > MAX_BODY {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("message of {length} bytes is too long")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    File::from(file).read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn round_trip(text: &str, fds: Vec<OwnedFd>) -> (String, Vec<OwnedFd>) {
        let flags = SocketFlags::CLOEXEC;
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let packet = Packet::new(&text, fds).unwrap();
        packet.send(a.as_fd()).unwrap();
        let mut buffer = vec![0; BUFFER];
        let got = receive::<String>(b.as_fd(), &mut buffer).unwrap().unwrap();
        drop(a);
        assert!(receive::<String>(b.as_fd(), &mut buffer).unwrap().is_none());
        got
    }

    #[test]
    fn short_and_long_messages_arrive_with_their_descriptors() {
        for length in [0, 10, INLINE - 3, INLINE - 2, INLINE, 1 << 20] {
            let text = "x".repeat(length);
            let fd: OwnedFd = tempfile::tempfile().unwrap().into();
            let (got, fds) = round_trip(&text, vec![fd]);
            assert_eq!(got, text);
            assert_eq!(fds.len(), 1);
        }
    }

    #[test]
    fn as_many_descriptors_as_allowed_arrive() {
        let fds = (0..MAX_FDS).map(|_| tempfile::tempfile().unwrap().into()).collect();
        assert_eq!(round_trip(&"x".repeat(INLINE * 2), fds).1.len(), MAX_FDS);
    }
}
