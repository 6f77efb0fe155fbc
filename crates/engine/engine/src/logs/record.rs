//! One line of a `json-file` log.

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
    let line: Line = serde_json::from_slice(line).ok()?;
    let output = if line.stream == "stderr" { Output::Stderr } else { Output::Stdout };
    let attributes = if details { line.attrs.into_iter().collect() } else { Vec::new() };
    Some(LogRecord { output, time: line.time, line: Bytes::from(line.log), attributes })
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
}
