//! The log on disk: appends frames, changes segments, lets go of what a snapshot has made superfluous.

use super::files::{File, Files, is_full};
use super::frame::Encoder;
use super::segment::{self, StoreId};
use super::snapshot::{self, Head};
use crate::index::Index;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Why a frame was not written.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No space; nothing is there, and the next attempt may succeed.
    Full(std::path::PathBuf),
    /// What is on disk is uncertain: the log takes nothing more.
    Broken(String),
}

/// The end of the log, owned by the thread that writes.
pub(crate) struct Journal {
    files: Arc<dyn Files>,
    id: StoreId,
    file: Box<dyn File>,
    /// The segment that is written to.
    segment: u64,
    seed: u32,
    size: u64,
    /// Where the next frame goes.
    offset: u64,
    next_frame: u64,
    spare: Spare,
    /// The thread that writes a snapshot, the last one there was.
    snapshot: Option<JoinHandle<()>>,
    layout: Arc<Layout>,
    /// The size of segments to make.
    segment_size: u64,
    background: bool,
}

/// The next segment.
enum Spare {
    None,
    Ready(Box<dyn File>),
    /// Made while this one fills.
    Making(JoinHandle<io::Result<Box<dyn File>>>),
}

/// Which files there are; shared with the thread that writes snapshots.
pub(crate) struct Layout(Mutex<Parts>);

pub(crate) struct Parts {
    /// The segments with frames, oldest first; the last is written to.
    pub(crate) segments: Vec<Part>,
    /// The newest snapshot and its bytes.
    pub(crate) snapshot: Option<(u64, u64)>,
    /// Bytes written to the segment in use, and what the log is at: its next frame and its last revision.
    pub(crate) used: u64,
    pub(crate) next_frame: u64,
    pub(crate) revision: u64,
    /// The revision up to which revisions may be given out.
    pub(crate) reserved: u64,
    /// No snapshot is tried before the log is so long: the last attempt failed.
    pub(crate) patience: u64,
}

/// A segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) size: u64,
    pub(crate) first_frame: u64,
    /// The last revision before its first frame.
    pub(crate) before: u64,
}

/// What a journal begins with; found by reading the directory.
pub(crate) struct Start {
    pub(crate) id: StoreId,
    pub(crate) file: Box<dyn File>,
    pub(crate) offset: u64,
    /// An empty segment after the one in use.
    pub(crate) spare: Option<Box<dyn File>>,
    pub(crate) parts: Parts,
}

impl Journal {
    pub(crate) fn new(files: Arc<dyn Files>, start: Start, segment_size: u64, background: bool) -> Journal {
        let Start { id, file, offset, spare, parts } = start;
        let (segment, size) = parts.segments.last().map_or((0, 0), |part| (part.number, part.size));
        Journal {
            files,
            id,
            file,
            segment,
            seed: segment::seed(&id, segment),
            size,
            offset,
            next_frame: parts.next_frame,
            spare: spare.map_or(Spare::None, Spare::Ready),
            snapshot: None,
            layout: Arc::new(Layout(Mutex::new(parts))),
            segment_size,
            background,
        }
    }

    /// The revision up to which revisions may be given out.
    pub(crate) fn reserved(&self) -> u64 {
        self.layout.lock().reserved
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Writes a frame and makes it safe. `revision` is the last one it holds or skips, `reserved` the last one that may
    /// be given out before the next frame.
    pub(crate) fn append(&mut self, frame: &mut Encoder, revision: u64, reserved: u64) -> Result<(), Failure> {
        let len = frame.size() as u64;
        if self.offset + len > self.size {
            self.rotate(len)?;
        }
        let path = self.files.path(&segment::name(self.segment));
        let bytes = frame.seal(self.seed, self.next_frame, reserved);
        match self.file.write_at(self.offset, &bytes) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(Failure::Full(path)),
            Err(error) => return Err(Failure::Broken(format!("write {}: {error}", path.display()))),
        }
        self.file.sync().map_err(|error| Failure::Broken(format!("sync {}: {error}", path.display())))?;
        self.offset += len;
        self.next_frame += 1;
        let mut parts = self.layout.lock();
        (parts.used, parts.next_frame, parts.revision) = (self.offset, self.next_frame, revision);
        parts.reserved = reserved;
        drop(parts);
        if self.background && matches!(self.spare, Spare::None) && self.offset > self.size / 2 {
            self.prepare();
        }
        Ok(())
    }

    /// Makes the next segment beside.
    fn prepare(&mut self) {
        let (files, id, number, size) = (self.files.clone(), self.id, self.segment + 1, self.segment_size);
        self.spare = Spare::Making(std::thread::spawn(move || segment::create(files.as_ref(), &id, number, size)));
    }

