//! Connections that become streams: attach and exec.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use docker_types::{MEDIA_MULTIPLEXED_STREAM, MEDIA_RAW_STREAM};
use engine::{Attachment, InputSink, Output};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::body;
use crate::call::Answer;
use crate::connection::{Connection, Switch};
use crate::error::ApiError;
use crate::frames;
use crate::listen::Stream;

/// From this version on the content type tells whether output is framed.
const TELLS_FRAMING: u32 = 42;

/// How long a client may take to read the head of the answer before output is sent all the same.
const HEAD_PATIENCE: Duration = Duration::from_millis(250);

/// Largest piece of input read at once.
const PIECE: usize = 32 * 1024;

/// Takes the client's connection over and joins it with a process. The answer goes out first, then bytes flow until the process's outputs end,
/// the detach keys come, or the client goes away; the client closing its writing side is only the end of input.
///
/// `before_end` is awaited between the last byte and the end of the connection: who sees the end may ask at once how the process ended.
pub fn take_over(
    upgrade: Option<OnUpgrade>,
    switch: Switch,
    api: u32,
    attachment: Attachment,
    before_end: impl Future<Output = ()> + Send + 'static,
) -> Answer {
    let Some(upgrade) = upgrade else {
        return Err(ApiError::bad_request("this call needs a connection of its own: use HTTP/1.1 with `Upgrade: tcp`"));
    };
    let framed = !attachment.tty;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => carry(connection, attachment, before_end).await,
            Err(e) => tracing::debug!("a client left before its connection was taken over: {e}"),
        }
    });
    let kind = if framed && api >= TELLS_FRAMING { MEDIA_MULTIPLEXED_STREAM } else { MEDIA_RAW_STREAM };
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if switch == Switch::Upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    }
    Ok(response)
}

/// A client's connection as it was accepted.
type Client = Connection<Box<dyn Stream>>;

async fn carry(connection: Upgraded, attachment: Attachment, before_end: impl Future<Output = ()>) {
    let (client, first) = match connection.downcast::<TokioIo<Client>>() {
        Ok(parts) => (parts.io.into_inner(), parts.read_buf),
        Err(_) => return tracing::error!("a connection of an unknown kind was taken over"),
    };
    until_read(&client).await;
    let (reader, mut writer) = tokio::io::split(client);
    let input = tokio::spawn(carry_input(reader, first, attachment.input));
    match carry_output(&mut writer, attachment.output, attachment.tty).await {
        Ok(()) => {
            before_end.await;
            // The client may be gone already.
            let _ = writer.shutdown().await;
        }
        Err(e) => tracing::debug!("an attached client went away: {e}"),
    }
    input.abort();
}

/// Waits until the client has read the head of the answer. docker-py reads the head through a buffer and the stream beneath it without: what
/// arrives together with the head is lost on it.
async fn until_read(client: &Client) {
    let deadline = Instant::now() + HEAD_PATIENCE;
    let mut pause = Duration::from_micros(100);
    while client.is_read() == Some(false) && Instant::now() < deadline {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Until the client ends its input, or nobody takes it any more. Whoever has no input to give is still read, to notice that it is gone.
async fn carry_input(mut reader: ReadHalf<Client>, first: Bytes, sink: Option<InputSink>) {
    let mut sink = sink;
    let mut piece = bytes::BytesMut::from(&first[..]);
    loop {
        if piece.is_empty() {
            piece.reserve(PIECE);
            match reader.read_buf(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let bytes = piece.split().freeze();
        if let Some(open) = &sink
            && open.write(bytes).await.is_err()
        {
            sink = None;
        }
    }
    if let Some(sink) = sink {
        sink.close();
    }
}

async fn carry_output(writer: &mut WriteHalf<Client>, mut output: engine::OutputStream, tty: bool) -> io::Result<()> {
    while let Some((stream, piece)) = output.next().await {
        match (tty, stream) {
            (true, _) => writer.write_all(&piece).await?,
            (false, Output::Stdout) => writer.write_all(&frames::frame(frames::STDOUT, &piece)).await?,
            (false, Output::Stderr) => writer.write_all(&frames::frame(frames::STDERR, &piece)).await?,
        }
        writer.flush().await?;
    }
    Ok(())
}
