//! Bodies of answers: whole or as they come.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use k8s_stream::Refused;
use tokio::sync::mpsc;

pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Words.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    of(status, "text/plain; charset=utf-8", text.into())
}

/// JSON.
pub fn json(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => of(StatusCode::OK, "application/json", bytes),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Anything that is there.
pub fn of(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Text that comes bit by bit.
pub fn pieces(pieces: mpsc::Receiver<Bytes>) -> Response<Body> {
    let frames = stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((Ok(Frame::data(piece)), pieces))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Another protocol from here on.
pub fn switching(response: Response<()>) -> Response<Body> {
    response.map(|()| Empty::new().boxed_unsync())
}

/// A request for streams that cannot be had.
pub fn refused(refused: Refused) -> Response<Body> {
    let mut response = text(refused.status, refused.message);
    response.headers_mut().extend(*refused.headers);
    response
}
