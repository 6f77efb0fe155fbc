//! Reading a store's directory: the newest snapshot, then the log behind it, to its end.
//!
//! Every frame is synced before the next is written, so a crash can leave at most one that is not whole, at the very
//! end. Whatever else is not as it was written is damage: then nothing is opened, and the place is told.

use super::files::{File, Files};
use super::journal::{Journal, Part, Parts, Start};
use super::segment::{self, Flaw, StoreId};
use super::snapshot::{self, Head, Size, Unread};
use super::{FIRST_REVISION, OpenError, Options};
use crate::index::{Index, Limits};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

/// What a directory holds.
pub(crate) struct Found {
    pub(crate) index: Index,
    /// None: there is no store yet.
    pub(crate) id: Option<StoreId>,
    pub(crate) snapshot: Option<(Head, Size)>,
    /// Without gaps, oldest first.
    pub(crate) segments: Vec<Seen>,
    pub(crate) frames: u64,
    pub(crate) next_frame: u64,
    /// The last revision in snapshot and log.
    pub(crate) revision: u64,
    pub(crate) reserved: u64,
    /// The end of the log, if it is not whole: segment, place, what is wrong there.
    pub(crate) torn: Option<(u64, usize, &'static str)>,
    /// Files that count no more.
    pub(crate) stale: Vec<String>,
}

/// A segment that was read.
pub(crate) struct Seen {
    pub(crate) part: Part,
    pub(crate) end: usize,
    /// There is something behind the end.
    dirty: bool,
}

/// Reads a directory, changing nothing.
pub(crate) fn read(files: &dyn Files, limits: Limits) -> Result<Found, OpenError> {
    let mut names = files.list().map_err(|source| io_error(files, "list", "", source))?;
    names.sort();
    let mut stale: Vec<String> = names.iter().filter(|name| name.ends_with(".new")).cloned().collect();
    let snapshots: Vec<u64> = names.iter().filter_map(|name| snapshot::parse(name)).collect();
    let (newest, older) = snapshots.split_last().map_or((None, &[][..]), |(newest, older)| (Some(*newest), older));
    stale.extend(older.iter().map(|revision| snapshot::name(*revision)));
    let numbers: Vec<u64> = names.iter().filter_map(|name| segment::parse(name)).collect();
    let start = (1..numbers.len()).rev().find(|at| numbers[at - 1] + 1 != numbers[*at]).unwrap_or(0);
    stale.extend(numbers[..start].iter().map(|number| segment::name(*number)));

    let (snapshot, map) = match newest {
        Some(revision) => read_snapshot(files, revision).map(|(head, map, size)| (Some((head, size)), map))?,
        None => (None, BTreeMap::new()),
    };
    let revision = snapshot.map_or(FIRST_REVISION, |(head, _)| head.revision);
    let mut found = Found {
        index: Index::new(map, revision, limits),
        id: snapshot.map(|(head, _)| head.id),
        snapshot,
        segments: Vec::new(),
        frames: 0,
        next_frame: snapshot.map_or(1, |(head, _)| head.next_frame),
        revision,
        reserved: snapshot.map_or(0, |(head, _)| head.reserved),
        torn: None,
        stale,
    };
    found.log(files, &numbers[start..])?;
    Ok(found)
}

fn read_snapshot(
    files: &dyn Files,
    revision: u64,
) -> Result<(Head, BTreeMap<crate::Key, crate::Previous>, Size), OpenError> {
    let name = snapshot::name(revision);
    let file = files.open(&name).map_err(|source| io_error(files, "open", &name, source))?;
    let mut reader = io::BufReader::with_capacity(1 << 16, FileReader { file, offset: 0 });
    match snapshot::read(&mut reader) {
        Ok(read) if read.0.revision == revision => Ok(read),
        Ok(_) => Err(damaged(files, &name, Flaw::at(32, "the revision is not that of the name"))),
        Err(Unread::Io(source)) => Err(io_error(files, "read", &name, source)),
        Err(Unread::Flaw(flaw)) => Err(damaged(files, &name, flaw)),
    }
}

impl Found {
    /// Reads the log into the index.
    fn log(&mut self, files: &dyn Files, numbers: &[u64]) -> Result<(), OpenError> {
        let needed = self.next_frame;
        let mut expected = None;
        for number in numbers {
            let name = segment::name(*number);
            let content = files.open(&name).and_then(|file| segment::content(file.as_ref()));
            let bytes = content.map_err(|source| io_error(files, "read", &name, source))?;
            let id = segment::identify(&bytes, *number).map_err(|flaw| damaged(files, &name, flaw))?;
            if *self.id.get_or_insert(id) != id {
                return Err(damaged(files, &name, Flaw::at(16, "the segment belongs to another store")));
            }
            if let Some((torn, offset, what)) = self.torn {
                // only the very end may be torn
                if segment::later(&bytes, segment::seed(&id, *number), segment::HEADER).is_some() {
                    return Err(damaged(files, &segment::name(torn), Flaw::at(offset, what)));
                }
            } else {
                self.segment(files, *number, &bytes, &mut expected, needed)?;
                continue;
            }
            let part =
                Part { number: *number, size: bytes.len() as u64, first_frame: self.next_frame, before: self.revision };
            let dirty = bytes[segment::HEADER..].iter().any(|byte| *byte != 0);
            self.segments.push(Seen { part, end: segment::HEADER, dirty });
        }
        let missing = match (numbers.first(), expected) {
            (None, _) => self.snapshot.is_some() && needed > 1,
            (Some(first), None) => self.snapshot.is_none() && *first > 1,
            (Some(_), Some(expected)) => expected < needed,
        };
        if missing {
            return Err(damaged(files, "", Flaw::at(0, "a part of the log is missing")));
        }
        Ok(())
    }

