//! Who wants which elements: what changes in the table when one service does.
//!
//! Elements can be wanted by several services (a place on this node that two of them lead to, a port that two of them claim). The first who came
//! decides; when it goes, the next does.

use std::collections::{BTreeMap, HashMap};

use super::sets::{Key, Value};

/// A change of one element; there is at least one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub key: Key,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

type Owner = u32;

/// All elements with their owners.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    wanted: HashMap<Key, Wanted>,
    owned: HashMap<Owner, Vec<Key>>,
}

/// What one element is wanted to be. Nearly all have one owner.
#[derive(Debug)]
struct Wanted {
    first: (Owner, Value),
    others: Vec<(Owner, Value)>,
}

impl Ledger {
    /// Makes this all that an owner wants. What changes is added to `changes`, which knows each element as it was when it was first put there.
    pub fn set(&mut self, owner: Owner, entries: Vec<(Key, Value)>, changes: &mut Changes) {
        let entries: BTreeMap<Key, Value> = entries.into_iter().collect();
        let before = self.owned.remove(&owner).unwrap_or_default();
        for key in before.iter().filter(|key| !entries.contains_key(*key)) {
            let old = self.value(key);
            self.withdraw(key, owner);
            changes.note(key, old, self.value(key));
        }
        for (key, value) in &entries {
            let old = self.value(key);
            self.want(key, owner, *value);
            changes.note(key, old, self.value(key));
        }
        if !entries.is_empty() {
            self.owned.insert(owner, entries.into_keys().collect());
        }
    }

    /// Every element that should be there.
    pub fn all(&self) -> impl Iterator<Item = (&Key, Value)> {
        self.wanted.iter().map(|(key, wanted)| (key, wanted.first.1))
    }

    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    fn value(&self, key: &Key) -> Option<Value> {
        self.wanted.get(key).map(|wanted| wanted.first.1)
    }

    fn want(&mut self, key: &Key, owner: Owner, value: Value) {
        let Some(wanted) = self.wanted.get_mut(key) else {
            self.wanted.insert(key.clone(), Wanted { first: (owner, value), others: Vec::new() });
            return;
        };
        let mut all = std::iter::once(&mut wanted.first).chain(&mut wanted.others);
        match all.find(|(held, _)| *held == owner) {
            Some(own) => own.1 = value,
            None => wanted.others.push((owner, value)),
        }
    }

    fn withdraw(&mut self, key: &Key, owner: Owner) {
        let Some(wanted) = self.wanted.get_mut(key) else { return };
        if wanted.first.0 != owner {
            wanted.others.retain(|(held, _)| *held != owner);
        } else if wanted.others.is_empty() {
            self.wanted.remove(key);
        } else {
            wanted.first = wanted.others.remove(0);
        }
    }
}

/// Changes since the table was last written.
#[derive(Debug, Default)]
pub(crate) struct Changes(HashMap<Key, (Option<Value>, Option<Value>)>);

impl Changes {
    fn note(&mut self, key: &Key, before: Option<Value>, after: Option<Value>) {
        if before != after || self.0.contains_key(key) {
            self.0.entry(key.clone()).or_insert((before, after)).1 = after;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is different in the end, in the order of keys.
    pub fn take(&mut self) -> Vec<Change> {
        let different = std::mem::take(&mut self.0).into_iter().filter(|(_, (before, after))| before != after);
        let mut changes: Vec<_> = different.map(|(key, (before, after))| Change { key, before, after }).collect();
        changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::sets::{Family, Set};

    fn key(n: u8) -> Key {
        Key::new(Set::Services, Family::V4, &[&[n]])
    }

    fn set(ledger: &mut Ledger, owner: Owner, entries: &[(u8, u32)]) -> Vec<(u8, Option<Value>, Option<Value>)> {
        let mut changes = Changes::default();
        let entries = entries.iter().map(|(n, value)| (key(*n), Value::Spread(*value))).collect();
        ledger.set(owner, entries, &mut changes);
        let number = |key: &Key| (0..9).find(|n| *key == self::key(*n)).unwrap();
        changes.take().into_iter().map(|change| (number(&change.key), change.before, change.after)).collect()
    }

    #[test]
    fn only_what_differs_changes() {
        let mut ledger = Ledger::default();
        let of = |value| Some(Value::Spread(value));
        assert_eq!(set(&mut ledger, 1, &[(1, 1), (2, 2)]), [(1, None, of(1)), (2, None, of(2))]);
        assert_eq!(set(&mut ledger, 1, &[(1, 1), (2, 3)]), [(2, of(2), of(3))]);
        assert_eq!(set(&mut ledger, 2, &[(2, 9)]), [], "who came first decides");
        assert_eq!(set(&mut ledger, 1, &[(1, 1)]), [(2, of(3), of(9))]);
        assert_eq!(set(&mut ledger, 1, &[]), [(1, of(1), None)]);
        assert_eq!(set(&mut ledger, 2, &[]), [(2, of(9), None)]);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn what_comes_and_goes_before_it_is_written_is_no_change() {
        let mut ledger = Ledger::default();
        let mut changes = Changes::default();
        ledger.set(1, vec![(key(1), Value::Drop)], &mut changes);
        ledger.set(1, vec![], &mut changes);
        assert_eq!(changes.take(), []);
    }
}
