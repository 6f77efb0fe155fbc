//! Log records as docker's clients read them.

use std::fmt::Write as _;
use std::io;

use bytes::{Bytes, BytesMut};
use engine::{LogRecord, LogStream, Output};
use futures_util::stream;

use crate::body::{self, Body};
use crate::frames;

/// How a record is written.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Framed, or bare as for a terminal.
    pub framed: bool,
    /// The time before each line.
    pub timestamps: bool,
    /// The attributes before each line.
    pub details: bool,
}

/// A body of records. An error ends it, told as a last line of standard error.
pub fn body(records: LogStream, format: Format) -> Body {
    body::stream(stream::unfold(Some(records), move |records| async move {
        let mut records = records?;
        match records.next().await? {
            Ok(record) => Some((io::Result::Ok(write(&record, format)), Some(records))),
            Err(error) => {
                let line = format!("Error grabbing logs: {}\n", error.message());
                let line = if format.framed { frames::frame(frames::STDERR, line.as_bytes()) } else { line.into() };
                Some((Ok(line), None))
            }
        }
    }))
}

fn write(record: &LogRecord, format: Format) -> Bytes {
    let mut prefix = String::new();
    if format.timestamps {
        // Always nine digits, unlike elsewhere: lines stay aligned.
        let _ = write!(prefix, "{:.9} ", record.time);
    }
    if format.details {
        let pairs: Vec<String> =
            record.attributes.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        let _ = write!(prefix, "{} ", pairs.join(","));
    }
    let line = if prefix.is_empty() {
        record.line.clone()
    } else {
        let mut line = BytesMut::with_capacity(prefix.len() + record.line.len());
        line.extend_from_slice(prefix.as_bytes());
        line.extend_from_slice(&record.line);
        line.freeze()
    };
    match (format.framed, record.output) {
        (false, _) => line,
        (true, Output::Stdout) => frames::frame(frames::STDOUT, &line),
        (true, Output::Stderr) => frames::frame(frames::STDERR, &line),
    }
}

/// Escapes what separates pairs, as in a query.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_asked() {
        let record = LogRecord {
            output: Output::Stderr,
            time: jiff::Timestamp::new(0, 5_000_000).unwrap(),
            line: Bytes::from_static(b"hi\n"),
            attributes: vec![("a".into(), "b,c".into())],
        };
        let text = |framed, timestamps, details| write(&record, Format { framed, timestamps, details });
        assert_eq!(text(false, false, false), "hi\n");
        assert_eq!(text(false, true, false), "1970-01-01T00:00:00.005000000Z hi\n");
        assert_eq!(text(false, false, true), "a=b%2Cc hi\n");
        assert_eq!(&text(true, false, false)[..], b"\x02\0\0\0\0\0\0\x03hi\n");
    }
}
