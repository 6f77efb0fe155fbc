//! Entries, events, and what a read or a write asks for and answers.

pub mod error;

use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A key, shared between the index and the events that name it.
pub type Key = Arc<str>;

/// What a key holds at some revision. Cloning copies no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    /// The revision that made the key (again, if it had been deleted).
    pub created: u64,
    /// The revision of this value.
    pub revision: u64,
    /// When it goes by itself, in seconds since 1970; 0: never. On etcd always 0: there etcd looks after it.
    pub expires: u32,
    pub value: Bytes,
}

/// What a key held before an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub created: u64,
    pub revision: u64,
    /// As in [`Entry`].
    pub expires: u32,
    pub value: Bytes,
}

/// One change of one key. Events of one transaction carry the same revision.
#[derive(Debug)]
pub struct Event {
    pub revision: u64,
    pub key: Key,
    /// The revision that made the key; of a deletion, the one that had made it.
    pub created: u64,
    /// The new value; none: the key was deleted.
    pub value: Option<Bytes>,
    /// What was there before; none: the key was made.
    pub previous: Option<Previous>,
    /// Place for what all watchers of this event are sent, rendered by the first of them. It lives as long as the event
    /// does, and the history counts as much as the value's length for it: keep what is around the value here, or the whole.
    pub frame: OnceLock<Bytes>,
}

/// Which state a read wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// The latest there is: sees every write acknowledged before the read began, by whomever.
    #[default]
    Latest,
    /// Whatever is in memory; on etcd it may be behind.
    Any,
    /// Exactly as it was after this revision.
    Exact(u64),
    /// What is in memory, once that is not older than this revision.
    NotOlderThan(u64),
}

/// How [`Store::list`](crate::Store::list) lists.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub at: At,
    /// Only keys after this one.
    pub after: Option<String>,
    /// At most so many entries; 0: all.
    pub limit: usize,
}

/// Entries in the order of their keys, all of one revision.
#[derive(Clone, Debug)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// The revision they are of: watch from here, or list further with [`At::Exact`] of it.
    pub revision: u64,
    /// How many more the limit left out; the last entry's key is where to go on.
    pub remaining: usize,
}

/// The answer to [`Store::get`](crate::Store::get).
#[derive(Clone, Debug)]
pub struct Got {
    pub entry: Option<Entry>,
    /// The revision the answer is of.
    pub revision: u64,
}

/// What a write expects to find, or else it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Any,
    /// The key is not there.
    Absent,
    /// The key is there.
    Present,
    /// The key is there and its value is of this revision.
    Revision(u64),
}

/// What a write does.
#[derive(Clone, Debug)]
pub enum Op {
    Put(Bytes),
    /// Deletes; a key that is not there stays so, and that alone makes no revision.
    Delete,
    /// Nothing: only the expectation counts, for the other writes of a transaction.
    Check,
}

/// When a write is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before it is acknowledged, and before anybody sees it.
    #[default]
    Synced,
    /// Within [`Options::relaxed_delay`](crate::Options::relaxed_delay), or with the next synced write: a crash of the
    /// process or the machine may lose it. For what is renewed every few seconds. On etcd the same as `Synced`.
    Relaxed,
}

/// One write of a transaction.
#[derive(Clone, Debug)]
pub struct Write {
    pub key: String,
    pub expect: Expect,
    pub op: Op,
    pub durability: Durability,
    /// What is put goes by itself after this time, some seconds later at most; none: it stays. The next put says it anew.
    pub lives: Option<Duration>,
}

impl Write {
    pub fn put(key: impl Into<String>, expect: Expect, value: impl Into<Bytes>) -> Write {
        Write::new(key, expect, Op::Put(value.into()))
    }

    pub fn delete(key: impl Into<String>, expect: Expect) -> Write {
        Write::new(key, expect, Op::Delete)
    }

    pub fn check(key: impl Into<String>, expect: Expect) -> Write {
        Write::new(key, expect, Op::Check)
    }

    fn new(key: impl Into<String>, expect: Expect, op: Op) -> Write {
        Write { key: key.into(), expect, op, durability: Durability::Synced, lives: None }
    }

    /// The same, gone by itself after a while.
    pub fn expiring(self, after: Duration) -> Write {
        Write { lives: Some(after), ..self }
    }

    /// The same, durable a little later; a transaction is relaxed if all its writes are.
    pub fn relaxed(self) -> Write {
        Write { durability: Durability::Relaxed, ..self }
    }
}

/// The answer to a write.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The transaction's revision; if it changed nothing, the latest one.
    pub revision: u64,
    /// What each key held before, in the order of the writes.
    pub previous: Vec<Option<Previous>>,
}

impl Previous {
    pub(crate) fn entry(&self, key: Key) -> Entry {
        Entry { key, created: self.created, revision: self.revision, expires: self.expires, value: self.value.clone() }
    }
}

impl Expect {
    /// Whether what a key holds is what was expected.
    pub(crate) fn holds(self, revision: Option<u64>) -> bool {
        match self {
            Expect::Any => true,
            Expect::Absent => revision.is_none(),
            Expect::Present => revision.is_some(),
            Expect::Revision(wanted) => revision == Some(wanted),
        }
    }
}

/// The most bytes a value may have.
pub const VALUE_LIMIT: usize = 16 << 20;
/// The most bytes a key may have.
pub const KEY_LIMIT: usize = 4096;
/// The most writes a transaction may have; etcd's default.
pub const WRITES_LIMIT: usize = 128;

/// Refuses a transaction that is out of bounds.
pub(crate) fn limits(writes: &[Write]) -> Result<(), error::WriteError> {
    use error::WriteError;
    if writes.len() > WRITES_LIMIT {
        return Err(WriteError::TooMany { count: writes.len(), limit: WRITES_LIMIT });
    }
    for (number, write) in writes.iter().enumerate() {
        if write.key.is_empty() || write.key.len() > KEY_LIMIT {
            return Err(WriteError::BadKey { limit: KEY_LIMIT });
        }
        if writes[..number].iter().any(|earlier| earlier.key == write.key) {
            return Err(WriteError::Twice { key: write.key.clone() });
        }
        match &write.op {
            Op::Put(value) if value.len() > VALUE_LIMIT => {
                return Err(WriteError::TooLarge { key: write.key.clone(), size: value.len(), limit: VALUE_LIMIT });
            }
            _ => {}
        }
    }
    Ok(())
}
