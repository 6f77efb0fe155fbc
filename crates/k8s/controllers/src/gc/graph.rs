//! Who owns whom. Only objects that have owners, or wait for their dependents, are kept whole; of all others it is known that they are there.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// Holds an object until its dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until its dependents know it no longer.
pub const ORPHAN: &str = "orphan";

/// The unique id of an object, in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(u128);

/// A kind of objects that is followed.
pub type KindId = u32;

/// Something to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Whether the object should go.
    Delete(Uid),
    /// The dependents of the object are to forget it.
    Orphan(Uid),
}

/// An object that has owners or waits for its dependents.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: KindId,
    /// Empty for objects of the cluster.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub owners: Vec<Owner>,
    pub deleted: bool,
    /// Waits until its dependents are gone.
    pub foreground: bool,
    /// Waits until its dependents have forgotten it.
    pub orphaning: bool,
}

/// A reference to an owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    pub uid: Uid,
    /// The owner waits for this dependent when it is deleted in the foreground.
    pub blocks: bool,
}

/// Where an object is: its kind, and a hash of its namespace.
#[derive(Debug, Clone, Copy)]
struct Place {
    kind: KindId,
    namespace: u32,
}

/// All objects.
#[derive(Debug, Default)]
pub struct Graph {
    there: HashMap<Uid, Place>,
    nodes: HashMap<Uid, Node>,
    dependents: HashMap<Uid, HashSet<Uid>>,
    /// Whether every kind has been listed once: before, an owner that was not seen may be there all the same.
    complete: bool,
}

impl Uid {
    /// Reads a uid; one that is no UUID is hashed.
    pub fn of(text: &str) -> Uid {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() == 32
            && let Ok(number) = u128::from_str_radix(&digits, 16)
        {
            return Uid(number);
        }
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Uid(half(0) << 64 | half(1))
    }
}

