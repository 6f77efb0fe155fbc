//! A SPDY connection: streams that the peer opens, or that we open.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::frame::{self, Decoder, Event, ProtocolError, Reset};
use super::headers::{self, Pairs};
use crate::wire::{Form, Gone, Link, Wire, Writer};

/// How many pieces of a stream wait for who takes them.
const PIECES: usize = 32;
/// How many streams may be open.
const STREAMS: usize = 4096;
/// How many streams wait for who takes them.
const WAITING: usize = 64;

/// A stream.
pub struct Stream {
    pub id: u32,
    pub headers: Pairs,
    /// What comes from the peer, until it ends its side.
    pub input: mpsc::Receiver<Bytes>,
    pub output: Writer,
}

impl Stream {
    /// The value of a header, empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// A connection; dropping it ends it.
pub struct Connection {
    link: Link,
    opened: mpsc::Receiver<Stream>,
    table: Table,
}

/// Whose side we are on; clients have odd numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

impl Connection {
    /// Speaks SPDY over a transport.
    pub fn open<T>(io: T, side: Side) -> Connection
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (reader, writer) = tokio::io::split(io);
        let mut tasks = JoinSet::new();
        let heartbeat = frame::ping(if side == Side::Server { 2 } else { 1 });
        let wire = Wire::open(writer, heartbeat, &mut tasks);
        let (accept, opened) = mpsc::channel(WAITING);
        let table = Table::default();
        let reading = Reading {
            side,
            wire: wire.clone(),
            accept,
            table: table.clone(),
            inflate: headers::Reader::default(),
            deflate: table.inner.deflate.clone(),
            last: 0,
        };
        tasks.spawn(reading.run(reader));
        Connection { link: Link { wire, tasks }, opened, table }
    }

    /// The next stream that the peer opens; `None` when it is gone.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.opened.recv().await
    }

    /// Opens a stream, as a client.
    pub async fn start(&self, pairs: &[(&str, &str)]) -> Result<Stream, Gone> {
        let frame;
        let stream;
        {
            // ids and compressed headers go out in the order in which they are made
            let mut deflate = self.table.inner.deflate.lock().await;
            let id = self.table.next_id();
            let block = deflate.write(pairs);
            frame = frame::open(id, false, &block);
            stream = self.table.add(id, Vec::new(), self.link.wire.clone());
            self.link.wire.send(frame).await?;
        }
        Ok(stream)
    }

    /// Returns when the peer is gone.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        self.link.wire.gone()
    }

    /// Ends it in order.
    pub async fn close(self) {
        let _ = self.link.wire.send(frame::go_away(0)).await;
        drop(self.opened);
        self.link.close().await;
    }
}

/// The streams that are open; a cheap handle.
#[derive(Clone, Default)]
struct Table {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    streams: Mutex<HashMap<u32, Entry>>,
    ours: std::sync::atomic::AtomicU32,
    deflate: Arc<tokio::sync::Mutex<headers::Writer>>,
}

struct Entry {
    /// Gone when the peer has ended its side.
    input: Option<mpsc::Sender<Bytes>>,
    reset: Arc<watch::Sender<bool>>,
    /// We have ended ours.
    ended: bool,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.inner.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> u32 {
        self.inner.ours.fetch_add(2, std::sync::atomic::Ordering::Relaxed) + 1
    }

    fn add(&self, id: u32, headers: Pairs, wire: Wire) -> Stream {
        let (sender, input) = mpsc::channel(PIECES);
        let reset = Arc::new(watch::Sender::new(false));
        let entry = Entry { input: Some(sender), reset: reset.clone(), ended: false };
        self.lock().insert(id, entry);
        let end = StreamEnd { id, table: self.clone(), reset };
        Stream { id, headers, input, output: Writer::new(wire, Form::Spdy(end)) }
    }

    /// The peer has ended its side.
    fn half_close(&self, id: u32) {
        let mut streams = self.lock();
        if let Some(entry) = streams.get_mut(&id) {
            entry.input = None;
            if entry.ended {
                streams.remove(&id);
            }
        }
    }
}

