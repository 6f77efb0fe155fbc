//! What both backends share: the map in memory, the history of its last changes, and the watchers.
//!
//! One lock guards the map and the history; it is held for one group of changes or one chunk of a list, never for a
//! whole long list. A backend applies changes from one thread only, in the order of their revisions. A change reaches,
//! in this order: map and history, the queues of the topics it concerns, [`Index::revision`], the wake-ups. So whoever
//! sees a revision finds every change up to it everywhere.

mod history;
#[cfg(test)]
mod tests;
mod view;
pub(crate) mod watch;

use crate::entry::error::ReadError;
use crate::entry::{Event, Key, Previous};
use bytes::Bytes;
use history::History;
pub(crate) use history::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
pub(crate) use view::View;
use watch::Topics;

/// The map and all around it; one per store.
pub(crate) struct Index {
    state: RwLock<State>,
    topics: Topics,
    revision: tokio::sync::watch::Sender<u64>,
}

/// What is under the lock.
pub(crate) struct State {
    map: BTreeMap<Key, Previous>,
    /// The bytes of all keys and values in the map.
    bytes: usize,
    history: History,
    /// The last revision applied.
    revision: u64,
    /// Revisions above the first and up to the second may have been given out and then lost in a crash: nobody may go on
    /// from there.
    lost: Vec<(u64, u64)>,
}

/// A change to apply. The revision that made the key is found here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) value: Option<Bytes>,
    /// Of a value: when it goes by itself, in seconds since 1970; 0: never.
    pub(crate) expires: u32,
}

impl Index {
    /// An index of what the map holds at a revision, with no history before it.
    pub(crate) fn new(map: BTreeMap<Key, Previous>, revision: u64, limits: Limits) -> Index {
        let bytes = map.iter().map(|(key, item)| key.len() + item.value.len()).sum();
        let history = History::new(revision, limits);
        let state = State { map, bytes, history, revision, lost: Vec::new() };
        Index {
            state: RwLock::new(state),
            topics: Topics::default(),
            revision: tokio::sync::watch::Sender::new(revision),
        }
    }

    /// The last revision whose changes everybody can see.
    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Waits until a revision is there; false: it took too long.
    pub(crate) async fn reaches(&self, revision: u64, within: Duration) -> bool {
        let mut seen = self.revision.subscribe();
        let reached = seen.wait_for(|now| *now >= revision);
        tokio::time::timeout(within, reached).await.is_ok_and(|result| result.is_ok())
    }

    /// Applies changes, all of them visible at once, and wakes who waits for them. `revision` is the latest one after
    /// them; it may be larger than that of the last change.
    pub(crate) fn apply(&self, changes: Vec<Change>, revision: u64) {
        let mut woken = Vec::new();
        {
            let mut state = self.write();
            for change in changes {
                if let Some(event) = state.change(change) {
                    let seen = self.topics.publish(&event, &mut woken);
                    state.history.push(event, seen);
                }
            }
            state.revision = state.revision.max(revision);
            let now = state.revision;
            self.topics.forget(state.history.trim());
            self.revision.send_if_modified(|seen| std::mem::replace(seen, now) != now);
        }
        for (topic, revision) in woken {
            topic.wake(revision);
        }
    }

    /// Forgets the history up to a revision.
    pub(crate) fn compact(&self, revision: u64) {
        let mut state = self.write();
        let until = revision.min(state.revision);
        self.topics.forget(state.history.forget(until));
    }

    /// Says that revisions above `above` and up to `until` may have been given out although what they did is lost, and
    /// goes beyond them.
    pub(crate) fn lose(&self, above: u64, until: u64) {
        let mut state = self.write();
        state.lost.push((above, until));
        state.revision = state.revision.max(until + 1);
        self.revision.send_replace(state.revision);
    }

    /// Replaces everything by what the map holds at a revision: every watcher is told to list again.
    pub(crate) fn replace(&self, map: BTreeMap<Key, Previous>, revision: u64) {
        let mut state = self.write();
        state.bytes = map.iter().map(|(key, item)| key.len() + item.value.len()).sum();
        state.map = map;
        state.history.restart(revision);
        state.revision = revision;
        self.topics.outdate(revision);
        self.revision.send_replace(revision);
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        let _state = self.write();
        self.topics.close();
    }

    /// Whether history allows to follow or to read from a revision on.
    pub(crate) fn kept(&self, revision: u64) -> Result<(), ReadError> {
        self.read().kept(revision)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn get(&self, key: &str) -> Option<(&Key, &Previous)> {
        self.map.get_key_value(key)
    }

    /// What goes by itself, and when.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = (u32, Key)> {
        self.map.iter().filter(|(_, item)| item.expires > 0).map(|(key, item)| (item.expires, key.clone()))
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The oldest revision that can still be read and watched from.
    pub(crate) fn oldest(&self) -> u64 {
        self.history.oldest()
    }

    pub(crate) fn events(&self) -> usize {
        self.history.len()
    }

    fn kept(&self, revision: u64) -> Result<(), ReadError> {
        let lost = self.lost.iter().find(|(above, until)| revision > *above && revision <= *until);
        let oldest = lost.map_or(self.history.oldest(), |(_, until)| until + 1);
        if revision < oldest { Err(ReadError::Compacted { requested: revision, oldest }) } else { Ok(()) }
    }

    /// Changes the map, and tells what happened; nothing, if what is to be deleted is not there.
    fn change(&mut self, change: Change) -> Option<Arc<Event>> {
        let Change { revision, key, value, expires } = change;
        let (key, previous) = match &value {
            Some(value) => self.put(key, Previous { created: revision, revision, expires, value: value.clone() }),
            None => self.map.remove_entry(&key).map(|(key, old)| (key, Some(old)))?,
        };
        if let Some(old) = &previous {
            self.bytes -= key.len() + old.value.len();
        }
        if let Some(new) = &value {
            self.bytes += key.len() + new.len();
        }
        let created = previous.as_ref().map_or(revision, |previous| previous.created);
        self.revision = revision;
        Some(Arc::new(Event { revision, key, created, value, previous, frame: OnceLock::new() }))
    }

    /// Puts a value, and keeps the key that is there already.
    fn put(&mut self, key: Key, item: Previous) -> (Key, Option<Previous>) {
        let known = self.map.get_key_value(&key).map(|(key, item)| (key.clone(), item.created));
        let (key, created) = known.unwrap_or((key, item.created));
        let old = self.map.insert(key.clone(), Previous { created, ..item });
        (key, old)
    }
}
