//! A queue of keys to look at: a key is there once, nobody works on it twice at a time, what failed comes back later.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The queue, a cheap handle.
pub struct Queue<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    state: Mutex<State<K>>,
    ready: Notify,
}

struct State<K> {
    waiting: VecDeque<K>,
    /// What is waiting, and what was added while it was worked on.
    dirty: HashSet<K>,
    working: HashSet<K>,
    failures: HashMap<K, u32>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Queue { inner: self.inner.clone() }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            dirty: HashSet::new(),
            working: HashSet::new(),
            failures: HashMap::new(),
        };
        Queue { inner: Arc::new(Inner { state: Mutex::new(state), ready: Notify::new() }) }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Queue<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a key, unless it waits already.
    pub fn add(&self, key: K) {
        let mut state = self.state();
        if !state.dirty.insert(key.clone()) || state.working.contains(&key) {
            return;
        }
        state.waiting.push_back(key);
        drop(state);
        self.inner.ready.notify_one();
    }

    /// Adds a key after a while.
    pub fn add_after(&self, key: K, delay: Duration) {
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            queue.add(key);
        });
    }

    async fn next(&self) -> K {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.inner.ready.notified().await;
        }
    }

    fn take(&self) -> Option<K> {
        let mut state = self.state();
        let key = state.waiting.pop_front()?;
        state.dirty.remove(&key);
        state.working.insert(key.clone());
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            self.inner.ready.notify_one();
        }
        Some(key)
    }

    /// Work on the key ended; returns when it should come back if it failed.
    fn done(&self, key: &K, failed: bool) -> Option<Duration> {
        let mut state = self.state();
        state.working.remove(key);
        let pause = if failed {
            let times = state.failures.entry(key.clone()).or_insert(0);
            *times += 1;
            Some(FIRST_PAUSE.saturating_mul(1 << (*times - 1).min(13)).min(LONGEST_PAUSE))
        } else {
            state.failures.remove(key);
            None
        };
        if state.dirty.contains(key) {
            state.waiting.push_back(key.clone());
            drop(state);
            self.inner.ready.notify_one();
        }
        pause
    }

    /// Works on the keys, several at a time, until dropped.
    pub async fn work<E, F, Fut>(self, name: &'static str, workers: usize, sync: F)
    where
        K: std::fmt::Debug,
        E: Display,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<(), E>>,
    {
        let workers = (0..workers).map(|_| self.work_one(name, &sync));
        futures_util::future::join_all(workers).await;
    }

    async fn work_one<E, F, Fut>(&self, name: &'static str, sync: &F)
    where
        K: std::fmt::Debug,
        E: Display,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<(), E>>,
    {
        loop {
            let key = self.next().await;
            let result = sync(key.clone()).await;
            if let Err(error) = &result {
                tracing::debug!(controller = name, ?key, %error, "failed; again later");
            }
            if let Some(pause) = self.done(&key, result.is_err()) {
                self.add_after(key, pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_worked_on_once_at_a_time_and_comes_back_after_failure() {
        let queue: Queue<u32> = Queue::default();
        queue.add(1);
        queue.add(1);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), None);
        queue.add(1);
        assert_eq!(queue.take(), None, "it is worked on");
        assert_eq!(queue.done(&1, true), Some(FIRST_PAUSE));
        assert_eq!(queue.take(), Some(1), "it was added meanwhile");
        assert_eq!(queue.done(&1, true), Some(FIRST_PAUSE * 2));
        queue.add(1);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.done(&1, false), None);
        assert!(queue.state().failures.is_empty());
    }
}
