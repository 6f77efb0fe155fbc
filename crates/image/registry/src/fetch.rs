//! A blob as a stream of bytes that goes on where a broken connection left it.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::StatusCode;
use http::header::CONTENT_RANGE;
use spec::image::Descriptor;
use tokio::sync::mpsc;

use crate::progress::{LayerStep, Progress, Throttle};
use crate::session::Session;
use crate::{Error, Result};

/// Pieces that wait between the network and the disk.
const PIECES: usize = 32;

/// The reading end: blocking, for the thread that takes the blob apart.
pub(crate) struct BlobReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// The writing end: fetches the blob.
pub(crate) struct Fetch<'a> {
    pub(crate) session: &'a Session,
    pub(crate) blob: &'a Descriptor,
    pub(crate) id: &'a str,
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
    pub(crate) progress: &'a Progress,
}

/// How a fetch ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// All bytes were handed on.
    Whole,
    /// The reader went away.
    Unwanted,
}

/// Both ends.
pub(crate) fn pipe() -> (mpsc::Sender<io::Result<Bytes>>, BlobReader) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (sender, BlobReader { pieces, piece: Bytes::new() })
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Fetch<'_> {
    /// Fetches the blob into `sink`, whatever attempts it takes. A failure is told to the reader as well, since an
    /// end of the stream would look like an end of the blob.
    pub(crate) async fn run(&self, sink: mpsc::Sender<io::Result<Bytes>>) -> Result<Fetched> {
        let mut offset = 0;
        let mut failures = 0;
        loop {
            let before = offset;
            let error = match self.attempt(&mut offset, &sink).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            failures = if offset > before { 1 } else { failures + 1 };
            if !error.is_temporary() || failures >= self.attempts {
                let _ = sink.send(Err(io::Error::other("the download failed"))).await;
                return Err(error);
            }
            let pause = self.pause * 2u32.saturating_pow(failures - 1).min(16);
            tracing::info!("{} at {offset} of {} bytes, again in {pause:?}: {error}", self.blob.digest, self.blob.size);
            self.progress.layer(self.id, LayerStep::Retrying { seconds: pause.as_secs() });
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, offset: &mut u64, sink: &mpsc::Sender<io::Result<Bytes>>) -> Result<Fetched> {
        let size = self.blob.size;
        if *offset == size && size > 0 {
            return Ok(Fetched::Whole);
        }
        let mut answer = self.session.blob(&self.blob.digest, *offset).await?;
        let mut skip = match answer.status {
            StatusCode::PARTIAL_CONTENT if starts_at(answer.header(CONTENT_RANGE)) != Some(*offset) => {
                return Err(answer.place.answer("another range than asked for"));
            }
            StatusCode::PARTIAL_CONTENT => 0,
            // no ranges here: what is known already comes once more
            _ => *offset,
        };
        let mut throttle = Throttle::new();
        while let Some(mut piece) = answer.chunk().await? {
            let known = skip.min(piece.len() as u64);
            piece.advance(known as usize);
            skip -= known;
            if piece.is_empty() {
                continue;
            }
            if piece.len() as u64 > size - *offset {
                return Err(Error::TooLarge { what: format!("blob {}", self.blob.digest), limit: size });
            }
            *offset += piece.len() as u64;
            if sink.send(Ok(piece)).await.is_err() {
                return Ok(Fetched::Unwanted);
            }
            if throttle.due() {
                self.progress.layer(self.id, LayerStep::Downloading { current: *offset, total: size });
            }
        }
        if *offset < size {
            let (method, url) = (answer.place.method.clone(), answer.place.url.clone());
            return Err(Error::Cut { method, url, have: *offset, size });
        }
        Ok(Fetched::Whole)
    }
}

/// The first byte of `bytes 5-9/10`.
fn starts_at(range: Option<&str>) -> Option<u64> {
    range?.trim().strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(starts_at(Some("bytes 5-9/10")), Some(5));
        assert_eq!(starts_at(Some("bytes */10")), None);
        assert_eq!(starts_at(None), None);
    }

    #[test]
    fn the_reader_gives_pieces_and_errors_in_order() {
        let (sender, mut reader) = pipe();
        sender.try_send(Ok(Bytes::from_static(b"ab"))).unwrap();
        sender.try_send(Ok(Bytes::new())).unwrap();
        sender.try_send(Ok(Bytes::from_static(b"c"))).unwrap();
        sender.try_send(Err(io::Error::other("cut"))).unwrap();
        drop(sender);
        let mut text = [0; 3];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"abc");
        assert_eq!(reader.read(&mut text).unwrap_err().to_string(), "cut");
        assert_eq!(reader.read(&mut text).unwrap(), 0);
    }
}
