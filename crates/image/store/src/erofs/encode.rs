//! From a tree to an image: give every inode its place, then write.

use crate::{
    tar::{SparseMap, TarError},
    tree::{Ino, Inode, Kind, Tree},
};

use super::{
    directory::{self, Dirent},
    format::{
        BLOCK, FIRST_INODE, INODE, Layout, RawInode, SLOT, Super, chunk_format, device_number, write_chunk,
        write_xattrs, xattr_bytes,
    },
};

/// An attribute overlayfs reads with the mounter's rights.
const OPAQUE: (&[u8], &[u8]) = (b"trusted.overlay.opaque", b"y");
/// A table of chunks larger than this is refused.
const MAX_CHUNKS: u64 = 1 << 20;

/// The place of an inode and of its data.
#[derive(Clone, Copy)]
struct Place {
    /// Byte offset in the image.
    at: usize,
    xattr_bytes: usize,
    layout: Layout,
    /// First block of what is not inline.
    block: u32,
    /// Bytes of data in the image (directories, links) or of the file.
    size: u64,
    /// log2 of the chunk size, for sparse files.
    chunk_bits: u8,
    number: u32,
}

/// Encodes a tree whose data is in a tar of `tar_size` bytes.
pub(crate) fn encode(tree: &Tree, tar_size: u64) -> Result<Vec<u8>, TarError> {
    let order = tree.reachable();
    let mut plan = Plan::new(tree, &order);
    for (i, ino) in order.iter().enumerate() {
        plan.place(*ino, i as u32 + 1)?;
    }
    plan.finish(&order, tar_size)
}

struct Plan<'a> {
    tree: &'a Tree,
    places: Vec<Option<Place>>,
    /// End of the inodes so far.
    inodes_end: usize,
    /// Blocks of data so far, counted from the end of the inodes.
    data_blocks: usize,
}

impl<'a> Plan<'a> {
    fn new(tree: &'a Tree, order: &[Ino]) -> Self {
        let highest = order.iter().copied().max().unwrap_or(0) as usize;
        Plan { tree, places: vec![None; highest + 1], inodes_end: FIRST_INODE, data_blocks: 0 }
    }

