//! One pass over a layer, on several threads:
//!
//! ```text
//! reader (hashes what arrives) ──▶ inflater ──┬──▶ hasher (diff id)
//!                                             └──▶ writer (raw tar) and scanner (tree)
//! ```
//!
//! A plain tar has no inflater: the reader feeds the last two. Channels are bounded; whoever fails drops its end, the
//! others stop at the next piece, and the first cause in the order of the stream is what the caller gets.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use spec::digest::{Digest, Hasher};

use super::{
    LayerSource,
    compression::{Compression, inflater, recognise, stream_failed},
};
use crate::{Error, Result, error::Context, tar::Scanner, tree::Tree};

/// Bytes of a piece, and pieces that may wait between two threads.
const PIECE: usize = 1 << 18;
const WAITING: usize = 8;
/// The writer asks for what it wrote to be on disk each time this much is new.
const SYNC_EVERY: u64 = 32 << 20;

type Piece = Arc<Vec<u8>>;

/// What a layer turned out to be.
pub(super) struct Received {
    pub diff_id: Digest,
    pub tar_size: u64,
    pub tree: Tree,
}

/// Receives a layer into `tar` and verifies it against what is known of it.
pub(super) fn receive(source: &LayerSource, reader: impl Read + Send, tar: &File, path: &Path) -> Result<Received> {
    let what = what(source);
    let (compression, stream) = recognise(reader, &what)?;
    let expected = source.digest.as_ref().filter(|_| compression != Compression::None);
    thread::scope(|scope| {
        let (to_hash, hashing) = sync_channel::<Piece>(WAITING);
        let (to_write, writing) = sync_channel::<Piece>(WAITING);
        let outputs = vec![to_hash, to_write];
        let (reading, inflating) = if compression == Compression::None {
            (scope.spawn(move || pump(stream, None, &outputs)), None)
        } else {
            let (to_inflate, compressed) = sync_channel::<Piece>(WAITING);
            let hasher = expected.map(Digest::hasher);
            let reading = scope.spawn(move || pump(stream, hasher, &[to_inflate]));
            (reading, Some(scope.spawn(move || inflate(compression, compressed, &outputs))))
        };
        let algorithm = source.diff_id.as_ref().map(|d| d.0.hasher()).unwrap_or_else(Hasher::sha256);
        let hashing = scope.spawn(move || hash(hashing, algorithm));
        let written = write(writing, tar, path);
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let inflated = inflating.map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let diff_id = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));

        let arrived = read.map_err(|source| stream_failed(&what, source))?;
        verify(&what, expected, arrived)?;
        if let Some(Err(source)) = inflated {
            return Err(Error::Decompress { what, format: compression.name(), source });
        }
        let (tree, tar_size) = written.map_err(|error| match error {
            Failure::Tar(source) => Error::Tar { what: what.clone(), source },
            Failure::Store(error) => error,
        })?;
        if compression == Compression::None {
            verify(&what, source.digest.as_ref(), Some(diff_id.clone()))?;
        }
        verify(&what, source.diff_id.as_ref().map(|d| &d.0), Some(diff_id.clone()))?;
        Ok(Received { diff_id, tar_size, tree })
    })
}

fn what(source: &LayerSource) -> String {
    match (&source.name, &source.digest, &source.diff_id) {
        (name, ..) if !name.is_empty() => name.clone(),
        (_, Some(digest), _) => format!("layer {digest}"),
        (_, _, Some(diff_id)) => format!("layer {diff_id}"),
        _ => "layer".to_owned(),
    }
}

fn verify(what: &str, expected: Option<&Digest>, actual: Option<Digest>) -> Result<()> {
    match (expected, actual) {
        (Some(expected), Some(actual)) if *expected != actual => Err(Error::DigestMismatch {
            what: what.to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        }),
        _ => Ok(()),
    }
}

/// Reads to the end, hashing if asked; a receiver that left is no error of this thread's.
fn pump(
    mut stream: impl Read,
    mut hasher: Option<Hasher>,
    outputs: &[SyncSender<Piece>],
) -> io::Result<Option<Digest>> {
    loop {
        let piece = read_piece(&mut stream)?;
        if piece.is_empty() {
            return Ok(hasher.map(Hasher::finish));
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
        if !send(outputs, piece) {
            return Ok(None);
        }
    }
}

fn inflate(compression: Compression, compressed: Receiver<Piece>, outputs: &[SyncSender<Piece>]) -> io::Result<()> {
    let mut source = Pieces { receiver: compressed, current: Arc::default(), position: 0 };
    {
        let mut stream = inflater(compression, &mut source)?;
        loop {
            let piece = read_piece(&mut stream)?;
            if piece.is_empty() || !send(outputs, piece) {
                break;
            }
        }
    }
    // What follows the compressed stream still belongs to the digest.
    while source.receiver.recv().is_ok() {}
    Ok(())
}

fn read_piece(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    stream.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// False when a receiver is gone.
fn send(outputs: &[SyncSender<Piece>], piece: Vec<u8>) -> bool {
    let piece = Arc::new(piece);
    outputs.iter().all(|output| output.send(piece.clone()).is_ok())
}

fn hash(pieces: Receiver<Piece>, mut hasher: Hasher) -> Digest {
    pieces.iter().for_each(|piece| hasher.update(&piece));
    hasher.finish()
}

enum Failure {
    Tar(crate::tar::TarError),
    Store(Error),
}

/// Appends to the tar and finds its entries; keeps another thread syncing behind it.
fn write(pieces: Receiver<Piece>, tar: &File, path: &Path) -> Result<(Tree, u64), Failure> {
    let stored = |result: io::Result<()>| result.at("write", path).map_err(Failure::Store);
    let mut scanner = Scanner::new(Tree::new());
    thread::scope(|scope| {
        let (ask, asked) = sync_channel::<()>(1);
        let syncing = scope.spawn(move || asked.iter().try_for_each(|()| tar.sync_data()));
        let mut unsynced = 0;
        let mut out: &File = tar;
        for piece in pieces {
            scanner.feed(&piece).map_err(Failure::Tar)?;
            stored(out.write_all(&piece))?;
            unsynced += piece.len() as u64;
            if unsynced >= SYNC_EVERY && ask.try_send(()).is_ok() {
                unsynced = 0;
            }
        }
        drop(ask);
        stored(syncing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    stored(tar.sync_data())?;
    scanner.finish().map_err(Failure::Tar)
}

/// Pieces as one buffered reader.
struct Pieces {
    receiver: Receiver<Piece>,
    current: Piece,
    position: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.current.len() {
            // A sender that left means the end: the reader's own error is reported by itself.
            self.current = self.receiver.recv().unwrap_or_default();
            self.position = 0;
        }
        Ok(&self.current[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let take = available.len().min(buffer.len());
        buffer[..take].copy_from_slice(&available[..take]);
        self.consume(take);
        Ok(take)
    }
}
