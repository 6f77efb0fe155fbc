//! One line of the log format of Kubernetes' container runtime interface.

use crate::types::Stream;

/// Appends one entry: time, stream, `F` for a whole line or `P` for a piece that goes on, the text, a newline.
pub(crate) fn append(out: &mut Vec<u8>, log: &[u8], stream: Stream, time: &str) {
    let (text, tag) = match log.strip_suffix(b"\n") {
        Some(text) => (text, b'F'),
        None => (log, b'P'),
    };
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    out.extend_from_slice(&[tag, b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_pieces_are_told_apart() {
        let mut out = Vec::new();
        append(&mut out, b"whole\n", Stream::Stdout, "T");
        append(&mut out, b"piece", Stream::Stderr, "T");
        append(&mut out, b"\n", Stream::Stderr, "T");
        assert_eq!(String::from_utf8(out).unwrap(), "T stdout F whole\nT stderr P piece\nT stderr F \n");
    }
}
