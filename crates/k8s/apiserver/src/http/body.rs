//! Bodies of answers: whole, or a stream that is made while it is sent; and bodies of requests, read within bounds.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use k8s_types::codec::SIZE_LIMIT;
use k8s_types::status::ApiError;

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of an answer.
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Stream(Pieces),
}

impl Body {
    /// Nothing.
    pub fn empty() -> Body {
        Body(Inner::Whole(None))
    }

    /// All of it.
    pub fn whole(bytes: impl Into<Bytes>) -> Body {
        Body(Inner::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty())))
    }

    /// Pieces as they come.
    pub fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
        Body(Inner::Stream(Box::pin(pieces)))
    }

    /// All of it, where it is there.
    pub fn as_whole(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Whole(bytes) => bytes.as_ref(),
            Inner::Stream(_) => None,
        }
    }

    /// Its pieces, where it is a stream.
    pub fn into_pieces(self) -> Result<Pieces, Body> {
        match self.0 {
            Inner::Stream(pieces) => Ok(pieces),
            whole => Err(Body(whole)),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Stream(pieces) => pieces.as_mut().poll_next(cx).map(|piece| piece.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Inner::Stream(_) => SizeHint::default(),
        }
    }
}

/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the whole body of a request, as long as it is not too large and comes in time.
pub async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let too_large = || ApiError::too_large(format_args!("limit is {SIZE_LIMIT}"));
    if body.size_hint().lower() > SIZE_LIMIT as u64 {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(frame) = body.as_mut().frame().await {
            let frame = frame.map_err(|e| ApiError::bad_request(format!("unable to read the body: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.is_none() && more.is_empty() {
                first = Some(data);
                continue;
            }
            if let Some(first) = first.take() {
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&data);
            if more.len() > SIZE_LIMIT {
                return Err(too_large());
            }
        }
        Ok(first.unwrap_or_else(|| more.freeze()))
    };
    let bytes = tokio::time::timeout(PATIENCE, reading).await;
    let bytes = bytes.unwrap_or_else(|_| Err(ApiError::timeout("request body did not arrive in time", 0)))?;
    if bytes.len() > SIZE_LIMIT { Err(too_large()) } else { Ok(bytes) }
}
