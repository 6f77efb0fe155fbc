//! A frame: what one group of transactions changed, whole or not there.
//!
//! ```text
//! 0   magic "SMPF"
//! 4   length of the changes
//! 8   CRC-32 of what follows, begun with the segment's seed
//! 12  zeros
//! 16  the frame's number, one more than the one before
//! 24  the revision up to which revisions may have been given out
//! 32  changes: revision (8), kind (1: put, 0: delete, 2: put of what goes by itself), length of key (2), length of value (4),
//!     of kind 2 when that is, in seconds since 1970 (4), key, value
//!     zeros up to a multiple of 8
//! ```
//! All numbers are little-endian.

use crate::entry::Key;
use crate::index::Change;
use bytes::Bytes;

pub(crate) const HEADER: usize = 32;
const MAGIC: [u8; 4] = *b"SMPF";
const CHANGE: usize = 15;
const DELETE: u8 = 0;
const PUT: u8 = 1;
const PUT_EXPIRING: u8 = 2;
/// No frame is longer.
const LIMIT: usize = 1 << 30;

/// Builds a frame. Changes that wait for a later frame stay in it.
pub(crate) struct Encoder {
    buffer: Vec<u8>,
}

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) reserved: u64,
    pub(crate) changes: Vec<Change>,
    /// Bytes it takes, with padding.
    pub(crate) size: usize,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder { buffer: vec![0; HEADER] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() == HEADER
    }

    /// Where the next change will be; for [`Encoder::truncate`].
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Takes back the changes after a place.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.buffer.truncate(len);
    }

    /// Empties it, and gives large buffers back.
    pub(crate) fn clear(&mut self) {
        self.buffer.truncate(HEADER);
        self.buffer.shrink_to(1 << 20);
    }

    pub(crate) fn push(&mut self, change: &Change) {
        let value = change.value.as_ref();
        self.buffer.extend_from_slice(&change.revision.to_le_bytes());
        self.buffer.push(match value {
            None => DELETE,
            Some(_) if change.expires == 0 => PUT,
            Some(_) => PUT_EXPIRING,
        });
        self.buffer.extend_from_slice(&(change.key.len() as u16).to_le_bytes());
        self.buffer.extend_from_slice(&(value.map_or(0, Bytes::len) as u32).to_le_bytes());
        if value.is_some() && change.expires > 0 {
            self.buffer.extend_from_slice(&change.expires.to_le_bytes());
        }
        self.buffer.extend_from_slice(change.key.as_bytes());
        self.buffer.extend_from_slice(value.map_or(&[], |value| value));
    }

    /// The bytes this would take in a segment.
    pub(crate) fn size(&self) -> usize {
        self.buffer.len().next_multiple_of(8)
    }

    /// The frame as it is written; the encoder is as before.
    pub(crate) fn seal(&mut self, seed: u32, number: u64, reserved: u64) -> Sealed<'_> {
        let len = self.buffer.len();
        self.buffer[..4].copy_from_slice(&MAGIC);
        self.buffer[4..8].copy_from_slice(&((len - HEADER) as u32).to_le_bytes());
        self.buffer[16..24].copy_from_slice(&number.to_le_bytes());
        self.buffer[24..32].copy_from_slice(&reserved.to_le_bytes());
        let sum = crc(seed, &self.buffer[12..]);
        self.buffer[8..12].copy_from_slice(&sum.to_le_bytes());
        self.buffer.resize(len.next_multiple_of(8), 0);
        Sealed { buffer: &mut self.buffer, len }
    }
}

/// A frame's bytes; when dropped, the padding goes.
pub(crate) struct Sealed<'a> {
    buffer: &'a mut Vec<u8>,
    len: usize,
}

impl std::ops::Deref for Sealed<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer
    }
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        self.buffer.truncate(self.len);
    }
}

/// Reads the frame at the start of `bytes`, or says why there is none.
pub(crate) fn read(bytes: &[u8], seed: u32) -> Result<Frame, &'static str> {
    let (number, payload) = open(bytes, seed)?;
    let reserved = u64_at(bytes, 24);
    let mut changes = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        if rest.len() < CHANGE {
            return Err("a change is cut off");
        }
        let (head, tail) = rest.split_at(CHANGE);
        let key_len = u16::from_le_bytes([head[9], head[10]]) as usize;
        let value_len = u32::from_le_bytes([head[11], head[12], head[13], head[14]]) as usize;
        let (expires, tail) = match head[8] {
            DELETE | PUT => (0, tail),
            PUT_EXPIRING => {
                let (time, tail) = tail.split_first_chunk::<4>().ok_or("a change is cut off")?;
                (u32::from_le_bytes(*time), tail)
            }
            _ => return Err("a change is of a kind that is not known"),
        };
        if tail.len() < key_len + value_len {
            return Err("a change is cut off");
        }
        let (key, tail) = tail.split_at(key_len);
        let (value, tail) = tail.split_at(value_len);
        let key = std::str::from_utf8(key).map_err(|_| "a key is not text")?;
        let value = (head[8] != DELETE).then(|| Bytes::copy_from_slice(value));
        changes.push(Change { revision: u64_at(head, 0), key: Key::from(key), value, expires });
        rest = tail;
    }
    Ok(Frame { number, reserved, changes, size: (HEADER + payload.len()).next_multiple_of(8) })
}

/// Whether `bytes` begin with a whole frame; its number.
pub(crate) fn number(bytes: &[u8], seed: u32) -> Option<u64> {
    open(bytes, seed).ok().map(|(number, _)| number)
}

fn open(bytes: &[u8], seed: u32) -> Result<(u64, &[u8]), &'static str> {
    if bytes.len() < HEADER || bytes[..4] != MAGIC {
        return Err("no frame begins here");
    }
    let len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    if len > LIMIT || bytes.len() < HEADER + len {
        return Err("the frame is longer than its segment");
    }
    let sum = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if crc(seed, &bytes[12..HEADER + len]) != sum {
        return Err("the frame's checksum is wrong");
    }
    Ok((u64_at(bytes, 16), &bytes[HEADER..HEADER + len]))
}

/// CRC-32 that begins with a seed.
pub(crate) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
