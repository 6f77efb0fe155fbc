//! The embedded backend: one thread that collects writes, makes them durable together and applies them.

mod frame;
mod writer;

use crate::entry::error::WriteError;
use crate::entry::{Committed, Write};
use crate::index::{Index, Limits};
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
}

/// The log and its thread.
pub(crate) struct Log {
    inbox: Arc<Inbox>,
}

impl Log {
    pub(crate) fn open(_dir: &Path, options: Options) -> Result<(Arc<Index>, Arc<Log>), OpenError> {
        Ok(Log::in_memory(options))
    }

    pub(crate) fn in_memory(options: Options) -> (Arc<Index>, Arc<Log>) {
        let index = Arc::new(Index::new(BTreeMap::new(), FIRST_REVISION, options.limits()));
        let inbox = Arc::new(Inbox::default());
        Writer::start(index.clone(), inbox.clone(), options);
        (index, Arc::new(Log { inbox }))
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Committed, WriteError> {
        self.inbox.submit(writes).await.unwrap_or(Err(WriteError::Closed))
    }

    pub(crate) async fn close(&self) {
        self.inbox.close();
    }

    pub(crate) fn failure(&self) -> Option<String> {
        None
    }

    pub(crate) fn disk(&self) -> u64 {
        0
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        Limits { events: self.history_events, bytes: self.history_bytes, age: self.history_age }
    }
}
