//! Sparse files: the three ways to write their maps.

use super::{
    BLOCK, TarError,
    header::{lossy, number},
    padded,
    pax::{Pax, decimal},
};

/// Where the stored bytes of a sparse file belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMap {
    /// `(offset in the file, length)`, ascending; the stored data is these pieces one after the other.
    pub pieces: Vec<(u64, u64)>,
}

/// More pieces than this is refused: 16 bytes each are held in memory.
const MAX_PIECES: usize = 1 << 18;

impl SparseMap {
    fn push(&mut self, entry: &[u8], offset: u64, length: u64) -> Result<(), TarError> {
        if self.pieces.len() >= MAX_PIECES {
            return Err(bad(entry, "too many pieces"));
        }
        self.pieces.push((offset, length));
        Ok(())
    }

    /// Checks order, bounds and that the stored size is the sum of the pieces.
    pub(super) fn check(&self, entry: &[u8], size: u64, stored: u64) -> Result<(), TarError> {
        let mut end = 0u64;
        let mut sum = 0u64;
        for (offset, length) in &self.pieces {
            let next = offset.checked_add(*length).ok_or_else(|| bad(entry, "piece is too large"))?;
            if *offset < end || next > size {
                return Err(bad(entry, "pieces overlap or pass the end"));
            }
            end = next;
            sum += length;
        }
        if sum == stored { Ok(()) } else { Err(bad(entry, "pieces do not add up to the stored size")) }
    }
}

fn bad(entry: &[u8], problem: &'static str) -> TarError {
    TarError::Sparse { entry: lossy(entry), problem }
}

/// The map of an old GNU sparse header (`S`), read from the header block and its extension blocks.
pub(super) struct GnuMap {
    pub map: SparseMap,
    pub size: u64,
    /// Another extension block follows.
    pub more: bool,
}

impl GnuMap {
    pub fn header(entry: &[u8], block: &[u8; 512]) -> Result<Self, TarError> {
        let size = unsigned(entry, &block[483..495])?;
        let mut parsed = GnuMap { map: SparseMap::default(), size, more: block[482] != 0 };
        parsed.pieces(entry, &block[386..482])?;
        Ok(parsed)
    }

    pub fn extension(&mut self, entry: &[u8], block: &[u8; 512]) -> Result<(), TarError> {
        self.more = block[504] != 0;
        self.pieces(entry, &block[..504])
    }

    fn pieces(&mut self, entry: &[u8], fields: &[u8]) -> Result<(), TarError> {
        for field in fields.chunks_exact(24) {
            if field[0] == 0 || field[12] == 0 {
                break;
            }
            self.map.push(entry, unsigned(entry, &field[..12])?, unsigned(entry, &field[12..])?)?;
        }
        Ok(())
    }
}

fn unsigned(entry: &[u8], field: &[u8]) -> Result<u64, TarError> {
    number(field).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| bad(entry, "bad number in its map"))
}

/// The map of PAX formats 0.0 and 0.1, which stands in the records themselves.
pub(super) fn pax_map(entry: &[u8], pax: &Pax) -> Result<SparseMap, TarError> {
    let mut map = SparseMap::default();
    let mut numbers = Vec::new();
    if let Some(list) = pax.sparse(b"map") {
        for text in list.split(|b| *b == b',').filter(|t| !t.is_empty()) {
            numbers.push(decimal(text).ok_or_else(|| bad(entry, "bad number in its map"))?);
        }
    } else {
        for (key, value) in &pax.sparse {
            if key == b"offset" || key == b"numbytes" {
                numbers.push(decimal(value).ok_or_else(|| bad(entry, "bad number in its map"))?);
            }
        }
    }
    if numbers.len() % 2 != 0 {
        return Err(bad(entry, "its map has an odd number of fields"));
    }
    for pair in numbers.chunks_exact(2) {
        map.push(entry, pair[0], pair[1])?;
    }
    Ok(map)
}

/// The map of PAX format 1.0: decimal lines before the data, filled up to whole blocks.
#[derive(Default)]
pub(super) struct Prelude {
    bytes: Vec<u8>,
}

impl Prelude {
    /// Adds a block; gives the map and the bytes of data it took when it is complete.
    pub fn block(&mut self, entry: &[u8], block: &[u8; 512]) -> Result<Option<(SparseMap, u64)>, TarError> {
        if self.bytes.len() as u64 > MAX_PIECES as u64 * 40 {
            return Err(bad(entry, "its map is too long"));
        }
        self.bytes.extend_from_slice(block);
        let mut lines = self.bytes.split(|b| *b == b'\n');
        // The last piece is what follows the last newline: not a whole line yet.
        let complete = self.bytes.iter().filter(|b| **b == b'\n').count();
        if complete == 0 {
            return Ok(None);
        }
        let number = |line: Option<&[u8]>| line.and_then(decimal).ok_or_else(|| bad(entry, "bad number in its map"));
        let count = number(lines.next())?;
        if count > MAX_PIECES as u64 {
            return Err(bad(entry, "too many pieces"));
        }
        if (complete as u64) < 1 + 2 * count {
            return Ok(None);
        }
        let mut map = SparseMap::default();
        for _ in 0..count {
            let offset = number(lines.next())?;
            let length = number(lines.next())?;
            map.push(entry, offset, length)?;
        }
        debug_assert_eq!(self.bytes.len() as u64 % BLOCK, 0);
        Ok(Some((map, padded(self.bytes.len() as u64))))
    }
}
