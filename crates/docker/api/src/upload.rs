//! A request's body that is read to its end even where nobody wants it.
//!
//! A client that still sends when the answer to it is known would meet a closed connection instead of the answer: the
//! `404` of a copy into a container that is not there would be a broken pipe. What a handler leaves is therefore read
//! and thrown away, up to a size and a time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// As much is read for the sake of the answer, and as long.
const MOST: usize = 256 << 20;
const LONGEST: Duration = Duration::from_secs(10);

/// Body of a request.
pub struct Upload(Option<Incoming>);

impl Upload {
    /// Guards a body.
    pub fn new(body: Incoming) -> Upload {
        Upload(Some(body))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        // There is nothing to drain of what ended or failed.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(rest), Ok(runtime)) = (rest, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LONGEST, drain(rest)));
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Buf::remaining));
        if left == 0 {
            return;
        }
    }
}
