//! The structures of the format, as bytes. All numbers are little endian.

/// log2 of the block size.
pub(super) const BLOCK_BITS: u8 = 9;
/// Bytes of a block.
pub(super) const BLOCK: usize = 1 << BLOCK_BITS;
/// Inodes are addressed in units of this many bytes.
pub(super) const SLOT: usize = 32;
/// Bytes of an extended inode.
pub(super) const INODE: usize = 64;
/// Where the superblock stands.
pub(super) const SUPER_OFFSET: usize = 1024;
/// The device table follows the superblock: one slot of 128 bytes.
pub(super) const DEVICE_OFFSET: usize = SUPER_OFFSET + 128;
/// The first inode: the root.
pub(super) const FIRST_INODE: usize = 1536;
/// Bytes of a directory entry without its name.
pub(super) const DIRENT: usize = 12;
/// No block: a hole.
pub(super) const NULL_BLOCK: u32 = u32::MAX;

const MAGIC: u32 = 0xE0F5_E1E2;
const INCOMPAT_CHUNKED_FILE: u32 = 0x4;
const INCOMPAT_DEVICE_TABLE: u32 = 0x8;
const CHUNK_INDEXES: u16 = 0x20;

/// How an inode's data is found.
#[derive(Clone, Copy)]
pub(super) enum Layout {
    /// Consecutive blocks.
    Plain = 0,
    /// Consecutive blocks, the last one following the inode.
    Inline = 2,
    /// A table of chunks following the inode.
    Chunks = 4,
}

/// What the superblock says of this image.
pub(super) struct Super {
    pub root_nid: u16,
    pub inodes: u64,
    /// Blocks of the image itself.
    pub blocks: u32,
    /// Blocks of the tar.
    pub device_blocks: u32,
    /// Where the tar's blocks start in the image's address space.
    pub device_start: u32,
}

impl Super {
    /// Writes the superblock and the device table into the image.
    pub fn write(&self, image: &mut [u8]) {
        let sb = &mut image[SUPER_OFFSET..SUPER_OFFSET + 128];
        put32(sb, 0, MAGIC);
        sb[12] = BLOCK_BITS;
        put16(sb, 14, self.root_nid);
        put64(sb, 16, self.inodes);
        put32(sb, 36, self.blocks);
        put32(sb, 80, INCOMPAT_CHUNKED_FILE | INCOMPAT_DEVICE_TABLE);
        put16(sb, 86, 1);
        put16(sb, 88, (DEVICE_OFFSET / 128) as u16);
        let device = &mut image[DEVICE_OFFSET..DEVICE_OFFSET + 128];
        device[..9].copy_from_slice(b"layer.tar");
        put32(device, 64, self.device_blocks);
        put32(device, 68, self.device_start);
    }
}

/// An extended inode.
pub(super) struct RawInode {
    pub layout: Layout,
    /// Bytes of its extended attributes, header included; 0 or 12 and a multiple of 4 more.
    pub xattr_bytes: usize,
    /// File type and permissions.
    pub mode: u32,
    pub size: u64,
    /// First block, device number or chunk format.
    pub data: u32,
    pub ino: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub links: u32,
}

impl RawInode {
    pub fn write(&self, at: &mut [u8]) {
        let count = if self.xattr_bytes == 0 { 0 } else { (self.xattr_bytes - 12) / 4 + 1 };
        put16(at, 0, 1 | ((self.layout as u16) << 1));
        put16(at, 2, count as u16);
        put16(at, 4, self.mode as u16);
        put64(at, 8, self.size);
        put32(at, 16, self.data);
        put32(at, 20, self.ino);
        put32(at, 24, self.uid);
        put32(at, 28, self.gid);
        put64(at, 32, self.mtime.0 as u64);
        put32(at, 40, self.mtime.1);
        put32(at, 44, self.links);
    }
}

/// The chunk format word for chunks of `1 << bits` bytes with an index each.
pub(super) fn chunk_format(bits: u8) -> u32 {
    u32::from(CHUNK_INDEXES | u16::from(bits - BLOCK_BITS))
}

/// A chunk's index: a block of the extra device, or a hole.
pub(super) fn write_chunk(at: &mut [u8], block: Option<u32>) {
    put16(at, 2, if block.is_some() { 1 } else { 0 });
    put32(at, 4, block.unwrap_or(NULL_BLOCK));
}

/// A device number as Linux encodes it in 32 bits.
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// Bytes of a set of attributes; 0 for none.
pub(super) fn xattr_bytes<'a>(xattrs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    let bytes: usize =
        xattrs.map(|(name, value)| (4 + split_name(name).1.len() + value.len()).next_multiple_of(4)).sum();
    if bytes == 0 { 0 } else { bytes + 12 }
}

/// Writes attributes behind their inode.
pub(super) fn write_xattrs<'a>(at: &mut [u8], xattrs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let mut position = 12;
    for (name, value) in xattrs {
        let (index, name) = split_name(name);
        let entry = &mut at[position..];
        entry[0] = name.len() as u8;
        entry[1] = index;
        put16(entry, 2, value.len() as u16);
        entry[4..4 + name.len()].copy_from_slice(name);
        entry[4 + name.len()..4 + name.len() + value.len()].copy_from_slice(value);
        position += (4 + name.len() + value.len()).next_multiple_of(4);
    }
}

/// The number of a name's prefix, and what is left of the name.
fn split_name(name: &[u8]) -> (u8, &[u8]) {
    const PREFIXES: [(&[u8], u8); 5] = [
        (b"user.", 1),
        (b"system.posix_acl_access", 2),
        (b"system.posix_acl_default", 3),
        (b"trusted.", 4),
        (b"security.", 6),
    ];
    let strip = |(prefix, index): &(&[u8], u8)| name.strip_prefix(*prefix).map(|rest| (*index, rest));
    PREFIXES.iter().find_map(strip).unwrap_or((0, name))
}

pub(super) fn put16(at: &mut [u8], offset: usize, value: u16) {
    at[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put32(at: &mut [u8], offset: usize, value: u32) {
    at[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put64(at: &mut [u8], offset: usize, value: u64) {
    at[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}
