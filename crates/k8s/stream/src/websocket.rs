//! WebSocket (RFC 6455): the handshake and the frames of both sides.
//!
//! Messages are not put together: what arrives of one is handed on, so that a message of any length needs no memory for it.

pub mod frame;
pub mod handshake;

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use frame::{Decoder, Event, ProtocolError, Role};

/// Reads what a peer sends.
pub struct Reader<R> {
    io: R,
    decoder: Decoder,
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads as the side that `role` is.
    pub fn new(io: R, role: Role) -> Reader<R> {
        Reader { io, decoder: Decoder::new(role) }
    }

    /// What comes next; `None` when the connection ends. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            if let Some(event) = self.decoder.event()? {
                return Ok(Some(event));
            }
            if self.io.read_buf(self.decoder.buffer()).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// A sign of life that asks for no answer, and that peers count as one to their own questions.
pub fn heartbeat() -> Bytes {
    frame::encode(frame::Opcode::Pong, &[], frame::Mask::None)
}
