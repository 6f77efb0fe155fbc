//! The streams of a process: exec and attach.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::channels::{Channels, Subprotocol};
use crate::negotiate::{self, Accepted, Asked, Lost, Refused};
use crate::spdy::{Connection, connection::Side};
use crate::websocket::handshake;
use crate::wire::Writer;

/// Subprotocols of SPDY, the newest first.
const SPDY: &[&str] = &["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
/// How long a client may take to open its streams.
const PATIENCE: Duration = Duration::from_secs(30);

/// Numbers of the channels.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// Which streams a client asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Exited(i32),
    /// It could not be run, or was lost.
    Failed(String),
}

/// A client that is connected to a process.
pub struct Process {
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    pub stdout: Option<Writer>,
    pub stderr: Option<Writer>,
    pub resize: Option<Resizes>,
    error: Writer,
    version: u8,
    connection: Under,
}

enum Under {
    Channels(Channels),
    Spdy(Connection),
}

impl Process {
    /// Accepts a request for a process's streams.
    pub fn accept<B>(mut request: Request<B>, wanted: Wanted) -> Result<Accepted<Process>, Refused> {
        match negotiate::asked(request.headers())? {
            Asked::WebSocket => {
                let offered = handshake::offered(request.headers());
                let (name, protocol) = Subprotocol::choose(&offered)
                    .ok_or_else(|| Refused::bad(format!("no subprotocol of [{}] is known", offered.join(" "))))?;
                let response = handshake::answer(&request, name).map_err(Refused::bad)?;
                let transport = negotiate::transport(hyper::upgrade::on(&mut request));
                let opened = Box::pin(async move { Ok(Process::over_channels(transport.await?, protocol, wanted)) });
                Ok(Accepted { response, opened })
            }
            Asked::Spdy => {
                let name = negotiate::spdy_protocol(request.headers(), SPDY)?;
                let response = negotiate::spdy_answer(name);
                let transport = negotiate::transport(hyper::upgrade::on(&mut request));
                let opened = Box::pin(async move { Process::over_spdy(transport.await?, version(name), wanted).await });
                Ok(Accepted { response, opened })
            }
        }
    }

    /// Serves a WebSocket connection.
    pub fn over_channels<T>(io: T, protocol: Subprotocol, wanted: Wanted) -> Process
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (channels, mut inputs) = Channels::open(io, protocol, &[STDIN, RESIZE]);
        let resize = inputs.pop().filter(|_| wanted.tty).map(Resizes::new);
        Process {
            stdin: inputs.pop().filter(|_| wanted.stdin),
            stdout: wanted.stdout.then(|| channels.writer(STDOUT)),
            stderr: (wanted.stderr && !wanted.tty).then(|| channels.writer(STDERR)),
            resize,
            error: channels.writer(ERROR),
            version: protocol.version,
            connection: Under::Channels(channels),
        }
    }

    /// Serves a SPDY connection: waits until the client has opened the streams that it asked for.
    pub async fn over_spdy<T>(io: T, version: u8, wanted: Wanted) -> Result<Process, Lost>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let opening = Process::open_spdy(Connection::open(io, Side::Server), version, wanted);
        tokio::time::timeout(PATIENCE, opening).await.unwrap_or(Err(Lost::Late))
    }

    async fn open_spdy(mut connection: Connection, version: u8, wanted: Wanted) -> Result<Process, Lost> {
        let (mut stdin, mut stdout, mut stderr, mut error, mut resize) = (None, None, None, None, None);
        let missing = |there: bool, wanted: bool| wanted && !there;
        while missing(stdin.is_some(), wanted.stdin)
            || missing(stdout.is_some(), wanted.stdout)
            || missing(stderr.is_some(), wanted.stderr && !wanted.tty)
            || missing(resize.is_some(), wanted.tty && version >= 3)
            || error.is_none()
        {
            let stream = connection.accept().await.ok_or(Lost::Gone)?;
            match stream.header("streamtype") {
                "stdin" => stdin = Some(stream.input),
                "stdout" => stdout = Some(stream.output),
                "stderr" => stderr = Some(stream.output),
                "error" => error = Some(stream.output),
                "resize" => resize = Some(Resizes::new(stream.input)),
                other => tracing::debug!(other, "a stream of unknown type"),
            }
        }
        let error = error.ok_or(Lost::Gone)?;
        Ok(Process { stdin, stdout, stderr, resize, error, version, connection: Under::Spdy(connection) })
    }

    /// Returns when the client is gone.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        match &self.connection {
            Under::Channels(channels) => futures_util::future::Either::Left(channels.link.wire.gone()),
            Under::Spdy(connection) => futures_util::future::Either::Right(connection.gone()),
        }
    }

    /// Tells the client how it ended, and ends the connection when the client has everything.
    pub async fn finish(mut self, outcome: Outcome) {
        for mut output in [self.stdout.take(), self.stderr.take()].into_iter().flatten() {
            output.close().await;
        }
        self.stdin = None;
        let _ = self.error.send(told(&outcome, self.version)).await;
        self.error.close().await;
        match self.connection {
            Under::Channels(channels) => channels.close().await,
            Under::Spdy(connection) => connection.close().await,
        }
    }
}

fn version(name: &str) -> u8 {
    name.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse().ok()).unwrap_or(1)
}

/// What is said of an end: a `Status` from version 4 on; before, words where something failed.
fn told(outcome: &Outcome, version: u8) -> Bytes {
    let status = match outcome {
        Outcome::Exited(0) => json!({"metadata": {}, "status": "Success"}),
        Outcome::Exited(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Outcome::Failed(why) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: {why}"), "details": {"causes": [{"message": why}]},
        }),
    };
    match version {
        4.. => status.to_string().into(),
        _ => status["message"].as_str().unwrap_or_default().to_owned().into(),
    }
}

/// Sizes that a client's terminal takes.
pub struct Resizes {
    input: mpsc::Receiver<Bytes>,
    text: Vec<u8>,
}

impl Resizes {
    fn new(input: mpsc::Receiver<Bytes>) -> Resizes {
        Resizes { input, text: Vec::new() }
    }

    /// The next size; `None` when there are no more. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> Option<Size> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.text).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    let read = values.byte_offset();
                    self.text.drain(..read);
                    let number = |name| value[name].as_u64().and_then(|number| u16::try_from(number).ok());
                    if let (Some(width), Some(height)) = (number("Width"), number("Height")) {
                        return Some(Size { width, height });
                    }
                    continue;
                }
                Some(Err(error)) if !error.is_eof() || self.text.len() > 4096 => self.text.clear(),
                _ => {}
            }
            self.text.extend_from_slice(&self.input.recv().await?);
        }
    }
}
