//! A segment: one file of the log, made at its full size before it is used.
//!
//! ```text
//! 0   magic "sampanlg", format (4), zeros (4), the store's id (16), the segment's number (8), the file's size (8)
//! 48  zeros
//! 60  CRC-32 of the above
//! 64  frames, one after the other; zeros to the end
//! ```
//! A segment is filled with zeros when it is made: writing over blocks that were written before needs no change of the
//! file's metadata, so one sync is one write to the disk.

use super::files::{File, Files};
use super::frame::{self, Frame, crc, u64_at};
use std::io;

pub(crate) const HEADER: usize = 64;
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"sampanlg";
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Which store a file belongs to.
pub(crate) type StoreId = [u8; 16];

pub(crate) fn name(number: u64) -> String {
    format!("log-{number:016x}")
}

/// The number in a segment's name.
pub(crate) fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// What the checksums of a segment's frames begin with: a frame of another store or segment is none here.
pub(crate) fn seed(id: &StoreId, number: u64) -> u32 {
    crc(crc(0, id), &number.to_le_bytes())
}

/// Makes a segment, safe on disk when this returns.
pub(crate) fn create(files: &dyn Files, id: &StoreId, number: u64, size: u64) -> io::Result<Box<dyn File>> {
    let (name, unfinished) = (name(number), format!("{}.new", name(number)));
    let make = || {
        let file = files.create(&unfinished)?;
        zero(file.as_ref(), 0, size)?;
        file.write_at(0, &header(id, number, size))?;
        file.sync()?;
        files.rename(&unfinished, &name)?;
        files.sync()?;
        Ok(file)
    };
    make().inspect_err(|_| {
        // what is left would take the space that was missing
        let _gone = files.remove(&unfinished);
    })
}

/// Overwrites a part of a file with zeros.
pub(crate) fn zero(file: &dyn File, from: u64, until: u64) -> io::Result<()> {
    let mut at = from;
    while at < until {
        let len = (until - at).min(ZEROS.len() as u64) as usize;
        file.write_at(at, &ZEROS[..len])?;
        at += len as u64;
    }
    Ok(())
}

fn header(id: &StoreId, number: u64, size: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[16..32].copy_from_slice(id);
    header[32..40].copy_from_slice(&number.to_le_bytes());
    header[40..48].copy_from_slice(&size.to_le_bytes());
    let sum = crc(0, &header[..60]);
    header[60..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Damaged { offset: u64, what: String },
    Format(u32),
}

impl Flaw {
    pub(crate) fn at(offset: usize, what: impl Into<String>) -> Flaw {
        Flaw::Damaged { offset: offset as u64, what: what.into() }
    }
}

/// Checks a segment's header; returns the store's id.
pub(crate) fn identify(bytes: &[u8], number: u64) -> Result<StoreId, Flaw> {
    if bytes.len() < HEADER {
        return Err(Flaw::at(bytes.len(), "the header is cut off"));
    }
    if &bytes[..8] != MAGIC {
        return Err(Flaw::at(0, "this is no segment of a log"));
    }
    if crc(0, &bytes[..60]).to_le_bytes() != bytes[60..64] {
        return Err(Flaw::at(0, "the header's checksum is wrong"));
    }
    let format = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if format != FORMAT {
        return Err(Flaw::Format(format));
    }
    if u64_at(bytes, 32) != number {
        return Err(Flaw::at(32, format!("the header is that of segment {:016x}", u64_at(bytes, 32))));
    }
    if u64_at(bytes, 40) != bytes.len() as u64 {
        return Err(Flaw::at(bytes.len(), format!("the file was {} bytes long", u64_at(bytes, 40))));
    }
    let mut id = StoreId::default();
    id.copy_from_slice(&bytes[16..32]);
    Ok(id)
}

/// Where a walk through a segment's frames ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Behind the last whole frame.
    pub(crate) offset: usize,
    /// Why there is no frame there; none if only zeros follow.
    pub(crate) flaw: Option<&'static str>,
}

/// Calls with every frame, in order, until there is none any more. `expected` is the number of the first.
pub(crate) fn walk(bytes: &[u8], seed: u32, expected: &mut Option<u64>, mut call: impl FnMut(Frame)) -> End {
    let mut offset = HEADER;
    loop {
        let frame = match frame::read(&bytes[offset..], seed) {
            Ok(frame) if expected.is_none_or(|expected| expected == frame.number) => frame,
            Ok(_) => return End { offset, flaw: Some("frames before this one are missing") },
            Err(what) => {
                let clean = bytes[offset..].iter().all(|byte| *byte == 0);
                return End { offset, flaw: (!clean).then_some(what) };
            }
        };
        offset += frame.size;
        *expected = Some(frame.number + 1);
        call(frame);
        if offset >= bytes.len() {
            return End { offset: bytes.len(), flaw: None };
        }
    }
}

/// Looks for a whole frame behind a place where there should have been one: then it was not the log's end.
pub(crate) fn later(bytes: &[u8], seed: u32, from: usize) -> Option<usize> {
    (from.next_multiple_of(8)..bytes.len()).step_by(8).find(|at| frame::number(&bytes[*at..], seed).is_some())
}

/// A file's bytes.
pub(crate) fn content(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.size()? as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
