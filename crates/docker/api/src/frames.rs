//! Framing of standard output and error on one stream.
//!
//! A frame is the stream's number (0 input, 1 output, 2 error), three zero bytes, the length as big-endian u32, then the bytes. Streams of a
//! terminal are not framed. `docs/attach.md` of the API reference calls this the multiplexed stream.

use bytes::{BufMut, Bytes, BytesMut};

/// Number of standard output in a frame.
pub const STDOUT: u8 = 1;
/// Number of standard error in a frame.
pub const STDERR: u8 = 2;

/// One frame; an empty piece makes none.
pub fn frame(stream: u8, piece: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + piece.len());
    for chunk in piece.chunks(u32::MAX as usize) {
        out.put_slice(&[stream, 0, 0, 0]);
        out.put_u32(chunk.len() as u32);
        out.put_slice(chunk);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_head_and_bytes() {
        assert_eq!(&frame(STDERR, b"abc")[..], b"\x02\0\0\0\0\0\0\x03abc");
        assert!(frame(STDOUT, b"").is_empty());
    }
}
