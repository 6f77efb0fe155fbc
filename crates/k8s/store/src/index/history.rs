//! The last changes, as far back as age, number and bytes allow.

use crate::entry::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much history is kept: whatever is over one of them goes, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) events: usize,
    /// Of values that only history holds, of frames, and of the events themselves.
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// What an event and its places in queues weigh, without key and values.
const EVENT: usize = 256;

/// A ring of events in the order of their revisions.
pub(super) struct History {
    ring: VecDeque<Kept>,
    weight: usize,
    /// Everything up to here is forgotten (or never was known).
    oldest: u64,
    limits: Limits,
    start: Instant,
}

struct Kept {
    event: Arc<Event>,
    /// Seconds since the history's start.
    at: u32,
    /// Whether somebody watched, who may have left a frame.
    seen: bool,
}

impl History {
    pub(super) fn new(oldest: u64, limits: Limits) -> History {
        History { ring: VecDeque::new(), weight: 0, oldest, limits, start: Instant::now() }
    }

    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn push(&mut self, event: Arc<Event>, seen: bool) {
        let at = self.start.elapsed().as_secs() as u32;
        let kept = Kept { event, at, seen };
        self.weight += kept.weight();
        self.ring.push_back(kept);
    }

    /// The events after a revision.
    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = &Arc<Event>> {
        // most ask for the last few
        let start = match self.ring.back() {
            Some(last) if last.event.revision <= revision => self.ring.len(),
            _ => self.ring.partition_point(|kept| kept.event.revision <= revision),
        };
        self.ring.range(start..).map(|kept| &kept.event)
    }

    /// Drops what is over the limits, and returns it. Events of one transaction go together.
    pub(super) fn trim(&mut self) -> Vec<Arc<Event>> {
        let young = (self.start.elapsed().as_secs()).saturating_sub(self.limits.age.as_secs()) as u32;
        let mut until = None;
        let (mut count, mut weight) = (self.ring.len(), self.weight);
        for kept in &self.ring {
            let over = count > self.limits.events || weight > self.limits.bytes || kept.at < young;
            if !over {
                break;
            }
            until = Some(kept.event.revision);
            count -= 1;
            weight -= kept.weight();
        }
        until.map_or_else(Vec::new, |until| self.forget(until))
    }

    /// Drops the events up to a revision, and returns them.
    pub(super) fn forget(&mut self, until: u64) -> Vec<Arc<Event>> {
        let mut gone = Vec::new();
        while self.ring.front().is_some_and(|kept| kept.event.revision <= until) {
            if let Some(kept) = self.ring.pop_front() {
                self.weight -= kept.weight();
                gone.push(kept.event);
            }
        }
        if self.ring.len() < self.ring.capacity() / 4 {
            self.ring.shrink_to(self.ring.len() * 2);
        }
        self.oldest = self.oldest.max(until);
        gone
    }

    /// Drops everything: history begins at this revision.
    pub(super) fn restart(&mut self, revision: u64) {
        self.ring.clear();
        self.weight = 0;
        self.oldest = revision;
    }
}

impl Kept {
    fn weight(&self) -> usize {
        let old = self.event.previous.as_ref().map_or(0, |previous| previous.value.len());
        let frame = if self.seen { self.event.value.as_ref().map_or(old, |value| value.len()) } else { 0 };
        EVENT + old + frame
    }
}
