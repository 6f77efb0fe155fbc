//! Writing tar streams: ustar headers, PAX records only where ustar cannot say it.

use std::io::{self, Read, Write};

use super::{BLOCK, EntryKind, Xattrs, padded};

/// What a written header says.
#[derive(Clone, Debug)]
pub struct EntryHeader {
    /// Path in the archive; directories get their slash here.
    pub path: Vec<u8>,
    /// What it is; sparse files are written whole.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Bytes of data that follow.
    pub size: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl EntryHeader {
    /// A plain file of root's, as metadata files in image archives are.
    pub fn file(path: &str, size: u64) -> Self {
        let path = path.as_bytes().to_vec();
        EntryHeader { path, kind: EntryKind::File, mode: 0o644, uid: 0, gid: 0, mtime: 0, size, xattrs: Vec::new() }
    }

    /// A directory of root's.
    pub fn directory(path: &str) -> Self {
        EntryHeader { kind: EntryKind::Directory, mode: 0o755, ..EntryHeader::file(path, 0) }
    }
}

/// Writes entries to a stream.
pub struct Writer<W> {
    stream: W,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(stream: W) -> Self {
        Writer { stream }
    }

    /// Writes a header, and `header.size` bytes of `data` padded to whole blocks. Data that ends early is filled with
    /// zeros: a file may shrink while it is read, and the header is out already.
    pub fn entry(&mut self, header: &EntryHeader, data: impl Read) -> io::Result<()> {
        self.header(header)?;
        let copied = io::copy(&mut data.take(header.size), &mut self.stream)?;
        io::copy(&mut io::repeat(0).take(padded(header.size) - copied), &mut self.stream).map(drop)
    }

    /// Writes a header whose entry has no data.
    pub fn empty(&mut self, header: &EntryHeader) -> io::Result<()> {
        self.entry(header, io::empty())
    }

    /// Writes the end marker and gives the stream back.
    pub fn finish(mut self) -> io::Result<W> {
        self.stream.write_all(&[0; 2 * BLOCK as usize])?;
        self.stream.flush()?;
        Ok(self.stream)
    }

    fn header(&mut self, header: &EntryHeader) -> io::Result<()> {
        let mut path = header.path.clone();
        if header.kind == EntryKind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let link: &[u8] = match &header.kind {
            EntryKind::HardLink(target) | EntryKind::Symlink(target) => target,
            _ => &[],
        };
        let mut records = Vec::new();
        let split = split_path(&path);
        if split.is_none() {
            record(&mut records, b"path", &path);
        }
        if link.len() > 100 || !link.is_ascii() {
            record(&mut records, b"linkpath", link);
        }
        for (field, value) in [("uid", header.uid), ("gid", header.gid)] {
            if value > 0o7_777_777 {
                record(&mut records, field.as_bytes(), value.to_string().as_bytes());
            }
        }
        if header.size > 0o77_777_777_777 {
            record(&mut records, b"size", header.size.to_string().as_bytes());
        }
        if !(0..=0o77_777_777_777).contains(&header.mtime) {
            record(&mut records, b"mtime", header.mtime.to_string().as_bytes());
        }
        for (name, value) in &header.xattrs {
            record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        if !records.is_empty() {
            let name = [b"PaxHeaders.0/", base_name(&path)].concat();
            let mut block = base_block((&[], &name[..name.len().min(99)]), b'x');
            octal(&mut block[100..108], 0o644);
            octal(&mut block[124..136], records.len() as u64);
            self.stream.write_all(&sealed(block))?;
            records.resize(padded(records.len() as u64) as usize, 0);
            self.stream.write_all(&records)?;
        }
        let (prefix, name) = split.unwrap_or((&[], &path[..path.len().min(100)]));
        let mut block = base_block((prefix, name), typeflag(&header.kind));
        octal(&mut block[100..108], u64::from(header.mode));
        octal(&mut block[108..116], u64::from(header.uid).min(0o7_777_777));
        octal(&mut block[116..124], u64::from(header.gid).min(0o7_777_777));
        octal(&mut block[124..136], header.size.min(0o77_777_777_777));
        octal(&mut block[136..148], header.mtime.clamp(0, 0o77_777_777_777) as u64);
        let shown = &link[..link.len().min(100)];
        block[157..157 + shown.len()].copy_from_slice(shown);
        if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = header.kind {
            octal(&mut block[329..337], u64::from(major));
            octal(&mut block[337..345], u64::from(minor));
        }
        self.stream.write_all(&sealed(block))
    }
}

fn typeflag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File | EntryKind::Sparse(_) => b'0',
        EntryKind::HardLink(_) => b'1',
        EntryKind::Symlink(_) => b'2',
        EntryKind::CharDevice { .. } => b'3',
        EntryKind::BlockDevice { .. } => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn base_block((prefix, name): (&[u8], &[u8]), typeflag: u8) -> [u8; 512] {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name);
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    block[156] = typeflag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    for field in [100..108, 108..116, 116..124, 124..136, 136..148, 329..337, 337..345] {
        octal(&mut block[field], 0);
    }
    block
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
    field[digits] = 0;
}

fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    let text = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(text.as_bytes());
    block
}

/// Splits a path into ustar's prefix and name; `None` where only a PAX record holds it.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some((&[], path));
    }
    let slash = path[..path.len() - 1].iter().take(156).rposition(|b| *b == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (!prefix.is_empty() && prefix.len() <= 155 && name.len() <= 100).then_some((prefix, name))
}

fn base_name(path: &[u8]) -> &[u8] {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    trimmed.rsplit(|b| *b == b'/').next().unwrap_or(trimmed)
}

/// `length key=value\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}
