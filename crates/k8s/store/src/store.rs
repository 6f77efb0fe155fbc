//! The handle that callers hold, whichever backend is behind it.

use crate::archive::Summary;
use crate::entry::error::{ReadError, WriteError};
use crate::entry::{At, Committed, Entry, Expect, Got, ListOptions, Listing, Write};
use crate::etcd::{Etcd, EtcdOptions};
use crate::index::watch::Watcher;
use crate::index::{Index, View};
use crate::log::{Log, OpenError, Options};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many entries a list copies before it lets go of the index for others.
const CHUNK: usize = 2048;
/// So many entries, and bytes, go into one transaction when a store is filled.
const FILL: usize = 100;
const FILL_BYTES: usize = 512 << 10;
/// How long [`At::NotOlderThan`] waits.
const WAIT: Duration = Duration::from_secs(3);

/// A revisioned map with watches. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    index: Arc<Index>,
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Log(Arc<Log>),
    Etcd(Arc<Etcd>),
}

/// Figures about a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub entries: usize,
    /// Bytes of all keys and values.
    pub bytes: usize,
    pub revision: u64,
    /// The oldest revision that can be read and watched from.
    pub oldest: u64,
    /// Events kept in history.
    pub events: usize,
    /// Bytes that the embedded store takes on disk.
    pub disk: u64,
}

impl Store {
    /// Opens the embedded store in a directory, which is made if it is not there. Blocks while it reads everything.
    pub fn open(dir: &Path, options: Options) -> Result<Store, OpenError> {
        let (index, log) = Log::open(dir, options)?;
        Ok(Store { index, backend: Backend::Log(Arc::new(log)) })
    }

    /// Connects to etcd and loads what it has. Lives on the runtime it is called on. Of `options`, what is said about
    /// history counts.
    pub async fn connect(etcd: &EtcdOptions, options: Options) -> Result<Store, OpenError> {
        let (index, etcd) = Etcd::connect(etcd, &options).await?;
        Ok(Store { index, backend: Backend::Etcd(Arc::new(etcd)) })
    }

    /// An embedded store that keeps nothing on disk.
    pub fn in_memory(options: Options) -> Store {
        let (index, log) = Log::in_memory(options);
        Store { index, backend: Backend::Log(Arc::new(log)) }
    }

    #[cfg(test)]
    pub(crate) fn open_files(files: Arc<dyn crate::log::files::Files>, options: Options) -> Result<Store, OpenError> {
        let (index, log) = Log::open_files(files, options, false)?;
        Ok(Store { index, backend: Backend::Log(Arc::new(log)) })
    }

    /// What a key holds.
    pub async fn get(&self, key: &str, at: At) -> Result<Got, ReadError> {
        let wanted = self.settle(at).await?;
        let state = self.index.read();
        let exact = wanted.filter(|revision| *revision != state.revision());
        let Some(revision) = exact else {
            let entry = state.get(key).map(|(key, item)| item.entry(key.clone()));
            return Ok(Got { entry, revision: state.revision() });
        };
        let mut view = View::new(key, None, revision);
        let entry = view.chunk(&state, 1)?.into_iter().find(|entry| entry.key.as_ref() == key);
        Ok(Got { entry, revision })
    }

