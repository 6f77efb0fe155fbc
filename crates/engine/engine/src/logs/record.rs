//! One line of a log: docker's `json-file`, or the format of Kubernetes' container runtime interface.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::model::stream::{LogRecord, Output};

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    time: Timestamp,
}

/// Reads one line; `None` for what is none (a write that a crash cut off).
pub fn parse(line: &[u8], details: bool) -> Option<LogRecord> {
    if line.first() != Some(&b'{') {
        return parse_cri(line);
    }
    let line: Line = serde_json::from_slice(line).ok()?;
    let output = if line.stream == "stderr" { Output::Stderr } else { Output::Stdout };
    let attributes = if details { line.attrs.into_iter().collect() } else { Vec::new() };
    Some(LogRecord { output, time: line.time, line: Bytes::from(line.log), attributes })
}

/// `<time> stdout F text`: a whole line; with `P` a piece of one, without its end.
fn parse_cri(line: &[u8]) -> Option<LogRecord> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let mut next = || parts.next();
    let (time, stream, tag, text) = (next()?, next()?, next()?, next()?);
    let output = if stream == b"stderr" { Output::Stderr } else { Output::Stdout };
    let time = std::str::from_utf8(time).ok()?.parse().ok()?;
    let text = match tag {
        b"P" => text.strip_suffix(b"\n").unwrap_or(text),
        _ => text,
    };
    Some(LogRecord { output, time, line: Bytes::copy_from_slice(text), attributes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_a_broken_one_is_none() {
        let record = parse(br#"{"log":"a\u0000b\n","stream":"stderr","time":"2024-01-02T03:04:05.123456789Z"}"#, false);
        let record = record.unwrap();
        assert_eq!(record.output, Output::Stderr);
        assert_eq!(&record.line[..], b"a\0b\n");
        assert!(parse(br#"{"log":"a"#, false).is_none());
    }

    #[test]
    fn lines_of_pods_are_whole_or_pieces() {
        let parse = |line: &[u8]| parse(line, false).map(|it| (it.output, it.line));
        let time = "2024-01-02T03:04:05.1Z";
        let whole = format!("{time} stderr F a b \n");
        assert_eq!(parse(whole.as_bytes()), Some((Output::Stderr, Bytes::from("a b \n"))));
        let piece = format!("{time} stdout P abc\n");
        assert_eq!(parse(piece.as_bytes()), Some((Output::Stdout, Bytes::from("abc"))));
        assert_eq!(parse(b"2024 stdout"), None);
    }
}
