//! What a controller has done that its cache does not show yet.
//!
//! A controller that made or deleted objects must not count again before its cache has seen them, or it would make them twice. It writes down how many it
//! is about to make or which it deletes, its handlers take that back as the changes arrive, and it does nothing while something is outstanding.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this long a change is not waited for any more: it was seen as another one, or never happened.
const PATIENCE: Duration = Duration::from_secs(300);

/// Outstanding changes by the controller's key; a cheap handle.
#[derive(Clone, Default)]
pub struct Expectations {
    inner: Arc<Mutex<HashMap<String, Expected>>>,
}

struct Expected {
    creations: usize,
    /// By uid.
    deletions: HashSet<String>,
    since: Instant,
}

impl Expectations {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Expected>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before so many objects are made.
    pub fn create(&self, key: &str, count: usize) {
        let mut all = self.lock();
        let expected = all.entry(key.to_owned()).or_insert_with(Expected::new);
        expected.creations += count;
        expected.since = Instant::now();
    }

    /// Before an object is deleted.
    pub fn delete(&self, key: &str, uid: &str) {
        let mut all = self.lock();
        let expected = all.entry(key.to_owned()).or_insert_with(Expected::new);
        expected.deletions.insert(uid.to_owned());
        expected.since = Instant::now();
    }

    /// One was seen that had been made, or making it failed.
    pub fn created(&self, key: &str) {
        if let Some(expected) = self.lock().get_mut(key) {
            expected.creations = expected.creations.saturating_sub(1);
        }
    }

    /// One is seen to be deleted (or to be on its way), or deleting it failed.
    pub fn deleted(&self, key: &str, uid: &str) {
        if let Some(expected) = self.lock().get_mut(key) {
            expected.deletions.remove(uid);
        }
    }

    /// Whether the cache shows everything that was done.
    pub fn fulfilled(&self, key: &str) -> bool {
        let mut all = self.lock();
        let Some(expected) = all.get(key) else { return true };
        let fulfilled = expected.creations == 0 && expected.deletions.is_empty();
        if fulfilled || expected.since.elapsed() > PATIENCE {
            all.remove(key);
            return true;
        }
        false
    }

    /// The controller's object is gone.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }
}

impl Expected {
    fn new() -> Expected {
        Expected { creations: 0, deletions: HashSet::new(), since: Instant::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_again_before_it_was_seen() {
        let expectations = Expectations::default();
        assert!(expectations.fulfilled("a"));
        expectations.create("a", 2);
        expectations.delete("a", "uid");
        expectations.created("a");
        assert!(!expectations.fulfilled("a"));
        assert!(expectations.fulfilled("b"));
        expectations.created("a");
        assert!(!expectations.fulfilled("a"));
        expectations.deleted("a", "uid");
        assert!(expectations.fulfilled("a"));
        expectations.created("a");
        assert!(expectations.fulfilled("a"), "what nobody waits for does no harm");
    }
}
