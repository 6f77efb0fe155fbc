//! The log's files on disk: appending all or nothing, and rotation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::types::JsonFile;

/// The current file and its older ones.
#[derive(Debug)]
pub(crate) struct LogFile {
    config: JsonFile,
    /// Opened when first needed, and again after a failure.
    file: Option<File>,
    /// Length after the last look, for planning only.
    length: u64,
}

impl LogFile {
    /// Opens nothing yet.
    pub(crate) fn new(config: JsonFile) -> LogFile {
        LogFile { config, file: None, length: 0 }
    }

    /// One file that nobody rotates here.
    pub(crate) fn unbounded(path: PathBuf) -> LogFile {
        LogFile::new(JsonFile { max_size: None, max_file: 1, ..JsonFile::bounded(path) })
    }

    /// Lets go of the file and makes it anew at its path, so that who moved it finds another one there.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        self.length()?;
        Ok(())
    }

    /// Tells whether a batch of `length` bytes that was begun at `before` is in the log; cuts a part of it off.
    pub(crate) fn settle(&mut self, before: u64, length: u64) -> io::Result<bool> {
        let now = self.length()?;
        if now >= before + length {
            return Ok(true);
        }
        if now > before {
            self.opened()?.set_len(before)?;
        }
        Ok(false)
    }

    /// Length of the current file now.
    pub(crate) fn length(&mut self) -> io::Result<u64> {
        let length = self.opened()?.metadata()?.len();
        self.length = length;
        Ok(length)
    }

    /// The current file has reached its bound.
    pub(crate) fn is_full(&mut self) -> io::Result<bool> {
        match self.config.max_size {
            None => Ok(false),
            Some(max) => Ok(self.length()? >= max),
        }
    }

    /// The current file will have reached its bound with `more` bytes, as far as is known without asking.
    pub(crate) fn is_full_after(&self, more: usize) -> bool {
        let Some(max) = self.config.max_size else {
            return false;
        };
        // A full one is exchanged before the next batch.
        let begun = if self.length >= max { 0 } else { self.length };
        begun + more as u64 >= max
    }

    /// Appends all of `bytes`, or nothing.
    pub(crate) fn append(&mut self, bytes: &[u8], before: u64) -> io::Result<()> {
        let file = self.opened()?;
        let outcome = file.write_all(bytes);
        if outcome.is_err() {
            file.set_len(before)?;
            self.file = None;
        } else {
            self.length = before + bytes.len() as u64;
        }
        outcome
    }

    /// Begins a new file: `.1` becomes `.2` and so on, the oldest goes. Interrupted anywhere it may be done again: only
    /// what stands in the way moves.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        let keep = self.config.max_file.max(1) - 1;
        if keep == 0 {
            self.length = 0;
            return self.opened()?.set_len(0);
        }
        let free = (1..=keep).find(|&n| !self.older(n).exists()).unwrap_or(keep);
        for n in (1..free).rev() {
            fs::rename(self.older(n), self.older(n + 1))?;
        }
        fs::rename(&self.config.path, self.older(1))?;
        self.file = None;
        self.length = 0;
        Ok(())
    }

    fn older(&self, n: u32) -> PathBuf {
        let mut name = self.config.path.clone().into_os_string();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }

    fn opened(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.config.path)?;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}