/// Our end of a stream.
pub struct StreamEnd {
    id: u32,
    table: Table,
    reset: Arc<watch::Sender<bool>>,
}

impl StreamEnd {
    pub(crate) fn data(&self, piece: &[u8]) -> Bytes {
        frame::data(self.id, false, piece)
    }

    /// The frame that ends our side; nothing where that was done.
    pub(crate) fn finish(&self) -> Option<Bytes> {
        let mut streams = self.table.lock();
        let entry = streams.get_mut(&self.id)?;
        if std::mem::replace(&mut entry.ended, true) {
            return None;
        }
        if entry.input.is_none() {
            streams.remove(&self.id);
        }
        Some(frame::data(self.id, true, &[]))
    }

    pub(crate) fn is_reset(&self) -> bool {
        *self.reset.borrow()
    }

    pub(crate) fn reset(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut reset = self.reset.subscribe();
        async move {
            if reset.wait_for(|reset| *reset).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What reads a connection.
struct Reading {
    side: Side,
    wire: Wire,
    accept: mpsc::Sender<Stream>,
    table: Table,
    inflate: headers::Reader,
    deflate: Arc<tokio::sync::Mutex<headers::Writer>>,
    /// The highest number of the peer's streams.
    last: u32,
}

impl Reading {
    async fn run<R: AsyncRead + Unpin>(mut self, mut io: R) {
        let mut decoder = Decoder::default();
        loop {
            match decoder.event() {
                Ok(Some(event)) => match self.take(event).await {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(%error, "a SPDY peer broke the protocol");
                        break;
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a SPDY peer broke the protocol");
                    break;
                }
            }
            match io.read_buf(decoder.buffer()).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        self.wire.leave();
        self.table.lock().clear();
    }

    /// Whether to go on.
    async fn take(&mut self, event: Event) -> Result<bool, ProtocolError> {
        match event {
            Event::Open { stream, last, headers } => return self.begin(stream, last, &headers).await,
            Event::Reply { stream, last, headers } | Event::Headers { stream, last, headers } => {
                self.inflate.read(&headers)?;
                if last {
                    self.table.half_close(stream);
                }
            }
            Event::Data { stream, last, payload } => {
                let input = self.table.lock().get(&stream).and_then(|entry| entry.input.clone());
                if let Some(input) = input
                    && !payload.is_empty()
                {
                    // nobody may want it any more
                    let _ = input.send(payload).await;
                }
                if last {
                    self.table.half_close(stream);
                }
            }
            Event::Reset { stream, .. } => {
                if let Some(entry) = self.table.lock().remove(&stream) {
                    entry.reset.send_replace(true);
                }
            }
            Event::Ping(id) => {
                let theirs = (id % 2 == 1) == (self.side == Side::Server);
                if theirs {
                    return Ok(self.wire.send(frame::ping(id)).await.is_ok());
                }
            }
            Event::GoAway => tracing::trace!("a SPDY peer opens no more streams"),
            Event::Ignored => {}
        }
        Ok(true)
    }

    async fn begin(&mut self, stream: u32, last: bool, block: &[u8]) -> Result<bool, ProtocolError> {
        let headers = self.inflate.read(block)?;
        let theirs = (stream % 2 == 1) == (self.side == Side::Server);
        if !theirs || stream <= self.last {
            return Ok(self.wire.send(frame::reset(stream, Reset::ProtocolError)).await.is_ok());
        }
        self.last = stream;
        if self.table.lock().len() >= STREAMS || self.accept.is_closed() {
            return Ok(self.wire.send(frame::reset(stream, Reset::RefusedStream)).await.is_ok());
        }
        let opened = self.table.add(stream, headers, self.wire.clone());
        let reply = {
            let mut deflate = self.deflate.lock().await;
            let reply = frame::reply(stream, &deflate.write(&[]));
            self.wire.send(reply).await
        };
        if last {
            self.table.half_close(stream);
        }
        // who has all the streams it wants takes no more
        let _ = self.accept.send(opened).await;
        Ok(reply.is_ok())
    }
}
