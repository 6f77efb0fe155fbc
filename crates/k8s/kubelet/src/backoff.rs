//! Pauses that double: before a container starts again, before an image is pulled again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// Pauses by a key of the caller's.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    pause: Duration,
    /// When it was last raised.
    raised: Timestamp,
}

fn since(earlier: Timestamp, later: Timestamp) -> Duration {
    later.duration_since(earlier).try_into().unwrap_or(Duration::ZERO)
}

impl Entry {
    /// What went well for long enough begins anew.
    fn expired(&self, at: Timestamp) -> bool {
        since(self.raised, at) > LONGEST * 2
    }
}

impl Backoff {
    /// The pause that is on since `failed`, and when it ends; none when it is over or never began.
    pub fn pause(&self, key: &str, failed: Timestamp, now: Timestamp) -> Option<(Duration, Timestamp)> {
        let entry = self.entries.get(key).filter(|entry| !entry.expired(failed))?;
        let end = failed.checked_add(entry.pause).unwrap_or(failed);
        // A clock that was set back must not stretch it.
        (now < end && since(now, end) <= entry.pause).then_some((entry.pause, end))
    }

    /// It is tried again, after what failed at `failed`: the next pause is twice as long.
    pub fn raise(&mut self, key: &str, failed: Timestamp, now: Timestamp) {
        let pause = match self.entries.get(key) {
            Some(entry) if !entry.expired(failed) => (entry.pause * 2).min(LONGEST),
            _ => FIRST,
        };
        self.entries.insert(key.to_owned(), Entry { pause, raised: now });
    }

    /// What a process before this one knew, from what it did: a container `failed` and was started `again`, after the pause that was on. The next is twice as long.
    pub fn resume(&mut self, key: &str, failed: Timestamp, again: Timestamp) {
        let waited = since(failed, again);
        let mut pause = FIRST;
        while pause <= waited && pause < LONGEST {
            pause = (pause * 2).min(LONGEST);
        }
        self.entries.insert(key.to_owned(), Entry { pause, raised: again });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_pauses_double_until_it_ran_for_long() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause("a", at(0), at(0)), None);
        backoff.raise("a", at(0), at(0));
        assert_eq!(backoff.pause("a", at(1), at(2)), Some((FIRST, at(11))));
        assert_eq!(backoff.pause("a", at(1), at(11)), None);
        backoff.raise("a", at(1), at(11));
        assert_eq!(backoff.pause("a", at(12), at(12)), Some((FIRST * 2, at(32))));
        for _ in 0..10 {
            backoff.raise("a", at(12), at(32));
        }
        assert_eq!(backoff.pause("a", at(40), at(40)).unwrap().0, LONGEST);
        assert_eq!(backoff.pause("a", at(40 + 700), at(40 + 700)), None, "it ran for more than ten minutes");
        backoff.raise("a", at(740), at(740));
        assert_eq!(backoff.pause("a", at(741), at(741)), Some((FIRST, at(751))));
    }

    #[test]
    fn a_pause_outlives_the_process_that_began_it() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        let next = |waited: i64| {
            let mut backoff = Backoff::default();
            backoff.resume("a", at(0), at(waited));
            backoff.pause("a", at(waited + 1), at(waited + 1)).unwrap().0.as_secs()
        };
        assert_eq!([0, 1, 10, 11, 20, 41, 160, 300, 900].map(next), [10, 10, 20, 20, 40, 80, 300, 300, 300]);
    }

    #[test]
    fn a_clock_set_back_does_not_stretch_a_pause() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        let mut backoff = Backoff::default();
        backoff.raise("a", at(0), at(0));
        assert_eq!(backoff.pause("a", at(1), at(-3600)), None);
    }
}
