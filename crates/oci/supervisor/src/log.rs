//! Writes a process's output to its log, each line exactly once, and never holds the process back for a full disk.

mod cri;
mod file;
mod journal;
mod line;

use std::io;

use jiff::Timestamp;

use self::file::LogFile;
pub(crate) use self::journal::{Batch, Journal, Marks};
use crate::spool::Spool;
use crate::types::{LogConfig, Stream};

/// Bytes of log in one batch, about.
const BATCH: usize = 256 << 10;

/// The log of one process; see the module and [`Journal`].
#[derive(Debug)]
pub(crate) struct Logger {
    journal: Journal,
    sink: Sink,
    logged: Marks,
    dropped: Dropped,
}

#[derive(Debug)]
enum Sink {
    None,
    File { file: LogFile, format: Format },
}

/// How an entry is written.
#[derive(Debug)]
enum Format {
    /// Docker's, with the value of its `attrs` member.
    Json { attrs: Vec<u8> },
    /// That of Kubernetes' container runtime interface.
    Cri,
}

impl Format {
    fn append(&self, out: &mut Vec<u8>, log: &[u8], stream: Stream, time: &str) {
        match self {
            Format::Json { attrs } => line::append(out, log, stream, attrs, time),
            Format::Cri => cri::append(out, log, stream, time),
        }
    }
}

/// Output that could not be logged.
#[derive(Debug, Default)]
struct Dropped {
    bytes: u64,
    reason: String,
}

/// One output as the logger sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'s> {
    pub(crate) spool: &'s Spool,
    /// Nothing will follow: an unfinished last line is written as it is.
    pub(crate) ended: bool,
}

impl Logger {
    /// A log that is begun. Nothing is opened yet.
    pub(crate) fn new(config: &LogConfig) -> io::Result<Logger> {
        Ok(Logger { journal: Journal::new()?, sink: Sink::new(config), logged: [0, 0], dropped: Dropped::default() })
    }

    /// A log that another supervisor wrote; `ends` are the ends of the spools.
    pub(crate) fn adopt(config: &LogConfig, journal: Journal, ends: Marks) -> io::Result<Logger> {
        let mut sink = Sink::new(config);
        let last = journal.last()?;
        let logged = match &mut sink {
            Sink::None => ends,
            Sink::File { .. } if last.length == 0 => last.after,
            Sink::File { file, .. } => match file.settle(last.log_length, last.length) {
                Ok(true) => last.after,
                Ok(false) => last.before,
                // The log cannot be read now: a repeated batch is better than a lost one.
                Err(_) => last.before,
            },
        };
        Ok(Logger {
            journal,
            sink,
            logged,
            dropped: Dropped { bytes: last.dropped, reason: "the log could not be written".to_owned() },
        })
    }

    /// Closes the file; the next batch opens it again by its name. Nothing is under way then, so a successor does not
    /// compare with a file that is somewhere else now.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { file, .. } = &mut self.sink {
            let (before, after) = (self.logged, self.logged);
            let dropped = self.dropped.bytes;
            self.journal.record(&Batch { before, after, log_length: 0, length: 0, dropped })?;
            file.reopen()?;
        }
        Ok(())
    }

    /// How far each stream is logged.
    pub(crate) fn logged(&self) -> Marks {
        self.logged
    }

    /// The shared record.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Bytes of output that were dropped and not reported in the log yet.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.bytes
    }

    /// Logs every complete line the spools hold. What cannot be written is dropped, counted, and reported in the log as
    /// soon as it can be written again.
    pub(crate) fn log(&mut self, sources: &[Option<Source<'_>>; 2], scratch: &mut [u8]) {
        let Sink::File { file, format } = &mut self.sink else {
            for (index, source) in sources.iter().enumerate() {
                if let Some(source) = source {
                    self.logged[index] = source.spool.end();
                }
            }
            return;
        };
        let mut pending = Pending::default();
        for (index, source) in sources.iter().enumerate() {
            let Some(source) = source else { continue };
            let stream = [Stream::Stdout, Stream::Stderr][index];
            let mut at = self.logged[index];
            while let Ok(bytes) = source.spool.read(at, scratch) {
                let whole = at + bytes.len() as u64 == source.spool.end();
                let mut rest = bytes;
                while let Some(length) = line::next(rest, source.ended && whole) {
                    if pending.lines.is_empty() {
                        pending.begin(self.logged, &self.dropped, format);
                    }
                    format.append(&mut pending.lines, &rest[..length], stream, &pending.time);
                    rest = &rest[length..];
                    at += length as u64;
                    pending.after[index] = at;
                    if pending.lines.len() >= BATCH || file.is_full_after(pending.lines.len()) {
                        self.logged = pending.after;
                        pending.write(file, &self.journal, &mut self.dropped);
                    }
                }
                let progressed = rest.len() < bytes.len();
                if whole || !progressed {
                    break;
                }
            }
        }
        if !pending.lines.is_empty() {
            self.logged = pending.after;
            pending.write(file, &self.journal, &mut self.dropped);
        }
    }
}

impl Sink {
    fn new(config: &LogConfig) -> Sink {
        match config {
            LogConfig::None => Sink::None,
            LogConfig::JsonFile(json) => Sink::File {
                format: Format::Json { attrs: line::attrs(&json.attrs) },
                file: LogFile::new(json.clone()),
            },
            LogConfig::Cri(path) => Sink::File { format: Format::Cri, file: LogFile::unbounded(path.clone()) },
        }
    }
}

/// A batch being put together.
#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    time: String,
    before: Marks,
    after: Marks,
}

impl Pending {
    fn begin(&mut self, logged: Marks, dropped: &Dropped, format: &Format) {
        self.time = line::time(Timestamp::now());
        self.before = logged;
        self.after = logged;
        if dropped.bytes > 0 {
            let notice = format!("sampan: {} bytes of output are not in this log: {}\n", dropped.bytes, dropped.reason);
            format.append(&mut self.lines, notice.as_bytes(), Stream::Stderr, &self.time);
        }
    }

    fn write(&mut self, file: &mut LogFile, journal: &Journal, dropped: &mut Dropped) {
        let outcome = self.try_write(file, journal, dropped.bytes);
        match outcome {
            Ok(()) => *dropped = Dropped::default(),
            Err(error) => {
                dropped.bytes += (self.after[0] - self.before[0]) + (self.after[1] - self.before[1]);
                dropped.reason = error.to_string();
            }
        }
        if outcome_is_drop(dropped) {
            // Should the record fail as well, a successor tries this batch once more: never less than told.
            let _ = journal.record(&Batch {
                before: self.after,
                after: self.after,
                log_length: 0,
                length: 0,
                dropped: dropped.bytes,
            });
        }
        self.lines.clear();
    }

    fn try_write(&self, file: &mut LogFile, journal: &Journal, dropped: u64) -> io::Result<()> {
        if file.is_full()? {
            journal.record(&Batch { before: self.before, after: self.before, log_length: 0, length: 0, dropped })?;
            file.rotate()?;
        }
        let log_length = file.length()?;
        journal.record(&Batch {
            before: self.before,
            after: self.after,
            log_length,
            length: self.lines.len() as u64,
            // A notice of what was dropped is part of this batch; a batch that is missing is written again without it.
            dropped: 0,
        })?;
        file.append(&self.lines, log_length)
    }
}

fn outcome_is_drop(dropped: &Dropped) -> bool {
    dropped.bytes > 0
}

#[cfg(test)]
mod tests;
