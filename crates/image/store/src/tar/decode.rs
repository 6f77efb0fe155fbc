//! The state between blocks: which extension headers wait for their entry.

use super::{
    BLOCK, Entry, EntryKind, TarError,
    header::{Header, lossy},
    padded,
    pax::Pax,
    sparse::{GnuMap, Prelude, SparseMap, pax_map},
};

/// Names, links and PAX records may be this long together, as in Go's archive/tar.
const MAX_EXTENSION: u64 = 1 << 20;

/// What the block just given leads to.
pub(super) enum Step {
    /// Give the next block.
    Block,
    /// Give this many bytes (then skip the padding) to [`Decoder::extension`].
    Extension(u64),
    /// An entry whose data (`stored` bytes, then padding) follows.
    Entry(Entry),
    /// The archive is over.
    End,
}

/// Turns header blocks into entries.
#[derive(Default)]
pub(super) struct Decoder {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pending: Pending,
    zero_seen: bool,
}

#[derive(Default)]
enum Pending {
    #[default]
    Header,
    Extension(u8),
    GnuSparse(Entry, GnuMap),
    PaxSparse(Entry, Prelude),
}

impl Decoder {
    /// Takes the block at `offset` of the stream.
    pub fn block(&mut self, block: &[u8; 512], offset: u64) -> Result<Step, TarError> {
        match std::mem::take(&mut self.pending) {
            Pending::Header | Pending::Extension(_) => self.header(block, offset),
            Pending::GnuSparse(entry, mut map) => {
                map.extension(&entry.path, block)?;
                self.gnu_sparse(entry, map, offset + BLOCK)
            }
            Pending::PaxSparse(entry, mut prelude) => match prelude.block(&entry.path, block)? {
                None => {
                    self.pending = Pending::PaxSparse(entry, prelude);
                    Ok(Step::Block)
                }
                Some((map, used)) => self.pax_sparse(entry, map, used),
            },
        }
    }

    /// Takes the bytes asked for by [`Step::Extension`]; the stream now stands at `offset`.
    pub fn extension(&mut self, bytes: &[u8], offset: u64) -> Result<(), TarError> {
        match std::mem::take(&mut self.pending) {
            Pending::Extension(b'x') => self.pax.get_or_insert_default().parse(bytes, offset)?,
            Pending::Extension(b'L') => self.long_name = Some(until_nul(bytes)),
            Pending::Extension(b'K') => self.long_link = Some(until_nul(bytes)),
            // Nothing here obeys global records, as in docker.
            _ => {}
        }
        Ok(())
    }

    /// What is being read, for an error at the end of the stream.
    pub fn inside(&self) -> Option<String> {
        match &self.pending {
            Pending::GnuSparse(entry, _) | Pending::PaxSparse(entry, _) => Some(format!("entry {:?}", entry.name())),
            Pending::Extension(_) => Some("an extension header".to_owned()),
            Pending::Header if self.pax.is_some() || self.long_name.is_some() || self.long_link.is_some() => {
                Some("the header after an extension".to_owned())
            }
            Pending::Header => None,
        }
    }

    fn header(&mut self, block: &[u8; 512], offset: u64) -> Result<Step, TarError> {
        if block.iter().all(|b| *b == 0) {
            let second = std::mem::replace(&mut self.zero_seen, true);
            return Ok(if second { Step::End } else { Step::Block });
        }
        if self.zero_seen {
            return Err(TarError::Checksum { offset });
        }
        let header = Header::parse(block, offset)?;
        match header.typeflag() {
            kind @ (b'x' | b'g' | b'L' | b'K' | b'X') => {
                let size = header.size(b"extension header")?;
                if size > MAX_EXTENSION {
                    return Err(TarError::ExtensionSize { offset, size, limit: MAX_EXTENSION });
                }
                self.pending = Pending::Extension(if kind == b'X' { b'x' } else { kind });
                Ok(Step::Extension(size))
            }
            typeflag => self.entry(&header, typeflag, block, offset + BLOCK),
        }
    }

