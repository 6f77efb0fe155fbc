//! Node labels that pods are spread or gathered by, as small numbers: counts per value are then plain vectors.

use std::collections::{BTreeMap, HashMap};

/// A label's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u16);

impl KeyId {
    pub const HOSTNAME: KeyId = KeyId(0);
    pub const ZONE: KeyId = KeyId(1);
}

pub const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What stands for a label that a node lacks.
pub const NONE: u32 = u32::MAX;

/// The keys that are in use and their values.
#[derive(Debug)]
pub struct Topology {
    keys: Vec<Key>,
    by_name: HashMap<String, KeyId>,
}

#[derive(Debug)]
struct Key {
    name: String,
    values: HashMap<String, u32>,
}

impl Default for Topology {
    fn default() -> Topology {
        let mut topology = Topology { keys: Vec::new(), by_name: HashMap::new() };
        // In the order of their numbers.
        topology.key(HOSTNAME);
        topology.key(ZONE);
        topology
    }
}

impl Topology {
    /// The number of a key, and whether it is a new one: nodes must then be read again.
    pub fn key(&mut self, name: &str) -> (KeyId, bool) {
        if let Some(id) = self.by_name.get(name) {
            return (*id, false);
        }
        let id = KeyId(self.keys.len() as u16);
        self.keys.push(Key { name: name.to_owned(), values: HashMap::new() });
        self.by_name.insert(name.to_owned(), id);
        (id, true)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The values of a node's labels, by key.
    pub fn read(&mut self, labels: Option<&BTreeMap<String, String>>) -> Vec<u32> {
        let value = |key: &mut Key| {
            let Some(text) = labels.and_then(|labels| labels.get(&key.name)) else { return NONE };
            let next = key.values.len() as u32;
            *key.values.entry(text.clone()).or_insert(next)
        };
        self.keys.iter_mut().map(value).collect()
    }
}

/// Numbers by value of one key; grows as it is written.
#[derive(Debug, Clone, Default)]
pub struct Counts(Vec<i64>);

impl Counts {
    pub fn get(&self, value: u32) -> i64 {
        self.0.get(value as usize).copied().unwrap_or(0)
    }

    /// Adds for a value; nothing for a node that lacks the label.
    pub fn add(&mut self, value: u32, by: i64) {
        if value == NONE {
            return;
        }
        let at = value as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] += by;
    }

    pub fn values(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.0.iter().enumerate().map(|(value, count)| (value as u32, *count))
    }
}
