//! Nodes that are alike to a template: the same score of their own, the same places, the same counts there. Whatever is asked of one of them is asked of all,
//! so a decision looks at one node of each group, however many nodes there are.

use std::collections::{BTreeSet, HashMap};

use crate::model::topology::{Counts, KeyId, NONE};
use crate::model::{Cluster, NodeId, NodeInfo};

/// Stands for a place that only one node has: its counts are written out instead of its number.
const ITS_OWN: i64 = -2;
/// Stands for a label that the node lacks.
const NOWHERE: i64 = -1;

/// Nodes between which a template sees no difference.
#[derive(Debug, Default)]
pub struct Group {
    sign: Box<[i64]>,
    pub nodes: BTreeSet<NodeId>,
}

/// How many nodes share a place; fixed as long as no node comes, goes or moves.
#[derive(Debug, Default)]
pub struct Places {
    nodes: HashMap<KeyId, Counts>,
}

impl Places {
    /// Counts the nodes that have each value of a label.
    fn add_key(&mut self, cluster: &Cluster, key: KeyId) {
        let mut counts = Counts::default();
        cluster.nodes().for_each(|(_, info)| counts.add(info.value(key), 1));
        self.nodes.insert(key, counts);
    }

    /// Whether no other node is at this one's place.
    pub fn is_its_own(&self, key: KeyId, node: &NodeInfo) -> bool {
        let value = node.value(key);
        value != NONE && self.nodes.get(&key).is_some_and(|counts| counts.get(value) == 1)
    }
}

/// Groups, kept right node by node.
#[derive(Debug, Default)]
pub struct Alike {
    pub places: Places,
    keys: BTreeSet<KeyId>,
    groups: Vec<Group>,
    /// Groups without nodes, to be used again.
    free: Vec<usize>,
    by_sign: HashMap<Box<[i64]>, usize>,
    /// The group of each node.
    of: Vec<Option<usize>>,
}

impl Alike {
    /// No groups yet; `keys` are the labels whose values make a difference.
    pub fn new(cluster: &Cluster, keys: BTreeSet<KeyId>) -> Alike {
        let mut places = Places::default();
        keys.iter().for_each(|key| places.add_key(cluster, *key));
        Alike { places, keys, of: vec![None; cluster.places()], ..Alike::default() }
    }

    /// Whether all of these labels are looked at.
    pub fn knows(&self, mut keys: impl Iterator<Item = KeyId>) -> bool {
        keys.all(|key| self.keys.contains(&key))
    }

    /// Appends what a node's places are to the template; `counts` appends what is counted at a place.
    pub fn sign(&self, node: &NodeInfo, sign: &mut Vec<i64>, counts: impl Fn(KeyId, u32, &mut Vec<i64>)) {
        for key in &self.keys {
            match node.value(*key) {
                NONE => sign.push(NOWHERE),
                value if self.places.is_its_own(*key, node) => {
                    sign.push(ITS_OWN);
                    counts(*key, value, sign);
                }
                value => sign.push(i64::from(value)),
            }
        }
    }

    /// Puts a node among those with the same sign, or nowhere.
    pub fn put(&mut self, id: NodeId, sign: Option<&[i64]>) {
        let before = self.of[id.index()];
        if before.map(|at| &*self.groups[at].sign) == sign {
            return;
        }
        if let Some(at) = before {
            let group = &mut self.groups[at];
            group.nodes.remove(&id);
            if group.nodes.is_empty() {
                self.by_sign.remove(&group.sign);
                self.free.push(at);
            }
        }
        self.of[id.index()] = sign.map(|sign| {
            let at = self.by_sign.get(sign).copied().unwrap_or_else(|| self.begin(sign));
            self.groups[at].nodes.insert(id);
            at
        });
    }

    fn begin(&mut self, sign: &[i64]) -> usize {
        let at = self.free.pop().unwrap_or(self.groups.len());
        if at == self.groups.len() {
            self.groups.push(Group::default());
        }
        self.groups[at].sign = sign.into();
        self.by_sign.insert(sign.into(), at);
        at
    }

    /// The groups with one node of each, the first of its nodes.
    pub fn groups<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = (&'a Group, NodeId, &'a NodeInfo)> {
        self.groups.iter().filter_map(|group| {
            let first = *group.nodes.first()?;
            Some((group, first, cluster.info(first)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_in_the_group_of_its_sign_and_in_no_other() {
        let mut alike = Alike { of: vec![None; 3], ..Alike::default() };
        let groups = |alike: &Alike| {
            let mut all: Vec<Vec<u32>> = alike
                .groups
                .iter()
                .filter(|group| !group.nodes.is_empty())
                .map(|group| group.nodes.iter().map(|id| id.0).collect())
                .collect();
            all.sort();
            all
        };
        for id in 0..3 {
            alike.put(NodeId(id), Some(&[1, 2]));
        }
        assert_eq!(groups(&alike), [vec![0, 1, 2]]);
        alike.put(NodeId(1), Some(&[1, 3]));
        alike.put(NodeId(0), None);
        assert_eq!(groups(&alike), [vec![1], vec![2]]);
        alike.put(NodeId(2), Some(&[1, 3]));
        alike.put(NodeId(0), Some(&[1, 2]));
        assert_eq!(groups(&alike), [vec![0], vec![1, 2]]);
        assert_eq!(alike.groups.len(), 2, "places of empty groups are used again");
    }
}
