//! Kubernetes' subprotocols of WebSocket: the first byte of a message says which channel it is for.
//!
//! The base64 forms have the channel as a digit and the rest in base64, in text messages. Version 4 ends with a `Status` where the older ones have words; in
//! version 5 the message `[255, n]` closes channel `n`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::websocket::frame::{self, Event, Mask, Opcode, ProtocolError, Role};
use crate::websocket::{Reader, heartbeat};
use crate::wire::{Form, Link, Wire, Writer};

/// Names of the subprotocols, with their version and whether they are text.
const NAMES: &[(&str, u8, bool)] = &[
    ("v5.channel.k8s.io", 5, false),
    ("v4.channel.k8s.io", 4, false),
    ("v4.base64.channel.k8s.io", 4, true),
    ("v3.channel.k8s.io", 3, false),
    ("v2.channel.k8s.io", 2, false),
    ("channel.k8s.io", 1, false),
    ("base64.channel.k8s.io", 1, true),
];
/// The channel whose message closes another one.
const CLOSE: u8 = 255;
/// How many pieces of a channel wait for who takes them.
const PIECES: usize = 16;
/// How long a message may be that has to be put together.
const MESSAGE: usize = 8 << 20;

/// A subprotocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subprotocol {
    pub version: u8,
    pub text: bool,
}

impl Subprotocol {
    /// The first of a client's subprotocols that is known, with its name; where it offers none, the oldest.
    pub fn choose<'a>(offered: &[&'a str]) -> Option<(&'a str, Subprotocol)> {
        if offered.is_empty() {
            return Some(("", Subprotocol { version: 1, text: false }));
        }
        offered.iter().find_map(|offered| {
            let (_, version, text) = NAMES.iter().find(|(name, _, _)| name == offered)?;
            Some((*offered, Subprotocol { version: *version, text: *text }))
        })
    }
}

/// A connection in channels.
pub(crate) struct Channels {
    pub link: Link,
    protocol: Subprotocol,
}

impl Channels {
    /// Serves a connection; `inputs` are the channels that are listened to, by number.
    pub fn open<T>(io: T, protocol: Subprotocol, inputs: &[u8]) -> (Channels, Vec<mpsc::Receiver<Bytes>>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (reader, writer) = tokio::io::split(io);
        let mut tasks = JoinSet::new();
        let wire = Wire::open(writer, heartbeat(), &mut tasks);
        let mut receivers = Vec::new();
        let mut routes = Vec::new();
        for number in inputs {
            let (sender, receiver) = mpsc::channel(PIECES);
            routes.push((*number, sender));
            receivers.push(receiver);
        }
        let reading = Reading { protocol, routes, wire: wire.clone(), channel: None, text: BytesMut::new() };
        tasks.spawn(reading.run(Reader::new(reader, Role::Server)));
        (Channels { link: Link { wire, tasks }, protocol }, receivers)
    }

    /// What writes to a channel.
    pub fn writer(&self, number: u8) -> Writer {
        Writer::new(self.link.wire.clone(), Form::Channel { number, text: self.protocol.text })
    }

    /// Ends the connection in order.
    pub async fn close(self) {
        let _ = self.link.wire.send(frame::encode_close(1000, "", Mask::None)).await;
        self.link.close().await;
    }
}

/// What reads a connection.
struct Reading {
    protocol: Subprotocol,
    routes: Vec<(u8, mpsc::Sender<Bytes>)>,
    wire: Wire,
    /// What the present message is for, once its first byte is there.
    channel: Option<u8>,
    /// The present message where it has to be put together.
    text: BytesMut,
}

impl Reading {
    async fn run<R: AsyncRead + Unpin>(mut self, mut reader: Reader<R>) {
        let code = loop {
            let event = match reader.next().await {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket peer cannot be read");
                    break Some(ProtocolError::CODE);
                }
            };
            match event {
                Event::Data { last, payload, .. } if self.protocol.text => {
                    if self.text.len() + payload.len() > MESSAGE {
                        break Some(1009);
                    }
                    self.text.extend_from_slice(&payload);
                    if last && self.whole().await.is_none() {
                        break Some(1007);
                    }
                }
                Event::Data { last, payload, .. } => self.piece(last, payload).await,
                Event::Ping(payload) => {
                    if self.wire.send(frame::encode(Opcode::Pong, &[&payload], Mask::None)).await.is_err() {
                        break None;
                    }
                }
                Event::Pong(_) => {}
                Event::Close(code) => break Some(code.unwrap_or(1000)),
            }
        };
        // where we closed first nothing is written any more, and this is not either
        if let Some(code) = code {
            let _ = self.wire.send(frame::encode_close(code, "", Mask::None)).await;
        }
        self.wire.leave();
    }

    /// A piece of a binary message.
    async fn piece(&mut self, last: bool, mut payload: Bytes) {
        if self.channel.is_none() && payload.has_remaining() {
            self.channel = Some(payload.get_u8());
        }
        match self.channel {
            Some(CLOSE) if self.protocol.version >= 5 => {
                if let Some(closed) = payload.first() {
                    self.routes.retain(|(number, _)| number != closed);
                }
            }
            Some(channel) => self.put(channel, payload).await,
            None => {}
        }
        if last {
            self.channel = None;
        }
    }

    /// A text message that is complete; `None` where it is not as it must be.
    async fn whole(&mut self) -> Option<()> {
        let message = self.text.split();
        let Some((channel, text)) = message.split_first() else { return Some(()) };
        let channel = channel.checked_sub(b'0').filter(|number| *number < 10)?;
        let payload = BASE64_STANDARD.decode(text.trim_ascii()).ok()?;
        self.put(channel, payload.into()).await;
        Some(())
    }

    async fn put(&mut self, channel: u8, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        if let Some((_, route)) = self.routes.iter().find(|(number, _)| *number == channel) {
            // nobody may want it any more
            let _ = route.send(payload).await;
        }
    }
}