    /// The entries whose keys begin with a prefix.
    pub async fn list(&self, prefix: &str, options: ListOptions) -> Result<Listing, ReadError> {
        let revision = self.settle(options.at).await?.unwrap_or_else(|| self.index.revision());
        let mut view = View::new(prefix, options.after.as_deref(), revision);
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let wanted = (limit - entries.len()).min(CHUNK);
            let chunk = view.chunk(&self.index.read(), wanted)?;
            let end = chunk.len() < wanted;
            if entries.is_empty() {
                entries = chunk;
            } else {
                entries.extend(chunk);
            }
            if end {
                return Ok(Listing { entries, revision, remaining: 0 });
            }
            if entries.len() == limit {
                let remaining = view.remaining(&self.index.read())?;
                return Ok(Listing { entries, revision, remaining });
            }
            tokio::task::yield_now().await;
        }
    }

    /// One write; see [`Store::commit`].
    pub async fn write(&self, write: Write) -> Result<Committed, WriteError> {
        self.commit(vec![write]).await
    }

    /// Writes several keys at once: all or, if one does not find what it expects, none. Each key at most once. Returns
    /// when the transaction is durable and this store's reads and watches see it. Dropping the future does not undo it.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<Committed, WriteError> {
        crate::entry::limits(&writes)?;
        match &self.backend {
            Backend::Log(log) => log.commit(writes).await,
            Backend::Etcd(etcd) => etcd.commit(writes).await,
        }
    }

    /// Follows the changes of keys with a prefix that come after a revision.
    pub fn watch(&self, prefix: &str, after: u64) -> Result<Watcher, ReadError> {
        self.index.watch(prefix, after)
    }

    /// The latest revision in memory.
    pub fn revision(&self) -> u64 {
        self.index.revision()
    }

    /// Forgets the history up to a revision: older ones can no longer be read or watched from.
    pub async fn compact(&self, revision: u64) -> Result<(), WriteError> {
        if let Backend::Etcd(etcd) = &self.backend {
            etcd.compact(revision.min(self.index.revision())).await?;
        }
        self.index.compact(revision);
        Ok(())
    }

    /// How many keys begin with a prefix.
    pub fn count(&self, prefix: &str) -> usize {
        let state = self.index.read();
        View::new(prefix, None, state.revision()).remaining(&state).unwrap_or_default()
    }

    /// Why the store takes no writes at present, if it does not.
    pub fn failure(&self) -> Option<String> {
        match &self.backend {
            Backend::Log(log) => log.failure(),
            Backend::Etcd(etcd) => etcd.failure(),
        }
    }

    pub fn stats(&self) -> Stats {
        let disk = match &self.backend {
            Backend::Log(log) => log.disk(),
            Backend::Etcd(_) => 0,
        };
        let state = self.index.read();
        Stats {
            entries: state.len(),
            bytes: state.bytes(),
            revision: state.revision(),
            oldest: state.oldest(),
            events: state.events(),
            disk,
        }
    }

    /// Writes everything there is at one moment into one stream with checksums, while the store goes on; [`archive`](crate::archive)
    /// makes a store of it. Blocks.
    pub fn save(&self, to: &mut dyn std::io::Write) -> std::io::Result<Summary> {
        crate::archive::save(&self.index, to)
    }

    /// Fills a store that is empty with what was saved. Writes it in parts: what was interrupted has to be emptied and filled again.
    pub async fn fill(&self, saved: Vec<(String, Bytes)>) -> Result<(), WriteError> {
        let mut part = Vec::new();
        let mut size = 0;
        for (key, value) in saved {
            if part.len() == FILL || size + value.len() > FILL_BYTES && !part.is_empty() {
                self.commit(std::mem::take(&mut part)).await?;
                size = 0;
            }
            size += value.len();
            part.push(Write::put(key, Expect::Absent, value));
        }
        if !part.is_empty() {
            self.commit(part).await?;
        }
        Ok(())
    }

    /// Writes out what is relaxed, ends all watches and takes no more writes.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Log(log) => log.close().await,
            Backend::Etcd(etcd) => etcd.close(),
        }
        self.index.close();
    }

    /// Waits until memory is as new as a read wants; returns the revision to read, if it has to be exactly that.
    async fn settle(&self, at: At) -> Result<Option<u64>, ReadError> {
        let (least, exact) = match at {
            At::Any => return Ok(None),
            At::Latest => (self.latest().await?, None),
            At::NotOlderThan(revision) => (revision, None),
            At::Exact(revision) => (revision, Some(revision)),
        };
        if self.index.revision() < least && !(self.shared() && self.index.reaches(least, WAIT).await) {
            return Err(ReadError::Future { requested: least, current: self.index.revision() });
        }
        match exact {
            Some(revision) => self.index.kept(revision).map(|()| exact),
            None => Ok(None),
        }
    }

    /// Whether others may write: it is an etcd.
    pub fn shared(&self) -> bool {
        match &self.backend {
            Backend::Log(_) => false,
            Backend::Etcd(_) => true,
        }
    }

    async fn latest(&self) -> Result<u64, ReadError> {
        match &self.backend {
            Backend::Log(_) => Ok(self.index.revision()),
            Backend::Etcd(etcd) => etcd.latest().await,
        }
    }
}
