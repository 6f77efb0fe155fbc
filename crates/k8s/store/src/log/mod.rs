//! The embedded backend: one thread that collects writes, makes them durable together and applies them.
//!
//! - [`writer`]: the thread; decides, groups, answers
//! - [`journal`]: the end of the log on disk, segments and snapshots coming and going
//! - [`recover`]: reading a directory at the start, and whether a flaw is a torn end or damage
//! - [`expiry`]: what goes by itself
//! - [`segment`], [`frame`], [`snapshot`]: the formats
//! - [`files`]: the file operations, behind a trait
//!
//! Only the writer changes anything; the threads beside it make the next segment and write snapshots.

mod expiry;
pub(crate) mod files;
mod frame;
mod journal;
pub(crate) mod recover;
pub(crate) mod segment;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use crate::entry::error::WriteError;
use crate::entry::{Committed, Write};
use crate::index::{Index, Limits};
use files::{Disk, Files};
pub(crate) use journal::Appender;
use journal::{Journal, Layout};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::{Inbox, Writer};

/// The revision of a store that was never written to; as in etcd.
pub(crate) const FIRST_REVISION: u64 = 1;

/// How an embedded store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// A relaxed write is on disk after this time at the latest.
    pub relaxed_delay: Duration,
    /// History older than this goes, at the next write.
    pub history_age: Duration,
    /// At most so many events of history.
    pub history_events: usize,
    /// At most so many bytes that only history holds.
    pub history_bytes: usize,
    /// The size of a log segment.
    pub segment: u64,
    /// When the log is this long, and longer than the last snapshot, a snapshot is written.
    pub log: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            relaxed_delay: Duration::from_secs(10),
            history_age: Duration::from_secs(10 * 60),
            history_events: 100_000,
            history_bytes: 64 << 20,
            segment: 16 << 20,
            log: 64 << 20,
        }
    }
}

/// Why a store could not be opened, backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    /// Not the end of the log, which a crash may tear, but what was whole once.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged { path: PathBuf, offset: u64, what: String },
    #[error("{path} is of format {found}; this program reads format {known}")]
    Format { path: PathBuf, found: u32, known: u32 },
    #[error("{path} has a store already")]
    Exists { path: PathBuf },
    #[error("connect to etcd at {endpoints}: {why}")]
    Etcd { endpoints: String, why: String },
    #[error("{path} has no store")]
    Missing { path: PathBuf },
}

/// The log and its thread.
pub(crate) struct Log {
    inbox: Arc<Inbox>,
    layout: Option<Arc<Layout>>,
    thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
    ended: tokio::sync::watch::Receiver<bool>,
}

impl Log {
    pub(crate) fn open(dir: &Path, options: Options) -> Result<(Arc<Index>, Log), OpenError> {
        let lock = Disk::lock(dir).map_err(|source| OpenError::Io { what: "lock", path: dir.to_path_buf(), source })?;
        let disk = lock.ok_or_else(|| OpenError::InUse { path: dir.to_path_buf() })?;
        Log::open_files(Arc::new(disk), options, true)
    }

    /// Opens a store in any directory of files. `background`: may start threads for what can be done beside.
    pub(crate) fn open_files(
        files: Arc<dyn Files>,
        options: Options,
        background: bool,
    ) -> Result<(Arc<Index>, Log), OpenError> {
        let (index, journal) = recover::open(files, &options, background)?;
        Ok(Log::start(index, Some(journal), options))
    }

    pub(crate) fn in_memory(options: Options) -> (Arc<Index>, Log) {
        let index = Arc::new(Index::new(BTreeMap::new(), FIRST_REVISION, options.limits()));
        Log::start(index, None, options)
    }

    fn start(index: Arc<Index>, journal: Option<Journal>, options: Options) -> (Arc<Index>, Log) {
        let layout = journal.as_ref().map(|journal| journal.layout().clone());
        let inbox = Arc::new(Inbox::default());
        let (end, ended) = tokio::sync::watch::channel(false);
        let writer = Writer::new(index.clone(), inbox.clone(), journal, options);
        let thread = std::thread::spawn(move || {
            writer.run();
            end.send_replace(true);
        });
        (index, Log { inbox, layout, thread: std::sync::Mutex::new(Some(thread)), ended })
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Committed, WriteError> {
        self.inbox.submit(writes).await.unwrap_or(Err(WriteError::Closed))
    }

    pub(crate) async fn close(&self) {
        self.inbox.close();
        let mut ended = self.ended.clone();
        let _ended = ended.wait_for(|ended| *ended).await;
    }

    /// Why the last write failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.inbox.failure()
    }

    pub(crate) fn disk(&self) -> u64 {
        self.layout.as_ref().map_or(0, |layout| layout.disk())
    }
}

impl Drop for Log {
    /// Waits for the last writes: afterwards the directory is free.
    fn drop(&mut self) {
        self.inbox.close();
        let thread = self.thread.get_mut().map(Option::take);
        if let Ok(Some(thread)) = thread {
            let _ended = thread.join();
        }
    }
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        Limits { events: self.history_events, bytes: self.history_bytes, age: self.history_age }
    }
}
