//! A snapshot: everything the map held at one revision. Backups are the same bytes.
//!
//! ```text
//! 0   magic "sampansn", format (4), zeros (4), the store's id (16), revision (8), number of the first frame after it (8),
//!     the revision up to which revisions may have been given out (8)
//! 56  zeros
//! 60  CRC-32 of the above
//! 64  blocks: length (4), CRC-32 (4) begun with that of the block before (the first with the header's), and the
//!     entries: length of key (2), length of value (4; its highest bit: it goes by itself), created (8), revision (8), if so when
//!     that is, in seconds since 1970 (4), key, value
//! ... the last block: length 0, CRC-32, number of entries (8)
//! ```

use super::frame::{crc, u64_at};
use super::segment::{FORMAT, Flaw, StoreId};
use crate::entry::error::ReadError;
use crate::entry::{Entry, Key, Previous};
use crate::index::{Index, View};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"sampansn";
const HEADER: usize = 64;
const ENTRY: usize = 22;
/// Set in a value's length when the entry goes by itself.
const EXPIRING: u32 = 1 << 31;
/// A block is closed when it is this long.
const BLOCK: usize = 1 << 20;
/// No block is longer: one entry more than the above.
const LIMIT: usize = 1 << 28;

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: StoreId,
    pub(crate) revision: u64,
    /// Frames from this one on may hold changes that the snapshot does not.
    pub(crate) next_frame: u64,
    /// Counts if there is no frame that says it.
    pub(crate) reserved: u64,
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// Why a snapshot could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Read(#[from] ReadError),
}

pub(crate) fn name(revision: u64) -> String {
    format!("snapshot-{revision:016x}")
}

/// The revision in a snapshot's name.
pub(crate) fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Writes what an index held at a revision, while it goes on changing.
pub(crate) fn write_index(index: &Index, head: &Head, out: &mut dyn Write) -> Result<Size, Error> {
    let mut view = View::new("", None, head.revision);
    let mut writer = Writer::begin(head, out)?;
    loop {
        let chunk = view.chunk(&index.read(), 512)?;
        if chunk.is_empty() {
            return Ok(writer.end()?);
        }
        for entry in &chunk {
            writer.push(entry)?;
        }
    }
}

/// Writes entries that are at hand.
pub(crate) fn write_map(map: &BTreeMap<Key, Previous>, head: &Head, out: &mut dyn Write) -> io::Result<Size> {
    let mut writer = Writer::begin(head, out)?;
    for (key, item) in map {
        writer.push(&item.entry(key.clone()))?;
    }
    writer.end()
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    block: Vec<u8>,
    sum: u32,
    size: Size,
}

impl Writer<'_> {
    fn begin<'a>(head: &Head, out: &'a mut dyn Write) -> io::Result<Writer<'a>> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[16..32].copy_from_slice(&head.id);
        header[32..40].copy_from_slice(&head.revision.to_le_bytes());
        header[40..48].copy_from_slice(&head.next_frame.to_le_bytes());
        header[48..56].copy_from_slice(&head.reserved.to_le_bytes());
        let sum = crc(0, &header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
        out.write_all(&header)?;
        Ok(Writer { out, block: Vec::new(), sum, size: Size { entries: 0, bytes: HEADER as u64 } })
    }

    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.block.extend_from_slice(&(entry.key.len() as u16).to_le_bytes());
        let flag = if entry.expires > 0 { EXPIRING } else { 0 };
        self.block.extend_from_slice(&(entry.value.len() as u32 | flag).to_le_bytes());
        self.block.extend_from_slice(&entry.created.to_le_bytes());
        self.block.extend_from_slice(&entry.revision.to_le_bytes());
        if entry.expires > 0 {
            self.block.extend_from_slice(&entry.expires.to_le_bytes());
        }
        self.block.extend_from_slice(entry.key.as_bytes());
        self.block.extend_from_slice(&entry.value);
        self.size.entries += 1;
        if self.block.len() >= BLOCK { self.flush(self.block.len()) } else { Ok(()) }
    }

    fn flush(&mut self, len: usize) -> io::Result<()> {
        self.sum = crc(self.sum, &self.block);
        self.out.write_all(&(len as u32).to_le_bytes())?;
        self.out.write_all(&self.sum.to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.size.bytes += 8 + self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<Size> {
        if !self.block.is_empty() {
            self.flush(self.block.len())?;
        }
        self.block.extend_from_slice(&self.size.entries.to_le_bytes());
        self.flush(0)?;
        self.out.flush()?;
        Ok(self.size)
    }
}

/// Why a snapshot could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    Flaw(Flaw),
}

