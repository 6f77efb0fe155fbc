//! What goes by itself: which keys, and when to look after them.

use crate::entry::{Expect, Key, Write};
use crate::index::Index;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Looked after this often at least while there is something, since clocks are set.
const LONGEST: Duration = Duration::from_secs(300);
/// After what is due could not be deleted.
const PAUSE: Duration = Duration::from_secs(10);
/// So many deletions in one transaction.
const TOGETHER: usize = 512;

/// Keys by the second in which they go. A key that was written again since is here under its old time too, until that has come.
pub(super) struct Expiry {
    waiting: BTreeSet<(u32, Key)>,
    not_before: Option<Instant>,
}

/// The second in which something goes that lives for so long from now on.
pub(super) fn after(lives: Duration) -> u32 {
    let seconds = lives.as_secs() + u64::from(lives.subsec_nanos() > 0);
    u64::from(now()).saturating_add(seconds.max(1)).try_into().unwrap_or(u32::MAX)
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(u32::MAX)
}

impl Expiry {
    /// What an index holds of it.
    pub(super) fn of(index: &Index) -> Expiry {
        Expiry { waiting: index.read().expiring().collect(), not_before: None }
    }

    /// A key is written; 0: it stays.
    pub(super) fn note(&mut self, expires: u32, key: &Key) {
        if expires > 0 {
            self.waiting.insert((expires, key.clone()));
        }
    }

    /// When to look after it again, if there is anything.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, _) = self.waiting.first()?;
        let left = Duration::from_secs(first.saturating_sub(now()).into()).min(LONGEST);
        let due = Instant::now() + left;
        Some(self.not_before.map_or(due, |pause| due.max(pause)))
    }

    /// The deletions that are due, in transactions of some size. They stay noted until [`Expiry::settle`] finds them done.
    pub(super) fn deletions(&mut self, index: &Index) -> Vec<Vec<Write>> {
        self.not_before = None;
        let now = now();
        let state = index.read();
        // what was written again has another time, and what is gone has none
        let stands = |(expires, key): &(u32, Key)| state.get(key).is_some_and(|(_, item)| item.expires == *expires);
        while self.waiting.first().is_some_and(|first| first.0 <= now && !stands(first)) {
            self.waiting.pop_first();
        }
        let due = self.waiting.iter().take_while(|(expires, _)| *expires <= now).filter(|it| stands(it));
        let writes: Vec<Write> = due
            .filter_map(|(_, key)| state.get(key))
            .map(|(key, item)| Write::delete(&**key, Expect::Revision(item.revision)).relaxed())
            .collect();
        writes.chunks(TOGETHER).map(<[Write]>::to_vec).collect()
    }

    /// Forgets what is done; what is not is tried again after a pause.
    pub(super) fn settle(&mut self, index: &Index) {
        let now = now();
        let state = index.read();
        let stands = |(expires, key): &(u32, Key)| state.get(key).is_some_and(|(_, item)| item.expires == *expires);
        while let Some(first) = self.waiting.first().filter(|first| first.0 <= now) {
            if stands(first) {
                self.not_before = Some(Instant::now() + PAUSE);
                return;
            }
            self.waiting.pop_first();
        }
    }
}
