//! Reading the map as it was at one revision, a chunk at a time, while it changes.

use super::State;
use crate::entry::error::ReadError;
use crate::entry::{Entry, Key, Previous};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The keys with a prefix as they were at one revision. What changed since is undone from history, which only has to
/// reach from one chunk to the next once a view has begun.
pub(crate) struct View {
    prefix: String,
    after: Option<Key>,
    /// What keys held at the revision, of those changed since; none: they were not there.
    undo: BTreeMap<Key, Option<Previous>>,
    /// The revision up to which `undo` is complete.
    seen: u64,
}

impl View {
    pub(crate) fn new(prefix: &str, after: Option<&str>, revision: u64) -> View {
        View { prefix: prefix.to_string(), after: after.map(Key::from), undo: BTreeMap::new(), seen: revision }
    }

    /// The next entries, at most `limit` of them; fewer means the end.
    pub(crate) fn chunk(&mut self, state: &State, limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.catch_up(state)?;
        let mut entries = Vec::with_capacity(limit.min(state.map.len()).min(1024));
        let mut changed = self.range(&self.undo).peekable();
        let mut current = self.range(&state.map).peekable();
        while entries.len() < limit {
            let undone = match (current.peek(), changed.peek()) {
                (None, None) => break,
                (Some((key, _)), Some((changed, _))) => changed <= key,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            if undone {
                let Some((key, old)) = changed.next() else { break };
                current.next_if(|(current, _)| *current == key);
                entries.extend(old.as_ref().map(|old| old.entry(key.clone())));
            } else if let Some((key, item)) = current.next() {
                entries.push(item.entry(key.clone()));
            }
        }
        if let Some(last) = entries.last() {
            self.after = Some(last.key.clone());
        }
        Ok(entries)
    }

    /// How many entries follow those given already.
    pub(crate) fn remaining(&mut self, state: &State) -> Result<usize, ReadError> {
        self.catch_up(state)?;
        let mut count = self.range(&state.map).count();
        for (key, old) in self.range(&self.undo) {
            match (old, state.map.contains_key(key)) {
                (Some(_), false) => count += 1,
                (None, true) => count -= 1,
                _ => {}
            }
        }
        Ok(count)
    }

    /// Takes note of what changed since the last look.
    fn catch_up(&mut self, state: &State) -> Result<(), ReadError> {
        state.kept(self.seen)?;
        for event in state.history.after(self.seen) {
            let passed = self.after.as_ref().is_some_and(|after| event.key <= *after);
            if !passed && event.key.starts_with(&self.prefix) && !self.undo.contains_key(&event.key) {
                self.undo.insert(event.key.clone(), event.previous.clone());
            }
        }
        self.seen = state.revision;
        Ok(())
    }

    fn range<'a, T>(&self, map: &'a BTreeMap<Key, T>) -> impl Iterator<Item = (&'a Key, &'a T)> + use<'a, T> {
        let start = match &self.after {
            Some(after) if after.as_ref() >= self.prefix.as_str() => Bound::Excluded(after.as_ref()),
            _ => Bound::Included(self.prefix.as_str()),
        };
        let prefix = self.prefix.clone();
        map.range::<str, _>((start, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(&prefix))
    }
}
