//! What can go wrong with a read, a watch or a write of an open store.

use super::Entry;
use std::path::PathBuf;

/// Why a read did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    #[error("revision {requested} is no longer kept, the oldest is {oldest}")]
    Compacted { requested: u64, oldest: u64 },
    #[error("revision {requested} is not there yet, the latest is {current}")]
    Future { requested: u64, current: u64 },
    #[error("ask {what}: {why}")]
    Unavailable { what: &'static str, why: String },
}

/// Why a watch ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WatchError {
    /// List again and watch from there: events that this watcher should have seen are no longer kept.
    #[error("changes after revision {after} are no longer kept, the oldest that can be followed from is {oldest}")]
    TooOld { after: u64, oldest: u64 },
    #[error("the store is closed")]
    Closed,
}

/// Why a transaction changed nothing, or, for the last three, may not have.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// One of the writes did not find what it expected; the first one that did not.
    #[error("{key} is not as expected")]
    Conflict {
        /// Which of the transaction's writes.
        write: usize,
        key: String,
        /// What the key holds.
        current: Option<Box<Entry>>,
        /// The store's revision at that time.
        revision: u64,
    },
    #[error("{key}: {size} bytes are more than the {limit} that a value may have")]
    TooLarge { key: String, size: usize, limit: usize },
    #[error("a transaction of {count} writes is larger than {limit}")]
    TooMany { count: usize, limit: usize },
    #[error("a transaction writes {key} twice")]
    Twice { key: String },
    #[error("a key is empty, or longer than {limit} bytes")]
    BadKey { limit: usize },
    /// The disk is full. Nothing was written; reads go on, and writes as soon as there is space.
    #[error("no space left for {path}")]
    Full { path: PathBuf },
    /// The disk failed. What was being written may or may not be there at the next start; until then nothing more is written.
    #[error("the store writes no more: {why}")]
    Failed { why: String },
    #[error("the store is closed")]
    Closed,
    /// etcd did not answer: the transaction may have happened.
    #[error("ask {what}: {why}")]
    Unavailable { what: &'static str, why: String },
}