/// Reads a whole snapshot.
pub(crate) fn read(from: &mut dyn Read) -> Result<(Head, BTreeMap<Key, Previous>, Size), Unread> {
    let mut reader = Reader { from, offset: 0 };
    let (head, mut sum) = reader.header()?;
    let mut map = BTreeMap::new();
    loop {
        let start = reader.offset;
        let prefix: [u8; 8] = reader.take(8)?.try_into().unwrap_or_default();
        let len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
        if len > LIMIT {
            return Err(flaw(start, "a block is too long"));
        }
        let block = reader.take(if len == 0 { 8 } else { len })?;
        sum = crc(sum, &block);
        if sum.to_le_bytes() != prefix[4..] {
            return Err(flaw(start, "a block's checksum is wrong"));
        }
        if len == 0 {
            if u64_at(&block, 0) != map.len() as u64 {
                return Err(flaw(start, "entries are missing"));
            }
            let size = Size { entries: map.len() as u64, bytes: reader.offset };
            return Ok((head, map, size));
        }
        entries(&block, &mut map).map_err(|what| flaw(start, what))?;
    }
}

fn entries(mut block: &[u8], map: &mut BTreeMap<Key, Previous>) -> Result<(), &'static str> {
    while !block.is_empty() {
        let (head, rest) = block.split_at_checked(ENTRY).ok_or("an entry is cut off")?;
        let key_len = u16::from_le_bytes([head[0], head[1]]) as usize;
        let value_len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let (expires, rest) = match value_len & EXPIRING {
            0 => (0, rest),
            _ => rest
                .split_first_chunk::<4>()
                .map(|(time, rest)| (u32::from_le_bytes(*time), rest))
                .ok_or("an entry is cut off")?,
        };
        let value_len = (value_len & !EXPIRING) as usize;
        let (key, rest) = rest.split_at_checked(key_len).ok_or("an entry is cut off")?;
        let (value, rest) = rest.split_at_checked(value_len).ok_or("an entry is cut off")?;
        let key = std::str::from_utf8(key).map_err(|_| "a key is not text")?;
        let value = Bytes::copy_from_slice(value);
        let (created, revision) = (u64_at(head, 6), u64_at(head, 14));
        map.insert(Key::from(key), Previous { created, revision, expires, value });
        block = rest;
    }
    Ok(())
}

struct Reader<'a> {
    from: &'a mut dyn Read,
    offset: u64,
}

impl Reader<'_> {
    fn header(&mut self) -> Result<(Head, u32), Unread> {
        let header = self.take(HEADER)?;
        if &header[..8] != MAGIC {
            return Err(flaw(0, "this is no snapshot"));
        }
        let sum = crc(0, &header[..60]);
        if sum.to_le_bytes() != header[60..64] {
            return Err(flaw(0, "the header's checksum is wrong"));
        }
        let format = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if format != FORMAT {
            return Err(Unread::Flaw(Flaw::Format(format)));
        }
        let mut id = StoreId::default();
        id.copy_from_slice(&header[16..32]);
        let (revision, next_frame, reserved) = (u64_at(&header, 32), u64_at(&header, 40), u64_at(&header, 48));
        Ok((Head { id, revision, next_frame, reserved }, sum))
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, Unread> {
        let mut bytes = Vec::new();
        let read = Read::take(&mut *self.from, len as u64).read_to_end(&mut bytes).map_err(Unread::Io)?;
        if read < len {
            return Err(flaw(self.offset + read as u64, "the file is cut off"));
        }
        self.offset += len as u64;
        Ok(bytes)
    }
}

fn flaw(offset: u64, what: &str) -> Unread {
    Unread::Flaw(Flaw::Damaged { offset, what: what.to_string() })
}
