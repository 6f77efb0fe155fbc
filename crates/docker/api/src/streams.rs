//! What flows between client and engine.

pub mod hijack;
pub mod logs;
pub mod progress;

use std::io;

use bytes::Bytes;
use engine::{ByteSender, ByteStream};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use crate::body::{self, Body};
use crate::upload::Upload;

/// A request body as the engine reads it. The client's pace is the engine's: a slow reader slows the client down.
pub fn from_client(body: Upload) -> ByteStream {
    let (sender, bytes) = ByteStream::channel();
    tokio::spawn(pump(body, sender));
    bytes
}

async fn pump(body: Upload, sender: ByteSender) {
    let mut pieces = body::incoming(body);
    while let Some(piece) = pieces.next().await {
        let failed = piece.is_err();
        // The engine has what it needs, or the client broke off.
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Bytes of the engine as an answer's body.
pub fn to_client(bytes: ByteStream) -> Body {
    body::stream(stream::unfold(bytes, |mut bytes| async move { bytes.next().await.map(|piece| (piece, bytes)) }))
}

/// Values as a stream of JSON lines.
pub fn json_lines<T: Serialize + Send + 'static>(values: impl Stream<Item = T> + Send + 'static) -> Body {
    body::stream(values.map(|value| io::Result::<Bytes>::Ok(body::json_line(&value))))
}
