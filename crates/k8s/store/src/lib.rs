//! Revisioned keys with watches, on an embedded log or on etcd.
//!
//! A [`Store`] is an ordered map from keys to bytes that remembers what happened to it. Every transaction gets a
//! revision, larger than all before it; all changes of one transaction carry the same. One can read what the map holds,
//! what it held at a revision not long ago, and follow every change since such a revision. The store knows no kinds:
//! what the bytes mean and how keys are made is the caller's.
//!
//! - [`entry`]: entries, events and what a read or a write asks for and answers
//! - `index`: the map itself in memory, the history of its last changes, and the watchers; the same for both backends
//! - `log`: the embedded backend, an append-only log with snapshots; `docs/kubernetes-store.md` is its format
//! - `etcd`: the other backend; the index is then a cache that etcd's watch feeds
//! - [`archive`]: backup, restore and check of an embedded store's directory, without opening it
//!
//! Invariants:
//! - What [`Store::write`] has acknowledged is on disk (or in etcd) already, but for writes marked
//!   [`Durability::Relaxed`], which follow within [`Options::relaxed_delay`].
//! - Nobody sees a write before it is durable, but for relaxed ones.
//! - A revision that anybody has seen is never given out again, whatever is killed when. Revisions may skip numbers:
//!   after a crash with relaxed writes on the way, and on etcd when others write to it.
//! - Nothing here waits for a watcher. One that is slower than the history is long gets [`WatchError::TooOld`].

pub mod archive;
pub mod entry;
mod etcd;
mod index;
mod log;
mod store;

pub use entry::error::{ReadError, WatchError, WriteError};
pub use entry::{At, Committed, Durability, Entry, Event, Expect, Got, Key, ListOptions, Listing, Op, Previous, Write};
pub use etcd::{BadEtcdOptions, EtcdOptions};
pub use index::watch::Watcher;
pub use log::{OpenError, Options};
pub use store::{Stats, Store};