    fn segment(
        &mut self,
        files: &dyn Files,
        number: u64,
        bytes: &[u8],
        expected: &mut Option<u64>,
        needed: u64,
    ) -> Result<(), OpenError> {
        let name = segment::name(number);
        let seed = segment::seed(&self.id.unwrap_or_default(), number);
        let (before, mut first) = (self.revision, None);
        let began = expected.is_some();
        let end = segment::walk(bytes, seed, expected, |frame| {
            first.get_or_insert(frame.number);
            self.frames += 1;
            let begins = frame.changes.first().map_or(0, |change| change.revision);
            if self.reserved > self.revision && begins > self.reserved {
                // there was a crash in between
                self.index.lose(self.revision, self.reserved);
            }
            self.reserved = frame.reserved;
            let after = self.index.revision();
            let changes: Vec<_> = frame.changes.into_iter().filter(|change| change.revision > after).collect();
            if let Some(last) = changes.last().map(|change| change.revision) {
                self.revision = last;
                self.index.apply(changes, last);
            }
        });
        if let Some(first) = first.filter(|first| !began && *first > needed) {
            return Err(damaged(
                files,
                &name,
                Flaw::at(segment::HEADER, format!("frames {needed} to {} are missing", first - 1)),
            ));
        }
        self.next_frame = self.next_frame.max(expected.unwrap_or(0));
        if let Some(what) = end.flaw {
            if segment::later(bytes, seed, end.offset).is_some() {
                return Err(damaged(files, &name, Flaw::at(end.offset, what)));
            }
            self.torn = Some((number, end.offset, what));
        }
        let first_frame = first.unwrap_or(self.next_frame);
        let part = Part { number, size: bytes.len() as u64, first_frame, before };
        self.segments.push(Seen { part, end: end.offset, dirty: end.flaw.is_some() });
        Ok(())
    }
}

/// Opens a directory: removes what counts no more, cleans the log's end, and makes what a new store needs.
pub(crate) fn open(
    files: Arc<dyn Files>,
    options: &Options,
    background: bool,
) -> Result<(Arc<Index>, Journal), OpenError> {
    let mut found = read(files.as_ref(), options.limits())?;
    let error = |what, name: &str, source| io_error(files.as_ref(), what, name, source);
    if let Some((number, offset, what)) = found.torn {
        let path = files.path(&segment::name(number));
        tracing::warn!(path = %path.display(), offset, what, "the end of the log was not written whole, as after a crash; it is cut off");
    }
    for name in &found.stale {
        files.remove(name).map_err(|source| error("remove", name, source))?;
    }
    for seen in found.segments.iter().filter(|seen| seen.dirty) {
        let name = segment::name(seen.part.number);
        let clean = files.open(&name).and_then(|file| {
            segment::zero(file.as_ref(), seen.end as u64, seen.part.size)?;
            file.sync()
        });
        clean.map_err(|source| error("clean", &name, source))?;
    }
    let id = match found.id {
        Some(id) => id,
        None => random().map_err(|source| error("make an id for", "", source))?,
    };
    let used = found.segments.iter().rposition(|seen| seen.end > segment::HEADER).unwrap_or(0);
    let mut rest = found.segments.split_off((used + 1).min(found.segments.len()));
    let spare = match rest.first() {
        Some(spare) => {
            let name = segment::name(spare.part.number);
            Some(files.open(&name).map_err(|source| error("open", &name, source))?)
        }
        None => None,
    };
    for beyond in rest.drain(1.min(rest.len())..) {
        let name = segment::name(beyond.part.number);
        files.remove(&name).map_err(|source| error("remove", &name, source))?;
    }
    let (file, offset) = match found.segments.last() {
        Some(seen) => {
            let name = segment::name(seen.part.number);
            (files.open(&name).map_err(|source| error("open", &name, source))?, seen.end as u64)
        }
        None => {
            let made = segment::create(files.as_ref(), &id, 1, options.segment);
            (made.map_err(|source| error("make", &segment::name(1), source))?, segment::HEADER as u64)
        }
    };
    let parts = found.parts(options.segment, offset);
    if found.reserved > found.revision {
        found.index.lose(found.revision, found.reserved);
    }
    let start = Start { id, file, offset, spare, parts };
    Ok((Arc::new(found.index), Journal::new(files.clone(), start, options.segment, background)))
}

impl Found {
    fn parts(&self, size: u64, used: u64) -> Parts {
        let mut segments: Vec<Part> = self.segments.iter().map(|seen| seen.part).collect();
        if segments.is_empty() {
            segments.push(Part { number: 1, size, first_frame: self.next_frame, before: self.revision });
        }
        Parts {
            segments,
            snapshot: self.snapshot.map(|(head, size)| (head.revision, size.bytes)),
            used,
            next_frame: self.next_frame,
            revision: self.revision,
            reserved: self.reserved.max(self.revision),
            patience: 0,
        }
    }
}

/// An id for a new store.
pub(crate) fn random() -> io::Result<StoreId> {
    let mut id = StoreId::default();
    rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(id)
}

fn io_error(files: &dyn Files, what: &'static str, name: &str, source: io::Error) -> OpenError {
    OpenError::Io { what, path: files.path(name), source }
}

fn damaged(files: &dyn Files, name: &str, flaw: Flaw) -> OpenError {
    let path = files.path(name);
    match flaw {
        Flaw::Damaged { offset, what } => OpenError::Damaged { path, offset, what },
        Flaw::Format(found) => OpenError::Format { path, found, known: segment::FORMAT },
    }
}

struct FileReader {
    file: Box<dyn File>,
    offset: u64,
}

impl Read for FileReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.offset, into)?;
        self.offset += read as u64;
        Ok(read)
    }
}
