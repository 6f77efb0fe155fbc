//! Watchers, and the topics that bring them events.
//!
//! A topic is one prefix that somebody watches. It has a queue of the events that concern it, the same that history
//! keeps and gone with them, so an event wakes only whose prefix fits and nobody searches the history. A watcher is a
//! place in its topic's queue and a few events taken from it: it holds nothing back, and one that is too slow finds
//! that events it needed are gone.

use super::Index;
use crate::entry::error::{ReadError, WatchError};
use crate::entry::{Event, Key};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// How many events a watcher takes at once.
const TAKE: usize = 32;

/// All topics, by their prefixes.
#[derive(Default)]
pub(super) struct Topics(Mutex<ByPrefix>);

#[derive(Default)]
struct ByPrefix {
    topics: HashMap<Box<[u8]>, Weak<Topic>>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
    /// At so many topics those without watchers are looked for.
    sweep: usize,
    closed: bool,
}

/// What is watched under one prefix.
pub(super) struct Topic {
    queue: Mutex<Queue>,
    latest: tokio::sync::watch::Sender<u64>,
}

struct Queue {
    events: VecDeque<Arc<Event>>,
    /// Events up to this revision have left the queue.
    gone: u64,
    closed: bool,
}

/// Follows the changes under a prefix, every one once and in order.
pub struct Watcher {
    index: Arc<Index>,
    topic: Arc<Topic>,
    latest: tokio::sync::watch::Receiver<u64>,
    taken: VecDeque<Arc<Event>>,
    /// Everything up to here has been taken.
    position: u64,
}

impl Index {
    /// Watches the keys with a prefix, from the first change after a revision on. A revision that is not there yet is
    /// waited for.
    pub(crate) fn watch(self: &Arc<Index>, prefix: &str, after: u64) -> Result<Watcher, ReadError> {
        let state = self.read();
        state.kept(after)?;
        let topic = self.topics.topic(prefix, || {
            let fitting = state.history.after(state.history.oldest()).filter(|event| event.key.starts_with(prefix));
            Topic::new(fitting.cloned().collect(), state.history.oldest())
        });
        let latest = topic.latest.subscribe();
        Ok(Watcher { index: self.clone(), topic, latest, taken: VecDeque::new(), position: after })
    }
}

impl Watcher {
    /// The next change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchError> {
        loop {
            // before looking: what comes after the look wakes
            self.latest.borrow_and_update();
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            self.latest.changed().await.map_err(|_| WatchError::Closed)?;
        }
    }

    /// The next change, if it is there already.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event>>, WatchError> {
        if self.taken.is_empty() {
            self.take()?;
        }
        Ok(self.taken.pop_front())
    }

    /// Up to which revision this watcher's changes have all been returned: what a bookmark may say. Never goes back.
    pub fn progress(&self) -> u64 {
        if let Some(event) = self.taken.front() {
            return event.revision - 1;
        }
        let visible = self.index.revision();
        let queue = self.topic.lock();
        match queue.events.back() {
            Some(last) if last.revision > self.position => self.position,
            _ if queue.gone > self.position => self.position,
            _ => self.position.max(visible),
        }
    }

    fn take(&mut self) -> Result<(), WatchError> {
        let queue = self.topic.lock();
        if queue.gone > self.position {
            return Err(WatchError::TooOld { after: self.position, oldest: queue.gone });
        }
        let start = match queue.events.back() {
            Some(last) if last.revision > self.position => {
                queue.events.partition_point(|event| event.revision <= self.position)
            }
            _ if queue.closed => return Err(WatchError::Closed),
            _ => return Ok(()),
        };
        for event in queue.events.range(start..) {
            // a transaction is taken whole: the position is a revision
            if self.taken.len() >= TAKE && event.revision != self.position {
                break;
            }
            self.position = event.revision;
            self.taken.push_back(event.clone());
        }
        Ok(())
    }
}

impl Topic {
    fn new(events: VecDeque<Arc<Event>>, gone: u64) -> Topic {
        let latest = tokio::sync::watch::Sender::new(gone);
        Topic { queue: Mutex::new(Queue { events, gone, closed: false }), latest }
    }

    pub(super) fn wake(&self, revision: u64) {
        self.latest.send_replace(revision);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Topics {
    /// Puts an event into the queues it belongs to, and notes whom to wake; false: nobody watches it.
    pub(super) fn publish(&self, event: &Arc<Event>, woken: &mut Vec<(Arc<Topic>, u64)>) -> bool {
        let mut seen = false;
        self.lock().fitting(&event.key, |topic| {
            seen = true;
            topic.lock().events.push_back(event.clone());
            match woken.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &topic)) {
                Some((_, revision)) => *revision = event.revision,
                None => woken.push((topic, event.revision)),
            }
        });
        seen
    }

    /// Takes events that history has dropped out of the queues.
    pub(super) fn forget(&self, events: Vec<Arc<Event>>) {
        if events.is_empty() {
            return;
        }
        let mut topics = self.lock();
        for event in events {
            topics.fitting(&event.key, |topic| {
                let mut queue = topic.lock();
                while queue.events.front().is_some_and(|first| first.revision <= event.revision) {
                    queue.events.pop_front();
                }
                queue.gone = queue.gone.max(event.revision);
            });
        }
    }

    /// Empties all queues: everything up to a revision is gone.
    pub(super) fn outdate(&self, revision: u64) {
        self.each(|topic| {
            let mut queue = topic.lock();
            queue.events.clear();
            queue.gone = revision;
            drop(queue);
            topic.wake(revision);
        });
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.each(|topic| {
            topic.lock().closed = true;
            topic.wake(u64::MAX);
        });
    }

    fn each(&self, mut what: impl FnMut(Arc<Topic>)) {
        let live: Vec<_> = self.lock().topics.values().filter_map(Weak::upgrade).collect();
        live.into_iter().for_each(&mut what);
    }

    fn topic(&self, prefix: &str, make: impl FnOnce() -> Topic) -> Arc<Topic> {
        let mut all = self.lock();
        if let Some(topic) = all.topics.get(prefix.as_bytes()).and_then(Weak::upgrade) {
            return topic;
        }
        let topic = Arc::new(make());
        topic.lock().closed = all.closed;
        if all.topics.insert(prefix.as_bytes().into(), Arc::downgrade(&topic)).is_none() {
            *all.lengths.entry(prefix.len()).or_default() += 1;
        }
        if all.topics.len() > all.sweep {
            all.sweep();
        }
        topic
    }

    fn lock(&self) -> MutexGuard<'_, ByPrefix> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ByPrefix {
    /// Calls with every live topic whose prefix the key has.
    fn fitting(&mut self, key: &Key, mut call: impl FnMut(Arc<Topic>)) {
        for length in self.lengths.range(..=key.len()).map(|(length, _)| *length) {
            if let Some(topic) = self.topics.get(&key.as_bytes()[..length]).and_then(Weak::upgrade) {
                call(topic);
            }
        }
    }

    /// Drops the topics that nobody watches.
    fn sweep(&mut self) {
        self.topics.retain(|_, topic| topic.strong_count() > 0);
        self.lengths.clear();
        for prefix in self.topics.keys() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        self.sweep = 2 * self.topics.len() + 16;
    }
}
