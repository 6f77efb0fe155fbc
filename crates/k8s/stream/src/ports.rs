//! Connections to ports, as clients forward them.

use std::collections::{HashMap, VecDeque};
use std::future::Future;

use bytes::{Bytes, BytesMut};
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::channels::{Channels, Subprotocol};
use crate::negotiate::{self, Accepted, Asked, Refused};
use crate::spdy::{Connection, Stream, connection::Side};
use crate::tunnel;
use crate::websocket::handshake;
use crate::wire::Writer;

const SPDY: &[&str] = &["portforward.k8s.io"];

/// A client that forwards ports.
pub struct Ports {
    source: Source,
}

enum Source {
    Spdy {
        connection: Connection,
        /// Streams whose other half did not come yet, by request.
        halves: HashMap<String, Stream>,
    },
    /// Each port once, from the beginning.
    Channels { channels: Channels, forwards: VecDeque<Forward> },
}

/// A connection that a client wants to a port.
pub struct Forward {
    pub port: u16,
    /// What the client sends, until it ends its side.
    pub input: mpsc::Receiver<Bytes>,
    pub output: Writer,
    /// Words for the client about what went wrong.
    pub error: Writer,
}

impl Ports {
    /// Accepts a request to forward ports; `ports` are those of its query, which only clients of WebSocket channels give.
    pub fn accept<B>(mut request: Request<B>, ports: &[u16]) -> Result<Accepted<Ports>, Refused> {
        match negotiate::asked(request.headers())? {
            Asked::Spdy => {
                let name = negotiate::spdy_protocol(request.headers(), SPDY)?;
                let response = negotiate::spdy_answer(name);
                let transport = negotiate::transport(hyper::upgrade::on(&mut request));
                Ok(Accepted { response, opened: Box::pin(async move { Ok(Ports::over_spdy(transport.await?)) }) })
            }
            Asked::WebSocket => {
                let offered = handshake::offered(request.headers());
                let tunnelled =
                    |name: &&&str| name.strip_prefix(tunnel::PREFIX).is_some_and(|name| SPDY.contains(&name));
                if let Some(name) = offered.iter().find(tunnelled) {
                    let response = handshake::answer(&request, name).map_err(Refused::bad)?;
                    let transport = negotiate::transport(hyper::upgrade::on(&mut request));
                    let opened = async move { Ok(Ports::over_spdy(tunnel::open(transport.await?))) };
                    return Ok(Accepted { response, opened: Box::pin(opened) });
                }
                let (name, protocol) = Subprotocol::choose(&offered)
                    .ok_or_else(|| Refused::bad(format!("no subprotocol of [{}] is known", offered.join(" "))))?;
                if ports.is_empty() || ports.len() > 120 {
                    return Err(Refused::bad("query parameter \"port\" is required"));
                }
                let response = handshake::answer(&request, name).map_err(Refused::bad)?;
                let transport = negotiate::transport(hyper::upgrade::on(&mut request));
                let ports = ports.to_vec();
                let opened = async move { Ok(Ports::over_channels(transport.await?, protocol, &ports).await) };
                Ok(Accepted { response, opened: Box::pin(opened) })
            }
        }
    }

    /// Serves a SPDY connection.
    pub fn over_spdy<T>(io: T) -> Ports
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Connection::open(io, Side::Server);
        Ports { source: Source::Spdy { connection, halves: HashMap::new() } }
    }

    /// Serves a WebSocket connection: two channels for each port, both of which begin with its number.
    pub async fn over_channels<T>(io: T, protocol: Subprotocol, ports: &[u16]) -> Ports
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let numbers: Vec<u8> = (0..ports.len() as u8).map(|at| at * 2).collect();
        let (channels, inputs) = Channels::open(io, protocol, &numbers);
        let mut forwards = VecDeque::new();
        for ((number, port), input) in numbers.into_iter().zip(ports).zip(inputs) {
            let (mut output, mut error) = (channels.writer(number), channels.writer(number + 1));
            let told = Bytes::copy_from_slice(&port.to_le_bytes());
            // a peer that is gone is noticed by who carries
            let _ = output.send(told.clone()).await;
            let _ = error.send(told).await;
            forwards.push_back(Forward { port: *port, input, output, error });
        }
        Ports { source: Source::Channels { channels, forwards } }
    }

    /// The next connection; `None` when there will be no more. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> Option<Forward> {
        let (connection, halves) = match &mut self.source {
            Source::Channels { forwards, .. } => return forwards.pop_front(),
            Source::Spdy { connection, halves } => (connection, halves),
        };
        loop {
            let stream = connection.accept().await?;
            let Some(request) = request_of(&stream) else {
                tracing::debug!(headers = ?stream.headers, "a stream that is none of a forwarded port");
                continue;
            };
            let Some(other) = halves.remove(&request) else {
                halves.insert(request, stream);
                continue;
            };
            let (data, error) = match (stream.header("streamtype"), other.header("streamtype")) {
                ("data", "error") => (stream, other),
                ("error", "data") => (other, stream),
                _ => continue,
            };
            let Ok(port) = data.header("port").parse() else { continue };
            return Some(Forward { port, input: data.input, output: data.output, error: error.output });
        }
    }

    /// Returns when the client is gone.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        match &self.source {
            Source::Channels { channels, .. } => futures_util::future::Either::Left(channels.link.wire.gone()),
            Source::Spdy { connection, .. } => futures_util::future::Either::Right(connection.gone()),
        }
    }

    /// Ends the connection when the client has everything.
    pub async fn finish(self) {
        match self.source {
            Source::Channels { channels, .. } => channels.close().await,
            Source::Spdy { connection, .. } => connection.close().await,
        }
    }
}

/// What tells which two streams belong together. Clients of long ago name no request: there a data stream comes right after its error stream.
fn request_of(stream: &Stream) -> Option<String> {
    let kind = stream.header("streamtype");
    match (stream.header("requestid"), kind) {
        (_, kind) if kind != "data" && kind != "error" => None,
        ("", "error") => Some(stream.id.to_string()),
        ("", _) => Some(stream.id.wrapping_sub(2).to_string()),
        (request, _) => Some(request.to_owned()),
    }
}

impl Forward {
    /// Carries bytes both ways until the connection ends or the client does not want it any more.
    pub async fn carry<C>(mut self, connection: C)
    where
        C: AsyncRead + AsyncWrite,
    {
        let (mut from, mut to) = tokio::io::split(connection);
        let refused = self.output.refused();
        let (input, output) = (&mut self.input, &mut self.output);
        let sending = async {
            while let Some(piece) = input.recv().await {
                if to.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let _ = to.shutdown().await;
            // the other direction may still have much to say
            std::future::pending::<()>().await;
        };
        let receiving = async {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(32 * 1024);
                match from.read_buf(&mut buffer).await {
                    Ok(1..) if output.send(buffer.split().freeze()).await.is_ok() => {}
                    _ => break,
                }
            }
        };
        tokio::select! {
            () = sending => {}
            () = receiving => {}
            () = refused => {}
        }
        self.output.close().await;
        self.error.close().await;
    }

    /// Tells the client why there is no connection.
    pub async fn refuse(mut self, why: String) {
        let _ = self.error.send(why.into()).await;
        self.error.close().await;
        self.output.close().await;
    }
}
