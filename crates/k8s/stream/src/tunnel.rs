//! SPDY inside of WebSocket, as kubectl forwards ports: binary messages whose payloads are the bytes of a SPDY connection.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

use crate::websocket::frame::{self, Event, Mask, Opcode, ProtocolError, Role};
use crate::websocket::{Reader, heartbeat};
use crate::wire::{Link, Wire};

/// What a subprotocol begins with whose connection is SPDY.
pub const PREFIX: &str = "SPDY/3.1+";
/// How much is on its way between the two protocols, in each direction.
const BETWEEN: usize = 64 * 1024;

/// The transport inside of a server's WebSocket connection. When it is dropped or shut down, the connection is closed in order.
pub fn open<T>(io: T) -> DuplexStream
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (inside, outside) = tokio::io::duplex(BETWEEN);
    tokio::spawn(carry(io, outside));
    inside
}

async fn carry<T>(io: T, outside: DuplexStream)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = tokio::io::split(io);
    let (mut from_inside, to_inside) = tokio::io::split(outside);
    let mut tasks = JoinSet::new();
    let wire = Wire::open(writer, heartbeat(), &mut tasks);
    tasks.spawn(read(Reader::new(reader, Role::Server), to_inside, wire.clone()));
    let gone = wire.gone();
    tokio::pin!(gone);
    let mut piece = vec![0; 32 * 1024];
    loop {
        let length = tokio::select! {
            () = &mut gone => break,
            length = from_inside.read(&mut piece) => length,
        };
        let Ok(length @ 1..) = length else { break };
        let message = frame::encode(Opcode::Binary, &[&piece[..length]], Mask::None);
        if wire.send(message).await.is_err() {
            break;
        }
    }
    let _ = wire.send(frame::encode_close(1000, "", Mask::None)).await;
    Link { wire, tasks }.close().await;
}

async fn read<R, W>(mut reader: Reader<R>, mut inside: W, wire: Wire)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(payload) = next(&mut reader, &wire).await {
        // the inside may have ended before the peer knows
        let _ = inside.write_all(&payload).await;
    }
    let _ = inside.shutdown().await;
    wire.leave();
}

/// The next piece of data; control frames are answered. `None` when the peer ends.
async fn next<R: AsyncRead + Unpin>(reader: &mut Reader<R>, wire: &Wire) -> Option<Bytes> {
    loop {
        match reader.next().await {
            Ok(Some(Event::Data { payload, .. })) => return Some(payload),
            Ok(Some(Event::Ping(payload))) => {
                wire.send(frame::encode(Opcode::Pong, &[&payload], Mask::None)).await.ok()?;
            }
            Ok(Some(Event::Pong(_))) => {}
            Ok(Some(Event::Close(_)) | None) => return None,
            Err(error) => {
                tracing::debug!(%error, "a WebSocket peer cannot be read");
                let _ = wire.send(frame::encode_close(ProtocolError::CODE, "", Mask::None)).await;
                return None;
            }
        }
    }
}
