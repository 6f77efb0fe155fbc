//! An attachment as the daemon sees it. Output comes from the supervisor; input goes to the process directly.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::link::{Shared, register};
use crate::error::{Error, Result};
use crate::feed::{HEAD, PACKET};
use crate::types::{ProcessKey, Stream, Streams};

/// One observer of a process's output, and maybe a writer of its input. Dropping it detaches; the process does not notice.
#[derive(Debug)]
pub struct Attachment {
    key: ProcessKey,
    output: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
    /// How far each stream was told.
    told: [u64; 2],
    input: Option<AttachmentInput>,
}

/// The input half of an [`Attachment`].
#[derive(Clone, Debug)]
pub struct AttachmentInput {
    key: ProcessKey,
    slot: Arc<StdinSlot>,
    shared: Arc<Shared>,
}

/// A process's standard input, or its terminal; shared by all attachments, empty once it is closed.
#[derive(Debug)]
pub(super) struct StdinSlot {
    terminal: bool,
    state: Mutex<StdinState>,
}

#[derive(Debug)]
enum StdinState {
    /// Not used yet: registered with the runtime by the first writer.
    Idle(OwnedFd),
    Open(Arc<AsyncFd<OwnedFd>>),
    Closed,
}

impl Attachment {
    pub(super) fn new(
        shared: &Arc<Shared>,
        key: &ProcessKey,
        streams: Streams,
        fds: Vec<OwnedFd>,
    ) -> Result<Attachment> {
        let socket = fds.into_iter().next().ok_or(Error::Lost)?;
        let output = register(socket, Interest::READABLE).map_err(held("attach", key))?;
        let input = match streams.stdin {
            false => None,
            true => Some(AttachmentInput { key: key.clone(), slot: shared.stdin(key)?, shared: shared.clone() }),
        };
        Ok(Attachment { key: key.clone(), output, buffer: vec![0; HEAD + PACKET], told: [0, 0], input })
    }

    /// The next piece of output (at most 32 KiB); `None` when the process has ended and everything was told.
    /// Not taking it holds the process back once the buffers are full. Safe to cancel.
    pub async fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>> {
        loop {
            let mut ready = self.output.readable().await.map_err(held("read output", &self.key))?;
            let buffer = &mut self.buffer;
            let got = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut buffer[..])?));
            match got {
                Err(_would_block) => {}
                Ok(Ok(0)) => return Ok(None),
                Ok(Ok(length)) => {
                    if let Some(piece) = self.piece(length) {
                        return Ok(Some(piece));
                    }
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok(Err(error)) => return Err(held("read output", &self.key)(error)),
            }
        }
    }

    /// What is new in a packet; a supervisor that took over may send its predecessor's last one again.
    fn piece(&mut self, length: usize) -> Option<(Stream, Vec<u8>)> {
        let (head, output) = self.buffer[..length].split_at_checked(HEAD)?;
        let stream = match head[0] {
            2 => Stream::Stderr,
            _ => Stream::Stdout,
        };
        let offset = u64::from_le_bytes(head[1..].try_into().ok()?);
        let told = &mut self.told[stream as usize - 1];
        let known = usize::try_from(told.saturating_sub(offset)).unwrap_or(usize::MAX);
        let news = output.get(known..).filter(|news| !news.is_empty())?;
        *told = offset + output.len() as u64;
        Some((stream, news.to_vec()))
    }

    /// Writes all of `bytes` to the process's standard input. A process that no longer reads it is an error of kind
    /// broken pipe.
    pub async fn write(&self, bytes: &[u8]) -> Result<()> {
        match &self.input {
            Some(input) => input.write(bytes).await,
            None => Err(held("write input", &self.key)(Errno::BADF.into())),
        }
    }

    /// Ends the process's standard input (pipes only; on a terminal this does nothing).
    pub async fn close_stdin(&self) -> Result<()> {
        match &self.input {
            Some(input) => input.close().await,
            None => Ok(()),
        }
    }

    /// The input half, for another task; `None` where it was not asked for.
    pub fn input(&self) -> Option<AttachmentInput> {
        self.input.clone()
    }
}

impl AttachmentInput {
    /// Writes all of `bytes` to the process's standard input.
    pub async fn write(&self, bytes: &[u8]) -> Result<()> {
        let failed = held("write input", &self.key);
        let Some(fd) = self.slot.opened().map_err(&failed)? else {
            return Err(failed(Errno::PIPE.into()));
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut ready = fd.writable().await.map_err(&failed)?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), rest)?)) {
                Err(_would_block) => {}
                Ok(Ok(written)) => rest = &rest[written..],
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Ends the process's standard input (pipes only; on a terminal this does nothing).
    pub async fn close(&self) -> Result<()> {
        match self.slot.terminal {
            true => Ok(()),
            false => self.shared.close_stdin(&self.key).await,
        }
    }
}

impl StdinSlot {
    pub(super) fn new(input: Option<OwnedFd>, terminal: bool) -> StdinSlot {
        let state = input.map_or(StdinState::Closed, StdinState::Idle);
        StdinSlot { terminal, state: Mutex::new(state) }
    }

    /// Lets the descriptor go; writers in progress finish first.
    pub(super) fn close(&self) {
        *self.lock() = StdinState::Closed;
    }

    fn opened(&self) -> io::Result<Option<Arc<AsyncFd<OwnedFd>>>> {
        let mut state = self.lock();
        if let StdinState::Idle(fd) = &*state {
            // Written through the same open file as every other duplicate, which is non-blocking already.
            let copy = fd.as_fd().try_clone_to_owned()?;
            let fd = Arc::new(register(copy, Interest::WRITABLE)?);
            *state = StdinState::Open(fd);
        }
        match &*state {
            StdinState::Open(fd) => Ok(Some(fd.clone())),
            StdinState::Idle(_) | StdinState::Closed => Ok(None),
        }
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, StdinState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held(step: &'static str, key: &ProcessKey) -> impl Fn(io::Error) -> Error {
    let key = key.clone();
    move |source| Error::Held { step, key: key.clone(), source }
}
