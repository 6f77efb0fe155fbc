//! Things that flow: bytes in and out, log lines, readings, events, terminals.

use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

/// Which of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// A stream of bytes between an asynchronous side and a blocking one. Dropping either end stops the other.
#[derive(Debug)]
pub struct ByteStream {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

/// The sending end of a [`ByteStream`].
#[derive(Debug, Clone)]
pub struct ByteSender(mpsc::Sender<io::Result<Bytes>>);

impl ByteStream {
    /// Both ends, with a few chunks between them.
    pub fn channel() -> (ByteSender, ByteStream) {
        let (send, chunks) = mpsc::channel(8);
        let rest = Bytes::new();
        (ByteSender(send), ByteStream { chunks, rest })
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if !self.rest.is_empty() {
            return Some(Ok(std::mem::take(&mut self.rest)));
        }
        self.chunks.recv().await
    }
}

/// Reads from a blocking thread; never call it on the runtime.
impl io::Read for ByteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl ByteSender {
    /// Sends a chunk, or the error that ended the source. Fails when nobody reads any more.
    pub async fn send(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        self.0.send(chunk).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The same from a blocking thread.
    pub fn blocking_send(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        self.0.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Writes from a blocking thread; never call it on the runtime.
impl io::Write for ByteSender {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.blocking_send(Ok(Bytes::copy_from_slice(buffer)))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which log lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The last so many lines; `None` means all.
    pub tail: Option<usize>,
    /// With the driver's attributes.
    pub details: bool,
}

/// One log record; the line has its newline, unless it was longer than the driver's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    pub output: Output,
    pub time: Timestamp,
    pub line: Bytes,
    /// Attributes, where details were asked for.
    pub attributes: Vec<(String, String)>,
}

macro_rules! stream_of {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub(crate) mpsc::Receiver<$item>);

        impl $name {
            /// The next one; `None` at the end.
            pub async fn next(&mut self) -> Option<$item> {
                self.0.recv().await
            }
        }
    };
}

stream_of!(
    /// Log records in order.
    LogStream,
    crate::Result<LogRecord>
);
stream_of!(
    /// Readings, about one a second.
    StatsStream,
    super::stats::Stats
);
stream_of!(
    /// Events as they happen.
    EventStream,
    super::event::Event
);
stream_of!(
    /// What a process writes.
    OutputStream,
    (Output, Bytes)
);

/// What an attachment connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachSpec {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Keep attached to what comes; otherwise only what the log has.
    pub stream: bool,
    /// What the log has already, first.
    pub logs: bool,
    /// `None` means the daemon's (`ctrl-p,ctrl-q`); only looked for on a terminal.
    pub detach_keys: Option<String>,
}

/// A live connection to a process. It ends when the process's outputs do, when the detach keys come, or when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    /// Raw terminal bytes (all `Stdout`) when set, else separate outputs.
    pub tty: bool,
    pub output: OutputStream,
    /// `None` when input was not asked for or is not open.
    pub input: Option<InputSink>,
}

/// The input of a process.
#[derive(Debug)]
pub struct InputSink(pub(crate) mpsc::Sender<Bytes>);

impl InputSink {
    /// Sends bytes; waits while the process does not read. Fails when it reads no more or was detached from.
    pub async fn write(&self, bytes: Bytes) -> io::Result<()> {
        self.0.send(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// End of file for the process.
    pub fn close(self) {}
}

/// Where progress of long work goes; a full or closed channel never stops the work.
#[derive(Debug, Clone)]
pub struct ProgressSink(pub mpsc::UnboundedSender<super::image::Progress>);

impl ProgressSink {
    /// Both ends.
    pub fn channel() -> (ProgressSink, mpsc::UnboundedReceiver<super::image::Progress>) {
        let (send, receive) = mpsc::unbounded_channel();
        (ProgressSink(send), receive)
    }

    pub fn send(&self, progress: super::image::Progress) {
        let _ = self.0.send(progress);
    }
}
