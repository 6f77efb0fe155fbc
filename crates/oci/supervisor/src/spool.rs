//! Bytes that left a pipe and are not yet in the log and with every attachment.
//!
//! A spool is a file in memory shared by the supervisor and the daemon. `splice` moves bytes from the pipe to its end in
//! one system call, so each byte is in exactly one of the two even when the supervisor is killed in between, and the
//! file's size is the count of all bytes ever read. Offsets never start over; what is finished with is punched out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, fstat, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

/// Finished bytes are given back to the kernel when there are this many.
const PUNCH: u64 = 16 << 10;
const PAGE: u64 = 4096;

/// What an attempt to fill a spool gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// So many bytes were moved.
    Moved(usize),
    /// Nothing is there now.
    Empty,
    /// Nobody can write any more.
    End,
}

/// A spool; see the module.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    end: u64,
    punched: u64,
}

impl Spool {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Spool> {
        let fd = memfd_create("sampan-spool", MemfdFlags::CLOEXEC)?;
        Ok(Spool { file: File::from(fd), end: 0, punched: 0 })
    }

    /// One that another supervisor filled.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<Spool> {
        let end = u64::try_from(fstat(&fd)?.st_size).unwrap_or(0);
        Ok(Spool { file: File::from(fd), end, punched: 0 })
    }

    /// Count of all bytes ever read.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Moves at most `max` bytes from the pipe to the end.
    pub(crate) fn fill(&mut self, pipe: BorrowedFd<'_>, max: usize) -> io::Result<Fill> {
        let mut at = self.end;
        match splice(pipe, None, &self.file, Some(&mut at), max, SpliceFlags::NONBLOCK) {
            Ok(0) => Ok(Fill::End),
            Ok(moved) => {
                self.end += moved as u64;
                Ok(Fill::Moved(moved))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Fill::Empty),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the bytes from `from` on, as many as there are and `buffer` holds.
    pub(crate) fn read<'b>(&self, from: u64, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let want = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..want], from)?;
        Ok(&buffer[..want])
    }

    /// Gives back the memory of everything before `until`.
    pub(crate) fn release(&mut self, until: u64) {
        let until = until.min(self.end);
        if until < self.punched + PUNCH {
            return;
        }
        let until = until - until % PAGE;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Should it fail, the memory is kept a little longer; the bytes are right either way.
        if fallocate(&self.file, flags, self.punched, until - self.punched).is_ok() {
            self.punched = until;
        }
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn moves_everything_and_tells_the_end() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let mut spool = Spool::new().unwrap();
        assert_eq!(spool.fill(reader.as_fd(), 4096).unwrap(), Fill::Empty);
        rustix::io::write(&writer, b"hello").unwrap();
        assert_eq!(spool.fill(reader.as_fd(), 4096).unwrap(), Fill::Moved(5));
        rustix::io::write(&writer, b" world").unwrap();
        drop(writer);
        assert_eq!(spool.fill(reader.as_fd(), 4096).unwrap(), Fill::Moved(6));
        assert_eq!(spool.fill(reader.as_fd(), 4096).unwrap(), Fill::End);
        let mut buffer = [0; 64];
        assert_eq!(spool.read(3, &mut buffer).unwrap(), b"lo world");
    }

    #[test]
    fn a_successor_sees_the_same_bytes_at_the_same_offsets() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let mut first = Spool::new().unwrap();
        for _ in 0..20 {
            rustix::io::write(&writer, &[b'x'; 4000]).unwrap();
            first.fill(reader.as_fd(), 65536).unwrap();
            first.release(first.end());
        }
        rustix::io::write(&writer, b"tail").unwrap();
        first.fill(reader.as_fd(), 65536).unwrap();
        let copy = first.as_fd().try_clone_to_owned().unwrap();
        drop(first);
        let second = Spool::adopt(copy).unwrap();
        assert_eq!(second.end(), 80_004);
        let mut buffer = [0; 8];
        assert_eq!(second.read(80_000, &mut buffer).unwrap(), b"tail");
        let blocks = fstat(second.as_fd()).unwrap().st_blocks;
        assert!(blocks * 512 <= 32 << 10, "{blocks} blocks kept");
    }
}
