//! Output of a container as the daemon frames it: 8 bytes of header (stream, three zeros, length) before every piece.

use crate::connection::Answer;
use http_body_util::BodyExt;
use serde_json::Value;
use std::io::Write;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Copies framed output to standard output and error until it ends.
pub(crate) async fn demultiplex(mut from: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut header = [0; 8];
    let mut body = Vec::new();
    loop {
        match from.read_exact(&mut header).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        body.resize(length, 0);
        from.read_exact(&mut body).await?;
        match header[0] {
            2 => write_all(std::io::stderr().lock(), &body)?,
            3 => {
                return Err(std::io::Error::other(format!(
                    "error from daemon in stream: {}",
                    String::from_utf8_lossy(&body)
                )));
            }
            _ => write_all(std::io::stdout().lock(), &body)?,
        }
    }
}

/// Copies a terminal's output, which has no frames.
pub(crate) async fn copy_raw(mut from: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            read => write_all(std::io::stdout().lock(), &buffer[..read])?,
        }
    }
}

fn write_all(mut to: impl Write, bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// A body as a reader.
pub(crate) fn reader(answer: Answer) -> impl AsyncRead + Unpin {
    use futures_util::TryStreamExt;
    let chunks = answer.into_body().into_data_stream().map_err(std::io::Error::other);
    Box::pin(ChunkReader { chunks: Box::pin(chunks), rest: bytes::Bytes::new() })
}

struct ChunkReader<S> {
    chunks: std::pin::Pin<Box<S>>,
    rest: bytes::Bytes,
}

impl<S: futures_util::Stream<Item = std::io::Result<bytes::Bytes>>> AsyncRead for ChunkReader<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        use std::task::Poll;
        while self.rest.is_empty() {
            match self.chunks.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(chunk)) => self.rest = chunk?,
            }
        }
        let take = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(take));
        Poll::Ready(Ok(()))
    }
}

/// Reads a body of JSON values, one after another, handing each to `each` as it arrives.
pub(crate) async fn json_values(
    answer: Answer,
    mut each: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut body = answer.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        pending.extend_from_slice(&data);
        let mut values = serde_json::Deserializer::from_slice(&pending).into_iter::<Value>();
        let mut used = 0;
        loop {
            match values.next() {
                Some(Ok(value)) => {
                    used = values.byte_offset();
                    each(value)?;
                }
                Some(Err(error)) if !error.is_eof() => return Err(error.into()),
                Some(Err(_)) | None => break,
            }
        }
        pending.drain(..used);
    }
    anyhow::ensure!(pending.iter().all(u8::is_ascii_whitespace), "the daemon's answer ends in the middle of a value");
    Ok(())
}
