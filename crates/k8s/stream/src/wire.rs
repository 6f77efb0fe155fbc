//! The writing half of a connection: a bounded queue of encoded frames, one task that writes them, and a sign of life where there are none.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::spdy::StreamEnd;
use crate::websocket::frame::{self, Mask, Opcode};

/// How many frames wait to be written.
const QUEUE: usize = 8;
/// How much is put in one frame.
const PIECE: usize = 32 * 1024;
/// How often a peer hears of us, so that one that vanished is noticed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a peer may take to close its side after we have closed ours.
const LINGER: Duration = Duration::from_secs(5);

/// The peer is not there any more, or does not want this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

enum Item {
    Frame(Bytes),
    End,
}

/// Frames on their way to the peer; a cheap handle.
#[derive(Clone)]
pub struct Wire {
    queue: mpsc::Sender<Item>,
    gone: Arc<watch::Sender<bool>>,
}

impl Wire {
    /// Writes to `io` from a task in `tasks`; `heartbeat` is a frame that peers take at any time.
    pub fn open<W>(io: W, heartbeat: Bytes, tasks: &mut JoinSet<()>) -> Wire
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (queue, items) = mpsc::channel(QUEUE);
        let wire = Wire { queue, gone: Arc::new(watch::Sender::new(false)) };
        let gone = wire.gone.clone();
        tasks.spawn(async move {
            if let Err(error) = write(io, items, heartbeat).await {
                tracing::debug!(%error, "a stream's peer cannot be written to");
                gone.send_replace(true);
            }
        });
        wire
    }

    /// Queues a frame; waits while the peer does not read.
    pub async fn send(&self, frame: Bytes) -> Result<(), Gone> {
        self.queue.send(Item::Frame(frame)).await.map_err(|_| Gone)
    }

    /// Nothing more will be written: what is queued goes out, then the writing half is closed.
    pub async fn end(&self) {
        let _ = self.queue.send(Item::End).await;
    }

    /// Notes that the peer has left.
    pub fn leave(&self) {
        self.gone.send_replace(true);
    }

    /// Returns when the peer has left.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.gone.subscribe();
        async move {
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }
}

async fn write<W>(mut io: W, mut items: mpsc::Receiver<Item>, heartbeat: Bytes) -> std::io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut beat = tokio::time::interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    loop {
        let item = match items.try_recv() {
            Ok(item) => Some(item),
            Err(_) => {
                io.flush().await?;
                tokio::select! {
                    item = items.recv() => item,
                    _ = beat.tick() => Some(Item::Frame(heartbeat.clone())),
                }
            }
        };
        match item {
            Some(Item::Frame(frame)) => io.write_all(&frame).await?,
            Some(Item::End) | None => break,
        }
        beat.reset();
    }
    io.flush().await?;
    io.shutdown().await
}

/// The tasks of a connection; dropping it ends them.
pub(crate) struct Link {
    pub wire: Wire,
    pub tasks: JoinSet<()>,
}

impl Link {
    /// Lets everything queued go out and the peer close its side.
    pub async fn close(mut self) {
        self.wire.end().await;
        // the first to end is the writer, or the reader where the peer is gone
        self.tasks.join_next().await;
        let rest = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}

/// How a stream's bytes become frames.
pub(crate) enum Form {
    /// A channel of a WebSocket connection.
    Channel { number: u8, text: bool },
    /// A stream of a SPDY connection.
    Spdy(StreamEnd),
}

/// One stream to the peer.
pub struct Writer {
    wire: Wire,
    form: Form,
}

impl Writer {
    pub(crate) fn new(wire: Wire, form: Form) -> Writer {
        Writer { wire, form }
    }

    /// Sends bytes; waits while the peer does not read.
    pub async fn send(&mut self, data: Bytes) -> Result<(), Gone> {
        let mut data = data;
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(PIECE));
            let frame = match &self.form {
                Form::Channel { number, text } => channel_frame(*number, *text, &piece),
                Form::Spdy(end) if end.is_reset() => return Err(Gone),
                Form::Spdy(end) => end.data(&piece),
            };
            self.wire.send(frame).await?;
        }
        Ok(())
    }

    /// Ends this stream, where the protocol can tell that.
    pub async fn close(&mut self) {
        if let Form::Spdy(end) = &self.form
            && let Some(frame) = end.finish()
        {
            let _ = self.wire.send(frame).await;
        }
    }

    /// Returns when the peer does not want this stream any more.
    pub fn refused(&self) -> impl Future<Output = ()> + Send + 'static {
        let gone = self.wire.gone();
        let reset = match &self.form {
            Form::Channel { .. } => None,
            Form::Spdy(end) => Some(end.reset()),
        };
        async move {
            match reset {
                None => gone.await,
                Some(reset) => tokio::select! { () = gone => {}, () = reset => {} },
            }
        }
    }
}

/// A message of a channel. Servers do not mask.
fn channel_frame(number: u8, text: bool, piece: &[u8]) -> Bytes {
    if text {
        let mut message = vec![b'0' + number];
        message.extend_from_slice(BASE64_STANDARD.encode(piece).as_bytes());
        return frame::encode(Opcode::Text, &[&message], Mask::None);
    }
    frame::encode(Opcode::Binary, &[&[number], piece], Mask::None)
}
