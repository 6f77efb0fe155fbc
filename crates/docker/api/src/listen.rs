//! Where clients connect: unix sockets, TCP, TCP with TLS.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

/// A socket that accepts clients.
pub enum Listener {
    /// A unix socket.
    Unix(UnixListener),
    /// Plain TCP.
    Tcp(TcpListener),
    /// TCP with TLS on top.
    Tls(TcpListener, TlsAcceptor),
}

/// What a family of sockets a descriptor from outside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A unix socket.
    Unix,
    /// An internet socket.
    Inet,
}

impl Listener {
    /// Takes over a listening socket, for instance one that the service manager opened. Needs a running tokio runtime.
    pub fn from_fd(fd: OwnedFd, family: Family, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<Self> {
        match family {
            Family::Unix => {
                let socket = std::os::unix::net::UnixListener::from(fd);
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(UnixListener::from_std(socket)?))
            }
            Family::Inet => {
                let socket = std::net::TcpListener::from(fd);
                socket.set_nonblocking(true)?;
                let socket = TcpListener::from_std(socket)?;
                Ok(match tls {
                    Some(config) => Self::Tls(socket, TlsAcceptor::from(config)),
                    None => Self::Tcp(socket),
                })
            }
        }
    }

    /// Waits for the next client.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(socket) => Ok(Accepted::Open(Box::new(socket.accept().await?.0))),
            Self::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Open(Box::new(stream)))
            }
            Self::Tls(socket, acceptor) => {
                let (stream, _) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tls(Box::new(acceptor.accept(stream))))
            }
        }
    }
}

/// Any stream of bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Whether the other side has read everything that was written; `None` where that cannot be known.
    fn is_read(&self) -> Option<bool>;
}

impl Stream for UnixStream {
    fn is_read(&self) -> Option<bool> {
        sys::sockets::unread_by_peer(self.as_fd()).ok().map(|count| count == 0)
    }
}

impl Stream for TcpStream {
    fn is_read(&self) -> Option<bool> {
        None
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn is_read(&self) -> Option<bool> {
        None
    }
}

/// A client, perhaps with its TLS handshake still to be made (not in the accept loop: a silent client would block it).
pub(crate) enum Accepted {
    Open(Box<dyn Stream>),
    Tls(Box<tokio_rustls::Accept<TcpStream>>),
}

impl Accepted {
    pub(crate) async fn open(self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Open(stream) => Ok(stream),
            Self::Tls(handshake) => Ok(Box::new(handshake.await?)),
        }
    }
}