    fn entry(&mut self, header: &Header, typeflag: u8, block: &[u8; 512], data: u64) -> Result<Step, TarError> {
        let mut pax = self.pax.take().unwrap_or_default();
        let path = self.long_name.take();
        let path = pax.path.take().or(path).unwrap_or_else(|| header.path());
        let link = self.long_link.take();
        let link = pax.link.take().or(link).unwrap_or_else(|| header.link());
        if path.is_empty() {
            return Err(TarError::EmptyName { offset: data - BLOCK });
        }
        let kind = kind_of(typeflag, &path, link, header)?;
        let stored = match kind {
            EntryKind::File => match pax.size {
                Some(size) => size,
                None => header.size(&path)?,
            },
            _ => 0,
        };
        if stored > i64::MAX as u64 - BLOCK {
            return Err(TarError::Range { entry: lossy(&path), field: "size", value: stored });
        }
        let seconds = header.mtime(&path)?;
        let entry = Entry {
            mode: header.mode(&path)?,
            uid: owner(&path, "uid", pax.uid.map_or_else(|| header.uid(&path), Ok)?)?,
            gid: owner(&path, "gid", pax.gid.map_or_else(|| header.gid(&path), Ok)?)?,
            mtime: pax.mtime.unwrap_or((seconds, 0)),
            size: stored,
            stored,
            offset: data,
            xattrs: std::mem::take(&mut pax.xattrs),
            kind,
            path,
        };
        if typeflag == b'S' {
            let map = GnuMap::header(&entry.path, block)?;
            return self.gnu_sparse(entry, map, data);
        }
        if pax.sparse.is_empty() || entry.kind != EntryKind::File {
            Ok(Step::Entry(entry))
        } else {
            self.pax_sparse_begin(entry, &pax)
        }
    }

    fn gnu_sparse(&mut self, mut entry: Entry, map: GnuMap, data: u64) -> Result<Step, TarError> {
        if map.more {
            self.pending = Pending::GnuSparse(entry, map);
            return Ok(Step::Block);
        }
        entry.size = map.size;
        entry.offset = data;
        finish_sparse(entry, map.map)
    }

    fn pax_sparse_begin(&mut self, mut entry: Entry, pax: &Pax) -> Result<Step, TarError> {
        if let Some(name) = pax.sparse(b"name") {
            entry.path = name.to_vec();
        }
        let size = pax.sparse(b"realsize").or_else(|| pax.sparse(b"size"));
        let size = size.and_then(super::pax::decimal);
        entry.size = size.ok_or_else(|| TarError::Sparse { entry: entry.name(), problem: "no real size" })?;
        if pax.sparse(b"major") == Some(b"1") {
            self.pending = Pending::PaxSparse(entry, Prelude::default());
            return Ok(Step::Block);
        }
        let map = pax_map(&entry.path, pax)?;
        finish_sparse(entry, map)
    }

    fn pax_sparse(&mut self, mut entry: Entry, map: SparseMap, used: u64) -> Result<Step, TarError> {
        entry.offset += used;
        entry.stored = entry
            .stored
            .checked_sub(used)
            .ok_or_else(|| TarError::Sparse { entry: entry.name(), problem: "its map is longer than its data" })?;
        finish_sparse(entry, map)
    }
}

fn finish_sparse(mut entry: Entry, map: SparseMap) -> Result<Step, TarError> {
    map.check(&entry.path, entry.size, entry.stored)?;
    entry.kind = EntryKind::Sparse(map);
    Ok(Step::Entry(entry))
}

fn kind_of(typeflag: u8, path: &[u8], link: Vec<u8>, header: &Header) -> Result<EntryKind, TarError> {
    Ok(match typeflag {
        0 if path.ends_with(b"/") => EntryKind::Directory,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink(link),
        b'2' => EntryKind::Symlink(link),
        b'3' => {
            let (major, minor) = header.device(path)?;
            EntryKind::CharDevice { major, minor }
        }
        b'4' => {
            let (major, minor) = header.device(path)?;
            EntryKind::BlockDevice { major, minor }
        }
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        typeflag => return Err(TarError::Type { entry: lossy(path), typeflag }),
    })
}

fn owner(entry: &[u8], field: &'static str, value: i64) -> Result<u32, TarError> {
    u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| TarError::Range {
        entry: lossy(entry),
        field,
        value: value as u64,
    })
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec()
}

/// How far the data of an entry reaches, padding included.
pub(super) fn data_span(entry: &Entry) -> u64 {
    padded(entry.stored)
}
