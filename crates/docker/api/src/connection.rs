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
    let attaches = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "containers", _, "attach"] => true,
        ["", "exec", _, "start"] => true,
        _ => false,
    };
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
}