    /// Goes on in the next segment.
    fn rotate(&mut self, len: u64) -> Result<(), Failure> {
        let number = self.segment + 1;
        let path = self.files.path(&segment::name(number));
        let wanted = len + segment::HEADER as u64;
        let spare = match std::mem::replace(&mut self.spare, Spare::None) {
            // if it failed, the attempt below tells why
            Spare::Making(spare) => spare.join().ok().and_then(|made| made.ok()),
            Spare::Ready(file) => Some(file),
            Spare::None => None,
        };
        let ready = spare.filter(|file| file.size().is_ok_and(|size| size >= wanted));
        let made = match ready {
            Some(file) => Ok(file),
            None => segment::create(self.files.as_ref(), &self.id, number, self.segment_size.max(wanted)),
        };
        let made = made.and_then(|file| Ok((file.size()?, file)));
        let (size, file) = made.map_err(|error| match is_full(&error) {
            true => Failure::Full(path.clone()),
            false => Failure::Broken(format!("make {}: {error}", path.display())),
        })?;
        let mut parts = self.layout.lock();
        let part = Part { number, size, first_frame: self.next_frame, before: parts.revision };
        parts.segments.push(part);
        drop(parts);
        (self.file, self.segment, self.size) = (file, number, size);
        self.seed = segment::seed(&self.id, number);
        self.offset = segment::HEADER as u64;
        Ok(())
    }

    /// Writes a snapshot, beside or here, if the log has grown longer than `log` bytes and than the last one.
    pub(crate) fn tidy(&mut self, index: &Arc<Index>, log: u64) {
        let parts = self.layout.lock();
        let enough = log.max(parts.snapshot.map_or(0, |(_, bytes)| bytes)).max(parts.patience);
        if parts.log() < enough || self.snapshot.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        drop(parts);
        let (files, id, layout, index) = (self.files.clone(), self.id, self.layout.clone(), index.clone());
        let write = move || {
            let result = layout.snapshot(files.as_ref(), id, &index, log / 2);
            let mut parts = layout.lock();
            parts.patience = match result {
                Ok(()) => 0,
                Err(error) => {
                    tracing::warn!(%error, "no snapshot of the cluster's store could be written; its log grows on");
                    parts.log() + log / 2
                }
            };
        };
        if self.background {
            self.snapshot = Some(std::thread::spawn(write));
        } else {
            write();
        }
    }
}

impl Drop for Journal {
    /// Whoever opens the directory next finds nobody working in it.
    fn drop(&mut self) {
        if let Spare::Making(spare) = std::mem::replace(&mut self.spare, Spare::None) {
            let _result = spare.join();
        }
        if let Some(snapshot) = self.snapshot.take() {
            let _result = snapshot.join();
        }
    }
}

impl Parts {
    /// Bytes of the log.
    fn log(&self) -> u64 {
        let full = self.segments.len().saturating_sub(1);
        self.segments[..full].iter().map(|part| part.size).sum::<u64>() + self.used
    }

    /// Where a snapshot should be: so that about `keep` bytes of log with the history stay, if history reaches that far.
    fn place(&self, oldest: u64, keep: u64) -> (u64, u64) {
        let mut place = (self.revision, self.next_frame);
        let mut tail = self.used;
        for part in self.segments.iter().rev() {
            if part.before < oldest || tail > keep {
                break;
            }
            place = (part.before, part.first_frame);
            tail += part.size;
        }
        place
    }
}

impl Layout {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Bytes on disk.
    pub(crate) fn disk(&self) -> u64 {
        let parts = self.lock();
        parts.segments.iter().map(|part| part.size).sum::<u64>() + parts.snapshot.map_or(0, |(_, bytes)| bytes)
    }

    /// Writes a snapshot, and removes what it makes superfluous.
    fn snapshot(&self, files: &dyn Files, id: StoreId, index: &Index, keep: u64) -> Result<(), snapshot::Error> {
        let oldest = index.read().oldest();
        let parts = self.lock();
        let (revision, next_frame) = parts.place(oldest, keep);
        let (known, reserved) = (parts.snapshot.map(|(revision, _)| revision), parts.reserved);
        drop(parts);
        if known.is_some_and(|known| known >= revision) {
            return Ok(());
        }
        let name = snapshot::name(revision);
        let unfinished = format!("{name}.new");
        let size =
            write(files, &unfinished, index, &Head { id, revision, next_frame, reserved }).inspect_err(|_| {
                let _gone = files.remove(&unfinished);
            })?;
        files.rename(&unfinished, &name)?;
        files.sync()?;
        let mut parts = self.lock();
        parts.snapshot = Some((revision, size.bytes));
        let superfluous = parts.segments.windows(2).take_while(|pair| pair[1].first_frame <= next_frame).count();
        let gone: Vec<Part> = parts.segments.drain(..superfluous).collect();
        drop(parts);
        for part in gone {
            files.remove(&segment::name(part.number))?;
        }
        if let Some(known) = known {
            files.remove(&snapshot::name(known))?;
        }
        Ok(())
    }
}

fn write(files: &dyn Files, name: &str, index: &Index, head: &Head) -> Result<snapshot::Size, snapshot::Error> {
    let mut out = Appender { file: files.create(name)?, offset: 0 };
    let mut buffered = io::BufWriter::with_capacity(1 << 16, &mut out);
    let size = snapshot::write_index(index, head, &mut buffered)?;
    drop(buffered);
    out.file.sync()?;
    Ok(size)
}

/// Writes one thing after the other to a file.
pub(crate) struct Appender {
    pub(crate) file: Box<dyn File>,
    pub(crate) offset: u64,
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
