//! Bodies: of requests, read whole or as a stream, and of answers.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::upload::Upload;

/// Largest JSON body that is read; a container with every option spelt out stays far below.
const JSON_LIMIT: usize = 8 * 1024 * 1024;

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is there whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes in pieces; each is sent at once.
pub fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

/// JSON text with the newline that Go's encoder ends it with.
pub fn json_line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|e| {
        tracing::error!("cannot write an answer as JSON: {e}");
        b"null".to_vec()
    });
    text.push(b'\n');
    text.into()
}

/// Reads a JSON body; an empty one is `T`'s default.
pub async fn read_json<T: DeserializeOwned + Default>(headers: &http::HeaderMap, body: Upload) -> Result<T, ApiError> {
    Ok(read_value(headers, body).await?.map(shape).transpose()?.unwrap_or_default())
}

/// Reads a JSON body as it is; `None` when there is none.
pub async fn read_value(headers: &http::HeaderMap, body: Upload) -> Result<Option<serde_json::Value>, ApiError> {
    let bytes = read_limited(body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    check_content_type(headers)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| ApiError::bad_request(format!("invalid JSON: {e}")))
}

/// Gives a parsed document its shape.
pub fn shape<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, ApiError> {
    docker_types::from_value(value).map_err(|e| ApiError::bad_request(format!("invalid JSON: {e}")))
}

async fn read_limited(body: Upload) -> Result<Bytes, ApiError> {
    let limited = http_body_util::Limited::new(body, JSON_LIMIT);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            http::StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body is larger than {JSON_LIMIT} bytes"),
        )),
        Err(e) => Err(ApiError::bad_request(format!("cannot read the request body: {e}"))),
    }
}

fn check_content_type(headers: &http::HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(http::header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("unsupported Content-Type header ({essence}): must be 'application/json'")))
}

/// A request body as a stream of pieces.
pub fn incoming(body: Upload) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
    Box::pin(futures_util::stream::unfold(body, |mut body| async move {
        loop {
            match body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some((Ok(data), body)),
                    Err(_) => continue,
                },
                Err(e) => return Some((Err(io::Error::other(e)), body)),
            }
        }
    }))
}
