//! Reading and writing of tar streams: ustar, PAX, GNU and v7, from untrusted sources.
//!
//! Two readers share one header decoder: [`Scanner`] is fed the bytes of a layer while they pass by (it never needs
//! the data of files), [`Reader`] pulls entries with their data from an archive sent by a client.

mod decode;
mod error;
mod header;
mod pax;
mod reader;
mod scanner;
mod sparse;
mod write;

pub use error::TarError;
pub use reader::Reader;
pub use scanner::{EntrySink, Scanner};
pub use sparse::SparseMap;
pub use write::{EntryHeader, Writer};

/// The unit of a tar stream: headers and data start at multiples of it.
pub const BLOCK: u64 = 512;

/// Rounds up to whole blocks.
pub fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK
}

/// Extended attributes: full names and values.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its data is `size` bytes at `offset` of the stream.
    File,
    /// A regular file with holes.
    Sparse(SparseMap),
    /// Another name of an earlier entry.
    HardLink(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A directory.
    Directory,
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

/// One entry, with every extension header applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path as it stands in the archive.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky; no file type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970 and nanoseconds below the next second.
    pub mtime: (i64, u32),
    /// Bytes of the file as a reader sees it.
    pub size: u64,
    /// Bytes of data stored in the stream.
    pub stored: u64,
    /// Where the data starts in the stream.
    pub offset: u64,
    /// Extended attributes, by full name.
    pub xattrs: Xattrs,
}

impl Entry {
    /// The path for messages.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

#[cfg(test)]
mod tests;
