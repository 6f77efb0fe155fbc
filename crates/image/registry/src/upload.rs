//! A layer sent while it is being compressed: one pass over its tar.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use spec::digest::{DiffId, Digest, Hasher};
use spec::image::media_type;
use store::{Distribution, Store};
use tokio::sync::mpsc;

use crate::progress::{LayerStep, Progress, Throttle};
use crate::pull::blocking;
use crate::session::{Session, Start};
use crate::transport::Body;
use crate::url::Url;
use crate::{Error, Result, compress};

const PIECES: usize = 16;

/// One layer on its way out.
pub(crate) struct Upload<'a> {
    pub(crate) session: &'a Session,
    pub(crate) store: &'a Store,
    pub(crate) layer: &'a DiffId,
    /// The short id under which progress is told.
    pub(crate) id: &'a str,
    pub(crate) threads: usize,
    pub(crate) progress: &'a Progress,
}

impl Upload<'_> {
    /// Sends the layer to `start`, or to an upload begun here, and answers how the registry knows it.
    pub(crate) async fn run(&self, start: Option<Url>) -> Result<Distribution> {
        let start = match start {
            Some(start) => start,
            None => match self.session.start_upload(None).await? {
                Start::Upload(url) => url,
                Start::Mounted => return Err(Error::Stopped { what: "upload" }),
            },
        };
        let layer = self.layer.clone();
        let (tar, size) = blocking(self.store, move |store| Ok(store.layer_tar(&layer)?)).await?;
        let (sink, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
        let read = Arc::new(AtomicU64::new(0));
        let outcome: Arc<Mutex<Option<(Digest, u64)>>> = Arc::default();
        let work = Compressing { sink, hasher: Hasher::sha256(), length: 0 };
        let (threads, counted, done) = (self.threads, Counted { inner: tar, read: read.clone() }, outcome.clone());
        let compressing = tokio::task::spawn_blocking(move || work.run(counted, threads, &done));

        let body = self.body(pieces, read, size);
        let sent = self.session.send(start, body).await;
        let compressed = compressing.await.map_err(|_| Error::Stopped { what: "compressing thread" })?;
        // when the registry hangs up, the compressing thread fails too, but for no reason of its own
        let next = sent?;
        compressed.map_err(|source| Error::Layer { layer: self.layer.to_string(), source })?;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (digest, size) = outcome.ok_or(Error::Stopped { what: "compressing thread" })?;
        self.session.finish_upload(next, &digest, Bytes::new()).await?;
        Ok(Distribution { media_type: media_type::DOCKER_LAYER_GZIP.to_owned(), digest, size })
    }

    /// The compressed pieces as a request's body, with the share of the tar that is through told on the way.
    fn body(&self, mut pieces: mpsc::Receiver<io::Result<Bytes>>, read: Arc<AtomicU64>, total: u64) -> Body {
        let (progress, id, mut throttle) = (self.progress.clone(), self.id.to_owned(), Throttle::new());
        let frames = stream::poll_fn(move |context| match pieces.poll_recv(context) {
            Poll::Ready(Some(piece)) => {
                if throttle.due() {
                    let current = read.load(Ordering::Relaxed);
                    progress.layer(&id, LayerStep::Pushing { current, total });
                }
                Poll::Ready(Some(piece.map(Frame::data)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        StreamBody::new(frames).boxed_unsync()
    }
}

/// Hashes and hands on what comes out of the compression.
struct Compressing {
    sink: mpsc::Sender<io::Result<Bytes>>,
    hasher: Hasher,
    length: u64,
}

impl Compressing {
    fn run(mut self, tar: impl io::Read, threads: usize, outcome: &Mutex<Option<(Digest, u64)>>) -> io::Result<()> {
        let sink = self.sink.clone();
        let result = compress::gzip(tar, threads, |piece| {
            self.hasher.update(&piece);
            self.length += piece.len() as u64;
            sink.blocking_send(Ok(piece)).map_err(|_| io::Error::other("the registry does not listen any more"))
        });
        match result {
            Ok(()) => {
                *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.hasher.finish(), self.length));
                Ok(())
            }
            Err(error) => {
                // an end of the body would look like an end of the layer
                let _ = self.sink.blocking_send(Err(io::Error::other("the layer cannot be read")));
                Err(error)
            }
        }
    }
}

/// Counts what was read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
