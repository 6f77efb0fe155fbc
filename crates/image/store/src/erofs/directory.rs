//! Directory blocks: sorted entries, each block with its entries first and their names behind them.

use super::format::{BLOCK, DIRENT, put16, put64};

/// A name and what it leads to.
pub(super) struct Dirent<'a> {
    pub name: &'a [u8],
    pub nid: u64,
    /// EROFS_FT_*.
    pub file_type: u8,
}

/// How many bytes the names take: every block but the last counts whole.
pub(super) fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> usize {
    let (mut blocks, mut used) = (0, 0);
    for name in names {
        let need = DIRENT + name.len();
        if used + need > BLOCK {
            blocks += 1;
            used = 0;
        }
        used += need;
    }
    blocks * BLOCK + used
}

/// Writes the entries, in the order of their names, into as many bytes as [`size`] says.
pub(super) fn write(entries: &[Dirent], out: &mut [u8]) {
    let (mut first, mut used, mut block) = (0, 0, 0);
    for (i, entry) in entries.iter().enumerate() {
        let need = DIRENT + entry.name.len();
        if used + need > BLOCK {
            write_block(&entries[first..i], &mut out[block * BLOCK..(block + 1) * BLOCK]);
            (first, used, block) = (i, 0, block + 1);
        }
        used += need;
    }
    write_block(&entries[first..], &mut out[block * BLOCK..]);
}

fn write_block(entries: &[Dirent], out: &mut [u8]) {
    let mut name_at = entries.len() * DIRENT;
    for (i, entry) in entries.iter().enumerate() {
        let at = i * DIRENT;
        put64(out, at, entry.nid);
        put16(out, at + 8, name_at as u16);
        out[at + 10] = entry.file_type;
        out[name_at..name_at + entry.name.len()].copy_from_slice(entry.name);
        name_at += entry.name.len();
    }
}
