//! The small shared record that makes a log line exactly-once across the supervisor's death.
//!
//! Before a batch of lines is appended to the log, one record says: how far each stream was logged before and is after
//! the batch, how long the log was, and how long the batch is. It is written with a single `pwrite` into a file in memory that
//! the daemon holds too. Whoever takes over compares the log's length with the record:
//!
//! ```text
//!   log length        the batch
//!   >= before + len   is in the log          -> go on after it
//!   <  before + len   is missing or cut off  -> cut the log back to `before`, write it again from the spool
//! ```
//!
//! A record with an empty batch says that nothing is under way; it is written before a rotation.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

/// First bytes of a record that was written; the last digit is the layout's version.
const MAGIC: u64 = 0x53_4d_50_4a_52_4e_4c_01;
const WORDS: usize = 8;
/// Where the time of the start is.
const STARTED: u64 = 512;
/// Where the marks of attachments start.
const MARKS: u64 = 4096;

/// How far each stream has come; by [`crate::types::Stream`] order: output, error.
pub(crate) type Marks = [u64; 2];

/// What is being written to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Logged before it.
    pub(crate) before: Marks,
    /// Logged after it.
    pub(crate) after: Marks,
    /// Length of the log before it.
    pub(crate) log_length: u64,
    /// Bytes of log it appends; 0: nothing is under way.
    pub(crate) length: u64,
    /// Bytes of output that could not be logged so far and were not reported yet.
    pub(crate) dropped: u64,
}

/// The record; see the module.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Journal> {
        let fd = memfd_create("sampan-journal", MemfdFlags::CLOEXEC)?;
        Ok(Journal { file: fd.into() })
    }

    /// One that another supervisor wrote.
    pub(crate) fn adopt(fd: OwnedFd) -> Journal {
        Journal { file: fd.into() }
    }

    /// Records what is about to be written.
    pub(crate) fn record(&self, batch: &Batch) -> io::Result<()> {
        let words: [u64; WORDS] = [
            MAGIC,
            batch.before[0],
            batch.before[1],
            batch.after[0],
            batch.after[1],
            batch.log_length,
            batch.length,
            batch.dropped,
        ];
        let mut bytes = [0; WORDS * 8];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.file.write_all_at(&bytes, 0)
    }

    /// The last record; the empty batch where none was written.
    pub(crate) fn last(&self) -> io::Result<Batch> {
        let mut bytes = [0; WORDS * 8];
        if read_all_or_nothing(&self.file, &mut bytes, 0)?.is_none() {
            return Ok(Batch::default());
        }
        let mut words = [0; WORDS];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(place.try_into().unwrap_or_default());
        }
        if words[0] != MAGIC {
            return Ok(Batch::default());
        }
        Ok(Batch {
            before: [words[1], words[2]],
            after: [words[3], words[4]],
            log_length: words[5],
            length: words[6],
            dropped: words[7],
        })
    }

    /// Records that the process is told to start, in nanoseconds since 1970.
    pub(crate) fn mark_start(&self, at: u64) -> io::Result<()> {
        self.file.write_all_at(&at.to_le_bytes(), STARTED)
    }

    /// When the process was told to start; `None` before.
    pub(crate) fn started(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 8];
        read_all_or_nothing(&self.file, &mut bytes, STARTED)?;
        Ok(Some(u64::from_le_bytes(bytes)).filter(|at| *at != 0))
    }

    /// Records how much an attachment was sent of each stream.
    pub(crate) fn mark(&self, slot: u32, sent: Marks) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&sent[0].to_le_bytes());
        bytes[8..].copy_from_slice(&sent[1].to_le_bytes());
        self.file.write_all_at(&bytes, MARKS + u64::from(slot) * 16)
    }

    /// How much an attachment was sent of each stream.
    pub(crate) fn marked(&self, slot: u32) -> io::Result<Marks> {
        let mut bytes = [0; 16];
        read_all_or_nothing(&self.file, &mut bytes, MARKS + u64::from(slot) * 16)?;
        let (first, second) = bytes.split_at(8);
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
        Ok([word(first), word(second)])
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read_all_or_nothing(file: &File, bytes: &mut [u8], at: u64) -> io::Result<Option<()>> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_what_was_recorded() {
        let journal = Journal::new().unwrap();
        assert_eq!(journal.last().unwrap(), Batch::default());
        let batch = Batch { before: [1, 2], after: [30, 2], log_length: 400, length: 77, dropped: 5 };
        journal.record(&batch).unwrap();
        journal.mark(3, [10, 20]).unwrap();
        let successor = Journal::adopt(journal.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(successor.last().unwrap(), batch);
        assert_eq!(successor.marked(3).unwrap(), [10, 20]);
        assert_eq!(successor.marked(9).unwrap(), [0, 0]);
        assert_eq!(successor.started().unwrap(), None);
        journal.mark_start(17).unwrap();
        assert_eq!(successor.started().unwrap(), Some(17));
        assert_eq!(successor.last().unwrap(), batch);
    }
}
