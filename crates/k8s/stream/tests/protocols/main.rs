//! Both protocols over connections in memory.

mod ports;
mod process;
mod recorded;
mod spdy;
mod websocket;

use bytes::Bytes;
use k8s_stream::websocket::Reader;
use k8s_stream::websocket::frame::{self, Event, Mask, Opcode, Role};
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// A client of WebSocket, after the handshake.
struct Client {
    reader: Reader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Client {
    fn new(io: DuplexStream) -> Client {
        let (reader, writer) = tokio::io::split(io);
        Client { reader: Reader::new(reader, Role::Client), writer }
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = frame::encode(opcode, &[payload], Mask::Key([1, 2, 3, 4]));
        self.writer.write_all(&frame).await.unwrap();
    }

    /// The next message of any length, or the code with which the server closes.
    async fn message(&mut self) -> Result<Vec<u8>, Option<u16>> {
        let mut message = Vec::new();
        loop {
            match self.reader.next().await.unwrap() {
                Some(Event::Data { last, payload, .. }) => {
                    message.extend_from_slice(&payload);
                    if last {
                        return Ok(message);
                    }
                }
                Some(Event::Close(code)) => return Err(code),
                None => return Err(None),
                Some(_) => {}
            }
        }
    }
}

/// Everything until the other side ends.
async fn all(mut input: mpsc::Receiver<Bytes>) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(piece) = input.recv().await {
        out.extend_from_slice(&piece);
    }
    out
}