fn short_hash(text: &str) -> u32 {
    if text.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

impl Owner {
    /// Reads a reference.
    pub fn of(reference: &OwnerReference) -> Owner {
        Owner { uid: Uid::of(&reference.uid), blocks: reference.block_owner_deletion == Some(true) }
    }
}

impl Node {
    /// Reads an object.
    pub fn of(kind: KindId, metadata: &ObjectMeta) -> Node {
        let has = |name: &str| metadata.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        let deleted = metadata.deletion_timestamp.is_some();
        Node {
            kind,
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            owners: metadata.owner_references.iter().flatten().map(Owner::of).collect(),
            deleted,
            foreground: deleted && has(FOREGROUND),
            orphaning: deleted && has(ORPHAN),
        }
    }
}

impl Graph {
    /// Takes in an object that is there.
    pub fn observe(&mut self, kind: KindId, metadata: &ObjectMeta) -> Vec<Work> {
        let uid = Uid::of(metadata.uid.as_deref().unwrap_or_default());
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        self.there.insert(uid, Place { kind, namespace: short_hash(namespace) });
        let node = Node::of(kind, metadata);
        let old = self.nodes.remove(&uid);
        let mut work = self.released(uid, old.as_ref(), &node);
        self.unlink(uid, old.as_ref());
        for owner in &node.owners {
            self.dependents.entry(owner.uid).or_default().insert(uid);
        }
        let owners_changed = old.as_ref().is_none_or(|old| old.owners != node.owners);
        if self.complete && owners_changed && node.owners.iter().any(|owner| self.is_doubtful(owner, &node)) {
            work.push(Work::Delete(uid));
        }
        if node.orphaning {
            work.push(Work::Orphan(uid));
        }
        if node.foreground {
            work.extend(self.dependents.get(&uid).into_iter().flatten().map(|dependent| Work::Delete(*dependent)));
            work.push(Work::Delete(uid));
        }
        if !node.owners.is_empty() || node.foreground || node.orphaning {
            self.nodes.insert(uid, node);
        }
        work
    }

    /// Takes in that an object is gone.
    pub fn gone(&mut self, uid: Uid) -> Vec<Work> {
        self.there.remove(&uid);
        let old = self.nodes.remove(&uid);
        self.unlink(uid, old.as_ref());
        let owners = old.iter().flat_map(|old| &old.owners).map(|owner| owner.uid);
        let waiting = owners.filter(|owner| self.nodes.get(owner).is_some_and(|node| node.foreground));
        let dependents = self.dependents.get(&uid).into_iter().flatten().copied();
        waiting.chain(dependents).map(Work::Delete).collect()
    }

    /// Takes in a whole list of a kind: what was there and is not among `seen` is gone.
    pub fn listed(&mut self, kind: KindId, seen: &HashSet<Uid>) -> Vec<Work> {
        let of_kind = self.there.iter().filter(|(uid, place)| place.kind == kind && !seen.contains(uid));
        let gone: Vec<Uid> = of_kind.map(|(uid, _)| *uid).collect();
        gone.into_iter().flat_map(|uid| self.gone(uid)).collect()
    }

    /// Everything has been listed: what seems to have lost an owner is looked at.
    pub fn complete(&mut self) -> Vec<Work> {
        self.complete = true;
        let doubtful =
            self.nodes.iter().filter(|(_, node)| node.owners.iter().any(|owner| self.is_doubtful(owner, node)));
        doubtful.map(|(uid, _)| Work::Delete(*uid)).collect()
    }

    /// The object, if it is one that is kept whole.
    pub fn node(&self, uid: Uid) -> Option<&Node> {
        self.nodes.get(&uid)
    }

    /// The kind of an object that is there, and whether a dependent in `namespace` may refer to it.
    pub fn find(&self, uid: Uid, namespace: &str) -> Option<(KindId, bool)> {
        let place = self.there.get(&uid)?;
        Some((place.kind, place.namespace == 0 || place.namespace == short_hash(namespace)))
    }

    /// The objects that refer to an object as their owner.
    pub fn dependents(&self, uid: Uid) -> impl Iterator<Item = (Uid, &Node)> {
        let all = self.dependents.get(&uid).into_iter().flatten();
        all.filter_map(|dependent| Some((*dependent, self.nodes.get(dependent)?)))
    }

    /// Whether the owner is not there, is elsewhere, or waits for its dependents.
    fn is_doubtful(&self, owner: &Owner, node: &Node) -> bool {
        let reachable = self.find(owner.uid, &node.namespace).is_some_and(|(_, reachable)| reachable);
        !reachable || self.nodes.get(&owner.uid).is_some_and(|owner| owner.foreground)
    }

    /// Owners that wait for their dependents and may wait for one less.
    fn released(&self, _uid: Uid, old: Option<&Node>, new: &Node) -> Vec<Work> {
        let blocked = old.into_iter().flat_map(|old| old.owners.iter().filter(|owner| owner.blocks));
        let free = blocked.filter(|owner| !new.owners.iter().any(|now| now.uid == owner.uid && now.blocks));
        let waiting = free.filter(|owner| self.nodes.get(&owner.uid).is_some_and(|node| node.foreground));
        waiting.map(|owner| Work::Delete(owner.uid)).collect()
    }

    fn unlink(&mut self, uid: Uid, old: Option<&Node>) {
        for owner in old.into_iter().flat_map(|old| &old.owners) {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    fn object(uid: &str, namespace: &str, owners: &[(&str, bool)]) -> ObjectMeta {
        let reference = |(uid, block): &(&str, bool)| OwnerReference {
            uid: (*uid).to_owned(),
            block_owner_deletion: Some(*block),
            ..OwnerReference::default()
        };
        ObjectMeta {
            uid: Some(uid.to_owned()),
            name: Some(uid.to_owned()),
            namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
            owner_references: Some(owners.iter().map(reference).collect()),
            ..ObjectMeta::default()
        }
    }

    fn deleted(mut metadata: ObjectMeta, finalizer: &str) -> ObjectMeta {
        metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        metadata.finalizers = Some(vec![finalizer.to_owned()]);
        metadata
    }

    fn uid(text: &str) -> Uid {
        Uid::of(text)
    }

    #[test]
    fn dependents_of_what_is_gone_are_looked_at() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(0, &object("owner", "a", &[])), []);
        assert_eq!(graph.observe(1, &object("dependent", "a", &[("owner", false)])), []);
        assert_eq!(graph.complete(), []);
        assert_eq!(graph.gone(uid("owner")), [Work::Delete(uid("dependent"))]);
        assert_eq!(graph.gone(uid("dependent")), []);
        assert!(graph.dependents.is_empty() && graph.nodes.is_empty() && graph.there.is_empty());
    }

    #[test]
    fn before_everything_is_listed_nothing_is_doubted() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe(1, &object("dependent", "a", &[("owner", false)])), []);
        graph.observe(1, &object("other", "b", &[("owner", false)]));
        graph.observe(0, &object("owner", "a", &[]));
        assert_eq!(graph.complete(), [Work::Delete(uid("other"))], "its owner is in another namespace");
        assert_eq!(graph.observe(1, &object("late", "a", &[("nobody", false)])), [Work::Delete(uid("late"))]);
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let mut graph = Graph::default();
        graph.observe(0, &object("kept", "a", &[]));
        graph.observe(0, &object("lost", "a", &[]));
        graph.observe(1, &object("dependent", "a", &[("lost", false)]));
        graph.complete();
        assert_eq!(graph.listed(0, &[uid("kept")].into()), [Work::Delete(uid("dependent"))]);
    }

    #[test]
    fn an_owner_deleted_in_the_foreground_waits_for_those_that_block_it() {
        let mut graph = Graph::default();
        graph.observe(0, &object("owner", "a", &[]));
        graph.observe(1, &object("dependent", "a", &[("owner", true)]));
        graph.complete();
        let work = graph.observe(0, &deleted(object("owner", "a", &[]), FOREGROUND));
        assert_eq!(work, [Work::Delete(uid("dependent")), Work::Delete(uid("owner"))]);
        assert_eq!(graph.gone(uid("dependent")), [Work::Delete(uid("owner"))]);
        graph.observe(1, &object("again", "a", &[("owner", true)]));
        let work = graph.observe(1, &object("again", "a", &[("owner", false)]));
        assert!(work.contains(&Work::Delete(uid("owner"))), "{work:?}");
    }

    #[test]
    fn uids_are_read_whatever_they_look_like() {
        assert_eq!(uid("00000000-0000-0000-0000-00000000000a"), Uid(10));
        assert_ne!(uid("a"), uid("b"));
    }
}
