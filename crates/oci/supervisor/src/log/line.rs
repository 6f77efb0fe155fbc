//! One line of Docker's `json-file` format.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::types::Stream;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Longest piece of output in one entry; a longer line becomes several entries, all but the last without `\n`.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Appends one entry: `{"log":…,"stream":…,"attrs":…,"time":…}` and a newline.
pub(crate) fn append(out: &mut Vec<u8>, log: &[u8], stream: Stream, attrs: &[u8], time: &str) {
    out.extend_from_slice(b"{\"log\":");
    append_string(out, log);
    out.extend_from_slice(match stream {
        Stream::Stdout => b",\"stream\":\"stdout\"",
        Stream::Stderr => b",\"stream\":\"stderr\"",
    });
    if !attrs.is_empty() {
        out.extend_from_slice(b",\"attrs\":");
        out.extend_from_slice(attrs);
    }
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// The `attrs` member's value, empty when there is none.
pub(crate) fn attrs(attrs: &BTreeMap<String, String>) -> Vec<u8> {
    if attrs.is_empty() {
        return Vec::new();
    }
    // A map of strings always serialises.
    serde_json::to_vec(attrs).unwrap_or_default()
}

/// Go's RFC3339Nano in UTC: the fraction without trailing zeros, and none at all for a whole second.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_string()
}

/// How much of `bytes` makes the next entry: through the first newline, [`MAX_LINE`] bytes of a longer line, or all of it
/// when nothing can follow (`ended`). `None` when more is needed to tell.
pub(crate) fn next(bytes: &[u8], ended: bool) -> Option<usize> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    match window.iter().position(|&b| b == b'\n') {
        Some(newline) => Some(newline + 1),
        None if window.len() == MAX_LINE => Some(MAX_LINE),
        None if ended && !window.is_empty() => Some(window.len()),
        None => None,
    }
}

/// A JSON string with the escapes that Go's encoder makes: `<`, `>`, `&`, U+2028 and U+2029 too; a byte that is not UTF-8
/// becomes U+FFFD.
fn append_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        append_valid(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn append_valid(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (i, &b) in bytes.iter().enumerate() {
        let special = match b {
            b'\\' | b'"' | b'<' | b'>' | b'&' | 0..0x20 => true,
            0xe2 => bytes[i + 1] == 0x80 && (bytes[i + 2] | 1) == 0xa9,
            _ => false,
        };
        if !special {
            continue;
        }
        out.extend_from_slice(&bytes[plain..i]);
        plain = i + 1;
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0xe2 => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[i + 2] & 0xf)]);
                plain = i + 3;
            }
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(b >> 4)]);
                out.push(HEX[usize::from(b & 0xf)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(log: &[u8]) -> String {
        let mut out = Vec::new();
        append(&mut out, log, Stream::Stdout, b"", "T");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_docker_does() {
        let cases: [(&[u8], &str); 8] = [
            (b"plain\n", r"plain\n"),
            (b"tab\there\r\n", r"tab\u0009here\r\n"),
            (br#"a"b\c"#, r#"a\"b\\c"#),
            (b"<a>&", r"\u003ca\u003e\u0026"),
            (b"\x1b[0m", r"\u001b[0m"),
            ("é舢板\u{2028}\u{2029}x€".as_bytes(), "é舢板\\u2028\\u2029x€"),
            (b"a\xff\xfeb\xe2\x80", r"a\ufffd\ufffdb\ufffd\ufffd"),
            (b"\xe2", r"\ufffd"),
        ];
        for (given, expected) in cases {
            assert_eq!(entry(given), format!("{{\"log\":\"{expected}\",\"stream\":\"stdout\",\"time\":\"T\"}}\n"));
        }
    }

    #[test]
    fn attributes_stand_between_stream_and_time() {
        let map = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let mut out = Vec::new();
        append(&mut out, b"x\n", Stream::Stderr, &attrs(&map), "T");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"log\":\"x\\n\",\"stream\":\"stderr\",\"attrs\":{\"k\":\"v\"},\"time\":\"T\"}\n"
        );
    }

    #[test]
    fn lines_split_at_newline_at_16_kib_and_at_the_end() {
        assert_eq!(next(b"ab\ncd", false), Some(3));
        assert_eq!(next(b"cd", false), None);
        assert_eq!(next(b"cd", true), Some(2));
        assert_eq!(next(b"", true), None);
        assert_eq!(next(&[b'x'; MAX_LINE + 5], false), Some(MAX_LINE));
        let mut exact = vec![b'x'; MAX_LINE - 1];
        exact.push(b'\n');
        assert_eq!(next(&exact, false), Some(MAX_LINE));
    }

    #[test]
    fn time_drops_trailing_zeros_like_go() {
        let at = |s: &str| time(s.parse().unwrap());
        assert_eq!(at("2024-05-01T10:00:00.120000000Z"), "2024-05-01T10:00:00.12Z");
        assert_eq!(at("2024-05-01T10:00:00Z"), "2024-05-01T10:00:00Z");
        assert_eq!(at("2024-05-01T10:00:00.000000001Z"), "2024-05-01T10:00:00.000000001Z");
    }
}