    fn place(&mut self, ino: Ino, number: u32) -> Result<(), TarError> {
        let inode = self.tree.inode(ino);
        let xattr_bytes = xattr_bytes(attributes(inode));
        let mut place = Place { at: 0, xattr_bytes, layout: Layout::Plain, block: 0, size: 0, chunk_bits: 0, number };
        let head = INODE + xattr_bytes;
        match &inode.kind {
            Kind::Directory(directory) => {
                let mut names: Vec<&[u8]> = directory.children.keys().map(|n| &**n).collect();
                insert_dots(&mut names);
                place.size = directory::size(names.into_iter()) as u64;
                self.place_data(&mut place, head);
            }
            Kind::Symlink(target) => {
                place.size = target.len() as u64;
                self.place_data(&mut place, head);
            }
            Kind::File { size, .. } => {
                place.size = *size;
                place.at = self.inode(head, None);
            }
            Kind::Sparse { size, offset, map } => {
                place.size = *size;
                place.layout = Layout::Chunks;
                place.chunk_bits = chunk_bits(map, *size, *offset)?;
                let chunks = size.div_ceil(1 << place.chunk_bits);
                if chunks > MAX_CHUNKS {
                    let entry = format!("of {size} bytes");
                    return Err(TarError::Sparse { entry, problem: "too many chunks to index" });
                }
                place.at = self.inode(head.next_multiple_of(8) + chunks as usize * 8, None);
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo | Kind::Whiteout => {
                place.at = self.inode(head, None);
            }
        }
        self.places[ino as usize] = Some(place);
        Ok(())
    }

    /// Data of the image's own: the last part behind the inode if a block holds both, the rest in blocks.
    fn place_data(&mut self, place: &mut Place, head: usize) {
        let tail = place.size as usize % BLOCK;
        let whole = place.size as usize / BLOCK;
        place.block = self.data_blocks as u32;
        if tail > 0 && head + tail <= BLOCK {
            place.layout = Layout::Inline;
            place.at = self.inode(head, Some(tail));
            self.data_blocks += whole;
        } else {
            place.at = self.inode(head, None);
            self.data_blocks += (place.size as usize).div_ceil(BLOCK);
        }
    }

    /// Takes room for an inode; with an inline tail both must be in one block.
    fn inode(&mut self, head: usize, tail: Option<usize>) -> usize {
        let length = head + tail.unwrap_or(0);
        let in_block = self.inodes_end % BLOCK;
        if tail.is_some() && in_block + length > BLOCK {
            self.inodes_end = self.inodes_end.next_multiple_of(BLOCK);
        }
        let at = self.inodes_end;
        self.inodes_end = (at + length).next_multiple_of(SLOT);
        at
    }

    fn finish(mut self, order: &[Ino], tar_size: u64) -> Result<Vec<u8>, TarError> {
        let first_data = self.inodes_end.div_ceil(BLOCK);
        let blocks = first_data + self.data_blocks;
        let device_blocks = tar_size.div_ceil(BLOCK as u64);
        let limit = u64::from(u32::MAX);
        if blocks as u64 + device_blocks >= limit {
            return Err(TarError::TooMany { what: "bytes", limit: limit * BLOCK as u64 });
        }
        let mut image = vec![0; blocks * BLOCK];
        for place in self.places.iter_mut().flatten() {
            place.block += first_data as u32;
        }
        for ino in order {
            self.write(*ino, &mut image, blocks as u32);
        }
        let head = Super {
            root_nid: (FIRST_INODE / SLOT) as u16,
            inodes: order.len() as u64,
            blocks: blocks as u32,
            device_blocks: device_blocks as u32,
            device_start: blocks as u32,
        };
        head.write(&mut image);
        Ok(image)
    }

    fn write(&self, ino: Ino, image: &mut [u8], device_start: u32) {
        let (Some(place), inode) = (self.places[ino as usize], self.tree.inode(ino)) else { return };
        let tar_block = |offset: u64| (offset / BLOCK as u64) as u32;
        let data = match &inode.kind {
            Kind::Directory(_) | Kind::Symlink(_) => place.block,
            Kind::File { size: 0, .. } | Kind::Fifo | Kind::Whiteout => 0,
            Kind::File { offset, .. } => device_start + tar_block(*offset),
            Kind::Sparse { .. } => chunk_format(place.chunk_bits),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => device_number(*major, *minor),
        };
        let raw = RawInode {
            layout: place.layout,
            xattr_bytes: place.xattr_bytes,
            mode: match inode.kind {
                // As the kernel makes them, whatever the archive says.
                Kind::Symlink(_) => 0o120_777,
                _ => inode.mode | file_mode(&inode.kind),
            },
            size: place.size,
            data,
            ino: place.number,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            links: self.links(inode),
        };
        let head = place.at + INODE;
        raw.write(&mut image[place.at..head]);
        if place.xattr_bytes > 0 {
            write_xattrs(&mut image[head..head + place.xattr_bytes], attributes(inode));
        }
        match &inode.kind {
            Kind::Directory(_) => self.write_data(place, image, &self.directory(ino, place.size as usize)),
            Kind::Symlink(target) => self.write_data(place, image, target),
            Kind::Sparse { offset, size, map } => {
                let table = (head + place.xattr_bytes).next_multiple_of(8);
                write_chunks(&mut image[table..], place.chunk_bits, *offset, *size, map);
            }
            _ => {}
        }
    }

    fn write_data(&self, place: Place, image: &mut [u8], data: &[u8]) {
        let start = place.block as usize * BLOCK;
        let whole = match place.layout {
            Layout::Inline => data.len() / BLOCK * BLOCK,
            Layout::Plain | Layout::Chunks => data.len(),
        };
        image[start..start + whole].copy_from_slice(&data[..whole]);
        let tail = place.at + INODE + place.xattr_bytes;
        image[tail..tail + data.len() - whole].copy_from_slice(&data[whole..]);
    }

    fn directory(&self, ino: Ino, size: usize) -> Vec<u8> {
        let mut out = vec![0; size];
        let Some(directory) = self.tree.directory(ino) else { return out };
        let nid = |ino: Ino| self.places[ino as usize].map_or(0, |p| (p.at / SLOT) as u64);
        let dirent = |name, ino| Dirent { name, nid: nid(ino), file_type: file_type(&self.tree.inode(ino).kind) };
        let mut entries: Vec<Dirent> = directory.children.iter().map(|(name, ino)| dirent(&**name, *ino)).collect();
        entries.push(dirent(b".", ino));
        entries.push(dirent(b"..", directory.parent));
        entries.sort_by(|a, b| a.name.cmp(b.name));
        directory::write(&entries, &mut out);
        out
    }

    fn links(&self, inode: &Inode) -> u32 {
        match &inode.kind {
            Kind::Directory(directory) => {
                let is_directory = |ino: &&Ino| self.tree.directory(**ino).is_some();
                2 + directory.children.values().filter(is_directory).count() as u32
            }
            _ => inode.links,
        }
    }
}

fn insert_dots(names: &mut Vec<&[u8]>) {
    for dots in [b".".as_slice(), b".."] {
        let at = names.partition_point(|name| *name < dots);
        names.insert(at, dots);
    }
}

fn attributes(inode: &Inode) -> impl Iterator<Item = (&[u8], &[u8])> {
    let opaque = matches!(&inode.kind, Kind::Directory(d) if d.opaque);
    let own = inode.xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    own.chain(opaque.then_some(OPAQUE))
}

/// The largest chunks (at least a block) that keep every piece at a boundary.
fn chunk_bits(map: &SparseMap, size: u64, offset: u64) -> Result<u8, TarError> {
    let bad = |problem| TarError::Sparse { entry: format!("with data at offset {offset}"), problem };
    let pieces: Vec<(u64, u64)> = map.pieces.iter().copied().filter(|(_, length)| *length > 0).collect();
    let mut bits = 30u32;
    for (i, (start, length)) in pieces.iter().enumerate() {
        let last = i + 1 == pieces.len();
        bits = bits.min(if *start == 0 { 63 } else { start.trailing_zeros() });
        // The last piece is followed by its padding, and by nothing that would be read where the file ends with it.
        let length = if last { length.next_multiple_of(BLOCK as u64) } else { *length };
        if !(last && start + length >= size) {
            bits = bits.min(length.trailing_zeros());
        }
    }
    if bits < u32::from(super::format::BLOCK_BITS) {
        return Err(bad("its pieces are not aligned to 512 bytes"));
    }
    Ok(bits as u8)
}

fn write_chunks(table: &mut [u8], bits: u8, offset: u64, size: u64, map: &SparseMap) {
    for index in 0..size.div_ceil(1 << bits) as usize {
        write_chunk(&mut table[index * 8..], None);
    }
    let mut data = offset;
    for (start, length) in &map.pieces {
        for i in 0..length.div_ceil(1 << bits) {
            let index = ((start >> bits) + i) as usize;
            let block = (data + (i << bits)) / BLOCK as u64;
            write_chunk(&mut table[index * 8..], Some(block as u32));
        }
        data += length;
    }
}

fn file_mode(kind: &Kind) -> u32 {
    match kind {
        Kind::Directory(_) => 0o040_000,
        Kind::File { .. } | Kind::Sparse { .. } => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
        Kind::CharDevice { .. } | Kind::Whiteout => 0o020_000,
        Kind::BlockDevice { .. } => 0o060_000,
        Kind::Fifo => 0o010_000,
    }
}

fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } | Kind::Sparse { .. } => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice { .. } | Kind::Whiteout => 3,
        Kind::BlockDevice { .. } => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}
