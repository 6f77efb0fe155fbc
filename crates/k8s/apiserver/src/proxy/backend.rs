//! One connection to who answers, one request on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_types::status::{ApiError, Reason};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a request on its way.
pub type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Who answers.
pub struct Backend {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Name or address.
    pub host: String,
    pub port: u16,
    pub trust: Trust,
}

/// Whose certificate is taken.
#[derive(Clone)]
pub enum Trust {
    /// One for this name, of an authority in the configuration.
    Named { name: String, config: Arc<ClientConfig> },
    /// Any: a pod's certificate says nothing that this server could check.
    Anyone,
}

impl Backend {
    /// `host:port`, as a URL has it.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Sends a request whose URI has a path only, and returns the head of the answer.
    pub async fn send(&self, mut request: Request<Outgoing>) -> Result<Response<Incoming>, ApiError> {
        let failed = |what: String| {
            ApiError::new(
                502,
                Reason::ServiceUnavailable,
                format!("error trying to reach {}: {what}", self.authority()),
            )
        };
        let io = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a node or pod ended");
            }
        });
        if !request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(&self.authority())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        sender.send_request(request).await.map_err(|error| failed(error.to_string()))
    }

    async fn connect(&self) -> Result<Io, ApiError> {
        let at = self.authority();
        let failed = |error: &dyn std::fmt::Display| {
            let text = format!("error dialing backend: dial tcp {at}: {error}");
            ApiError::new(500, Reason::InternalError, text)
        };
        let connecting = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| failed(&refusal(&e)))?;
            let _ = stream.set_nodelay(true);
            if self.scheme != Scheme::HTTPS {
                return Ok(Io::Plain(stream));
            }
            let (name, config) = match &self.trust {
                Trust::Named { name, config } => (name.clone(), config.clone()),
                Trust::Anyone => (self.host.clone(), trust::anyone()),
            };
            let name = ServerName::try_from(name).map_err(|e| failed(&e))?;
            let tls = TlsConnector::from(config).connect(name, stream).await.map_err(|e| failed(&e))?;
            Ok(Io::Tls(Box::new(tls)))
        };
        tokio::time::timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(failed(&"i/o timeout")))
    }
}

/// As clients know it.
fn refusal(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    }
}

/// A connection, encrypted or not.
enum Io {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
