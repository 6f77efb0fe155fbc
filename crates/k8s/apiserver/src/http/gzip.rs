//! Compression of answers that are large, for clients that take it.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, Response, header};

use super::body::Body;

/// Answers up to this are sent as they are.
const THRESHOLD: usize = 128 * 1024;
/// The fastest level: what a slow link saves is in it already.
const LEVEL: u32 = 1;

/// Whether the client takes gzip.
pub fn accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        name.trim() == "gzip" && !matches!(parameters.trim(), "q=0" | "q=0.0")
    })
}

/// Compresses an answer where that is worth it. Not for watches: their events must not wait for each other.
pub async fn compress(mut response: Response<Body>) -> Response<Body> {
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let body = match body.into_pieces() {
        Err(whole) => match whole.as_whole() {
            Some(bytes) if bytes.len() > THRESHOLD => packed(&mut response, bytes),
            _ => whole,
        },
        Ok(pieces) => begin(&mut response, pieces).await,
    };
    *response.body_mut() = body;
    response
}

fn packed(response: &mut Response<Body>, bytes: &Bytes) -> Body {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(LEVEL));
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(small) => {
            mark(response);
            Body::whole(small)
        }
        Err(_) => Body::whole(bytes.clone()),
    }
}

/// Looks at the start of a stream: a short one is sent whole and plain.
async fn begin(
    response: &mut Response<Body>,
    mut pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
) -> Body {
    use futures_util::StreamExt;
    let mut start = Vec::new();
    while start.len() <= THRESHOLD {
        match pieces.next().await {
            Some(Ok(piece)) => start.extend_from_slice(&piece),
            Some(Err(error)) => return Body::stream(futures_util::stream::once(async { Err(error) })),
            None => return Body::whole(start),
        }
    }
    mark(response);
    let encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    Body::stream(Packing { start: Some(start.into()), pieces, encoder: Some(encoder) })
}

fn mark(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    // That of the plain body.
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

struct Packing {
    start: Option<Bytes>,
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Stream for Packing {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            let piece = match this.start.take() {
                Some(start) => Some(Ok(start)),
                None => std::task::ready!(this.pieces.as_mut().poll_next(cx)),
            };
            match piece {
                Some(Ok(piece)) => {
                    encoder.write_all(&piece)?;
                    let out = std::mem::take(encoder.get_mut());
                    if !out.is_empty() {
                        return Poll::Ready(Some(Ok(out.into())));
                    }
                }
                Some(Err(error)) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let rest = this.encoder.take().map(GzEncoder::finish).unwrap_or(Ok(Vec::new()))?;
                    return Poll::Ready(Some(Ok(rest.into())));
                }
            }
        }
    }
}
