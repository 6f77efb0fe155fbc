//! What can be wrong with a tar stream, each naming the entry or the place.

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The stream ended inside an entry.
    #[error("archive is truncated: unexpected EOF in {place}")]
    Truncated { place: String },
    /// A header's checksum does not match.
    #[error("archive/tar: invalid tar header: bad checksum at offset {offset}")]
    Checksum { offset: u64 },
    /// A numeric field holds no number.
    #[error("archive/tar: invalid tar header: field {field} of {entry:?} is not a number")]
    Number { entry: String, field: &'static str },
    /// A number is beyond what can be stored.
    #[error("archive entry {entry:?}: {field} {value} is out of range")]
    Range { entry: String, field: &'static str, value: u64 },
    /// A PAX record is malformed.
    #[error("archive/tar: invalid tar header: malformed PAX record before offset {offset}")]
    Pax { offset: u64 },
    /// An extension header is too large to be honest.
    #[error("archive/tar: invalid tar header: extension of {size} bytes at offset {offset} exceeds {limit} bytes")]
    ExtensionSize { offset: u64, size: u64, limit: u64 },
    /// A type of entry that is not known.
    #[error("archive entry {entry:?}: unhandled tar header type {typeflag}")]
    Type { entry: String, typeflag: u8 },
    /// A sparse map that contradicts itself or cannot be represented.
    #[error("archive entry {entry:?}: sparse file: {problem}")]
    Sparse { entry: String, problem: &'static str },
    /// The entry has no name.
    #[error("archive entry at offset {offset} has an empty name")]
    EmptyName { offset: u64 },
    /// A path leaves the root.
    #[error("archive entry {entry:?} is outside of the root: breakout refused")]
    Outside { entry: String },
    /// A hard or symbolic link leaves the root.
    #[error("invalid link {entry:?} -> {target:?}: target is outside of the root")]
    LinkOutside { entry: String, target: String },
    /// A hard link to something that is not in the archive.
    #[error("invalid hardlink {entry:?} -> {target:?}: no such entry before it")]
    LinkMissing { entry: String, target: String },
    /// A hard link to a directory.
    #[error("invalid hardlink {entry:?} -> {target:?}: target is a directory")]
    LinkDirectory { entry: String, target: String },
    /// Too many symbolic links while resolving a path.
    #[error("archive entry {entry:?}: too many levels of symbolic links")]
    LinkLoop { entry: String },
    /// A path passes through something that is no directory.
    #[error("archive entry {entry:?}: {component:?} is not a directory")]
    NotDirectory { entry: String, component: String },
    /// A path or one of its names is too long.
    #[error("archive entry {entry:.64?}...: name too long")]
    NameTooLong { entry: String },
    /// A name with a byte that no file name may hold.
    #[error("archive entry {entry:?}: name holds a NUL byte")]
    NulInName { entry: String },
    /// More entries or bytes than an index can address.
    #[error("archive has too many {what} (limit {limit})")]
    TooMany { what: &'static str, limit: u64 },
    /// Extended attributes that do not fit.
    #[error("archive entry {entry:?}: extended attributes of {size} bytes are too large")]
    XattrSize { entry: String, size: usize },
    /// The stream could not be read.
    #[error("read archive: {0}")]
    Read(#[source] std::io::Error),
}
