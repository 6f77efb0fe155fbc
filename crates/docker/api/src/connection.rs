//! A client's connection beneath hyper.
//!
//! Attaching turns the connection into a plain stream. Today's clients ask for that with `Upgrade: tcp` and get `101`; older ones do not ask and
//! expect `200` with bare bytes after it, in both directions, which hyper knows nothing of. Such a client opens a fresh connection for the call,
//! so it is enough to look at the first head of each connection: when it attaches without asking, the header is added on the way in
//! and the status line replaced on the way out. hyper and the handlers see an upgrade like any other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const HEAD_LIMIT: usize = 64 * 1024;
const UPGRADE_LINE: &[u8] = b"Connection: Upgrade\r\nUpgrade: tcp\r\n";
const STATUS_101: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";
const STATUS_200: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// How a client expects to be told that its connection is now a plain stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// It asked for an upgrade: `101`.
    Upgrade,
    /// It did not ask: `200`, then bare bytes.
    Plain,
}

/// A connection whose first bytes were read ahead.
pub struct Connection<S> {
    stream: S,
    /// Bytes read ahead that hyper has not seen, and how many of them it has taken.
    ahead: Vec<u8>,
    taken: usize,
    /// Part of the replaced status line that is still to be sent; `None` when there is nothing (more) to replace.
    status: Option<Replacing>,
}

enum Replacing {
    Waiting,
    Sending(usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads the first head. `None` when the client went away or was silent for `patience` before it was complete.
    pub async fn open(mut stream: S, patience: Duration) -> io::Result<Option<(Self, Switch)>> {
        let mut ahead = Vec::new();
        let complete = tokio::time::timeout(patience, async {
            loop {
                if let Some(end) = head_end(&ahead) {
                    return io::Result::Ok(Some(end));
                }
                if ahead.len() > HEAD_LIMIT || stream.read_buf(&mut ahead).await? == 0 {
                    return Ok(None);
                }
            }
        });
        let end = match complete.await {
            Ok(end) => end?,
            Err(_) if ahead.is_empty() => return Ok(None),
            Err(_) => None,
        };
        if ahead.is_empty() {
            return Ok(None);
        }
        let plain = end.is_some_and(|end| attaches_without_asking(&ahead[..end]));
        if let Some(end) = end.filter(|_| plain) {
            ahead.splice(end..end, UPGRADE_LINE.iter().copied());
        }
        let (status, switch) = if plain { (Some(Replacing::Waiting), Switch::Plain) } else { (None, Switch::Upgrade) };
        Ok(Some((Self { stream, ahead, taken: 0, status }, switch)))
    }
}

impl Connection<Box<dyn crate::listen::Stream>> {
    /// Whether the client has read everything that was written; `None` where that cannot be known.
    pub fn is_read(&self) -> Option<bool> {
        self.stream.is_read()
    }
}

/// Offset of the empty line that ends a head.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 2)
}

fn attaches_without_asking(head: &[u8]) -> bool {
    let Ok(head) = std::str::from_utf8(head) else {
        return false;
    };
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (request.next(), request.next().unwrap_or_default(), request.next());
    let path = crate::router::split_version(target.split('?').next().unwrap_or_default()).1;
    let attaches =
        matches!(path.split('/').collect::<Vec<_>>()[..], ["", "containers", _, "attach"] | ["", "exec", _, "start"]);
    let asks = lines.any(|line| line.split(':').next().is_some_and(|name| name.eq_ignore_ascii_case("upgrade")));
    method == Some("POST") && version == Some("HTTP/1.1") && attaches && !asks
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken < self.ahead.len() {
            let n = buf.remaining().min(self.ahead.len() - self.taken);
            let from = self.taken;
            buf.put_slice(&self.ahead[from..from + n]);
            self.taken += n;
            if self.taken == self.ahead.len() {
                self.ahead = Vec::new();
                self.taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(Replacing::Waiting) = this.status {
            this.status = buf.starts_with(STATUS_101).then_some(Replacing::Sending(0));
        }
        if let Some(Replacing::Sending(sent)) = &mut this.status {
            while *sent < STATUS_200.len() {
                *sent += ready!(Pin::new(&mut this.stream).poll_write(cx, &STATUS_200[*sent..]))?;
            }
            this.status = None;
            return Poll::Ready(Ok(STATUS_101.len()));
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.status.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        // A replaced status line must come in one piece with its head.
        self.status.is_none() && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attaching_without_upgrade_is_switched_plainly() {
        let yes = [
            "POST /containers/a/attach?stream=1 HTTP/1.1\r\nHost: x\r\n",
            "POST /v1.24/exec/a/start HTTP/1.1\r\nHost: x\r\n",
        ];
        let no = [
            "POST /containers/a/attach HTTP/1.1\r\nuPgrade: tcp\r\n",
            "GET /containers/a/attach HTTP/1.1\r\n",
            "POST /containers/a/start HTTP/1.1\r\n",
            "POST /exec/a/start HTTP/1.0\r\n",
            "\u{0}",
        ];
        assert!(yes.iter().all(|head| attaches_without_asking(head.as_bytes())));
        assert!(!no.iter().any(|head| attaches_without_asking(head.as_bytes())));
    }

    /// Serves one connection with a service that upgrades every request and echoes in capitals; returns all that the client got.
    async fn talk(head: &str, input: &[u8]) -> (String, Vec<u8>) {
        use hyper_util::rt::TokioIo;
        use tokio::io::AsyncWriteExt;
        let (mut client, server) = tokio::io::duplex(64);
        let served = tokio::spawn(async move {
            let (connection, switch) = Connection::open(server, Duration::from_secs(5)).await.unwrap().unwrap();
            let service = hyper::service::service_fn(|mut request: http::Request<_>| async move {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut io = TokioIo::new(upgrade.await.unwrap());
                    let mut input = Vec::new();
                    io.read_to_end(&mut input).await.unwrap();
                    input.make_ascii_uppercase();
                    io.write_all(&input).await.unwrap();
                    io.shutdown().await.unwrap();
                });
                let mut response = http::Response::new(crate::body::empty());
                *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
                Ok::<_, std::convert::Infallible>(response)
            });
            hyper::server::conn::http1::Builder::new()
                .half_close(true)
                .serve_connection(TokioIo::new(connection), service)
                .with_upgrades()
                .await
                .unwrap();
            switch
        });
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(input).await.unwrap();
        client.shutdown().await.unwrap();
        let mut output = Vec::new();
        client.read_to_end(&mut output).await.unwrap();
        served.await.unwrap();
        let end = head_end(&output).unwrap() + 2;
        let rest = output.split_off(end);
        (String::from_utf8(output).unwrap(), rest)
    }

    #[tokio::test]
    async fn an_old_client_gets_200_and_bare_bytes_both_ways() {
        let (head, rest) = talk("POST /containers/a/attach HTTP/1.1\r\nHost: x\r\n\r\n", &b"abc".repeat(1000)).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert_eq!(rest, b"ABC".repeat(1000));
    }

    #[tokio::test]
    async fn a_client_that_asks_gets_101() {
        let head = "POST /exec/a/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
        let (head, rest) = talk(head, b"abc").await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert_eq!(rest, b"ABC");
    }

    #[tokio::test]
    async fn silence_and_garbage_end_quietly() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        assert!(Connection::open(server, Duration::from_secs(5)).await.unwrap().is_none());
        let (_client, server) = tokio::io::duplex(64);
        assert!(Connection::open(server, Duration::from_millis(10)).await.unwrap().is_none());
    }
}
